"""What a customer that was read back proves of an update. Pure; in doubt, nothing."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from app.mapping.scalars import parse_datetime
from app.updates.proof import Proof, counterparts, readable
from app.upstream.answers import member

if TYPE_CHECKING:
    from app.mapping.wire import Wire
    from app.updates.proof import Read

# A `Date` is cut to whole seconds, and so may a clock of the record be.
_LEAST_SECONDS = 1.0
# Of ISO-8601, or of ServiceStack's `/Date(ms+0000)/`.
_OFFSET = re.compile(r"(?:Z|[+-][0-9]{2}:?[0-9]{2})(?:\)/)?\Z")


def proves(body: Wire, read: Read) -> Proof:
    """An update merges, so that equal members alone may be an earlier one's: `Updated` is later than the sending.

    That updates set it is assumed. A created access key has an id that only the lost answer names: who made it cannot
    be told. Raises the exception that stands for a member that is needed and could not be read.
    """
    if not shows(body, read.record):
        return Proof.DIFFERS
    created = any(key.get("Id") is None for key in body.get("AccessKeys") or [])
    whole = not created and _says_something(body) and updated_since(read)
    return Proof.WHOLE if whole else Proof.SAME


def updated_since(read: Read) -> bool:
    """Whether `Updated` has an offset and is later than the sending, by the backend's clock, by more than a second."""
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
    """Whether any member was sent that a record can show: an empty object or list, or an id alone, is none."""
    items = [*(body.get("CustomFields") or []), *(body.get("AccessKeys") or [])]
    flat = [value for value in body.values() if not isinstance(value, list | dict)]
    inner = [name for item in items for name in item if name != "Id"]
    return bool(flat or inner or body.get("InvoiceAddress") or body.get("AccessKeysToDelete"))


def shows(body: Wire, record: Any) -> bool:
    """Whether every member that was sent is in the record, and no key that was to be deleted."""
    sent_values = {item.get("Id"): item["Value"] for item in body.get("CustomFields") or [] if "Value" in item}
    sent_keys = [key for key in body.get("AccessKeys") or [] if key.get("Id") is not None]
    deleted = [key.get("Id") for key in body.get("AccessKeysToDelete") or []]
    values = {readable(item.id): item for item in _items(record.custom_field_values)} if sent_values else {}
    keys = {readable(item.id): item for item in _items(record.access_keys)} if sent_keys or deleted else {}
    flat = {name: value for name, value in body.items() if not isinstance(value, list | dict)}
    return (
        _equal(flat, record)
        and _equal(body.get("InvoiceAddress") or {}, record.invoice_address)
        and all(_equal({"Value": value}, values.get(field)) for field, value in sent_values.items())
        and all(_equal(key, keys.get(key["Id"])) for key in sent_keys)
        # Where the record names no keys at all, that one of them is gone is not shown.
        and not (deleted and record.access_keys is None)
        and not any(key_id in keys for key_id in deleted)
    )


def _items(items: Any) -> list[Any]:
    return [readable(item) for item in readable(items) or []]


def _equal(sent: Wire, read: Any) -> bool:
    """Whether an object that was read has the members that were sent."""
    if not sent:
        return True
    if readable(read) is None:
        return all(_same(value, None) for value in sent.values())
    names = counterparts(read)
    return all(_same(value, readable(getattr(read, names[name.casefold()]))) for name, value in sent.items())


def _same(sent: Any, read: Any) -> bool:
    # A cleared text may be read as left out, and false is a bool's default.
    return bool(sent == read or (sent in {"", False} and read is None))
