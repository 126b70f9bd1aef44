"""The one mapping against answers that lie: whatever a number or a type says, a mismatch is told and nothing hangs."""

from __future__ import annotations

import decimal

import pytest
import strawberry

from app.json_codec import decode_json
from app.mapping.wire import WireMismatchError, from_wire, wire
from app.upstream.answers import parsed


@strawberry.type
class Sized:
    size: int | None = strawberry.field(default=None)


@strawberry.type
class Named:
    name: str | None = strawberry.field(default=None, metadata=wire("Name"))


@pytest.mark.parametrize(
    ("given", "read"),
    [("7", 7), ('"7"', 7), ('"-7"', -7), ("7.0", 7), ("7e0", 7), ("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)],
)
def test_a_whole_number_is_an_int_however_it_is_written(given, read):
    assert from_wire(Sized, decode_json(b'{"Size":%s}' % given.encode())) == Sized(size=read)


@pytest.mark.parametrize(
    "given",
    [
        *("1e999999999", "-1E+999999999", "7.5", "2147483648", "9" * 4000, "true", "[7]", "{}"),
        *('"--7"', '"²"', '"7.0"', '""', '"x"', '"' + "9" * 100_000 + '"'),
    ],
    ids=lambda text: text[:20],
)
def test_any_other_is_told_by_name_and_at_once(given):
    with pytest.raises(WireMismatchError, match="size: expected a 32-bit integer"):
        from_wire(Sized, decode_json(b'{"SIZE":%s}' % given.encode()))


def test_a_number_with_an_absurd_exponent_is_no_json_and_no_surprise():
    assert decode_json(b"1e400") == decimal.Decimal("1e400")
    with pytest.raises(ValueError, match="exponent"):
        decode_json(b"1e9999999999999999999999")
    assert parsed(b'{"code": 1e9999999999999999999999}') is None


@pytest.mark.parametrize("given", [{"name": "a", "Name": "b"}, {"NAME": "a", "Name": "b"}, {"Name": "b", "name": "a"}])
def test_a_member_in_two_casings_stands_twice(given):
    with pytest.raises(WireMismatchError, match="twice"):
        from_wire(Named, given)
