"""The shape of Basecone's request and read: names come in any casing and leave in the documented one.

Of rules it knows types.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from app.apis.basecone.kinds import CUSTOMER, SUPPLIER, Kind
from app.apis.basecone.types import GeneralLedgerInput, PaymentConditionInput, UpdateCustomerInput, UpdateSupplierInput
from app.mapping.readers import STRICT, strict_integer
from app.mapping.wire import Wire, request_reader

_reader = partial(request_reader, scalars=STRICT, vendor_names=False)
# Absent from the update objects, yet the pages list errors for both: the service shares its validator with create.
_UNLISTED = {"substitutionGeneralLedger": _reader(GeneralLedgerInput)}
_READERS = {
    kind: _reader(cls, more={cls: _UNLISTED, PaymentConditionInput: {"dueDays": strict_integer}})
    for kind, cls in ((CUSTOMER, UpdateCustomerInput), (SUPPLIER, UpdateSupplierInput))
}


def request_of(kind: Kind, body: Any) -> Wire:
    """An update request under documented names. Raises WireMismatchError."""
    result: Wire = _READERS[kind](body)
    return result


def read_shape(kind: Kind, record_id: str, document: Wire, company: Wire, ledger_ids: Mapping[str, str]) -> Wire:
    """A stored record as the read answers it: `vatCode` is plain text, ledgers have ids, the company has its code.

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
