"""How `check` tries Basecone: a customer that does not exist. Only a GET, which changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.apis.api import Probe
from app.apis.basecone.backend import CUSTOMER, BaseconeBackend
from app.upstream.answers import parsed, text_member

if TYPE_CHECKING:
    from app.apis.basecone.settings import BaseconeSettings
    from app.call import Call
    from app.upstream.exchange import Answer

_NOBODY = "00000000-0000-0000-0000-000000000000"


async def _read(backend: BaseconeBackend, call: Call) -> object:
    return await backend.read(CUSTOMER, _NOBODY, call=call)


def _complete(settings: BaseconeSettings) -> bool:
    return settings.client_identifier is not None and settings.api_access_key is not None


def _recognises(answer: Answer) -> bool:
    # Every documented error has a code: https://developers.basecone.com/ApiReference/General.
    return text_member(parsed(answer.body), "code") is not None


PROBE = Probe(
    read=_read,
    complete=_complete,
    recognises=_recognises,
    blame={
        "AUTHORIZATION_HEADER_INVALID": ("client_identifier", "api_access_key"),
        "CREDENTIALS_UNAUTHORIZED": ("client_identifier",),
        "CREDENTIALS_INVALID": ("api_access_key",),
        "UNDOCUMENTED_UNAUTHENTICATED": ("client_identifier", "api_access_key"),
        "CREDENTIALS_MALFORMED": ("client_identifier", "api_access_key"),
    },
)
