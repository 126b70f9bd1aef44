"""The port: what a library does, in its own JSON. Implemented by client.py (REST) and store.py (local)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import strawberry

    from app.call import Call
    from app.mapping.wire import Wire

NAME = "library"
MUTATION = "updateBook"
SCOPES = {MUTATION: "books:write", "book": "books:read"}


class LibraryBackend(Protocol):
    """Both raise GatewayError."""

    async def update(self, book_id: str, body: Wire, *, call: Call) -> Wire:
        """`PUT /books/{id}`: changes what `body` names; the book is the answer."""
        ...

    async def read(self, book_id: str, *, call: Call) -> Wire | None:
        """`GET /books/{id}`: the book, None for an unknown id."""
        ...


def backend_of(info: strawberry.Info) -> LibraryBackend:
    return cast("LibraryBackend", info.context.backends[NAME])
