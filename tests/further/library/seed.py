"""The local store's first content, and operations on it."""

from collections.abc import Iterator

from app.apis.api import Example
from app.store.records import Collection, Record

BOOKS = Collection("library_books")
COLLECTIONS = (BOOKS,)
API_KEY = "11000000-0000-4000-8000-000000000001"
BOOK_ID = "b1000000-0000-4000-8000-000000000001"


def seed() -> Iterator[tuple[Collection, Record]]:
    for number, title in enumerate(("Bread", "Cake"), 1):
        book_id = f"b1000000-0000-4000-8000-{number:012}"
        yield BOOKS, Record(book_id, {"Title": title, "Pages": 100 * number}, unique=title)


_UPDATE = """mutation UpdateBook($id: UUID!, $input: UpdateBookInput!) {
  updateBook(id: $id, input: $input) { book { id title pages } }
}"""
_CHANGED = {"id": BOOK_ID, "input": {"title": "Bread and salt", "pages": 120}}
_TAKEN = {"id": BOOK_ID, "input": {"title": "Cake"}}
EXAMPLES = (
    Example(title="Update a book", operation=_UPDATE, variables=_CHANGED),
    Example(title="Title of another book", operation=_UPDATE, variables=_TAKEN, reason="TITLE_TAKEN"),
)
