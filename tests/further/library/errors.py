"""The library's documented errors. The envelope is `{code, message}`."""

from __future__ import annotations

from app.apis.library.backend import MUTATION, NAME
from app.errors import Code, DocumentedError, GatewayError, refusal
from app.json_codec import encode_json
from app.redaction import cleaned
from app.upstream.answers import parsed, text_member, undocumented
from app.upstream.exchange import Answer

_PAGE = "https://library.example/docs/update-book"


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
        source=_PAGE,
    )


BOOK_NOT_FOUND = _row("BOOK_NOT_FOUND", Code.NOT_FOUND, 404, "not_found", "There is no such book.", "id")
TITLE_EMPTY = _row("TITLE_EMPTY", Code.BAD_USER_INPUT, 400, "title", "The title is empty.", "input", "title")
TITLE_TAKEN = _row("TITLE_TAKEN", Code.CONFLICT, 409, "taken", "The title is taken.", "input", "title")
KEY_INVALID = _row("LIBRARY_KEY_INVALID", Code.UNAUTHENTICATED, 401, "key", "The key is invalid.")
ROWS = (BOOK_NOT_FOUND, TITLE_EMPTY, TITLE_TAKEN, KEY_INVALID)

_BY_ANSWER = {(row.http_status, row.vendor_code): row for row in ROWS}
BY_REASON = {row.reason: row for row in ROWS}


def parse(answer: Answer) -> GatewayError:
    """The error of an answer that is no success."""
    data = parsed(answer.body)
    code, text = text_member(data, "code"), text_member(data, "message")
    row = _BY_ANSWER.get((answer.status, code))
    if row is None:
        return undocumented(NAME, answer, code=code, message=text)
    return refusal(row, cleaned(text or "") or row.text)


def render(error: GatewayError) -> Answer:
    assert error.backend is not None
    assert error.backend.status is not None
    body = encode_json({"code": error.backend.code, "message": error.backend.message})
    return Answer(error.backend.status, {"content-type": "application/json"}, body)
