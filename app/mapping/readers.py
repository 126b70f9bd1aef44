"""Readers of one scalar in a vendor's JSON.

`STRICT` accepts its JSON type alone, `LENIENT` also text, as JSV writes it.

Each reader raises ValueError for another type. No reader accepts a float: a number is an int or a decimal.Decimal.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Mapping
from typing import Any

from app.json_codec import plain_decimal
from app.mapping.scalars import UUID, DateTime, Decimal, StringMap, parse_datetime, parse_decimal, parse_uuid

Reader = Callable[[Any], Any]

_INT_END = 2**31
_WHOLE = re.compile(r"-?[0-9]{1,10}")


def strict_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def lenient_text(value: Any) -> str:
    """Text, or a number's digits."""
    if isinstance(value, decimal.Decimal):
        return str(plain_decimal(value))
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("expected text")
    return str(value)


def strict_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT_END <= value < _INT_END:
        raise ValueError("expected a 32-bit integer")
    return value


def lenient_integer(value: Any) -> int:
    """A whole number in any spelling: 7, 7.0, 7e0, "7"."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    # Compares the range first: to write 1E+999999999 out as an int would take for ever.
    if isinstance(value, decimal.Decimal) and -_INT_END <= value < _INT_END and value == int(value):
        value = int(value)
    return strict_integer(value)


def strict_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def lenient_boolean(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    return strict_boolean(value)


def strict_number(value: Any) -> int | decimal.Decimal:
    if isinstance(value, decimal.Decimal):
        return plain_decimal(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected a number")
    return value


def strict_map(value: Any) -> dict[str, str]:
    return {str(key): strict_text(item) for key, item in _object(value).items()}


def lenient_map(value: Any) -> dict[str, str]:
    """Members that are null are left out."""
    return {str(key): lenient_text(item) for key, item in _object(value).items() if item is not None}


def _object(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("expected an object")
    return value


STRICT: Mapping[Any, Reader] = {
    str: strict_text,
    int: strict_integer,
    bool: strict_boolean,
    # In JSON an id is text. The API's rules say whether a text is an id.
    UUID: strict_text,
    Decimal: strict_number,
    DateTime: parse_datetime,
    StringMap: strict_map,
}
LENIENT: Mapping[Any, Reader] = {
    str: lenient_text,
    int: lenient_integer,
    bool: lenient_boolean,
    UUID: parse_uuid,
    Decimal: parse_decimal,
    DateTime: parse_datetime,
    StringMap: lenient_map,
}
