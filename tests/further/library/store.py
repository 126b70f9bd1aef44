"""The local adapter: the documented rules over the store."""

from __future__ import annotations

from app.apis.library.backend import NAME
from app.apis.library.errors import BOOK_NOT_FOUND, BY_REASON, KEY_INVALID, TITLE_EMPTY, TITLE_TAKEN
from app.apis.library.seed import API_KEY, BOOKS
from app.apis.library.settings import LibrarySettings
from app.call import Call
from app.errors import refusal
from app.mapping.wire import Wire
from app.store.records import Record, Store, UniqueConflictError, VersionConflictError, Write


class LocalBackend:
    """The library as documented. Without credentials of the caller the demo key is used, but by the sandbox."""

    def __init__(self, settings: LibrarySettings, store: Store, *, demo: bool = True) -> None:
        del settings
        self._store = store
        self._demo = demo

    def _check(self, call: Call) -> None:
        given = call.credentials.get(NAME, {}).get("x-api-key", API_KEY if self._demo else "")
        if given != API_KEY:
            raise refusal(KEY_INVALID)

    async def update(self, book_id: str, body: Wire, *, call: Call) -> Wire:
        if call.simulate in BY_REASON:
            raise refusal(BY_REASON[call.simulate])
        self._check(call)
        while True:
            found = await self._store.get(BOOKS, book_id)
            if found is None:
                raise refusal(BOOK_NOT_FOUND)
            document = {**found.document, **body}
            if not document.get("Title"):
                raise refusal(TITLE_EMPTY)
            try:
                record = Record(book_id, document, unique=document["Title"])
                await self._store.commit([Write(BOOKS, record, found.version)])
            except UniqueConflictError as error:
                raise refusal(TITLE_TAKEN) from error
            except VersionConflictError:
                continue
            return {"id": book_id, **document}

    async def read(self, book_id: str, *, call: Call) -> Wire | None:
        self._check(call)
        found = await self._store.get(BOOKS, book_id)
        return None if found is None else {"id": book_id, **found.document}
