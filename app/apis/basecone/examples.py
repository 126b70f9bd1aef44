"""Operations on the store's first content: the vendor's example bodies with real codes, and typical errors."""

from __future__ import annotations

from typing import Any

from app.apis.api import Example
from app.apis.basecone.seed import COMPANY_A, COMPANY_B

CUSTOMER_ID = "c0000000-0000-4000-8000-000000000001"
SUPPLIER_ID = "50000000-0000-4000-8000-000000000001"

UPDATE_CUSTOMER = """mutation UpdateCustomer(
  $id: UUID!
  $input: UpdateCustomerInput!
  $skipCreationInAccountingSystem: Boolean! = false
) {
  updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: $skipCreationInAccountingSystem) {
    customer {
      id
      name
      vatCode { code }
      address { city country { code } }
      bankAccounts { iban default }
    }
  }
}"""
UPDATE_SUPPLIER = """mutation UpdateSupplier(
  $id: UUID!
  $input: UpdateSupplierInput!
  $skipCreationInAccountingSystem: Boolean! = false
) {
  updateSupplier(id: $id, input: $input, skipCreationInAccountingSystem: $skipCreationInAccountingSystem) {
    supplier {
      id
      name
      paymentDiscount { paymentDays discountPercentage generalLedger { code } }
      metadata
      externalId
    }
  }
}"""
READ_CUSTOMER = """query Customer($id: UUID!) {
  customer(id: $id) {
    id
    code
    name
    company { companyId companyCode }
    vatCode { code }
    paymentCondition { code }
  }
}"""

FIND_COMPANY = """query Companies($first: Int!, $after: String) {
  companies(first: $first, after: $after) {
    nodes { companyId name accountingSystem { companyCode } }
    pageInfo { hasNextPage endCursor }
  }
}"""
FIND_SUPPLIER = """query Suppliers($companyId: UUID!, $first: Int!, $after: String) {
  suppliers(companyId: $companyId, first: $first, after: $after) {
    nodes { id code name }
    totalCount
    pageInfo { hasNextPage endCursor }
  }
}"""
READ_SUPPLIER = """query Supplier($id: UUID!) {
  supplier(id: $id) {
    id
    code
    name
    company { companyId companyCode }
    address { streetName streetNumber city postalCode country { code } }
    vatCode { code }
    bankAccounts { iban default }
  }
}"""
CODES = """query Codes($companyId: UUID!) {
  vatCodes(companyId: $companyId, first: 100) { nodes { code name vatCodeType } }
  generalLedgers(companyId: $companyId, first: 100) { nodes { code name } }
}"""

_RELATION: dict[str, Any] = {
    "company": {"companyId": COMPANY_A},
    "code": "C001",
    "address": {
        "streetName": "Dorpsstraat",
        "streetNumber": "13H",
        "city": "Baarn",
        "postalCode": "3741 AA",
        "country": {"code": "NL"},
    },
    "payCollectType": {"code": "BANK"},
    "vatCode": {"code": "NL21"},
    "name": "Anna Bakery BV",
    "vatNumber": "NL123456782B90",
    "chamberOfCommerce": "12345671",
    "phone": "+31 20 000 0001",
    "fax": "+31 20 000 0002",
    "bankAccounts": [
        {
            "default": True,
            "externalId": "ACC-1",
            "number": "0417164300",
            "iban": "NL91ABNA0417164300",
            "bicCode": "ABNANL2A",
            "bankName": "ABN AMRO",
            "nationalBankCode": "ABNA",
            "country": {"code": "NL"},
        }
    ],
    "number": "1001",
    "paymentCondition": {"code": "NET30"},
    "email": "anna@example.com",
}
CUSTOMER_INPUT = _RELATION
SUPPLIER_INPUT: dict[str, Any] = {
    **_RELATION,
    "code": "S001",
    "name": "Flour Mill BV",
    "paymentDiscount": {
        "paymentDays": 13,
        "discountPercentage": "0.00",
        "discountCalculationMethod": "ExcludingVatWithoutDiscount",
        "generalLedger": {"code": "4000"},
    },
    "metadata": {"key1": "value1", "key2": "value2"},
}


def _customer(title: str, reason: str | None = None, headers: dict[str, str] | None = None, **changes: Any) -> Example:
    variables = {"id": CUSTOMER_ID, "input": {**CUSTOMER_INPUT, **changes}}
    return Example(title=title, operation=UPDATE_CUSTOMER, variables=variables, headers=headers or {}, reason=reason)


PATCH_SUPPLIER = """mutation ChangeSupplier($id: UUID!, $patch: SupplierPatch!) {
  patchSupplier(id: $id, patch: $patch) {
    supplier { id name email revision }
    userErrors { message inputPath outcome retrySafe }
  }
}"""
PATCH_CUSTOMER = """mutation ChangeCustomer($id: UUID!, $patch: CustomerPatch!) {
  patchCustomer(id: $id, patch: $patch) {
    customer { id name phone revision }
    userErrors { message inputPath outcome retrySafe }
  }
}"""
PREVIEW_SUPPLIER = """mutation PreviewSupplier($id: UUID!, $patch: SupplierPatch!) {
  patchSupplier(id: $id, patch: $patch, dryRun: true) {
    preview { method path body changes { path before after } }
    userErrors { message inputPath outcome }
  }
}"""

# Each one uses ids that the one before shows.
EXAMPLES = (
    Example(
        title="Find a supplier", operation=FIND_SUPPLIER, variables={"companyId": COMPANY_A, "first": 50, "after": None}
    ),
    Example(title="Read it", operation=READ_SUPPLIER, variables={"id": SUPPLIER_ID}),
    Example(
        title="Change it",
        operation=PATCH_SUPPLIER,
        variables={"id": SUPPLIER_ID, "patch": {"email": "orders@example.com"}},
    ),
    Example(title="Find a company", operation=FIND_COMPANY, variables={"first": 10, "after": None}),
    Example(title="Codes for a drop-down", operation=CODES, variables={"companyId": COMPANY_A}),
    Example(
        title="Change a customer", operation=PATCH_CUSTOMER, variables={"id": CUSTOMER_ID, "patch": {"phone": "+31 6"}}
    ),
    Example(
        title="What a change would send",
        operation=PREVIEW_SUPPLIER,
        variables={"id": SUPPLIER_ID, "patch": {"email": "orders@example.com", "address": {"city": "Utrecht"}}},
    ),
    _customer("Replace a customer"),
    Example(
        title="Replace a supplier", operation=UPDATE_SUPPLIER, variables={"id": SUPPLIER_ID, "input": SUPPLIER_INPUT}
    ),
    Example(title="Read a customer", operation=READ_CUSTOMER, variables={"id": CUSTOMER_ID}),
    _customer("Unknown VAT code", "VAT_CODE_INVALID", vatCode={"code": "NL99"}),
    _customer("Company without access", "COMPANY_ACCESS_DENIED", company={"companyId": COMPANY_B}),
    _customer(
        "Refused by the accounting system",
        "ACCOUNTING_SYSTEM_VALIDATION",
        bankAccounts=[{"default": True, "iban": "NL00ABNA0417164300"}],
    ),
    _customer("Changed by somebody else (simulated)", "CONCURRENT_REQUEST", {"x-simulate": "CONCURRENT_REQUEST"}),
)
