"""BokaMera's documented errors, in `errors.csv`.

The operation's page documents 400 (validation error) and 401 (not allowed to perform the action). Everything else is
ServiceStack's own. The ErrorCode of a .NET exception is the name of its type; the texts of exceptions are assumed, and
the framework passes any text on. Rules have FluentValidation's stock English texts.
"""

from __future__ import annotations

from pathlib import Path

from app.updates.table import ErrorTable, rows_of

NAME = "bokamera"
MUTATION = "updateBookingCustomer"

ROWS = rows_of(Path(__file__).with_name("errors.csv"), backend=NAME, any_text=True, mutations=(MUTATION,))
TABLE = ErrorTable(NAME, ROWS)
_rows = {row.reason: row for row in ROWS}

INPUT_INVALID = _rows["INPUT_INVALID"]
ACTION_NOT_ALLOWED = _rows["ACTION_NOT_ALLOWED"]
NOT_AUTHENTICATED = _rows["NOT_AUTHENTICATED"]
FIELD_EMPTY = _rows["FIELD_EMPTY"]
FIELD_LENGTH_INVALID = _rows["FIELD_LENGTH_INVALID"]
FIELD_FORMAT_INVALID = _rows["FIELD_FORMAT_INVALID"]
FIELD_EMAIL_INVALID = _rows["FIELD_EMAIL_INVALID"]
FIELD_CONDITION_FAILED = _rows["FIELD_CONDITION_FAILED"]
SERIALIZATION_FAILED = _rows["SERIALIZATION_FAILED"]
# HttpError.NotFound: its ErrorCode is the status's name. Assumed: an unknown customer is answered with it.
BOOKING_CUSTOMER_NOT_FOUND = _rows["BOOKING_CUSTOMER_NOT_FOUND"]
OPTIMISTIC_CONCURRENCY = _rows["OPTIMISTIC_CONCURRENCY"]
