"""Operations on the store's first content: the vendor's example bodies with real codes, and typical errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.apis.api import Example, examples_of
from app.apis.basecone.seed import COMPANY_A, COMPANY_B

_example = examples_of(Path(__file__).with_name("examples.graphql"))

CUSTOMER_ID = "c0000000-0000-4000-8000-000000000001"
SUPPLIER_ID = "50000000-0000-4000-8000-000000000001"
_INPUTS = json.loads(Path(__file__).with_name("examples.json").read_text("utf-8"))
CUSTOMER_INPUT: dict[str, Any] = _INPUTS["customer"]
SUPPLIER_INPUT: dict[str, Any] = CUSTOMER_INPUT | _INPUTS["supplier"]


def _customer(
    title: str, reason: str | None = None, headers: Mapping[str, str] | None = None, **changes: Any
) -> Example:
    input_ = {**CUSTOMER_INPUT, **changes}
    return _example(title, "UpdateCustomer", reason=reason, headers=headers, id=CUSTOMER_ID, input=input_)


# Each one uses ids that the one before shows.
EXAMPLES = (
    _example("Find a supplier", "Suppliers", companyId=COMPANY_A, first=50, after=None),
    _example("Read it", "Supplier", id=SUPPLIER_ID),
    _example("Change it", "ChangeSupplier", id=SUPPLIER_ID, patch={"email": "orders@example.com"}),
    _example("Find a company", "Companies", first=10, after=None),
    _example("Codes for a drop-down", "Codes", companyId=COMPANY_A),
    _example("Change a customer", "ChangeCustomer", id=CUSTOMER_ID, patch={"phone": "+31 6"}),
    _example(
        "What a change would send",
        "PreviewSupplier",
        id=SUPPLIER_ID,
        patch={"email": "orders@example.com", "address": {"city": "Utrecht"}},
    ),
    _customer("Replace a customer"),
    _example("Replace a supplier", "UpdateSupplier", id=SUPPLIER_ID, input=SUPPLIER_INPUT),
    _example("Read a customer", "Customer", id=CUSTOMER_ID),
    _customer("Unknown VAT code", "VAT_CODE_INVALID", vatCode={"code": "NL99"}),
    _customer("Company without access", "COMPANY_ACCESS_DENIED", company={"companyId": COMPANY_B}),
    _customer(
        "Refused by the accounting system",
        "ACCOUNTING_SYSTEM_VALIDATION",
        bankAccounts=[{"default": True, "iban": "NL00ABNA0417164300"}],
    ),
    _customer("Changed by somebody else (simulated)", "CONCURRENT_REQUEST", {"x-simulate": "CONCURRENT_REQUEST"}),
)
