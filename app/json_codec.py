"""JSON as bytes: numbers keep their digits both ways. Knows no GraphQL."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any

import msgspec


class JsonNumber(float):
    """A JSON number with a fraction or exponent that remembers the digits it was written with."""

    __slots__ = ("digits",)
    digits: str

    @classmethod
    def of(cls, digits: str) -> JsonNumber:
        number = cls(digits)
        number.digits = digits
        return number


def decimal_of(digits: str) -> decimal.Decimal:
    """A JSON number with a fraction or exponent, every digit kept. Raises ValueError for an absurd exponent."""
    try:
        return decimal.Decimal(digits)
    except decimal.InvalidOperation as error:
        raise ValueError("the exponent is out of range") from error


# A fraction is read as decimal.Decimal and written as a JSON number.
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=decimal_of)
encode_json: Callable[[Any], bytes] = _encoder.encode
decode_json: Callable[[bytes], Any] = _decoder.decode
