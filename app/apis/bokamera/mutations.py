"""Fields of the schema's roots: input -> backend -> type."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import UNSET, Info

from app.apis.bokamera.backend import backend_of
from app.apis.bokamera.types import (
    BookingCustomer,
    UpdateBookingCustomerInput,
    UpdateBookingCustomerPayload,
    booking_customer,
    read_booking_customer,
    refuse_inexpressible,
)
from app.scalars import UUID
from app.wire import to_wire

Id = Annotated[UUID, strawberry.argument(description="Id of the booking customer.")]
CompanyId = Annotated[
    UUID | None,
    strawberry.argument(
        description="Booking company of the customer. Left out or null, an administrator's own company is used."
    ),
]
Changes = Annotated[UpdateBookingCustomerInput, strawberry.argument(description="What is to change.")]


@strawberry.type
class Query:
    @strawberry.field(description="A booking customer by id, null for an unknown id.")
    async def booking_customer(self, info: Info, id: Id, company_id: CompanyId = UNSET) -> BookingCustomer | None:  # noqa: A002 - the argument's name
        return await read_booking_customer(info, id, company_id or None)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        description="Changes a customer of a company that takes bookings with BokaMera. What is left out stays. "
        "Users may change only themselves; administrators the customers of their company that have no account."
    )
    async def update_booking_customer(
        self,
        info: Info,
        *,
        id: Id,  # noqa: A002 - the argument's name
        company_id: CompanyId = UNSET,
        input: Changes,  # noqa: A002 - the argument's name
    ) -> UpdateBookingCustomerPayload | None:
        refuse_inexpressible(input)
        record = await backend_of(info).update(id, company_id or None, to_wire(input), call=info.context.call)
        return UpdateBookingCustomerPayload(booking_customer=booking_customer(record, id))
