"""Whether a customer that was read back proves an update. Pure. In doubt it proves nothing."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from app.apis.bokamera.types import AccessKeyInput, BookingCustomFieldInput, UpdateBookingCustomerInput
from app.mapping.scalars import parse_datetime
from app.mapping.wire import Wire
from app.updates.proof import Proof, Read, agrees, readable
from app.upstream.responses import member

# A `Date` is cut to whole seconds, and so may be the record's clock.
_LEAST_SECONDS = 1.0
# In ISO-8601, or in ServiceStack's `/Date(ms+0000)/`.
_OFFSET = re.compile(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})(?:\)/)?\Z")


def proves(body: Wire, read: Read) -> Proof:
    """Requires equal members, and an `Updated` later than the sending: an earlier update may have set equal members.

    Assumed: updates set `Updated`. Only the lost answer has the id of a created access key, so that nobody can tell who
    created it. Raises the exception that stands for a needed member that could not be read.
    """
    if not shows(body, read.record):
        return Proof.DIFFERS
    created = any(key.get("Id") is None for key in body.get("AccessKeys") or [])
    whole = not created and _says_something(body) and updated_since(read)
    return Proof.WHOLE if whole else Proof.SAME


def updated_since(read: Read) -> bool:
    """Whether `Updated` has an offset and is more than a second later than the sending, by the backend's clock."""
    if read.ahead is None:
        return False
    text = member(read.data, "Updated")
    if not isinstance(text, str) or not _OFFSET.search(text):
        return False
    try:
        updated = datetime.fromisoformat(parse_datetime(text)).timestamp()
    except ValueError:
        return False
    return updated - (read.begun + read.ahead) > _LEAST_SECONDS


def _says_something(body: Wire) -> bool:
    """Whether any sent member can be seen in a record. An empty object or list, or an id alone, cannot."""
    items = [*(body.get("CustomFields") or []), *(body.get("AccessKeys") or [])]
    flat = [value for value in body.values() if not isinstance(value, list | dict)]
    inner = [name for item in items for name in item if name != "Id"]
    return bool(flat or inner or body.get("InvoiceAddress") or body.get("AccessKeysToDelete"))


def shows(body: Wire, record: Any) -> bool:
    """Whether every sent member is in the record, and no deleted key is."""
    sent_values = {item.get("Id"): item["Value"] for item in body.get("CustomFields") or [] if "Value" in item}
    sent_keys = [key for key in body.get("AccessKeys") or [] if key.get("Id") is not None]
    deleted = [key.get("Id") for key in body.get("AccessKeysToDelete") or []]
    values = {readable(item.id): item for item in _items(record.custom_field_values)} if sent_values else {}
    keys = {readable(item.id): item for item in _items(record.access_keys)} if sent_keys or deleted else {}
    others = {name: value for name, value in body.items() if not isinstance(value, list)}
    return (
        agrees(UpdateBookingCustomerInput, others, record)
        and all(
            agrees(BookingCustomFieldInput, {"Value": value}, values.get(field)) for field, value in sent_values.items()
        )
        and all(agrees(AccessKeyInput, key, keys.get(key["Id"])) for key in sent_keys)
        # If the record names no keys at all, it does not show that one of them is gone.
        and not (deleted and record.access_keys is None)
        and not any(key_id in keys for key_id in deleted)
    )


def _items(items: Any) -> list[Any]:
    return [readable(item) for item in readable(items) or []]
