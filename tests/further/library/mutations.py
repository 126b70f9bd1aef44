"""Fields of the schema's roots: input -> backend -> type."""

from __future__ import annotations

import asyncio
from typing import Annotated

import strawberry
from strawberry import Info

from app.apis.library.backend import backend_of
from app.apis.library.types import Book, UpdateBookInput, UpdateBookPayload, book, read_book
from app.errors import GatewayError
from app.mapping.scalars import UUID
from app.mapping.wire import Wire, to_wire
from app.reconciliation import reconcile

_Id = Annotated[UUID, strawberry.argument(description="Id of the book.")]
_Input = Annotated[UpdateBookInput, strawberry.argument(description="What is to change.")]


def _shows(body: Wire, record: Book) -> bool:
    return all(getattr(record, name.lower()) == value for name, value in body.items())


@strawberry.type
class Query:
    @strawberry.field(description="A book as the library has it now; null for an unknown id.")
    async def book(self, info: Info, id: _Id) -> Book | None:  # noqa: A002 - the argument's name
        return await read_book(info, id)


@strawberry.type
class Mutation:
    @strawberry.mutation(description="Changes a book. What is left out stays.")
    async def update_book(
        self,
        info: Info,
        id: _Id,  # noqa: A002 - the argument's name
        input: _Input,  # noqa: A002 - the argument's name
    ) -> UpdateBookPayload | None:
        body = to_wire(input)
        call = info.context.call.for_write(asyncio.get_running_loop().time())
        try:
            return UpdateBookPayload(book=book(await backend_of(info).update(id, body, call=call)))
        except GatewayError as error:
            found = await reconcile(
                error, lambda: read_book(info, id), lambda record: _shows(body, record), provable=True
            )
            return UpdateBookPayload(book=found)
