"""The library's documented errors. The envelope is `{code, message}`."""

from app.errors import Code, DocumentedError
from app.updates.table import ErrorTable

NAME = "library"
MUTATION = "updateBook"


def _row(reason: str, code: Code, status: int, vendor_code: str, text: str, *path: str) -> DocumentedError:
    return DocumentedError(
        reason=reason,
        code=code,
        backend=NAME,
        http_status=status,
        vendor_code=vendor_code,
        text=text,
        input_path=path or None,
        mutations=(MUTATION,),
        source="https://library.example/docs/update-book",
    )


BOOK_NOT_FOUND = _row("BOOK_NOT_FOUND", Code.NOT_FOUND, 404, "not_found", "There is no such book.", "id")
TITLE_EMPTY = _row("TITLE_EMPTY", Code.BAD_USER_INPUT, 400, "title", "The title is empty.", "input", "title")
TITLE_TAKEN = _row("TITLE_TAKEN", Code.CONFLICT, 409, "taken", "The title is taken.", "input", "title")
KEY_INVALID = _row("LIBRARY_KEY_INVALID", Code.UNAUTHENTICATED, 401, "key", "The key is invalid.")
ROWS = (BOOK_NOT_FOUND, TITLE_EMPTY, TITLE_TAKEN, KEY_INVALID)
TABLE = ErrorTable(NAME, ROWS)
