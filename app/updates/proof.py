"""Whether a record that was read back proves an update. Pure. In doubt it proves nothing.

Empty text, an empty list, null and absent are equal here: a member without a value.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from app.mapping.members import Member, members

if TYPE_CHECKING:
    from app.mapping.wire import Wire


class Proof(Enum):
    """`WHOLE`: the record is exactly the update's result, and the update asked for nothing that a read cannot show."""

    WHOLE = "whole"
    SAME = "same"
    DIFFERS = "differs"


class Read(Struct, frozen=True):
    """A record that was read back: as the schema has it, and as the vendor wrote it.

    `begun` is the gateway's time, in seconds since 1970, before the update was sent. `ahead` is how many seconds the
    backend's clock is ahead of it at most; None where that is not known.
    """

    record: Any
    data: Wire
    begun: float
    ahead: float | None


def readable(value: Any) -> Any:
    """The value of a member. Raises the exception that stands for one that could not be read."""
    if isinstance(value, Exception):
        raise value
    return value


def is_empty(value: Any) -> bool:
    """Whether a value, as it was sent or read, is empty."""
    value = readable(value)
    if isinstance(value, dict):
        return all(is_empty(item) for item in value.values())
    if hasattr(type(value), "__strawberry_definition__"):
        return all(is_empty(getattr(value, member.attribute)) for member in members(type(value)))
    return value is None or value in ("", [])


def counterparts(read: Any) -> dict[str, str]:
    """The attributes of a record, or of a part of it, by their names at the wire without regard to case."""
    return {member.folded: member.attribute for member in members(type(read))}


def agrees(sent: Any, read: Any) -> bool:
    """Whether every member of a request, or of a part of it, is equal in the record."""
    read = readable(read)
    if is_empty(sent):
        return is_empty(read)
    if isinstance(sent, list):
        return isinstance(read, list) and len(sent) == len(read) and all(map(agrees, sent, read))
    if not isinstance(sent, dict) or not hasattr(type(read), "__strawberry_definition__"):
        return bool(sent == read)
    names = counterparts(read)
    return all(
        name.casefold() in names and agrees(value, getattr(read, names[name.casefold()]))
        for name, value in sent.items()
    )


def replaced(cls: type, sent: Any, read: Any, data: Any, *, aside: Collection[str] = ()) -> bool:
    """Whether a record is the result of a replacing request: equal where sent, without a value elsewhere.

    `cls` is the input class. `read` and `data` are the same record, as the schema has it and as the vendor wrote it.
    Members `aside`, by their GraphQL names, count only where they were sent.
    """
    if is_empty(sent) or is_empty(data):
        return is_empty(sent) and is_empty(data)
    read = readable(read)
    if not isinstance(sent, dict) or not hasattr(type(read), "__strawberry_definition__"):
        return False
    sent_members, names = _folded(sent), counterparts(read)
    # A {code} object may be read as its plain code.
    read_members = _folded(data if isinstance(data, dict) else {"code": data})
    if isinstance(data, dict) and len(read_members) != len(data):
        return False  # a member stands twice, in two spellings: another reader would use the other one
    return sent_members.keys() <= names.keys() and all(
        _replaced(
            member,
            sent_members.get(member.folded),
            getattr(read, names[member.folded], None),
            read_members.get(member.folded),
        )
        for member in members(cls)
        if member.folded in sent_members or member.graphql_name not in aside
    )


def _folded(data: Wire) -> Wire:
    return {name.casefold(): value for name, value in data.items()}


def _replaced(member: Member, sent: Any, read: Any, data: Any) -> bool:
    if is_empty(sent) or (is_empty(data) and not readable(read)):
        return is_empty(sent) and is_empty(data)
    if member.nested is None:
        return agrees(sent, read)
    if not member.is_list:
        return replaced(member.nested, sent, read, data)
    if not isinstance(readable(read), list) or len(sent) != len(read):
        return False
    return all(replaced(member.nested, *parts) for parts in zip(sent, read, data, strict=True))
