"""The library's documented rules over the store."""

from app.apis.library.errors import BOOK_NOT_FOUND, KEY_INVALID, TITLE_EMPTY, TITLE_TAKEN
from app.apis.library.seed import API_KEY, BOOKS
from app.errors import refusal
from app.mapping.wire import Wire
from app.store.records import Record, Store, UniqueConflictError, VersionConflictError, Write
from app.updates.local import LocalCall
from app.updates.resource import Options, Resource, UpdateRequest


class LibraryRules:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def update(self, request: UpdateRequest, call: LocalCall) -> Wire:
        while True:
            found = await self._book(request.id, call)
            if found is None:
                raise refusal(BOOK_NOT_FOUND)
            document = {**found.document, **request.body}
            if not document.get("Title"):
                raise refusal(TITLE_EMPTY)
            try:
                record = Record(request.id, document, unique=document["Title"])
                await call.commit([Write(BOOKS, record, found.version)])
            except UniqueConflictError as error:
                raise refusal(TITLE_TAKEN) from error
            except VersionConflictError:
                continue
            return {"id": request.id, **document}

    async def read(self, _resource: Resource, book_id: str, _options: Options, call: LocalCall) -> Wire | None:
        book = await self._book(book_id, call)
        return None if book is None else {"id": book_id, **book.document}

    async def _book(self, book_id: str, call: LocalCall) -> Record | None:
        if call.headers.get("x-api-key") != API_KEY:
            raise refusal(KEY_INVALID)
        return await self._store.get(BOOKS, book_id)
