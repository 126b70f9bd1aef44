"""Operations on the store's first content: the vendor's example with real ids, and typical errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.apis.api import Example, examples_of

_example = examples_of(Path(__file__).with_name("examples.graphql"))

CUSTOMER_ID = "b0000000-0000-4000-8000-000000000001"
_WITH_ACCOUNT = "b0000000-0000-4000-8000-000000000002"
INPUT: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))


def _update(title: str, reason: str, headers: Mapping[str, str] | None = None, **changes: Any) -> Example:
    return _example(title, "UpdateBookingCustomer", reason=reason, headers=headers, id=CUSTOMER_ID, input=changes)


EXAMPLES = (
    _example("Update a booking customer", "UpdateBookingCustomer", id=CUSTOMER_ID, input=INPUT),
    _example("Find a booking customer", "BookingCustomers", search="svensson", first=10, after=None),
    _example("Read a booking customer", "BookingCustomer", id=CUSTOMER_ID),
    _update("Mandatory field left empty", "FIELD_EMPTY", customFields=[{"id": 1, "value": ""}]),
    _example(
        "Not one's own record",
        "UpdateBookingCustomer",
        reason="ACTION_NOT_ALLOWED",
        id=_WITH_ACCOUNT,
        input={"firstname": "Erika"},
    ),
    _update("Null where absent is meant", "NULL_NOT_SUPPORTED", phone=None),
    _update(
        "Not authenticated (simulated)", "NOT_AUTHENTICATED", {"x-simulate": "NOT_AUTHENTICATED"}, firstname="Anna"
    ),
)
