"""JSON as bytes: numbers keep their digits both ways and are written without an exponent. Knows no GraphQL."""

from __future__ import annotations

import decimal
import math
from collections.abc import Callable
from typing import Any

import msgspec

# A number further from 1 than this many powers of ten is refused: it would have as many plain digits.
MAX_EXPONENT = 100


class JsonNumber(float):
    """A JSON number with a fraction or exponent that remembers the digits it was written with."""

    __slots__ = ("digits",)
    digits: str

    @classmethod
    def of(cls, digits: str) -> JsonNumber:
        number = cls(digits)
        number.digits = digits
        return number


class PlainDecimal(decimal.Decimal):
    """A number that `str` would write with an exponent, as in `0E-8`. This one has plain digits: `0.00000000`."""

    __slots__ = ()

    def __str__(self) -> str:
        return format(self, "f")


def plain_decimal(number: decimal.Decimal) -> decimal.Decimal:
    """The same number, written with plain digits by `str` and by `encode_json`. Raises ValueError."""
    if not number.is_finite() or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError("the exponent is out of range")
    return PlainDecimal(number) if "E" in str(number) else number


def decimal_of(digits: str) -> decimal.Decimal | float:
    """A JSON number with a fraction or exponent, with every digit.

    Out of range it is infinity, which no type accepts.
    """
    try:
        return plain_decimal(decimal.Decimal(digits))
    except (decimal.InvalidOperation, ValueError):
        return math.inf


def _plain_number(value: Any) -> msgspec.Raw:
    """Writes a value that msgspec passes on, because it is not exactly a Decimal or float."""
    if isinstance(value, PlainDecimal):
        return msgspec.Raw(str(value).encode())
    if isinstance(value, JsonNumber):
        return msgspec.Raw(value.digits.encode())
    raise TypeError(f"{type(value).__name__} is no JSON")


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain_number)
_decoder = msgspec.json.Decoder(float_hook=decimal_of)
encode_json: Callable[[Any], bytes] = _encoder.encode
decode_json: Callable[[bytes], Any] = _decoder.decode
