"""Operations on the store's first content."""

from __future__ import annotations

from app.apis.api import Example
from app.apis.library.seed import BOOK_ID

_UPDATE = """mutation UpdateBook($id: UUID!, $input: UpdateBookInput!) {
  updateBook(id: $id, input: $input) { book { id title pages } }
}"""

EXAMPLES = (
    Example(
        title="Update a book",
        operation=_UPDATE,
        variables={"id": BOOK_ID, "input": {"title": "Bread and salt", "pages": 120}},
    ),
    Example(
        title="Title of another book",
        operation=_UPDATE,
        variables={"id": BOOK_ID, "input": {"title": "Cake"}},
        reason="TITLE_TAKEN",
    ),
)
