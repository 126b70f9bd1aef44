"""The local store's first content: fixed ids, so that examples, the playground and tests can name them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from app.mapping.wire import Wire
from app.store.records import Collection, Listing, Record


def _full_name(document: Wire) -> str:
    return f"{document.get('Firstname') or ''} {document.get('Lastname') or ''}".strip()


API_KEYS = Collection("bokamera_api_keys")
USERS = Collection("bokamera_users")
BEARERS = Collection("bokamera_bearers")
COMPANIES = Collection("bokamera_companies")
CUSTOMERS = Collection(
    "bokamera_customers",
    Listing(
        sort=_full_name,
        # Assumed: `Search` matches a part of a name, of the e-mail or of the phone.
        search=lambda document: "\n".join(
            (_full_name(document), str(document.get("Email") or ""), str(document.get("Phone") or ""))
        ),
        match=lambda document: document.get("Account"),
    ),
)
COLLECTIONS = (API_KEYS, USERS, BEARERS, COMPANIES, CUSTOMERS)

API_KEY = "e0000000-0000-4000-8000-000000000001"
CLIENT_ID = "bm-external-api-users"  # https://github.com/bokamera/api-examples
ADMINISTRATOR = "administrator"
USER = "user"
PASSWORD = "demo"  # noqa: S105 - public: it opens nothing but the sandbox
COMPANY_1 = "ba000000-0000-4000-8000-000000000001"
COMPANY_2 = "ba000000-0000-4000-8000-000000000002"

_CREATED = "2026-01-15T10:00:00Z"
_PEOPLE = (
    ("Anna", "Svensson", COMPANY_1, None, "ba5e0000-0000-4000-8000-000000000001"),
    ("Erik", "Nilsson", COMPANY_1, USER, "ba5e0000-0000-4000-8000-000000000002"),
    ("Maja", "Lind", COMPANY_2, None, "ba5e0000-0000-4000-8000-000000000003"),
)
_FIRST_NAMES = ("Alva", "Björn", "Ebba", "Gustav", "Ingrid", "Lars", "Märta", "Nils", "Sigrid", "Åke")
_LAST_NAMES = ("Andersson", "Berg", "Ekström", "Holm", "Lindqvist", "Nyström", "Sjöberg", "Wallin", "Öberg")
_MORE_CUSTOMERS = range(1001, 1083)


def digest(secret: str) -> str:
    """Keys, bearers and passwords are stored as digests, so that the store's file shows none."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def bearer_of(username: str) -> str:
    """A user's bearer that never expires."""
    return f"demo-{username}"


def seed() -> Iterator[tuple[Collection, Record]]:
    custom_fields = json.loads(Path(__file__).with_name("custom_fields.json").read_text("utf-8"))
    yield API_KEYS, Record(digest(API_KEY), {"Active": True})
    for username, company in ((ADMINISTRATOR, COMPANY_1), (USER, None)):
        yield USERS, Record(username, {"PasswordSha256": digest(PASSWORD), "AdministratorOf": company})
        yield BEARERS, Record(digest(bearer_of(username)), {"User": username})
    for company, name in ((COMPANY_1, "Booking Company One"), (COMPANY_2, "Booking Company Two")):
        yield COMPANIES, Record(company, {"Name": name, "CustomFields": custom_fields, "AccessKeyTypeIds": [1, 2]})
    for number, person in enumerate(_PEOPLE, 1):
        yield _customer(number, *person)
    # More customers than one page, made by rule. They have no account and no access key.
    for number in _MORE_CUSTOMERS:
        yield _customer(number, _FIRST_NAMES[number % len(_FIRST_NAMES)], _LAST_NAMES[number % len(_LAST_NAMES)])


def _customer(
    number: int, first: str, last: str, company: str = COMPANY_1, account: str | None = None, key: str | None = None
) -> tuple[Collection, Record]:
    customer_id = f"b0000000-0000-4000-8000-{number:012}"
    access_key = {
        "Id": key,
        "CompanyId": company,
        "AccessKeyTypeId": 1,
        "Value": f"100{number}",
        "CustomerId": customer_id,
        "Description": "Front door",
    }
    comment = {
        "Id": number,
        "CustomerId": customer_id,
        "Comments": "Prefers mornings.",
        "Updated": _CREATED,
        "Created": _CREATED,
    }
    document = {
        "CompanyId": company,
        "Account": account,
        "Firstname": first,
        "Lastname": last,
        "Email": f"{first.lower() if key else f'customer{number}'}@example.com",
        "Phone": f"+46 8 000 00 {number:02}",
        "ImageUrl": f"https://images.example.com/{customer_id}.png",
        "Values": {"1": "Bring a towel", "4": "medium"},
        "Comments": [comment] if key else [],
        "AccessKeys": [access_key] if key else [],
        "Updated": _CREATED,
        "Created": _CREATED,
        "SubscribedToNewsletter": False,
        "InvoiceAddress": {
            "CorporateIdentityNumber": f"556000-{number:04}",
            "InvoiceAddress1": f"Storgatan {number}",
            "InvoiceCity": "Stockholm",
            "InvoicePostalCode": "111 22",
            "InvoiceCountryCode": "SE",
        },
    }
    return CUSTOMERS, Record(customer_id, document, owner=company)
