"""The local store's first content: fixed ids, so that examples, the playground and tests can name them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

from app.apis.basecone.errors import UPDATE_CUSTOMER, UPDATE_SUPPLIER
from app.store.records import Collection, Listing, Record

_BY_NAME = Listing(sort=lambda document: document["name"], match=lambda document: document.get("externalId"))
# Assumed: a company's `externalId` is its id in its accounting system, because the list has no other.
COMPANIES = Collection(
    "basecone_companies",
    Listing(
        sort=lambda document: document["name"],
        match=lambda document: (document.get("accountingSystem") or {}).get("externalId"),
    ),
)
USERS = Collection("basecone_users")
REFERENCE_CODES = Collection("basecone_codes", succeeds="basecone_reference_codes")
GENERAL_LEDGERS = Collection("basecone_ledgers", _BY_NAME, succeeds="basecone_general_ledgers")
VAT_CODES = Collection("basecone_vat_codes", _BY_NAME)
CUSTOMERS = Collection("basecone_customers", _BY_NAME)
SUPPLIERS = Collection("basecone_suppliers", _BY_NAME)
# The accounting system that a company is linked to: the records that were passed on to it, by id.
ACCOUNTING_SYSTEM_CUSTOMERS = Collection("basecone_accounting_system_customers")
ACCOUNTING_SYSTEM_SUPPLIERS = Collection("basecone_accounting_system_suppliers")

# By the mutation that updates them.
RECORDS = {UPDATE_CUSTOMER: CUSTOMERS, UPDATE_SUPPLIER: SUPPLIERS}
ACCOUNTING_SYSTEM = {UPDATE_CUSTOMER: ACCOUNTING_SYSTEM_CUSTOMERS, UPDATE_SUPPLIER: ACCOUNTING_SYSTEM_SUPPLIERS}
COLLECTIONS = (
    COMPANIES,
    USERS,
    REFERENCE_CODES,
    GENERAL_LEDGERS,
    VAT_CODES,
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
_VAT_CODES = (("NL21", 21), ("NL9", 9), ("NL0", 0))
_CODES = {"paymentCondition": ("NET14", "NET30"), "payCollectType": ("BANK", "DIRECTDEBIT")}
_PLACES = (
    ("Anna Bakery", "Dorpsstraat", "1", "Baarn", "3741 AA", "NL91ABNA0417164300"),
    ("Blue Bikes", "Kerkweg", "22", "Utrecht", "3511 LX", "NL44RABO0123456789"),
    ("Cedar Office", "Havenkade", "13H", "Rotterdam", "3011 AB", "NL69INGB0123456789"),
    ("Delta Paints", "Molenlaan", "4", "Breda", "4811 CD", "NL91ABNA0417164300"),
    ("Eagle Prints", "Stationsplein", "5", "Zwolle", "8011 CW", "NL44RABO0123456789"),
)

# Further records of the lists, made by rule: company A has more than one page of each kind, and there is more than one
# page of companies.
_MORE_COMPANIES = range(1001, 1073)
_MORE_RELATIONS = range(1001, 1086)
_FAMILIES = ("Bakker", "De Boer", "De Jong", "De Vries", "Dekker", "Hendriks", "Jansen", "Mulder", "Van Dijk", "Visser")
_TRADES = ("Advies", "Bouw", "Fietsen", "Groothandel", "Interieur", "Loodgieters", "Schilders", "Techniek", "Transport")
_EU = (
    *(("AT", 20, 10), ("BE", 21, 6), ("BG", 20, 9), ("CZ", 21, 12), ("DE", 19, 7), ("DK", 25, 0), ("EE", 22, 9)),
    *(("ES", 21, 10), ("FR", 20, 10), ("HU", 27, 5), ("IE", 23, 9), ("IT", 22, 10), ("LU", 17, 8), ("SE", 25, 6)),
)
_ACCOUNTS = ("Cleaning", "Energy", "Freight", "Insurance", "Licences", "Maintenance", "Rent", "Training", "Travel")
_PLACES_OF_COST = ("head office", "north", "east", "south", "west", "warehouse", "web shop")


def key_digest(access_key: str) -> str:
    """Access keys are stored as digests, so that the store's file shows none."""
    return hashlib.sha256(access_key.encode()).hexdigest()


def code_id(company_id: str, table: str, code: str) -> str:
    """Id of a reference code: unique in its company and table."""
    return f"{company_id}/{table}/{code}"


def seed() -> Iterator[tuple[Collection, Record]]:
    for company_id, code, name in (*_COMPANIES, *_more_companies()):
        system = {"type": "demo", "externalId": f"EXT-{code}", "companyCode": code}
        email = f"administratie.{code.lower()}@example.com"
        yield (
            COMPANIES,
            Record(company_id, {"companyCode": code, "name": name, "email": email, "accountingSystem": system}),
        )
    all_vat_codes = (*_VAT_CODES, *((f"{country}{rate}", rate) for country, *rates in _EU for rate in rates))
    costs = enumerate(itertools.product(_ACCOUNTS, _PLACES_OF_COST))
    all_ledgers = (*_LEDGERS, *((str(4100 + 10 * number), f"{cost}, {place}") for number, (cost, place) in costs))
    for index, (company_id, code, _) in enumerate(_COMPANIES, 1):
        for table, codes in _CODES.items():
            for item in codes:
                yield REFERENCE_CODES, Record(code_id(company_id, table, item), {"code": item}, owner=company_id)
        yield from _vat_codes(company_id, index, all_vat_codes if code == "A" else _VAT_CODES)
        yield from _ledgers(company_id, index, all_ledgers if code == "A" else _LEDGERS)
    yield _user(DEMO, wk_belgium=True, bank_accounts=True)
    yield _user(CLERK, wk_belgium=False, bank_accounts=False)
    for number in (*range(1, len(_PLACES) + 1), *_MORE_RELATIONS):
        yield _relation(CUSTOMERS, "c0000000", "C", number)
        yield _relation(SUPPLIERS, "50000000", "S", number)


def _business(number: int) -> str:
    """Ninety names, then the same again."""
    return f"{_TRADES[number % len(_TRADES)]} {_FAMILIES[number % len(_FAMILIES)]}"


def _more_companies() -> Iterator[tuple[str, str, str]]:
    for number in _MORE_COMPANIES:
        yield f"{COMPANY_A[:-12]}{number:012}", f"N{number}", f"{_business(number)} BV"


def _vat_codes(company_id: str, index: int, codes: Any) -> Iterator[tuple[Collection, Record]]:
    """Each code twice, for purchase and for sales, as the vendor has them."""
    for number, ((code, rate), side) in enumerate(itertools.product(codes, ("purchase", "sales")), 1):
        vat_code_id = f"7a{index:06}-0000-4000-8000-{number:012}"
        external_id = f"EXT-{code}-{side[0].upper()}"
        name = f"VAT {code[:2]} {rate}% {side}"
        percentage = {
            "id": f"7b{index:06}-0000-4000-8000-{number:012}",
            "percentage": rate,
            "startDate": "2019-01-01T00:00:00Z",
            "externalId": external_id,
            "name": f"{rate}%",
        }
        document = {
            "code": code,
            "name": name,
            "externalId": external_id,
            "percentages": [percentage],
            "isIcp": code[:2] != "NL",
            "vatCodeType": side,
            "isExclusive": True,
        }
        yield VAT_CODES, Record(vat_code_id, document, owner=company_id, unique=f"{code}/{side}")
        if side == "purchase":
            yield REFERENCE_CODES, Record(code_id(company_id, "vatCode", code), {"code": code}, owner=company_id)


def _ledgers(company_id: str, index: int, ledgers: Any) -> Iterator[tuple[Collection, Record]]:
    for number, (code, name) in enumerate(ledgers, 1):
        ledger_id = f"f{index:07}-0000-4000-8000-{number:012}"
        document = {
            "code": code,
            "name": name,
            "externalId": f"EXT-{code}",
            "labels": [{"culture": "en-GB", "label": name}],
            "metaData": {"group": code[0]},
        }
        yield GENERAL_LEDGERS, Record(ledger_id, document, owner=company_id, unique=code)
        reference = {"code": code, "generalLedgerId": ledger_id}
        yield REFERENCE_CODES, Record(code_id(company_id, "generalLedger", code), reference, owner=company_id)


def _user(pair: tuple[str, str], *, wk_belgium: bool, bank_accounts: bool) -> tuple[Collection, Record]:
    client_identifier, access_key = pair
    document = {
        "accessKeySha256": key_digest(access_key),
        "wkBelgium": wk_belgium,
        "mayChangeBankAccounts": bank_accounts,
        "companies": [COMPANY_A, COMPANY_C, *(company_id for company_id, _, _ in _more_companies())],
        "accountingSystemCompanies": [COMPANY_A],
    }
    return USERS, Record(client_identifier, document)


def _relation(collection: Collection, prefix: str, letter: str, number: int) -> tuple[Collection, Record]:
    name, street, house, city, postal_code, iban = _PLACES[(number - 1) % len(_PLACES)]
    if number in _MORE_RELATIONS:
        # Customers and suppliers have different names, so that they are not confused.
        name, house = f"{_business(number)}{'' if collection is CUSTOMERS else ' Leveranciers'}", str(number - 1000)
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
        "chamberOfCommerce": f"{12345670 + number}",
        "phone": f"+31 20 000 {number:04}",
        "bankAccounts": [{"default": True, "iban": iban, "country": {"code": "NL"}}],
        "substitutionGeneralLedger": {"code": "8000" if collection is CUSTOMERS else "4000"},
        "number": str(1000 + number),
        "paymentCondition": {"code": "NET30"},
        "email": f"{code.lower()}@example.com",
    }
    return collection, Record(f"{prefix}-0000-4000-8000-{number:012}", document, owner=company, unique=code)
