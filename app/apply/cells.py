r"""Reads a CSV column's name as a place in an item, and a cell as a value there, by the schema's input types.

An empty cell is an absent member, `\N` is null, `\E` an empty text, list or object; a leading backslash is doubled.
Values are not checked against their types here: a text that is no number stays a text.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, NamedTuple

from graphql import GraphQLInputObjectType, GraphQLList, GraphQLString, get_nullable_type

_POSITION = re.compile(r"0|[1-9][0-9]{0,3}")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]+[.,][0-9]+")
# A number that reads as thousands where its sign is not the file's own decimal sign.
_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}([.,])[0-9]{3}")
_MAP = "StringMap"


class CellError(ValueError):
    """A column or a cell cannot be used; the text says why."""


class Column(NamedTuple):
    """`path` is where the value goes in an item: names and list positions. `type` is the nullable type there."""

    path: tuple[str | int, ...]
    type: Any


def column_of(name: str, item: GraphQLInputObjectType) -> Column:
    """The place that a header such as `patch.bankAccounts.0.iban` names. Raises CellError."""
    current: Any = item
    path: list[str | int] = []
    parts = name.split(".")
    for number, part in enumerate(parts):
        above = ".".join(parts[:number])
        if isinstance(current, GraphQLInputObjectType):
            if part not in current.fields:
                near = get_close_matches(part, current.fields, 1, 0.7)
                raise CellError(f"{current.name} has no member {part}" + (f"; did you mean {near[0]}?" if near else ""))
            path.append(part)
            current = get_nullable_type(current.fields[part].type)
        elif isinstance(current, GraphQLList):
            if not _POSITION.fullmatch(part):
                raise CellError(f"{above} is a list: a position comes after it, counted from 0")
            path.append(int(part))
            current = get_nullable_type(current.of_type)
        elif current.name == _MAP:
            # A key of a map may hold a point.
            return Column((*path, ".".join(parts[number:])), GraphQLString)
        else:
            raise CellError(f"{above} is of type {current}, which has no members")
    return Column(tuple(path), current)


def value_of(column: Column, text: str, decimal_sign: str | None) -> Any:
    """The JSON value of a cell that is not empty. `decimal_sign` is the file's own, if known. Raises CellError."""
    if text == r"\N":
        return None
    if text == r"\E":
        if isinstance(column.type, GraphQLList):
            return []
        return {} if isinstance(column.type, GraphQLInputObjectType) or column.type.name == _MAP else ""
    if text.startswith("\\"):
        if not text.startswith("\\\\"):
            raise CellError(r"a text that begins with a backslash has it doubled; \N is null, \E an empty text")
        return text[1:]
    return _scalar(getattr(column.type, "name", ""), text, decimal_sign)


def _scalar(name: str, text: str, decimal_sign: str | None) -> Any:
    plain = text.strip()
    if name == "Int" and _WHOLE.fullmatch(plain):
        return int(plain)
    if name == "Boolean" and plain.lower() in {"true", "false"}:
        return plain.lower() == "true"
    if name != "Decimal":
        return text
    thousands = _THOUSANDS.fullmatch(plain)
    if thousands and thousands[1] != decimal_sign:
        raise CellError(f"{plain} may have a thousands separator: write it without one, or with another digit")
    return plain.replace(",", ".") if _DECIMAL.fullmatch(plain) else plain


class _Empty(NamedTuple):
    """An empty list or object from a cell. Nothing can be put into it."""

    value: Any


def put(item: dict[Any, Any], column: Column, value: Any) -> None:
    """Sets a value in an item, whose lists are kept as objects by position until `finished`. Raises CellError."""
    place = item
    for part in column.path[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise CellError("what it belongs to has a value of its own in this row")
    if column.path[-1] in place:
        raise CellError("its members have values in this row")
    place[column.path[-1]] = _Empty(value) if value in ([], {}) else value


def finished(value: Any, place: str = "") -> Any:
    """The item with its lists as lists. Raises CellError for a gap in their positions."""
    if isinstance(value, _Empty):
        return value.value
    if not isinstance(value, dict):
        return value
    members = {key: finished(member, f"{place}.{key}" if place else str(key)) for key, member in value.items()}
    if not any(isinstance(key, int) for key in members):
        return members
    for position in range(len(members)):
        if position not in members:
            raise CellError(f"{place} has no position {position}, but a later one: lists count from 0 without a gap")
    return [members[position] for position in range(len(members))]
