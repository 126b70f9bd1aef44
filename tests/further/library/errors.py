"""The library's documented errors. The envelope is `{code, message}`."""

from app.errors import Code, DocumentedError, GatewayError, GatewayErrors
from app.json_codec import encode_json
from app.updates.table import ErrorTable
from app.upstream.answers import parsed, text_member
from app.upstream.exchange import Answer

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
BODY_UNREADABLE = _row("BODY_UNREADABLE", Code.BAD_USER_INPUT, 400, "body", "The body is no JSON.")
TITLE_EMPTY = _row("TITLE_EMPTY", Code.BAD_USER_INPUT, 400, "title", "The title is empty.", "input", "title")
TITLE_TAKEN = _row("TITLE_TAKEN", Code.CONFLICT, 409, "taken", "The title is taken.", "input", "title")
KEY_INVALID = _row("LIBRARY_KEY_INVALID", Code.UNAUTHENTICATED, 401, "key", "The key is invalid.")
ROWS = (BOOK_NOT_FOUND, BODY_UNREADABLE, TITLE_EMPTY, TITLE_TAKEN, KEY_INVALID)
TABLE = ErrorTable(NAME, ROWS)


def parse(answer: Answer) -> GatewayError:
    data = parsed(answer.body)
    return TABLE.error(MUTATION, answer, text_member(data, "code"), text_member(data, "message"))


def render(error: GatewayError | GatewayErrors) -> Answer:
    assert isinstance(error, GatewayError)
    assert error.backend is not None
    assert error.backend.status is not None
    body = encode_json({"code": error.backend.code, "message": error.backend.message})
    return Answer(error.backend.status, {"content-type": "application/json"}, body)
