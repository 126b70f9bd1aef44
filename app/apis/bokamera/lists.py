"""BokaMera's list of customers: its request, and the vendor's part of its answer.

https://github.com/freestream/python-bokamera-client: a bare list, or `{Offset, Total, Results}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.apis.bokamera.envelope import parse, success_of
from app.apis.bokamera.errors import NAME
from app.apis.bokamera.resources import BOOKING_CUSTOMERS, INCLUDED
from app.mapping.members import members_of
from app.mapping.scalars import UUID
from app.updates.listing import Listing, ListRequest
from app.updates.resource import Argument
from app.upstream.responses import member

_MOST_DIGITS = 10


def _flags(request: ListRequest) -> Sequence[tuple[str, str]]:
    selected = {name.casefold() for name in request.members}
    # A field that the vendor does not have is derived from the whole record.
    whole = not selected <= {member.folded for member in members_of(request.listing.record).named.values()}
    return [(flag, "true") for name, flag in INCLUDED.items() if whole or name.casefold() in selected]


def _items(data: Any) -> tuple[Any, Any]:
    if isinstance(data, list):
        return data, None
    total = member(data, "Total")
    # JSV writes every scalar as text. Python refuses to read a number of thousands of digits.
    is_count = isinstance(total, str) and total.isascii() and total.isdigit() and len(total) <= _MOST_DIGITS
    return member(data, "Results"), int(total) if is_count else total


CUSTOMER_LIST = Listing(
    api=NAME,
    name="bookingCustomers",
    noun="booking customers",
    scope=BOOKING_CUSTOMERS.scope,
    description="The customers of a company that takes bookings with BokaMera. "
    "An administrator sees those of the own company; other users see themselves.",
    record=BOOKING_CUSTOMERS.record,
    id_members=("Id",),
    path="/customers",
    parameters={"company_id": "CompanyId", "search": "Search"},
    further=_flags,
    page=("Skip", "Take"),
    refused=parse,
    items=_items,
    body=success_of,
    arguments=(
        Argument(
            name="company_id",
            type=UUID | None,
            description="Booking company. Left out or null, an administrator's own company is used.",
        ),
        Argument(
            name="search",
            type=str | None,
            description="Only those with this text in a name, the e-mail or the phone, in any case.",
        ),
    ),
)
LISTINGS = (CUSTOMER_LIST,)
