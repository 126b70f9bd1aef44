"""The local store's first content."""

from __future__ import annotations

from collections.abc import Iterator

from app.store.records import Collection, Record

BOOKS = Collection("library_books")
COLLECTIONS = (BOOKS,)
API_KEY = "11000000-0000-4000-8000-000000000001"
BOOK_ID = "b1000000-0000-4000-8000-000000000001"


def seed() -> Iterator[tuple[Collection, Record]]:
    for number, title in enumerate(("Bread", "Cake"), 1):
        book_id = f"b1000000-0000-4000-8000-{number:012}"
        yield BOOKS, Record(book_id, {"Title": title, "Pages": 100 * number}, unique=title)
