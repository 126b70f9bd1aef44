"""An API's documented errors as one table, used in both directions. Knows no vendor."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from app.errors import Code, DocumentedError, GatewayError, Outcome, refusal
from app.redaction import cleaned
from app.upstream.messages import BackendResponse
from app.upstream.responses import code_member, log_body, parsed, retry_after, text_member, undocumented

_NO_SPACE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_CELLS: Mapping[str, Callable[[str], Any]] = {
    "http_status": int,
    "code": Code,
    "outcome": Outcome,
    "input_path": lambda cell: tuple(cell.split(".")),
    "mutations": lambda cell: tuple(cell.split()),
    **dict.fromkeys(("any_text", "retry_safe", "of_reads"), {"true": True}.__getitem__),
}


def rows_of(file: Path, **shared: Any) -> tuple[DocumentedError, ...]:
    """The rows of a CSV file whose header names members of a row. An empty cell is a member's default.

    `shared` are members that all of its rows have.
    """
    with file.open(encoding="utf-8", newline="") as lines:
        return tuple(
            DocumentedError(**shared, **{name: _CELLS.get(name, str)(cell) for name, cell in row.items() if cell})
            for row in csv.DictReader(lines, strict=True)
        )


def normalised(text: str) -> str:
    """Texts match without case, white space, what takes no space at all, and a closing full stop."""
    return _NO_SPACE.sub("", "".join(text.casefold().split())).removesuffix(".")


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
    return normalised(vendor_code or "")
