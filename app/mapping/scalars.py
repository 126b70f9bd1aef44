"""The schema's own scalars. In Python `UUID` and `DateTime` are str, `Decimal` a decimal, `StringMap` a dict."""

from __future__ import annotations

import decimal
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NewType

from graphql import GraphQLError, ObjectValueNode, StringValueNode, ValueNode
from graphql.language import FloatValueNode, IntValueNode, VariableNode
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition, scalar

from app.json_codec import JsonNumber, plain_decimal

UUID = NewType("UUID", str)
Decimal = NewType("Decimal", decimal.Decimal)
DateTime = NewType("DateTime", str)
StringMap = NewType("StringMap", dict[str, str])

_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_CANONICAL = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MAX_DIGITS = 100
_EXACT = decimal.Context(prec=decimal.MAX_PREC)  # the usual one rounds to 28 digits
# The form that every reader of ISO-8601 understands (RFC 3339), with all digits of a fraction.
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})")
# ServiceStack's stock JSON date: milliseconds since 1970 and an offset. https://docs.servicestack.net/json-format
_SERVICESTACK_DATE = re.compile(r"/Date\((-?[0-9]{1,15})([+-][0-9]{4})?\)/")


def parse_uuid(value: Any) -> str:
    """Accepts any case, dashed or 32 digits. Returns the dashed lower-case form. Raises ValueError."""
    if type(value) is str and _CANONICAL.fullmatch(value):
        return value
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("not a UUID: write 32 hexadecimal digits, dashed 8-4-4-4-12 or undashed")
    return str(uuid.UUID(value))


def parse_decimal(value: Any) -> decimal.Decimal:
    """Reads a string or a number with the digits as written, never through a float. Raises ValueError."""
    if isinstance(value, decimal.Decimal):
        return _plain(value)
    if isinstance(value, JsonNumber):
        text = value.digits
    elif isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a Decimal: write a number, or a string that holds one")
    else:
        text = str(value)
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        raise ValueError(f"not a Decimal: write a plain decimal number of at most {_MAX_DIGITS} characters")
    try:
        return _plain(decimal.Decimal(text))
    except decimal.InvalidOperation as error:
        raise ValueError("not a Decimal: the exponent is out of range") from error


def normalised(number: decimal.Decimal) -> decimal.Decimal:
    """The same number without the zeros at its end: all other digits stay, however many they are."""
    return number.normalize(_EXACT)


def _plain(number: decimal.Decimal) -> decimal.Decimal:
    try:
        return plain_decimal(number)
    except ValueError as error:
        raise ValueError(f"not a Decimal: {error}") from error


def parse_datetime(value: Any) -> str:
    """Returns ISO-8601 text with an offset. Reads ISO-8601 (no offset means UTC) or `/Date(ms+0000)/`."""
    if not isinstance(value, str):
        raise ValueError("not a DateTime: expected text")
    if match := _SERVICESTACK_DATE.fullmatch(value):
        try:
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(match[1]))
        except OverflowError as error:
            raise ValueError("not a DateTime: out of range") from error
        return moment.isoformat().replace("+00:00", "Z")
    try:
        # .NET writes seven fractional digits; Python 3.11 reads any number and keeps six.
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("not a DateTime: expected ISO-8601, for instance 2026-01-15T10:00:00Z") from error
    for written in (value, f"{value}Z"):
        if _MOMENT.fullmatch(written):
            return written
    # Python reads more forms than clients do: a date alone, a space for the T, no seconds, no dashes.
    text = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    if not _MOMENT.fullmatch(text):
        raise ValueError("not a DateTime: the offset has hours and minutes, no seconds")
    return re.sub(r"\+00:00$", "Z", text)


def parse_string_map(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError("not a StringMap: write an object whose values are strings")
    for key, item in value.items():
        if not isinstance(item, str):
            raise ValueError(f"not a StringMap: the value of {key!r} is not a string")
    return dict(value)


def _literal(parse: Callable[[Any], Any], *nodes: type[Any]) -> Callable[..., Any]:
    """Reads a literal of one of these kinds by its text: 0.10 stays 0.10."""
    return lambda node, _variables=None: parse(node.value if isinstance(node, nodes) else None)


def _map_literal(node: ValueNode, variables: Mapping[str, Any] | None) -> dict[str, str]:
    if not isinstance(node, ObjectValueNode):
        raise ValueError("not a StringMap: write an object whose values are strings")
    members: dict[str, Any] = {}
    for member in node.fields:
        if isinstance(member.value, VariableNode):
            # While the document is validated, the variables have no values yet.
            if variables is not None:
                members[member.name.value] = variables.get(member.value.name.value)
        elif isinstance(member.value, StringValueNode):
            members[member.name.value] = member.value.value
        else:
            raise GraphQLError(f"not a StringMap: the value of {member.name.value!r} is not a string", member.value)
    return parse_string_map(members)


def _scalar(
    name: str,
    description: str,
    parse: Callable[[Any], Any],
    literal: Callable[..., Any],
    *,
    specification: str | None = None,
    serialize: Callable[[Any], Any] | None = None,
) -> ScalarDefinition:
    return scalar(
        name=name,
        description=description,
        specified_by_url=specification,
        serialize=serialize or parse,
        parse_value=parse,
        parse_literal=literal,
    )


SCALARS: dict[object, ScalarDefinition] = {
    UUID: _scalar(
        "UUID",
        "A GUID. Any case, dashed or as 32 digits; answered dashed in lower case. "
        "The zero GUID is a valid value of the type.",
        parse_uuid,
        _literal(parse_uuid, StringValueNode),
        specification="https://www.rfc-editor.org/rfc/rfc9562",
    ),
    Decimal: _scalar(
        "Decimal",
        'An exact decimal number. Answered as a string ("0.00"); accepts a string or a number and keeps its digits.',
        parse_decimal,
        _literal(parse_decimal, StringValueNode, IntValueNode, FloatValueNode),
        specification="https://speleotrove.com/decimal/",
        serialize=lambda value: str(parse_decimal(value)),
    ),
    DateTime: _scalar(
        "DateTime",
        "A moment as ISO-8601 text with an offset, for instance 2026-01-15T10:00:00Z.",
        parse_datetime,
        _literal(parse_datetime, StringValueNode),
        specification="https://scalars.graphql.org/andimarek/date-time",
    ),
    StringMap: _scalar(
        "StringMap",
        'An object whose values are strings, for instance {"key1": "value1"}.',
        parse_string_map,
        _map_literal,
    ),
}


def schema_config() -> StrawberryConfig:
    return StrawberryConfig(scalar_map=SCALARS, disable_field_suggestions=True)
