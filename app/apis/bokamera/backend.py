"""The port: what a BokaMera backend does, in BokaMera's own JSON.

Implemented by client.py (REST) and store.py (local).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import strawberry

    from app.call import Call
    from app.mapping.wire import Wire

NAME = "bokamera"
MUTATION = "updateBookingCustomer"
SCOPES = {MUTATION: "booking-customers:write", "bookingCustomer": "booking-customers:read"}


class BokameraBackend(Protocol):
    """Both raise GatewayError, or GatewayErrors for several faults of one request."""

    async def update(self, customer_id: str, company_id: str | None, body: Wire, *, call: Call) -> Wire:
        """`PUT /customers/{Id}?CompanyId=`: merges `body` into the record; the record is the answer."""
        ...

    async def read(self, customer_id: str, company_id: str | None, *, call: Call) -> Wire | None:
        """`GET /customers?CustomerId=&CompanyId=`: the whole record, None for an unknown id."""
        ...


def backend_of(info: strawberry.Info) -> BokameraBackend:
    return cast("BokameraBackend", info.context.backends[NAME])
