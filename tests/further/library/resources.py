"""Books in GraphQL, and what the seam knows of them."""

from __future__ import annotations

import strawberry
from strawberry import UNSET

from app.apis.library.errors import BOOK_NOT_FOUND, MUTATION, NAME, TABLE
from app.mapping.members import wire
from app.mapping.scalars import UUID
from app.updates.resource import Resource, Texts


@strawberry.federation.type(keys=["id"], description="A book.")
class Book:
    id: UUID = strawberry.field(description="Its id.")
    title: str | None = strawberry.field(description="Its title.", metadata=wire("Title"))
    pages: int | None = strawberry.field(description="How many pages it has.", metadata=wire("Pages"))


@strawberry.input(description="What is to change about a book.")
class UpdateBookInput:
    title: str | None = strawberry.field(default=UNSET, description="Its title.", metadata=wire("Title"))
    pages: int | None = strawberry.field(default=UNSET, description="How many pages it has.", metadata=wire("Pages"))


BOOKS = Resource(
    api=NAME,
    name="book",
    id_member="id",
    table=TABLE,
    get=lambda book_id, _: (f"/books/{book_id}", ()),
    put=lambda book_id, _: (f"/books/{book_id}", ()),
    unknown=(BOOK_NOT_FOUND,),
    marks=("Title",),
    record=Book,
    input=UpdateBookInput,
    mutation=MUTATION,
    scope="books",
    texts=Texts(
        query="A book as the library has it now; null for an unknown id.",
        mutation="Changes a book. What is left out stays.",
        id="Id of the book.",
        input="What is to change.",
        payload="The result of updateBook.",
        record="The book after the update.",
    ),
)
