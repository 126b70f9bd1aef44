"""The one mapping between Strawberry types and a vendor's JSON: reads field metadata once per class, knows no vendor.

An input's field names its wire spelling with `wire("Number")`. Absent (UNSET) members are not written, null is.
Reading ignores case and unknown members.
"""

from __future__ import annotations

import dataclasses
import decimal
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from strawberry import UNSET
from strawberry.types.field import StrawberryField

from app.mapping import scalars
from app.mapping.generated import FunctionSource, builder, name

# An integer as JSV writes it, where every scalar is text.
_WHOLE = re.compile(r"-?[0-9]{1,10}")

T = TypeVar("T")
Wire = dict[str, Any]


class WireMismatchError(ValueError):
    """A member of an answer has a type that its documentation does not allow; `str()` names the member."""


def wire(name: str) -> dict[str, str]:
    """Field metadata: the vendor's spelling of this member."""
    return {"wire": name}


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    attribute: str
    graphql_name: str
    name: str
    folded: str
    nested: type | None
    is_list: bool
    read: Callable[[Any], Any]
    plain: type | None  # a value of just this type is read as it is


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | decimal.Decimal):
        raise ValueError("expected text")
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    # The range is compared first: writing 1E+999999999 out as an int would take for ever.
    if isinstance(value, bool) or not isinstance(value, int | decimal.Decimal) or not -(2**31) <= value < 2**31:
        raise ValueError("expected a 32-bit integer")
    if value != int(value):
        raise ValueError("expected a 32-bit integer")
    return int(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _lenient_map(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("expected an object")
    return {str(key): _text(item) for key, item in value.items() if item is not None}


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    bool: _boolean,
    scalars.UUID: scalars.parse_uuid,
    scalars.Decimal: scalars.parse_decimal,
    scalars.DateTime: scalars.parse_datetime,
    scalars.StringMap: _lenient_map,
}

_PLAIN: dict[Callable[[Any], Any], type] = {_text: str, _boolean: bool}


def _unwrap(annotation: Any) -> tuple[Any, bool]:
    """The named type inside Optional and list, and whether there was a list."""
    is_list = False
    while True:
        origin = typing.get_origin(annotation)
        if origin in {typing.Union, types.UnionType}:
            annotation = next(item for item in typing.get_args(annotation) if item not in {type(None), type(UNSET)})
        elif origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin is list:
            is_list = True
            annotation = typing.get_args(annotation)[0]
        else:
            return annotation, is_list


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    """What is read off a class once.

    `exact` is by the vendor's spelling, `folded` by any casing of it, `named` by the schema's names.
    """

    members: tuple[_Member, ...]
    attributes: tuple[str, ...]
    exact: Mapping[str, _Member]
    named: Mapping[str, _Member]
    folded: Mapping[str, _Member]
    has_code: bool
    build: Callable[[dict[str, Any]], Any]


_classes: dict[type, _Known] = {}


def _known(cls: type) -> _Known:
    found = _classes.get(cls)
    if found is None:
        read = _read_members(cls)
        names = tuple(member.attribute for member in read)
        found = _classes[cls] = _Known(
            read,
            names,
            {member.name: member for member in read},
            {member.graphql_name: member for member in read},
            {member.folded: member for member in read},
            any(member.folded == "code" for member in read),
            builder(cls, names),
        )
    return found


def members(cls: type) -> tuple[_Member, ...]:
    """The mapped members of a Strawberry class, in order: its plain fields, and private ones that name their `wire`."""
    return _known(cls).members


def _read_members(cls: type) -> tuple[_Member, ...]:
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        mapped = isinstance(field, StrawberryField) and field.base_resolver is None
        if not mapped and "wire" not in field.metadata:
            continue
        named, is_list = _unwrap(hints[field.name])
        nested = named if dataclasses.is_dataclass(named) and isinstance(named, type) else None
        spelt = field.metadata.get("wire") or _camel(field.name)
        read = _READERS.get(named, _text)
        plain = _PLAIN.get(read) if nested is None and not is_list else None
        found.append(_Member(field.name, _camel(field.name), spelt, spelt.casefold(), nested, is_list, read, plain))
    return tuple(found)


def to_wire(value: Any) -> Wire:
    """A Strawberry input as the vendor's JSON: documented spelling, only the members that were given."""
    cls = type(value)
    return (_writers.get(cls) or _writer(cls))(value)


_writers: dict[type, Callable[[Any], Wire]] = {}


def _writer(cls: type, above: tuple[type, ...] = ()) -> Callable[[Any], Wire]:
    """`to_wire` for one class, member by member; `above` are the classes whose writers are being written."""
    above = (*above, cls)
    source = FunctionSource("value")
    unset = source.value(UNSET)
    source.add("result = {}")
    for member in members(cls):
        given = "item"
        if member.nested is not None and member.is_list:
            part = _nested_writer(source, member.nested, "part", above)
            given = f"None if item is None else [None if part is None else {part} for part in item]"
        elif member.nested is not None:
            given = f"None if item is None else {_nested_writer(source, member.nested, 'item', above)}"
        source.add(f"item = value.{name(member.attribute)}", f"if item is not {unset}:")
        source.add(f"result['{name(member.name)}'] = {given}", depth=2)
    source.add("return result")
    found: Callable[[Any], Wire] = source.function()
    _writers[cls] = found
    return found


def _nested_writer(source: FunctionSource, cls: type, given: str, above: tuple[type, ...]) -> str:
    """An expression; most objects within others are nothing but a code, and need no function of their own."""
    plain = f"{source.value(to_wire)}({given})"
    found = members(cls)
    if len(found) == 1 and found[0].nested is None:
        value = f"only := {given}.{name(found[0].attribute)}"
        written = f"{{}} if ({value}) is {source.value(UNSET)} else {{'{name(found[0].name)}': only}}"
    elif cls in above:
        return plain
    else:
        written = f"{source.value(_writers.get(cls) or _writer(cls, above))}({given})"
    return f"{written} if type({given}) is {source.value(cls)} else {plain}"


def arguments_of(value: Any, only: Collection[str] | None = None) -> dict[str, Any]:
    """A Strawberry input under its GraphQL names: what `input.path` speaks of. `only` names the members that matter."""
    known = _known(type(value))
    found = known.members
    if only is not None:
        found = tuple(known.named[name] for name in only if name in known.named)
    result = {}
    for member in found:
        item = getattr(value, member.attribute)
        if item is UNSET:
            continue
        if member.nested is not None and item is not None:
            item = _each(arguments_of, item) if member.is_list else arguments_of(item)
        result[member.graphql_name] = item
    return result


def _each(turn: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    return [None if item is None else turn(item) for item in items]


def from_wire(cls: type[T], data: Mapping[str, Any], *, absent: Any = None) -> T:
    """A Strawberry object from a vendor's answer, in any casing. Raises WireMismatchError.

    `absent` is what a member gets that the answer does not have: None, or UNSET where that matters.
    """
    known = _known(cls)
    values = dict.fromkeys(known.attributes, absent)
    other_casings: set[str] = set()
    for key, item in data.items():
        member = known.exact.get(key)
        if member is None:
            member = known.folded.get(key.casefold()) if isinstance(key, str) else None
            if member is None:
                continue
            # Two casings of a member are a member that stands twice: another reader would take the other one.
            if member.name in data or member.name in other_casings:
                raise WireMismatchError(f"{member.name}: given twice")
            other_casings.add(member.name)
        if item is None or type(item) is member.plain:
            values[member.attribute] = item
            continue
        try:
            if member.is_list:
                if not isinstance(item, list):
                    raise ValueError("expected a list")  # noqa: TRY301 - one exception type for a bad member
                values[member.attribute] = [_read(member, part, absent) for part in item]
            else:
                values[member.attribute] = _read(member, item, absent)
        except WireMismatchError as error:
            raise WireMismatchError(f"{member.name}.{error}") from None
        except ValueError as error:
            raise WireMismatchError(f"{member.name}: {error}") from None
    return known.build(values)  # type: ignore[no-any-return]


def _read(member: _Member, item: Any, absent: Any) -> Any:
    if member.nested is None:
        return None if item is None else member.read(item)
    # A {code} object is written as an object and sometimes read as its plain code.
    if isinstance(item, str) and _known(member.nested).has_code:
        item = {"code": item}
    if type(item) is not dict and not isinstance(item, Mapping):
        raise ValueError("expected an object")
    return from_wire(member.nested, item, absent=absent)
