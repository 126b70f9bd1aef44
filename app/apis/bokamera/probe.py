"""How `check` tries BokaMera: the list of a customer that does not exist. Only a GET, after a token was fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.apis.api import Probe
from app.apis.bokamera.backend import BokameraBackend
from app.apis.bokamera.errors import body_of
from app.upstream.answers import member

if TYPE_CHECKING:
    from app.apis.bokamera.settings import BokameraSettings
    from app.call import Call
    from app.upstream.exchange import Answer

_NOBODY = "00000000-0000-0000-0000-000000000000"


async def _read(backend: BokameraBackend, call: Call) -> object:
    return await backend.read(_NOBODY, None, call=call)


def _complete(settings: BokameraSettings) -> bool:
    return settings.api_key is not None and settings.token_url is not None


def _recognises(answer: Answer) -> bool:
    data = body_of(answer)
    return isinstance(data, list) or any(member(data, name) is not None for name in ("Results", "ResponseStatus"))


PROBE = Probe(
    read=_read,
    complete=_complete,
    recognises=_recognises,
    blame={
        # The token was issued a moment ago, so that the other credential is the wrong one.
        "NOT_AUTHENTICATED": ("api_key",),
        "UNDOCUMENTED_UNAUTHENTICATED": ("api_key",),
        "CREDENTIALS_MALFORMED": ("api_key",),
        "TOKEN_UNAVAILABLE": ("token_url",),
        "TOKEN_REFUSED": ("client_id", "username", "password"),
        # https://www.rfc-editor.org/rfc/rfc6749#section-5.2
        "TOKEN_REFUSED:invalid_client": ("client_id",),
        "TOKEN_REFUSED:unauthorized_client": ("client_id",),
        "TOKEN_REFUSED:invalid_grant": ("username", "password"),
    },
)
