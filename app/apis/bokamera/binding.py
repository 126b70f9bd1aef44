"""Binds a request's body as ServiceStack does: names in any casing, no unknown names, no null, no unfit scalars.

ServiceStack.Text, `DeserializeTypeRef`: without `ThrowOnError` a value that cannot be read leaves its member unchanged.
"""

from __future__ import annotations

from typing import Any

from app.apis.bokamera.types import UpdateBookingCustomerInput
from app.mapping.readers import LENIENT, Reader, lenient_text
from app.mapping.scalars import parse_uuid
from app.mapping.wire import request_reader


def _text(value: Any) -> str:
    return str(value) if isinstance(value, bool) else lenient_text(value)


bind: Reader = request_reader(
    UpdateBookingCustomerInput,
    {**LENIENT, str: _text},
    vendor_names=True,
    lenient=True,
    # Also binds from the body, though the page documents it as a query parameter.
    more={UpdateBookingCustomerInput: {"CompanyId": parse_uuid}},
)
