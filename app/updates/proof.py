"""Whether a record that was read back proves an update. Pure, and knows no vendor. In doubt it proves nothing.

Request and record are compared as values by path, such as `address.city`; a list is one value. Empty text, an empty
list, null and absent are equal: no value. The journal keeps only a digest of the sent values, for use after a crash.
"""

from __future__ import annotations

import decimal
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct
from strawberry import UNSET

from app.mapping.members import members
from app.mapping.scalars import normalised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.mapping.wire import Wire
    from app.updates.resource import Resource, UpdateRequest

# A member that cannot be read has the exception that stands for it.
Values = dict[str, Any]


class Proof(Enum):
    """`WHOLE`: the record is exactly the update's result, and the update asked for nothing that a read cannot show."""

    WHOLE = "whole"
    SAME = "same"
    DIFFERS = "differs"


class Read(Struct, frozen=True):
    """A record that was read back: as the schema has it, objects without a value left out; and as the vendor wrote it.

    `begun` is the gateway's time, in seconds since 1970, before the update was sent. `ahead` is how many seconds the
    backend's clock is ahead of it at most; None where that is not known.
    """

    record: Any
    data: Wire
    begun: float
    ahead: float | None


def compared(request: UpdateRequest, read: Read) -> Proof:
    """What a record proves of an update if the read shows every member of it."""
    resource = request.resource
    shown = shown_values(resource, read.record)
    if _left_over(request, read.data) or not _equal(sent_values(request), shown):
        return Proof.DIFFERS
    return Proof.WHOLE if resource.evident(request) and resource.since(read) else Proof.SAME


def agrees(cls: type, sent: Wire, read: Any) -> bool:
    """Whether the members of a request, or of a part of it with the input class `cls`, are equal in a record."""
    return _equal(_merged(_along(_parts(cls), sent, {})), _merged(_along(_parts(cls), read, {})))


def evidence_of(request: UpdateRequest) -> Values | None:
    """The values that prove the request after a crash; None where they would not prove it."""
    resource = request.resource
    if not resource.evident(request):
        return None
    values = sent_values(request)
    if resource.patch is None and (not values or any(isinstance(value, list) for value in values.values())):
        return None  # a merged list shows in no single member
    return values


def sent_values(request: UpdateRequest) -> Values:
    """What a read would show of the request after it was applied."""
    resource, parts = request.resource, _parts(request.resource.input)
    if resource.patch is None:
        return _merged(_along(parts, request.body, {}))
    values = _along(parts, request.body, dict(parts.blank))
    for path in resource.patch.client_members:
        if values[path] is None:
            del values[path]
    return values


def shown_values(resource: Resource, record: Any) -> Values:
    """The same of a record, under every path that a request can have."""
    parts = _parts(resource.input)
    values = _along(parts, record, dict(parts.blank))
    return _merged(values) if resource.patch is None else values


def sent_fields(input_: Any) -> tuple[str, ...]:
    """GraphQL names of the input's members that are set."""
    return tuple([item.graphql_name for item in members(type(input_)) if getattr(input_, item.attribute) is not UNSET])


def readable(value: Any) -> Any:
    """The value of a member. Raises the exception that stands for one that could not be read."""
    if isinstance(value, Exception):
        raise value
    return value


def _equal(values: Values, shown: Values) -> bool:
    """Raises the exception of a sent member that cannot be read."""
    return all(value == readable(shown.get(path)) for path, value in values.items())


def _left_over(request: UpdateRequest, data: Wire) -> bool:
    """Whether a member that a replacing request left out may have a value, of which the schema may know nothing."""
    patch = request.resource.patch
    if patch is None:
        return False
    left_out = {
        item.folded
        for item in members(request.resource.input)
        if _is_empty(request.body.get(item.name)) and item.graphql_name not in patch.client_members
    }
    return stands_twice(data) or any(
        name.casefold() in left_out and not _is_empty(value) for name, value in data.items()
    )


def stands_twice(data: Any) -> bool:
    """Whether a member stands twice in a vendor's data, in two spellings: another reader would use the other one."""
    if isinstance(data, list):
        return any(map(stands_twice, data))
    if not isinstance(data, dict):
        return False
    return len({name.casefold() for name in data}) != len(data) or any(map(stands_twice, data.values()))


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or value in ("", [])


def without_empty(data: Any) -> Any:
    """A vendor's data without objects that hold no value: these count as absent, whatever the schema requires."""
    if isinstance(data, list):
        return [without_empty(item) for item in data]
    if not isinstance(data, dict):
        return data
    kept = {name: item for name, item in data.items() if not isinstance(item, dict) or not _is_empty(item)}
    return {name: without_empty(item) for name, item in kept.items()}


class _Part(NamedTuple):
    """A member of an input type. `below` are those of an object, or of a list's items."""

    path: str
    below: _Parts | None
    of_list: bool


class _Parts(Struct, frozen=True, eq=False):
    """The members of an input type by the vendor's names, and in folded case; and no value for every path."""

    by_name: Mapping[str, _Part]
    by_folded: Mapping[str, _Part]
    blank: Values


@cache
def _parts(input_: type, above: str = "") -> _Parts:
    by_name = {}
    blank: Values = {}
    for item in members(input_):
        path = above + item.folded
        below = None if item.nested is None else _parts(item.nested, "" if item.is_list else path + ".")
        by_name[item.name] = _Part(path, below, item.is_list and below is not None)
        blank |= {path: None} if below is None or item.is_list else below.blank
    return _Parts(by_name, {name.casefold(): part for name, part in by_name.items()}, blank)


def _along(parts: _Parts, value: Any, values: Values) -> Values:
    """Puts the members that a vendor's object or a record has into `values`."""
    by_name: Mapping[str, _Part] = parts.by_name
    items: Any = ()
    if type(value) is dict:
        items = value.items()
    elif isinstance(value, Exception):
        values |= dict.fromkeys(parts.blank, value)
    elif value is not None:
        by_name = parts.by_folded
        named = _attributes(type(value))  # type: ignore[arg-type]  # a class is hashable
        items = [(folded, getattr(value, attribute)) for folded, attribute in named]
    for name, item in items:
        if name not in by_name:
            continue
        path, below, of_list = by_name[name]
        if below is None:
            values[path] = (item or None) if type(item) is str else _leaf(item)
        elif of_list:
            values[path] = _list(below, item)
        else:
            _along(below, item, values)
    return values


@cache
def _attributes(record: type) -> list[tuple[str, str]]:
    return [(item.folded, item.attribute) for item in members(record)]


def _list(parts: _Parts, items: Any) -> Any:
    if not items or isinstance(items, Exception):
        return items or None
    read = [{path: value for path, value in _along(parts, item, {}).items() if value is not None} for item in items]
    unread = [value for item in read for value in item.values() if isinstance(value, Exception)]
    return unread[0] if unread else read


def _leaf(value: Any) -> Any:
    """Compares decimals by value: `1.50` equals `1.5`."""
    if isinstance(value, decimal.Decimal):
        return str(normalised(value))
    return None if isinstance(value, str | list | dict) and not value else value


def _merged(values: Values) -> Values:
    """False equals a member that was never set."""
    return {path: None if value is False else value for path, value in values.items()}
