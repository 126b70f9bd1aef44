"""Fields of the schema's roots: input -> backend -> type."""

from __future__ import annotations

import asyncio
from typing import Annotated

import strawberry
from strawberry import UNSET, Info

from app.apis.bokamera.backend import backend_of
from app.apis.bokamera.proof import provable, shows
from app.apis.bokamera.types import (
    BookingCustomer,
    UpdateBookingCustomerInput,
    UpdateBookingCustomerPayload,
    booking_customer,
    read_booking_customer,
    refuse_inexpressible,
)
from app.errors import GatewayError, GatewayErrors, Outcome
from app.mapping.scalars import UUID
from app.mapping.wire import Wire, to_wire
from app.reconciliation import reconcile

_Id = Annotated[UUID, strawberry.argument(description="Id of the booking customer.")]
_CompanyId = Annotated[
    UUID | None,
    strawberry.argument(
        description="Booking company of the customer. Left out or null, an administrator's own company is used."
    ),
]
_Input = Annotated[UpdateBookingCustomerInput, strawberry.argument(description="What is to change.")]


async def _update(info: Info, customer_id: str, company_id: str | None, body: Wire) -> BookingCustomer:
    """The customer as BokaMera answered it; where the outcome is unknown, as one read-back proves it."""

    async def proven(error: GatewayError) -> BookingCustomer:
        return await reconcile(
            error,
            lambda: read_booking_customer(info, customer_id, company_id),
            lambda record: shows(body, record),
            provable=provable(body),
        )

    call = info.context.call.for_write(asyncio.get_running_loop().time())
    try:
        return booking_customer(await backend_of(info).update(customer_id, company_id, body, call=call), customer_id)
    except GatewayError as error:
        return await proven(error)
    except GatewayErrors as several:
        if all(error.outcome is not Outcome.UNKNOWN for error in several.errors):
            raise
        try:
            return await proven(several.errors[0])
        except GatewayError as error:
            raise GatewayErrors([error, *several.errors[1:]]) from error


@strawberry.type
class Query:
    @strawberry.field(description="A booking customer as BokaMera has it now; null for an unknown id.")
    async def booking_customer(
        self,
        info: Info,
        id: _Id,  # noqa: A002 - the argument's name
        company_id: _CompanyId = UNSET,
    ) -> BookingCustomer | None:
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
        id: _Id,  # noqa: A002 - the argument's name
        company_id: _CompanyId = UNSET,
        input: _Input,  # noqa: A002 - the argument's name
    ) -> UpdateBookingCustomerPayload | None:
        refuse_inexpressible(input)
        record = await _update(info, id, company_id or None, to_wire(input))
        return UpdateBookingCustomerPayload(booking_customer=record)
