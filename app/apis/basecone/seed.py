"""The local store's first content: fixed ids, so that examples, the playground and tests can name them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from app.apis.basecone.kinds import CUSTOMER, SUPPLIER, Kind
from app.store.records import Collection, Record

COMPANIES = Collection("basecone_companies")
USERS = Collection("basecone_users")
REFERENCE_CODES = Collection("basecone_reference_codes")
GENERAL_LEDGERS = Collection("basecone_general_ledgers")
CUSTOMERS = Collection("basecone_customers")
SUPPLIERS = Collection("basecone_suppliers")
# The accounting system that a company is linked to: what was passed on to it, by the record's id.
ACCOUNTING_SYSTEM_CUSTOMERS = Collection("basecone_accounting_system_customers")
ACCOUNTING_SYSTEM_SUPPLIERS = Collection("basecone_accounting_system_suppliers")

RECORDS = {CUSTOMER: CUSTOMERS, SUPPLIER: SUPPLIERS}
ACCOUNTING_SYSTEM = {CUSTOMER: ACCOUNTING_SYSTEM_CUSTOMERS, SUPPLIER: ACCOUNTING_SYSTEM_SUPPLIERS}
COLLECTIONS = (
    COMPANIES,
    USERS,
    REFERENCE_CODES,
    GENERAL_LEDGERS,
    CUSTOMERS,
    SUPPLIERS,
    ACCOUNTING_SYSTEM_CUSTOMERS,
    ACCOUNTING_SYSTEM_SUPPLIERS,
)

COMPANY_A = "a0000000-0000-4000-8000-000000000001"
COMPANY_B = "a0000000-0000-4000-8000-000000000002"
COMPANY_C = "a0000000-0000-4000-8000-000000000003"
DEMO = ("d0000000-0000-4000-8000-000000000001", "d1000000-0000-4000-8000-000000000001")
CLERK = ("d0000000-0000-4000-8000-000000000002", "d1000000-0000-4000-8000-000000000002")

_COMPANIES = (
    (COMPANY_A, "A", "Alpha Trading BV"),
    (COMPANY_B, "B", "Beta Logistics BV"),
    (COMPANY_C, "C", "Gamma Services BV"),
)
_LEDGERS = (("4000", "Costs"), ("7000", "Purchases"), ("8000", "Revenue"))
_CODES = {
    "vatCode": ("NL21", "NL9", "NL0"),
    "paymentCondition": ("NET14", "NET30"),
    "payCollectType": ("BANK", "DIRECTDEBIT"),
}
_PLACES = (
    ("Anna Bakery", "Dorpsstraat", "1", "Baarn", "3741 AA", "NL91ABNA0417164300"),
    ("Blue Bikes", "Kerkweg", "22", "Utrecht", "3511 LX", "NL44RABO0123456789"),
    ("Cedar Office", "Havenkade", "13H", "Rotterdam", "3011 AB", "NL69INGB0123456789"),
    ("Delta Paints", "Molenlaan", "4", "Breda", "4811 CD", "NL91ABNA0417164300"),
    ("Eagle Prints", "Stationsplein", "5", "Zwolle", "8011 CW", "NL44RABO0123456789"),
)


def key_digest(access_key: str) -> str:
    """Access keys are kept as digests: the store's file shows none."""
    return hashlib.sha256(access_key.encode()).hexdigest()


def code_id(company_id: str, kind: str, code: str) -> str:
    """Id of a reference code: unique in its company and kind."""
    return f"{company_id}/{kind}/{code}"


def seed() -> Iterator[tuple[Collection, Record]]:
    for index, (company_id, code, name) in enumerate(_COMPANIES, 1):
        document = {"companyCode": code, "name": name, "accountingSystem": {"type": "demo", "companyCode": code}}
        yield COMPANIES, Record(company_id, document)
        for kind, codes in _CODES.items():
            for item in codes:
                yield REFERENCE_CODES, Record(code_id(company_id, kind, item), {"code": item}, owner=company_id)
        for number, (ledger, ledger_name) in enumerate(_LEDGERS, 1):
            ledger_id = f"f{index:07}-0000-4000-8000-{number:012}"
            yield GENERAL_LEDGERS, Record(ledger_id, {"code": ledger, "name": ledger_name}, owner=company_id)
            yield (
                REFERENCE_CODES,
                Record(
                    code_id(company_id, "generalLedger", ledger),
                    {"code": ledger, "generalLedgerId": ledger_id},
                    owner=company_id,
                ),
            )
    yield _user(DEMO, wk_belgium=True, bank_accounts=True)
    yield _user(CLERK, wk_belgium=False, bank_accounts=False)
    for number in range(1, 6):
        yield _relation(CUSTOMER, "c0000000", "C", number)
        yield _relation(SUPPLIER, "50000000", "S", number)


def _user(pair: tuple[str, str], *, wk_belgium: bool, bank_accounts: bool) -> tuple[Collection, Record]:
    client_identifier, access_key = pair
    document = {
        "accessKeySha256": key_digest(access_key),
        "wkBelgium": wk_belgium,
        "mayChangeBankAccounts": bank_accounts,
        "companies": [COMPANY_A, COMPANY_C],
        "accountingSystemCompanies": [COMPANY_A],
    }
    return USERS, Record(client_identifier, document)


def _relation(kind: Kind, prefix: str, letter: str, number: int) -> tuple[Collection, Record]:
    name, street, house, city, postal_code, iban = _PLACES[number - 1]
    company = {4: COMPANY_B, 5: COMPANY_C}.get(number, COMPANY_A)
    code = f"{letter}{number:03}"
    document: dict[str, Any] = {
        "company": {"companyId": company},
        "code": code,
        "externalId": f"EXT-{code}",
        "address": {
            "streetName": street,
            "streetNumber": house,
            "city": city,
            "postalCode": postal_code,
            "country": {"code": "NL"},
        },
        "payCollectType": {"code": "BANK"},
        "vatCode": {"code": "NL21"},
        "name": name,
        "vatNumber": "NL123456782B90",
        "chamberOfCommerce": f"1234567{number}",
        "phone": f"+31 20 000 000{number}",
        "bankAccounts": [{"default": True, "iban": iban, "country": {"code": "NL"}}],
        "substitutionGeneralLedger": {"code": "8000" if kind is CUSTOMER else "4000"},
        "number": str(1000 + number),
        "paymentCondition": {"code": "NET30"},
        "email": f"{code.lower()}@example.com",
    }
    return RECORDS[kind], Record(f"{prefix}-0000-4000-8000-{number:012}", document, owner=company, unique=code)
