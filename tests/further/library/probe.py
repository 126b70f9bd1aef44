"""How `check` tries the library: a book that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.apis.api import Probe
from app.upstream.answers import parsed, text_member

if TYPE_CHECKING:
    from app.apis.library.backend import LibraryBackend
    from app.apis.library.settings import LibrarySettings
    from app.call import Call
    from app.upstream.exchange import Answer

_NOBODY = "00000000-0000-0000-0000-000000000000"


async def _read(backend: LibraryBackend, call: Call) -> object:
    return await backend.read(_NOBODY, call=call)


def _complete(settings: LibrarySettings) -> bool:
    return settings.api_key is not None


def _recognises(answer: Answer) -> bool:
    return text_member(parsed(answer.body), "code") is not None


PROBE = Probe(read=_read, complete=_complete, recognises=_recognises, blame={"LIBRARY_KEY_INVALID": ("api_key",)})
