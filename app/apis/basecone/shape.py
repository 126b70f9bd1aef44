"""The shape of Basecone's request and read: names come in any casing and leave in the documented one.

Of rules it knows types.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.types import GeneralLedgerInput, PaymentConditionInput
from app.mapping.readers import STRICT, strict_integer
from app.mapping.wire import Wire, request_reader
from app.updates.resource import Resource

_reader = partial(request_reader, scalars=STRICT, vendor_names=False)
# Absent from the update objects, yet the pages list errors for both: the service shares its validator with create.
_UNLISTED = {"substitutionGeneralLedger": _reader(GeneralLedgerInput)}
_READERS = {
    resource.mutation: _reader(
        resource.input, more={resource.input: _UNLISTED, PaymentConditionInput: {"dueDays": strict_integer}}
    )
    for resource in RESOURCES
}

_AS_STORED = (
    *("code", "name", "externalId", "address", "vatNumber", "chamberOfCommerce", "phone", "fax", "number", "email"),
    *("payCollectType", "paymentCondition", "metadata"),
)


def request_of(mutation: str, body: Any) -> Wire:
    """An update request under documented names. Raises WireMismatchError."""
    result: Wire = _READERS[mutation](body)
    return result


def read_shape(
    resource: Resource, record_id: str, document: Wire, company: Wire, ledger_ids: Mapping[str, str]
) -> Wire:
    """A stored record as the read answers it: `vatCode` is plain text, ledgers have ids, the company has its code.

    https://developers.basecone.com/ApiReference/CustomerDetails. Members without a value are null (assumed).
    """

    def ledger(value: Any) -> Wire | None:
        return None if value is None else {"generalLedgerId": ledger_ids.get(value["code"])}

    shape: Wire = {resource.id_member: record_id, "_links": []}
    for name in _AS_STORED:
        shape[name] = document.get(name)
    shape["company"] = {"companyId": document["company"]["companyId"], "companyCode": company.get("companyCode")}
    shape["vatCode"] = (document.get("vatCode") or {}).get("code")
    shape["bankAccounts"] = document.get("bankAccounts") or []
    shape["substitutionGeneralLedger"] = ledger(document.get("substitutionGeneralLedger"))
    discount = document.get("paymentDiscount")
    shape["paymentDiscount"] = (
        None if discount is None else {**discount, "generalLedger": ledger(discount.get("generalLedger"))}
    )
    return shape
