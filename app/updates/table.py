"""An API's documented errors as one table, used in both directions. Knows no vendor."""

from __future__ import annotations

from collections.abc import Iterable

from app.errors import DocumentedError, GatewayError, refusal
from app.redaction import cleaned
from app.upstream.messages import BackendResponse
from app.upstream.responses import code_member, log_body, parsed, retry_after, text_member, undocumented


def normalised(text: str) -> str:
    """Texts match without case, white space and a closing full stop."""
    return "".join(text.casefold().split()).removesuffix(".")


class ErrorTable:
    """`by_reason` has a row by mutation and reason."""

    def __init__(self, name: str, rows: Iterable[DocumentedError]) -> None:
        self.name = name
        self.rows = tuple(rows)
        entries = [(mutation, row) for row in self.rows for mutation in row.mutations]
        self.by_reason = {(mutation, row.reason): row for mutation, row in entries}
        self._exact = {
            (mutation, row.http_status, _folded(row.vendor_code), text): row
            for mutation, row in entries
            if row.text is not None
            for text in (row.text, normalised(row.text))
        }
        self._any_text = {
            (mutation, row.http_status, _folded(row.vendor_code)): row for mutation, row in entries if row.any_text
        }

    def recognise(self, mutation: str, status: int, vendor_code: str, text: str) -> DocumentedError | None:
        """The row of an answer: by its text, or by status and code where the row stands for any text."""
        code = _folded(vendor_code)
        exact = self._exact.get((mutation, status, code, text)) or self._exact.get(
            (mutation, status, code, normalised(text))
        )
        return exact or self._any_text.get((mutation, status, code))

    def error_of_json(self, mutation: str, response: BackendResponse) -> GatewayError:
        """The error of an answer in the most common envelope, `{code, message}` in any casing."""
        data = parsed(response.body)
        return self.error(mutation, response, code_member(data, "code"), text_member(data, "message"))

    def error(
        self, mutation: str, response: BackendResponse, vendor_code: str | None, text: str | None
    ) -> GatewayError:
        """The error of an unsuccessful answer, by its envelope's code and text."""
        row = self.recognise(mutation, response.status, vendor_code or "", text or "")
        if row is None:
            return undocumented(self.name, response, code=vendor_code, message=text)
        return self.refusal(row, response, text)

    def refusal(self, row: DocumentedError, response: BackendResponse, text: str | None) -> GatewayError:
        """The error of a recognised row."""
        log_body(self.name, response)  # the part that a client does not see
        # The documented text holds nothing that would have to be removed.
        error = refusal(row, row.text if text == row.text else cleaned(text or "", response.secrets) or row.text)
        error.retry_after = retry_after(response.headers)
        return error


def _folded(vendor_code: str | None) -> str:
    return (vendor_code or "").casefold()
