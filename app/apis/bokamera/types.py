"""Booking customers in GraphQL, and the one mapping to and from BokaMera's JSON.

Fields: https://testapi.bokamera.se/jsv/metadata?op=UpdateCustomer. BokaMera spells everything in PascalCase.
Annotations are objects, not strings: strings would be compiled at each start.
"""

from collections.abc import Iterator
from typing import Any

import strawberry
from strawberry import UNSET

from app.errors import NULL_NOT_SUPPORTED, VALUE_NOT_SUPPORTED, GatewayError, GatewayErrors, InputPath
from app.mapping.members import wire
from app.mapping.scalars import UUID, DateTime
from app.mapping.wire import arguments_of
from app.updates.revision import revision_field

_MERGED = " Left out, it stays as it is; an empty text clears it; null is refused."
_KEPT = " Left out, nothing of it changes; null is refused."
_PART = " Null is refused."


def _optional(name: str, description: str, rule: str = _MERGED) -> Any:
    """An optional member of an update."""
    return strawberry.field(default=UNSET, description=description + rule, metadata=wire(name))


def _part(name: str, description: str) -> Any:
    """An optional member of an item of an update."""
    return strawberry.field(default=UNSET, description=description + _PART, metadata=wire(name))


def _read(description: str) -> Any:
    return strawberry.field(default=None, description=description)


@strawberry.input(
    description="A new value for one of the custom fields that the company has defined for its customers."
)
class BookingCustomFieldInput:
    id: int | None = _part("Id", "Id of the custom field, as `customFields` of a booking customer gives it.")
    value: str | None = _part(
        "Value", "The new value; empty clears it, which a mandatory field refuses. Left out, the stored value stays."
    )


@strawberry.input(
    description="An access key (a card, code or tag that opens something for the customer) to create or to change."
)
class AccessKeyInput:
    id: UUID | None = _part("Id", "Id of the access key to change. Left out, a new one is created.")
    company_id: UUID | None = _part("CompanyId", "Booking company that owns the key. Left out, the customer's.")
    access_key_type_id: int | None = _part(
        "AccessKeyTypeId", "Type of the key, a number that BokaMera assigns. Needed for a new key."
    )
    value: str | None = _part("Value", "The key or token itself. Needed for a new key.")
    customer_id: UUID | None = _part(
        "CustomerId", "Customer that owns the key. Left out, the customer that is updated."
    )
    description: str | None = _part("Description", "A note on the key.")


@strawberry.input(description="An access key to delete.")
class AccessKeyToDeleteInput:
    id: UUID | None = _part("Id", "Id of the access key to delete.")


@strawberry.input(description="Where invoices to the customer go. Only the given members change.")
class InvoiceAddressInput:
    corporate_identity_number: str | None = _part(
        "CorporateIdentityNumber", "Corporate identity number of the organisation that is invoiced."
    )
    invoice_address1: str | None = _part("InvoiceAddress1", "First address line.")
    invoice_address2: str | None = _part("InvoiceAddress2", "Second address line.")
    invoice_city: str | None = _part("InvoiceCity", "City.")
    invoice_postal_code: str | None = _part("InvoicePostalCode", "Postal code.")
    invoice_country_code: str | None = _part("InvoiceCountryCode", "Country code, for instance SE.")


@strawberry.input(
    description="What is to change in a booking customer. BokaMera merges it: what is left out stays as it is."
)
class UpdateBookingCustomerInput:
    firstname: str | None = _optional("Firstname", "First name.")
    lastname: str | None = _optional("Lastname", "Last name.")
    phone: str | None = _optional("Phone", "Telephone number.")
    email: str | None = _optional("Email", "E-mail address.")
    custom_fields: list[BookingCustomFieldInput] | None = _optional(
        "CustomFields",
        "New values of custom fields, by the field's id; fields that are not listed stay as they are.",
        _KEPT,
    )
    access_keys: list[AccessKeyInput] | None = _optional(
        "AccessKeys",
        "Access keys to create (without id) or to change (with id); keys that are not listed stay as they are.",
        _KEPT,
    )
    access_keys_to_delete: list[AccessKeyToDeleteInput] | None = _optional(
        "AccessKeysToDelete", "Access keys to delete, by id.", _KEPT
    )
    subscribed_to_newsletter: bool | None = _optional(
        "SubscribedToNewsletter", "Whether the customer receives the newsletter.", _KEPT
    )
    invoice_address: InvoiceAddressInput | None = _optional(
        "InvoiceAddress", "Where invoices to the customer go.", _KEPT
    )


@strawberry.type(description="One of the values that a drop-down custom field offers.")
class BookingCustomFieldChoice:
    value: str | None = _read("The value.")


@strawberry.type(
    description="A custom field that the company has defined for its customers: how it is shown and checked."
)
class BookingCustomField:
    id: int | None = _read("Id of the custom field.")
    name: str | None = _read("Name of the field, for instance Number of persons.")
    description: str | None = _read("What is asked, for instance: For how many persons is this booking?")
    width: int | None = _read("Width of the field in pixels.")
    data_type: str | None = _read("Kind of field, for instance TextBox or DropDown.")
    default_value: str | None = _read("Value that the field begins with.")
    is_mandatory: bool | None = _read("Whether the field must have a value.")
    mandatory_error_message: str | None = _read("Message shown when a mandatory field is left empty.")
    max_length: int | None = _read("Maximum length of the value; 0 is no maximum.")
    multiple_line_text: bool | None = _read("Whether the field has several lines.")
    reg_ex: str | None = _read("Regular expression that the value must match.")
    reg_ex_error_message: str | None = _read("Message shown when the value does not match the regular expression.")
    values: list[BookingCustomFieldChoice] | None = _read("Values to choose from, if the field is a drop-down.")


@strawberry.type(description="The value that a customer has in a custom field.")
class BookingCustomFieldValue:
    id: int | None = _read("Id of the custom field.")
    column: str | None = _read("Column that BokaMera keeps the value in, for instance TextField1.")
    name: str | None = _read("Name of the field.")
    description: str | None = _read("What is asked.")
    value: str | None = _read("The value.")
    data_type: str | None = _read("Kind of field, for instance TextBox or DropDown.")


@strawberry.type(description="A comment of the company on a customer.")
class BookingCustomerComment:
    id: int | None = _read("Id of the comment.")
    customer_id: UUID | None = _read("Customer that the comment is on.")
    comments: str | None = _read("The text.")
    updated: DateTime | None = _read("When the comment was last changed.")
    created: DateTime | None = _read("When the comment was written.")
    image_url: str | None = _read("Address of a picture that belongs to the comment.")


@strawberry.type(description="A card, code or tag that opens something for the customer.")
class AccessKey:
    id: UUID | None = _read("Id of the access key.")
    company_id: UUID | None = _read("Booking company that owns the key.")
    access_key_type_id: int | None = _read("Type of the key, a number that BokaMera assigns.")
    value: str | None = _read("The key or token itself.")
    customer_id: UUID | None = _read("Customer that owns the key.")
    description: str | None = _read("A note on the key.")


@strawberry.type(description="Where invoices to a customer go.")
class InvoiceAddress:
    corporate_identity_number: str | None = _read("Corporate identity number of the organisation that is invoiced.")
    invoice_address1: str | None = _read("First address line.")
    invoice_address2: str | None = _read("Second address line.")
    invoice_city: str | None = _read("City.")
    invoice_postal_code: str | None = _read("Postal code.")
    invoice_country_code: str | None = _read("Country code.")


@strawberry.federation.type(keys=["id"], description="A customer of a company that takes bookings with BokaMera.")
class BookingCustomer:
    id: UUID = strawberry.field(description="Id of the customer.")
    firstname: str | None = _read("First name.")
    lastname: str | None = _read("Last name.")
    email: str | None = _read("E-mail address.")
    phone: str | None = _read("Telephone number.")
    image_url: str | None = _read("Address of the customer's picture.")
    custom_fields: list[BookingCustomField] | None = _read(
        "Custom fields that the company has defined for its customers."
    )
    custom_field_values: list[BookingCustomFieldValue] | None = _read(
        "Values that this customer has in the custom fields."
    )
    comments: list[BookingCustomerComment] | None = _read("Comments of the company on this customer.")
    access_keys: list[AccessKey] | None = _read("Access keys of this customer.")
    updated: DateTime | None = _read("When the customer was last changed.")
    created: DateTime | None = _read("When the customer was created.")
    subscribed_to_newsletter: bool | None = _read("Whether the customer receives the newsletter.")
    invoice_address: InvoiceAddress | None = _read("Where invoices to the customer go.")
    revision: str = revision_field()
    no_state = ("customFields",)  # the company's field definitions are not part of a customer


def refuse_inexpressible(value: UpdateBookingCustomerInput) -> None:
    """Refuses what a request to BokaMera cannot express: null, which it reads as absent, and invalid Unicode."""
    errors = list(_inexpressible(arguments_of(value), ("input",)))
    if errors:
        raise GatewayErrors(errors)


def _written(path: InputPath) -> str:
    """A place as a message writes it: `input.customFields[1].value`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _inexpressible(value: Any, path: InputPath) -> Iterator[GatewayError]:
    if value is None:
        yield GatewayError(NULL_NOT_SUPPORTED, f"{_written(path)} is null. {NULL_NOT_SUPPORTED.text}", input_path=path)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _inexpressible(item, (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _inexpressible(item, (*path, position))
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        yield GatewayError(
            VALUE_NOT_SUPPORTED,
            f"{_written(path)} holds half of a surrogate pair, which is no character.",
            input_path=path,
        )
