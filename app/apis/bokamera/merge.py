"""Merges an update into a customer, or refuses it: pure, over BokaMera's JSON.

Where the page leaves something open, the choice is marked as assumed. A request comes from `to_wire` or from the
sandbox's binding: documented spelling, right types, no nulls.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from app.apis.bokamera.errors import (
    FIELD_CONDITION_FAILED,
    FIELD_EMAIL_INVALID,
    FIELD_EMPTY,
    FIELD_FORMAT_INVALID,
    FIELD_LENGTH_INVALID,
)
from app.errors import DocumentedError, GatewayError, GatewayErrors, refusal
from app.mapping.wire import Wire

# No pattern is tried on a longer text, whatever the field's own limit.
_MATCHED_CHARACTERS = 4096
_TEXTS = ("Firstname", "Lastname", "Phone", "Email")
_KEY_MEMBERS = ("AccessKeyTypeId", "Value", "Description")


def _error(row: DocumentedError, text: str, *path: str | int) -> GatewayError:
    return refusal(row, text, input_path=("input", *path))


def merged(customer_id: str, stored: Wire, company: Wire, request: Wire, now: str) -> Wire:
    """The customer after the update. Raises GatewayErrors with every error, in the order of the request's members."""
    result = deepcopy(stored)
    for name in (*_TEXTS, "SubscribedToNewsletter"):
        if request.get(name) is not None:
            result[name] = request[name]
    # Assumed: absent members of the address stay, like those of the customer.
    address = {name: value for name, value in (request.get("InvoiceAddress") or {}).items() if value is not None}
    result["InvoiceAddress"] = {**result["InvoiceAddress"], **address}
    errors = []
    if request.get("Email") and not is_email(request["Email"]):
        errors.append(_error(FIELD_EMAIL_INVALID, "'Email' is not a valid email address.", "email"))
    errors += _merge_custom_fields(result["Values"], company["CustomFields"], request.get("CustomFields") or [])
    errors += _merge_access_keys(customer_id, result, company, request)
    if errors:
        raise GatewayErrors(errors)
    result["Updated"] = now
    return result


def is_email(text: str) -> bool:
    """FluentValidation's check: one @, and not at either end.

    https://docs.fluentvalidation.net/en/latest/built-in-validators.html
    """
    return text.count("@") == 1 and not text.startswith("@") and not text.endswith("@")


def _merge_custom_fields(values: dict[str, str], fields: list[Wire], items: list[Wire]) -> Iterator[GatewayError]:
    fields_by_id = {field["Id"]: field for field in fields}
    for position, item in enumerate(items):
        # An absent id binds as 0, which no field has.
        field = fields_by_id.get(item.get("Id", 0))
        if field is None:
            yield _error(FIELD_CONDITION_FAILED, "The custom field does not exist.", "customFields", position, "id")
        elif (value := item.get("Value")) is not None:  # assumed: as everywhere, absent members stay
            if (refused := refused_value(field, value)) is not None:
                yield _error(*refused, "customFields", position, "value")
            values[str(field["Id"])] = value


def refused_value(field: Mapping[str, Any], value: str) -> tuple[DocumentedError, str] | None:
    """Why a custom field refuses a value, with the field's configured message; None where it accepts the value."""
    if not value:
        text = field.get("MandatoryErrorMessage") or f"'{field['Name']}' must not be empty."
        return (FIELD_EMPTY, text) if field["IsMandatory"] else None
    # .NET counts UTF-16 units. The texts for length and choice are assumed: a field has no message for them.
    length = len(value.encode("utf-16-le")) // 2
    if field["MaxLength"] and length > field["MaxLength"]:
        return FIELD_LENGTH_INVALID, f"'{field['Name']}' must be at most {field['MaxLength']} characters."
    if field.get("RegEx") and (length > _MATCHED_CHARACTERS or not re.fullmatch(field["RegEx"], value)):
        return FIELD_FORMAT_INVALID, field.get(
            "RegExErrorMessage"
        ) or f"'{field['Name']}' is not in the correct format."
    if field["DataType"] == "DropDown" and value not in {choice["Value"] for choice in field["Values"]}:
        return FIELD_CONDITION_FAILED, f"'{field['Name']}' must be one of its values."
    return None


def _merge_access_keys(customer_id: str, result: Wire, company: Wire, request: Wire) -> Iterator[GatewayError]:
    keys: dict[str, Wire] = {key["Id"]: key for key in result["AccessKeys"]}
    key_ids = frozenset(keys)
    own = {"CompanyId": result["CompanyId"], "CustomerId": customer_id}
    deleted = [item.get("Id") for item in request.get("AccessKeysToDelete") or []]
    for position, item in enumerate(request.get("AccessKeys") or []):
        place = ("accessKeys", position)
        key_id = item.get("Id")
        if key_id is not None and key_id not in keys:
            yield _error(FIELD_CONDITION_FAILED, "The access key does not exist.", *place, "id")
        elif key_id is not None and key_id in deleted:
            # Assumed: the page does not say which of the two wins, so that neither does.
            yield _error(FIELD_CONDITION_FAILED, "The access key is also to be deleted.", *place, "id")
        else:
            for row, text, name in _refused_key(item, own, company, is_new=key_id is None):
                yield _error(row, text, *place, name)
            new_id = key_id or str(uuid.uuid4())
            stored = keys.get(new_id, {"Id": new_id, **own})
            keys[new_id] = stored | {name: item[name] for name in _KEY_MEMBERS if item.get(name) is not None}
    for position, key_id in enumerate(deleted):
        if key_id not in key_ids:
            yield _error(FIELD_CONDITION_FAILED, "The access key does not exist.", "accessKeysToDelete", position, "id")
        keys.pop(key_id, None)
    result["AccessKeys"] = list(keys.values())


def _refused_key(
    item: Wire, own: Mapping[str, str], company: Wire, *, is_new: bool
) -> Iterator[tuple[DocumentedError, str, str]]:
    """Assumed throughout: the page says which members exist, not which values they may have."""
    for name, text in (("CompanyId", "companyId"), ("CustomerId", "customerId")):
        if item.get(name, own[name]) != own[name]:
            yield FIELD_CONDITION_FAILED, f"'{name}' must be the customer's own.", text
    # An absent type binds as 0, which no type has. For a key that exists the type stays.
    key_type = item.get("AccessKeyTypeId", 0 if is_new else company["AccessKeyTypeIds"][0])
    if key_type not in company["AccessKeyTypeIds"]:
        yield FIELD_CONDITION_FAILED, "The access key type does not exist.", "accessKeyTypeId"
    if not item.get("Value", "" if is_new else "kept"):
        yield FIELD_EMPTY, "'Value' must not be empty.", "value"


def answered(customer_id: str, stored: Wire, company: Wire) -> Wire:
    """The reply's shape: the customer with its company's field definitions. Null members are left out."""
    fields = company["CustomFields"]
    values = [
        {name: field[name] for name in ("Id", "Column", "Name", "Description", "DataType")}
        | {"Value": stored["Values"][str(field["Id"])]}
        for field in fields
        if str(field["Id"]) in stored["Values"]
    ]
    copied = ("Firstname", "Lastname", "Email", "Phone", "ImageUrl")
    reply = {
        "Id": customer_id,
        **{name: stored.get(name) for name in copied},
        "CustomFields": [{name: value for name, value in field.items() if name != "Column"} for field in fields],
        "CustomFieldValues": values,
        "Comments": stored["Comments"],
        "AccessKeys": stored["AccessKeys"],
        "Updated": stored["Updated"],
        "Created": stored["Created"],
        "ResponseStatus": {},
        "SubscribedToNewsletter": stored["SubscribedToNewsletter"],
        "InvoiceAddress": stored["InvoiceAddress"],
    }
    return {name: value for name, value in reply.items() if value is not None}
