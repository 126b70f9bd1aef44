"""The shape of Basecone's request and read: names in any casing in, canonical ones out. Knows no rule but types."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from typing import Any

from app.apis.basecone.backend import Kind
from app.mapping.wire import Wire


class ShapeError(ValueError):
    """A member has a type that the request's documentation does not allow."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ShapeError("expected text")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ShapeError("expected true or false")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
        raise ShapeError("expected a 32-bit integer")
    return value


def _number(value: Any) -> int | decimal.Decimal:
    if isinstance(value, bool) or not isinstance(value, int | decimal.Decimal):
        raise ShapeError("expected a number")
    return value


def _string_map(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise ShapeError("expected an object of strings")
    return dict(value)


def _object(members: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], Wire]:
    folded = {name.casefold(): (name, read) for name, read in members.items()}

    def read_object(value: Any) -> Wire:
        if not isinstance(value, Mapping):
            raise ShapeError("expected an object")
        result: Wire = {}
        for key, item in value.items():
            name, read = folded.get(key.casefold(), (None, None))
            # Unknown members are ignored, as .NET's deserialisers do.
            if name is not None and read is not None:
                result[name] = None if item is None else read(item)
        return result

    return read_object


def _list(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read_list(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ShapeError("expected a list")
        return [read(item) for item in value]

    return read_list


_code = _object({"code": _text})
_country = _code
_members: dict[str, Callable[[Any], Any]] = {
    "company": _object({"companyId": _text}),
    "code": _text,
    "address": _object(
        {"streetName": _text, "streetNumber": _text, "city": _text, "postalCode": _text, "country": _country}
    ),
    "payCollectType": _code,
    "vatCode": _code,
    "name": _text,
    "vatNumber": _text,
    "chamberOfCommerce": _text,
    "phone": _text,
    "fax": _text,
    "bankAccounts": _list(
        _object(
            {
                "default": _boolean,
                "externalId": _text,
                "number": _text,
                "iban": _text,
                "bicCode": _text,
                "bankName": _text,
                "nationalBankCode": _text,
                "country": _country,
            }
        )
    ),
    # Not in the update objects, yet the pages list errors for both: the service shares its validator with create.
    "substitutionGeneralLedger": _code,
    "paymentCondition": _object({"code": _text, "dueDays": _integer}),
    "number": _text,
    "email": _text,
}
_supplier_members: dict[str, Callable[[Any], Any]] = {
    **_members,
    "paymentDiscount": _object(
        {
            "paymentDays": _integer,
            "discountPercentage": _number,
            "discountCalculationMethod": _text,
            "generalLedger": _code,
        }
    ),
    "metadata": _string_map,
}
_READERS = {"customer": _object(_members), "supplier": _object(_supplier_members)}


def request_of(kind: Kind, body: Any) -> Wire:
    """An update request under canonical names. Raises ShapeError."""
    return _READERS[kind.singular](body)


def read_shape(kind: Kind, record_id: str, document: Wire, company: Wire, ledger_ids: Mapping[str, str]) -> Wire:
    """A stored record as the read answers it: `vatCode` a plain string, ledgers by id, the company with its code.

    https://developers.basecone.com/ApiReference/CustomerDetails. Members without a value are null (assumed).
    """

    def ledger(value: Any) -> Wire | None:
        return None if value is None else {"generalLedgerId": ledger_ids.get(value["code"])}

    shape: Wire = {kind.id_member: record_id, "_links": []}
    for name in (
        "code",
        "name",
        "externalId",
        "address",
        "vatNumber",
        "chamberOfCommerce",
        "phone",
        "fax",
        "number",
        "email",
    ):
        shape[name] = document.get(name)
    shape["company"] = {"companyId": document["company"]["companyId"], "companyCode": company.get("companyCode")}
    shape["vatCode"] = (document.get("vatCode") or {}).get("code")
    shape["payCollectType"] = document.get("payCollectType")
    shape["paymentCondition"] = document.get("paymentCondition")
    shape["bankAccounts"] = document.get("bankAccounts") or []
    shape["substitutionGeneralLedger"] = ledger(document.get("substitutionGeneralLedger"))
    discount = document.get("paymentDiscount")
    shape["paymentDiscount"] = (
        None if discount is None else {**discount, "generalLedger": ledger(discount.get("generalLedger"))}
    )
    shape["metadata"] = document.get("metadata")
    return shape
