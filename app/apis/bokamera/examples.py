"""Operations on the store's first content: the vendor's example with real ids, and typical errors."""

from __future__ import annotations

from typing import Any

from app.apis.api import Example

CUSTOMER_ID = "b0000000-0000-4000-8000-000000000001"
_WITH_ACCOUNT = "b0000000-0000-4000-8000-000000000002"
_COMPANY_ID = "ba000000-0000-4000-8000-000000000001"

UPDATE_BOOKING_CUSTOMER = """mutation UpdateBookingCustomer(
  $id: UUID!
  $companyId: UUID
  $input: UpdateBookingCustomerInput!
) {
  updateBookingCustomer(id: $id, companyId: $companyId, input: $input) {
    bookingCustomer {
      id
      firstname
      lastname
      email
      customFieldValues { id value }
      accessKeys { id accessKeyTypeId value description }
      updated
    }
  }
}"""
READ_BOOKING_CUSTOMER = """query BookingCustomer($id: UUID!, $companyId: UUID) {
  bookingCustomer(id: $id, companyId: $companyId) {
    id
    firstname
    lastname
    customFields { id name isMandatory maxLength regEx values { value } }
    accessKeys { id value }
  }
}"""

FIND_BOOKING_CUSTOMER = """query BookingCustomers($search: String, $first: Int!, $after: String) {
  bookingCustomers(search: $search, first: $first, after: $after) {
    nodes { id firstname lastname email }
    totalCount
    pageInfo { hasNextPage endCursor }
  }
}"""

INPUT: dict[str, Any] = {
    "firstname": "Anna",
    "lastname": "Svensson-Lind",
    "phone": "+46 8 000 00 01",
    "email": "anna.svensson@example.com",
    "customFields": [{"id": 1, "value": "Window seat"}, {"id": 4, "value": "medium"}],
    "accessKeys": [
        {
            "companyId": _COMPANY_ID,
            "accessKeyTypeId": 1,
            "value": "4711",
            "customerId": CUSTOMER_ID,
            "description": "Gym door",
        }
    ],
    "accessKeysToDelete": [],
    "subscribedToNewsletter": False,
    "invoiceAddress": {
        "corporateIdentityNumber": "556000-0000",
        "invoiceAddress1": "Storgatan 1",
        "invoiceAddress2": "c/o Svensson",
        "invoiceCity": "Stockholm",
        "invoicePostalCode": "111 22",
        "invoiceCountryCode": "SE",
    },
}


def _update(
    title: str,
    reason: str | None,
    changes: dict[str, Any],
    headers: dict[str, str] | None = None,
    customer_id: str = CUSTOMER_ID,
) -> Example:
    variables = {"id": customer_id, "input": changes}
    return Example(
        title=title, operation=UPDATE_BOOKING_CUSTOMER, variables=variables, headers=headers or {}, reason=reason
    )


EXAMPLES = (
    _update("Update a booking customer", None, INPUT),
    Example(
        title="Find a booking customer",
        operation=FIND_BOOKING_CUSTOMER,
        variables={"search": "svensson", "first": 10, "after": None},
    ),
    Example(title="Read a booking customer", operation=READ_BOOKING_CUSTOMER, variables={"id": CUSTOMER_ID}),
    _update("Mandatory field left empty", "FIELD_EMPTY", {"customFields": [{"id": 1, "value": ""}]}),
    _update("Not one's own record", "ACTION_NOT_ALLOWED", {"firstname": "Erika"}, customer_id=_WITH_ACCOUNT),
    _update("Null where absent is meant", "NULL_NOT_SUPPORTED", {"phone": None}),
    _update(
        "Not authenticated (simulated)", "NOT_AUTHENTICATED", {"firstname": "Anna"}, {"x-simulate": "NOT_AUTHENTICATED"}
    ),
)
