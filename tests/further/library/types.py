"""The library's GraphQL types, and the one mapping to and from its JSON."""

from __future__ import annotations

import strawberry
from strawberry import UNSET, Info

from app.apis.library.backend import NAME, backend_of
from app.errors import ANSWER_UNREADABLE, BackendAnswer, GatewayError
from app.mapping.scalars import UUID
from app.mapping.wire import Wire, WireMismatchError, from_wire, wire


@strawberry.federation.type(keys=["id"], description="A book.")
class Book:
    id: UUID = strawberry.field(description="Its id.")
    title: str | None = strawberry.field(description="Its title.", metadata=wire("Title"))
    pages: int | None = strawberry.field(description="How many pages it has.", metadata=wire("Pages"))

    @classmethod
    async def resolve_reference(cls, info: Info, id: UUID) -> Book | None:  # noqa: A002 - the key's name
        return await read_book(info, id)


@strawberry.input(description="What is to change about a book.")
class UpdateBookInput:
    title: str | None = strawberry.field(default=UNSET, description="Its title.", metadata=wire("Title"))
    pages: int | None = strawberry.field(default=UNSET, description="How many pages it has.", metadata=wire("Pages"))


@strawberry.type(description="The result of updateBook.")
class UpdateBookPayload:
    book: Book | None = strawberry.field(description="The book after the update.")


async def read_book(info: Info, book_id: str) -> Book | None:
    record = await backend_of(info).read(book_id, call=info.context.call)
    return None if record is None else book(record)


def book(record: Wire) -> Book:
    try:
        return from_wire(Book, record)
    except WireMismatchError as error:
        raise GatewayError(ANSWER_UNREADABLE, backend=BackendAnswer(NAME), detail=str(error)) from error
