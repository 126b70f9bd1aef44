"""Basecone's documented errors: the 47 rows of the two update pages, and the general ones, in `errors.csv`.

One code stands for up to seventeen errors, and only the text tells them apart. A code with one row is enough, whatever
its text. The envelope is one object, `{code, message, _metadata?, _moreInfo?}`, in any casing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from app.errors import DocumentedError, GatewayError, GatewayFailure
from app.json_codec import encode_json
from app.updates.table import ErrorTable, rows_of
from app.upstream.messages import BackendResponse
from app.upstream.responses import parsed, text_member

NAME = "basecone"
UPDATE_CUSTOMER = "updateCustomer"
UPDATE_SUPPLIER = "updateSupplier"

_FILE = rows_of(Path(__file__).with_name("errors.csv"), backend=NAME)


def _of_page(mutation: str) -> tuple[DocumentedError, ...]:
    """The rows of one update's page: those that name its record."""
    record = mutation.removeprefix("update")
    words = {"record": record.lower(), "Record": record}
    return tuple(
        replace(row, text=(row.text or "").format(**words), source=row.source.format(**words), mutations=(mutation,))
        for row in _FILE
        if row.source.endswith("{Record}") and mutation in row.mutations
    )


# By mutation.
DOCUMENTED = {mutation: _of_page(mutation) for mutation in (UPDATE_CUSTOMER, UPDATE_SUPPLIER)}
_OTHER_PAGES = tuple(row for row in _FILE if not row.source.endswith("{Record}"))
# Documented on other pages of the same API, for every resource; mostly without a published text.
GENERAL = tuple(row for row in _OTHER_PAGES if not row.of_reads)
LEDGER_COMPANY_UNKNOWN, LEDGER_COMPANY_DENIED = _LEDGER_LIST = tuple(row for row in _OTHER_PAGES if row.of_reads)
ROWS: tuple[DocumentedError, ...] = (*DOCUMENTED[UPDATE_CUSTOMER], *DOCUMENTED[UPDATE_SUPPLIER], *_OTHER_PAGES)

TABLE = ErrorTable(NAME, ROWS)


def row_of(mutation: str, reason: str) -> DocumentedError:
    """Reads that belong to no mutation, such as the ledgers', have the rows of a supplier's update (assumed)."""
    return TABLE.by_reason[mutation or UPDATE_SUPPLIER, reason]


def parse(mutation: str, response: BackendResponse) -> GatewayError:
    """The error of an unsuccessful answer. It keeps everything the answer says and adds nothing."""
    return TABLE.error_of_json(mutation, response)


def parse_ledger_list(response: BackendResponse) -> GatewayError:
    """As `parse`, for the list of general ledgers, which has its own codes."""
    code = (text_member(parsed(response.body), "code") or "").casefold()
    for row in _LEDGER_LIST:
        if response.status == row.http_status and code == (row.vendor_code or "").casefold():
            return TABLE.refusal(row, response, text_member(parsed(response.body), "message"))
    return parse(UPDATE_SUPPLIER, response)


def render(error: GatewayFailure) -> BackendResponse:
    """Basecone's answer to a refusal: status and `{code, message, _metadata}`."""
    assert isinstance(error, GatewayError)
    backend = error.backend
    assert backend is not None
    assert backend.status is not None
    message = {} if backend.message is None else {"message": backend.message}
    body = encode_json({**message, "code": backend.code, "_metadata": []})
    return BackendResponse(backend.status, {"content-type": "application/json; charset=utf-8"}, body)
