"""BokaMera's customers for `app.updates`: requests, answers, proof, texts.

https://api.bokamera.se/xml/metadata?lang=kotlin&op=UpdateCustomer; the read is the list `GET /customers`, filtered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.apis.bokamera.envelope import parse, success_of
from app.apis.bokamera.errors import BOOKING_CUSTOMER_NOT_FOUND, MUTATION, NAME, TABLE
from app.apis.bokamera.proof import proves, updated_since
from app.apis.bokamera.types import BookingCustomer, UpdateBookingCustomerInput, refuse_inexpressible
from app.mapping.members import members
from app.mapping.scalars import UUID
from app.mapping.wire import Wire
from app.updates.expression import named
from app.updates.judging import is_record, unreadable
from app.updates.reading import record_of
from app.updates.resource import Argument, Options, Resource, Target, Texts, UpdateRequest
from app.updates.revision import state_of
from app.upstream.messages import BackendResponse
from app.upstream.responses import member

# Members that an update can change, by the record's names.
_CHANGED = (
    "firstname",
    "lastname",
    "phone",
    "email",
    "customFieldValues",
    "accessKeys",
    "subscribedToNewsletter",
    "invoiceAddress",
)
# Members of a list's items that a request has to ask for, with the flag that does so.
INCLUDED = {
    "CustomFields": "IncludeCustomFields",
    "CustomFieldValues": "IncludeCustomFieldValues",
    "Comments": "IncludeComments",
    "AccessKeys": "IncludeAccessKeys",
    "InvoiceAddress": "IncludeInvoiceAddress",
}


def _company(options: Options) -> tuple[tuple[str, str], ...]:
    company_id = options.get("company_id")
    return (("CompanyId", company_id),) if company_id else ()


def _get(customer_id: str, options: Options) -> Target:
    included = ((flag, "true") for flag in INCLUDED.values())
    return "/customers", (("CustomerId", customer_id), *_company(options), *included)


def _put(customer_id: str, options: Options) -> Target:
    return f"/customers/{customer_id}", _company(options)


def _pick(response: BackendResponse, data: Any, customer_id: str) -> Wire | None:
    """The requested record from a bare list or from `{Results}`; None for an empty list."""
    records = data if isinstance(data, list) else member(data, "Results")
    if not isinstance(records, list):
        raise unreadable(NAME, response, "the answer is no list")
    matching = (
        record for record in records if isinstance(record, dict) and is_record(BOOKING_CUSTOMERS, record, customer_id)
    )
    record = next(matching, None)
    if record is None and records:
        # The backend did not apply the filter, so that the customer may exist.
        raise unreadable(NAME, response, "the list does not hold the asked customer")
    return record


def _after(read: Wire, request: UpdateRequest) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Before and after a merge: texts as they are sent, fields and access keys by their ids."""
    sent = named(UpdateBookingCustomerInput, request.body)
    chosen = {item.folded for item in members(BookingCustomer) if item.graphql_name in _CHANGED}
    part = {name: item for name, item in read.items() if name.casefold() in chosen}
    state = state_of(record_of(request.resource, request.id, part))
    before = {name: state.get(name) for name in _CHANGED}
    after = {**before, **{name: sent[name] for name in sent.keys() & before.keys()}}
    after["invoiceAddress"] = {**(before["invoiceAddress"] or {}), **(sent.get("invoiceAddress") or {})} or None
    values = {
        item.get("id"): {"id": item.get("id"), "value": item.get("value")}
        for item in state.get("customFieldValues", ())
    }
    before["customFieldValues"] = list(values.values())
    values |= {item.get("id"): item for item in sent.get("customFields") or [] if item.get("value") is not None}
    after["customFieldValues"] = list(values.values())
    deleted = {item.get("id") for item in sent.get("accessKeysToDelete") or []}
    stored = before["accessKeys"] = state.get("accessKeys", [])
    keys = {item.get("id"): item for item in stored if item.get("id") not in deleted}
    created = [item for item in sent.get("accessKeys") or [] if item.get("id") is None]
    keys |= {
        item["id"]: {**keys.get(item["id"], {}), **item} for item in sent.get("accessKeys") or [] if item.get("id")
    }
    after["accessKeys"] = [*keys.values(), *created]
    return before, after


BOOKING_CUSTOMERS = Resource(
    api=NAME,
    name="bookingCustomer",
    id_member="Id",
    table=TABLE,
    get=_get,
    put=_put,
    refused=parse,
    unknown=(BOOKING_CUSTOMER_NOT_FOUND,),
    # An empty list.
    missing_status=200,
    # A member that only a customer has tells it from any other object.
    marks=("Firstname", "Lastname", "Email", "Phone", "SubscribedToNewsletter", "InvoiceAddress", "CustomFieldValues"),
    body=success_of,
    pick=_pick,
    record=BookingCustomer,
    input=UpdateBookingCustomerInput,
    mutation=MUTATION,
    scope="booking-customers",
    arguments=(
        Argument(
            name="company_id",
            type=UUID | None,
            description="Booking company of the customer. Left out or null, an administrator's own company is used.",
            before_input=True,
            of_reads=True,
        ),
    ),
    check=refuse_inexpressible,
    after=_after,
    proves=lambda request, read: proves(request.body, read),
    evident=lambda _: True,
    since=updated_since,
    texts=Texts(
        query="A booking customer as BokaMera has it now; null for an unknown id.",
        mutation="Changes a customer of a company that takes bookings with BokaMera. What is left out stays. "
        "Users may change only themselves; administrators the customers of their company that have no account.",
        id="Id of the booking customer.",
        input="What is to change.",
        payload="What an update of a booking customer answers.",
        record="The customer as BokaMera answered it after the update.",
    ),
)
