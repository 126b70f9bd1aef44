"""The members of a Strawberry class, read once. A type that the mapping cannot carry is refused.

A field names its wire spelling with `wire("Number")`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any

from msgspec import Struct
from strawberry import UNSET
from strawberry.types.field import StrawberryField

from app.mapping.readers import LENIENT, Reader

# A value of exactly this type is read as it is.
_PLAIN = {str: str, bool: bool}


def wire(name: str | None = None, *, code_as_text: bool = False) -> dict[str, Any]:
    """Field metadata: the vendor's spelling of a member, and whether a `{code}` object is documented as plain text."""
    return {"wire": name, "code_as_text": code_as_text}


class Member(Struct, frozen=True):
    """One field of a class. `scalar` is its type; None for an object, whose class is `nested`.

    `name` is the vendor's spelling, `folded` the same in folded case. `read` reads the scalar from an answer.
    """

    attribute: str
    graphql_name: str
    name: str
    folded: str
    scalar: Any
    nested: type | None
    is_list: bool
    required: bool
    item_required: bool
    code_as_text: bool
    read: Reader | None
    plain: type | None


class Members(Struct, frozen=True):
    """The members of one class, in order, and by their names."""

    all: tuple[Member, ...]
    exact: Mapping[str, Member]
    folded: Mapping[str, Member]
    named: Mapping[str, Member]
    required: tuple[Member, ...]
    blank: Mapping[str, None]
    has_code: bool


def members(cls: type) -> tuple[Member, ...]:
    """The mapped members of a Strawberry class, in order: its plain fields, and private ones that name their `wire`."""
    return members_of(cls).all


def members_of(cls: type) -> Members:
    """Raises TypeError for a member whose type the mapping cannot carry."""
    return _read(cls)


@cache
def _read(cls: Hashable) -> Members:
    assert isinstance(cls, type)
    hints = typing.get_type_hints(cls, include_extras=True)
    listed = []
    for field in dataclasses.fields(cls):
        mapped = isinstance(field, StrawberryField) and field.base_resolver is None
        if mapped or "wire" in field.metadata:
            listed.append(_member(cls, field, hints[field.name]))
    return Members(
        all=tuple(listed),
        exact={member.name: member for member in listed},
        folded={member.folded: member for member in listed},
        named={member.graphql_name: member for member in listed},
        required=tuple(member for member in listed if member.required),
        blank=dict.fromkeys(member.attribute for member in listed),
        has_code=any(member.folded == "code" for member in listed),
    )


def _member(cls: type, field: dataclasses.Field[Any], annotation: Any) -> Member:
    outer, required = _not_null(annotation)
    is_list = typing.get_origin(outer) is list
    inner, item_required = _not_null(typing.get_args(outer)[0]) if is_list else (outer, True)
    is_object = isinstance(inner, type) and dataclasses.is_dataclass(inner)
    if not is_object and inner not in LENIENT:
        raise TypeError(f"{cls.__name__}.{field.name}: the mapping carries no {getattr(inner, '__name__', inner)}")
    graphql_name = _camel(field.name)
    name = field.metadata.get("wire") or graphql_name
    return Member(
        attribute=field.name,
        graphql_name=graphql_name,
        name=name,
        folded=name.casefold(),
        scalar=None if is_object else inner,
        nested=inner if is_object else None,
        is_list=is_list,
        required=required,
        item_required=item_required,
        code_as_text=field.metadata.get("code_as_text", False),
        read=None if is_object else LENIENT[inner],
        plain=None if is_list else _PLAIN.get(inner),
    )


def _not_null(annotation: Any) -> tuple[Any, bool]:
    """The type without null and UNSET, and whether it had neither."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) not in {typing.Union, types.UnionType}:
        return annotation, True
    rest = [item for item in typing.get_args(annotation) if item not in {type(None), type(UNSET)}]
    return (_not_null(rest[0])[0], False) if len(rest) == 1 else (annotation, False)


def attributes_of(cls: type) -> dict[str, str]:
    """The attributes by GraphQL names. `derived_from` names the attribute of a field with its own resolver."""
    derived: dict[str, str] = getattr(cls, "derived_from", {})
    return derived | {member.graphql_name: member.attribute for member in members(cls)}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
