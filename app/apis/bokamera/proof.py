"""Does a customer that was read back show a whole update? Pure; in doubt, no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.mapping.wire import members

if TYPE_CHECKING:
    from app.apis.bokamera.types import BookingCustomer
    from app.mapping.wire import Wire


def provable(body: Wire) -> bool:
    """A created access key has an id that only the lost answer names: who made it cannot be told."""
    return all(key.get("Id") is not None for key in body.get("AccessKeys") or [])


def shows(body: Wire, record: BookingCustomer) -> bool:
    """Whether every member that was sent is in the record, and no key that was to be deleted."""
    values = {item.id: item.value for item in _readable(record.custom_field_values)}
    keys = {item.id: item for item in _readable(record.access_keys)}
    sent_values = {item.get("Id"): item["Value"] for item in body.get("CustomFields") or [] if "Value" in item}
    flat = {name: value for name, value in body.items() if not isinstance(value, list | dict)}
    return (
        _equal(flat, record)
        and _equal(body.get("InvoiceAddress") or {}, record.invoice_address)
        and all(_same(value, values.get(field)) for field, value in sent_values.items())
        and all(_equal(key, keys.get(key["Id"])) for key in body.get("AccessKeys") or [] if key.get("Id") is not None)
        # Where the record does not name each of its keys, that one of them is gone is not shown.
        and not (body.get("AccessKeysToDelete") and not _named(record.access_keys))
        and all(key.get("Id") not in keys for key in body.get("AccessKeysToDelete") or [])
    )


def _readable(items: Any) -> list[Any]:
    """The items that could be read: an exception stands for a member that could not."""
    return [item for item in items if not isinstance(item, Exception)] if isinstance(items, list) else []


def _named(keys: Any) -> bool:
    return isinstance(keys, list) and not any(isinstance(getattr(key, "id", key), Exception) for key in keys)


def _equal(sent: Wire, read: Any) -> bool:
    """Whether an object that was read has the members that were sent."""
    if isinstance(read, Exception):
        return not sent
    if read is None:
        return all(_same(value, None) for value in sent.values())
    attributes = {member.name.casefold(): member.attribute for member in members(type(read))}
    return all(_same(value, getattr(read, attributes[name.casefold()])) for name, value in sent.items())


def _same(sent: Any, read: Any) -> bool:
    # A cleared text may be read as left out, and false is a bool's default.
    return bool(sent == read or (sent in {"", False} and read is None))
