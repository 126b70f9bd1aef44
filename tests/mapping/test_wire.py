"""The one mapping against answers that lie: whatever a number or a type says, a mismatch is told and nothing hangs."""

from __future__ import annotations

import decimal
from enum import Enum

import pytest
import strawberry

from app.apis.basecone.types import UpdateCustomerInput
from app.apis.bokamera import jsv
from app.json_codec import JsonNumber, decode_json, encode_json
from app.mapping.members import members, wire
from app.mapping.readers import LENIENT, STRICT
from app.mapping.scalars import parse_decimal
from app.mapping.wire import WireMismatchError, from_wire, request_reader
from app.upstream.responses import parsed


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


@pytest.mark.parametrize("digits", ["1e101", "-1E+400", "1e-101", "1e9999999999999999999999"])
def test_a_number_with_an_absurd_exponent_is_of_no_type_and_no_surprise(digits):
    value = parsed(b'{"code": %s}' % digits.encode())["code"]
    for readers in (STRICT, LENIENT):
        for read in readers.values():
            with pytest.raises(ValueError, match=r"expected|not a"):
                read(value)


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        *(("0E-8", "0.00000000"), ("0.00000000", "0.00000000"), ("0.0000001", "0.0000001"), ("1E-7", "0.0000001")),
        *(("1E+2", "100"), ("1e5", "100000"), ("-0.0", "-0.0"), ("-0e-7", "-0.0000000"), ("2.50", "2.50")),
        ("1e100", "1" + "0" * 100),
        ("1e-100", "0." + "0" * 99 + "1"),
    ],
)
def test_digits_are_plain_wherever_a_number_is_written(given, plain):
    read = decode_json(given.encode())
    assert read == decimal.Decimal(given)
    assert encode_json({"a": [read]}) == b'{"a":[%s]}' % plain.encode()
    assert encode_json(parse_decimal(given)) == encode_json(parse_decimal(JsonNumber.of(given))) == plain.encode()
    assert LENIENT[str](read) == plain
    assert jsv.encode({"a": decimal.Decimal(given)}) == b"{a:%s}" % plain.encode()


@pytest.mark.parametrize("given", [{"name": "a", "Name": "b"}, {"NAME": "a", "Name": "b"}, {"Name": "b", "name": "a"}])
def test_a_member_in_two_casings_stands_twice(given):
    with pytest.raises(WireMismatchError, match="twice"):
        from_wire(Named, given)


class Colour(Enum):
    RED = "red"


REFUSED = {
    "an enum": (strawberry.enum(Colour), "Colour"),
    "a float": (float, "float"),
    "two types": (int | str, "int"),
    "a list of lists": (list[list[str]], "list"),
    "a dict": (dict[str, str], "dict"),
}


@pytest.mark.parametrize(("annotation", "name"), REFUSED.values(), ids=REFUSED)
def test_a_type_that_the_mapping_cannot_carry_is_refused_by_name(annotation, name):
    odd = strawberry.type(
        type("Odd", (), {"__annotations__": {"shade": annotation | None}, "shade": strawberry.field(default=None)})
    )
    with pytest.raises(TypeError, match=rf"Odd\.shade: the mapping carries no .*{name}"):
        members(odd)


BODY = {"Company": {"companyID": "x"}, "NAME": "n", "bankAccounts": [{"default": True}], "Shoes": 1, "email": None}


def test_a_request_is_read_strictly_or_leniently_by_its_input_type():
    strict = request_reader(UpdateCustomerInput, STRICT, vendor_names=False)
    lenient = request_reader(UpdateCustomerInput, LENIENT, vendor_names=True, lenient=True)
    assert strict(BODY) == {
        "company": {"companyId": "x"},
        "name": "n",
        "bankAccounts": [{"default": True}],
        "email": None,
    }
    assert lenient({**BODY, "Number": 7, "phone": {}, "address": "x"}) == {
        "company": {},
        "name": "n",
        "bankAccounts": [{"default": True}],
        "Number": "7",
    }
    for wrong in ({"name": 7}, {"bankAccounts": {}}, {"bankAccounts": [None]}, {"company": "x"}, [], "x"):
        with pytest.raises(WireMismatchError):
            strict(wrong)
