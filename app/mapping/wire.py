"""The one mapping between Strawberry objects and a vendor's JSON. Knows no vendor.

Absent (UNSET) members are not written; null members are. Reading ignores case and unknown members.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from strawberry import UNSET

from app.mapping.generated import input_writer
from app.mapping.members import Member, members, members_of
from app.mapping.readers import Reader

T = TypeVar("T")
Wire = dict[str, Any]
# Turns a reason into the value that stands for a member that cannot be read.
Unreadable = Callable[[str], Exception]


class WireMismatchError(ValueError):
    """A member has a type that its documentation does not allow; `str()` names the member."""


def to_wire(value: Any) -> Wire:
    """Writes a Strawberry input as the vendor's JSON: documented spelling, only the members that are set."""
    return _writer(type(value))(value)


_writers: dict[type, Callable[[Any], Wire]] = {}


def _writer(cls: type) -> Callable[[Any], Wire]:
    writer = _writers.get(cls)
    if writer is None:
        _writers[cls] = to_wire  # a type may contain itself
        writer = _writers[cls] = input_writer(cls, _writer)
    return writer


def arguments_of(value: Any, only: Collection[str] | None = None) -> dict[str, Any]:
    """A Strawberry input under its GraphQL names, as `input.path` uses them. `only` names the needed members."""
    members = members_of(type(value))
    chosen: Iterable[Member] = members.all
    if only is not None:
        chosen = (members.named[name] for name in only if name in members.named)
    result = {}
    for member in chosen:
        item = getattr(value, member.attribute)
        if item is UNSET:
            continue
        if member.nested is not None and item is not None:
            items = item if member.is_list else [item]
            parts = [None if part is None else arguments_of(part) for part in items]
            item = parts if member.is_list else parts[0]
        result[member.graphql_name] = item
    return result


def from_wire(cls: type[T], data: Mapping[str, Any], *, absent: Any = None, unreadable: Unreadable | None = None) -> T:
    """Reads a Strawberry object from a vendor's answer, in any casing.

    A member that the answer does not have becomes `absent`: None, or UNSET where the difference matters. A member that
    cannot be read becomes the result of `unreadable`, an exception. If it is selected, GraphQL answers null and shows
    that error at its path. Without `unreadable` WireMismatchError is raised.
    """
    members = members_of(cls)
    values: dict[str, Any] = dict(members.blank) if absent is None else dict.fromkeys(members.blank, absent)
    read_names: set[str] = set()
    for key, item in data.items():
        member = members.exact.get(key)
        if member is None:
            member = members.folded.get(key.casefold()) if isinstance(key, str) else None
            if member is None:
                continue
        attribute = member.attribute
        if attribute in read_names:
            # Another reader would use the other one.
            values[attribute] = _mismatch(cls, member, "stands twice", unreadable)
        elif item is None or type(item) is member.plain:
            values[attribute] = item
        else:
            values[attribute] = _value(cls, member, item, absent, unreadable)
        read_names.add(attribute)
    if unreadable is not None:
        for member in members.required:
            if values[member.attribute] is absent:
                values[member.attribute] = _mismatch(cls, member, "missing", unreadable)
    return cls(**values)


def record_from_wire(cls: type[T], record_id: str, data: Mapping[str, Any], unreadable: Unreadable) -> T:
    """Reads the record with the id `record_id` from an answer that was judged to be that record.

    Raises the result of `unreadable` where the answer names two ids: nobody knows then which record it is.
    """
    id_member = members_of(cls).named["id"]
    if sum(isinstance(key, str) and key.casefold() == id_member.folded for key in data) > 1:
        raise unreadable(f"{cls.__name__}.{id_member.name}: stands twice")
    record: Any = from_wire(cls, data, unreadable=unreadable)
    record.id = record_id
    return record  # type: ignore[no-any-return]


def _mismatch(cls: type, member: Member, problem: str, unreadable: Unreadable | None) -> Exception:
    text = f"{cls.__name__}.{member.name}: {problem}"
    if unreadable is None:
        raise WireMismatchError(text) from None
    return unreadable(text)


def _value(cls: type, member: Member, item: Any, absent: Any, unreadable: Unreadable | None) -> Any:
    if not member.is_list:
        return _item(cls, member, item, absent, unreadable)
    if not isinstance(item, list):
        return _mismatch(cls, member, "expected a list", unreadable)
    items: list[Any] = []
    for part in item:
        if part is None and member.item_required:
            items.append(_mismatch(cls, member, "an item is null", unreadable))
        else:
            items.append(None if part is None else _item(cls, member, part, absent, unreadable))
        if member.item_required and isinstance(items[-1], Exception):
            # GraphQL answers the whole list with null, so that the rest is not needed.
            break
    return items


def _item(cls: type, member: Member, item: Any, absent: Any, unreadable: Unreadable | None) -> Any:
    if member.read is not None:
        try:
            return member.read(item)
        except ValueError as error:
            return _mismatch(cls, member, str(error), unreadable)
    assert member.nested is not None
    # Some {code} objects are written as an object and read as plain text.
    if isinstance(item, str) and (item or member.code_as_text) and members_of(member.nested).has_code:
        item = {"code": item}
    if not isinstance(item, dict):
        return _mismatch(cls, member, "expected an object", unreadable)
    return from_wire(member.nested, item, absent=absent, unreadable=unreadable)


def request_reader(
    cls: type,
    scalars: Mapping[Any, Reader],
    *,
    vendor_names: bool,
    lenient: bool = False,
    more: Mapping[type, Mapping[str, Reader]] | None = None,
) -> Reader:
    """Reads a request's body, as its service would, into JSON of one spelling, for a stand-in of the service.

    The members are those of the input class `cls`, under the vendor's or the GraphQL names, and those that `more` names
    for a class. Unknown members are ignored. A value that cannot be read raises WireMismatchError; `lenient` leaves it
    out, like null.
    """
    more = more or {}
    readers: dict[str, tuple[str, Reader]] = {}
    for member in members(cls):
        if member.nested is None:
            read = scalars[member.scalar]
        else:
            read = request_reader(member.nested, scalars, vendor_names=vendor_names, lenient=lenient, more=more)
        if member.is_list:
            read = _list_reader(read, {} if lenient and member.nested is not None else None)
        readers[member.folded] = (member.name if vendor_names else member.graphql_name, read)
    readers |= {extra.casefold(): (extra, read) for extra, read in more.get(cls, {}).items()}

    def read_object(value: Any) -> Wire:
        if not isinstance(value, Mapping):
            raise WireMismatchError(f"{cls.__name__}: expected an object")
        result: Wire = {}
        for key, item in value.items():
            reader = readers.get(str(key).casefold())
            if reader is None or (item is None and lenient):
                continue
            try:
                result[reader[0]] = None if item is None else reader[1](item)
            except ValueError as error:
                if not lenient:
                    raise WireMismatchError(f"{cls.__name__}.{reader[0]}: {error}") from None
        return result

    return read_object


def _list_reader(read: Reader, null: Any) -> Reader:
    """`null` is the item that stands for a null item."""

    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise WireMismatchError("expected a list")
        return [read(null if item is None else item) for item in value]

    return read_list
