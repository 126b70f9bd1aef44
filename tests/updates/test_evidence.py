"""What a digest of the sent members can show: as much as a request and a record that agree, in the same form."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.apis.basecone import API as BASECONE
from app.apis.bokamera import API as BOKAMERA
from app.journal.hashes import Hashes
from app.updates.proof import evidence_of, shown_values
from app.updates.reading import record_of
from app.updates.resource import UpdateRequest

CUSTOMER, SUPPLIER = BASECONE.resources[:2]
BOOKING = BOKAMERA.resources[0]
ID = "c0000000-0000-4000-8000-000000000001"
HASHES = Hashes("secret")
SKIP = {"skip_creation_in_accounting_system": True}
COMPANY = {"companyId": "a0000000-0000-4000-8000-000000000001"}
SENT = {
    "company": COMPANY,
    "name": "Ann",
    "address": {"city": "Delft", "country": {"code": "NL"}},
    "bankAccounts": [{"default": True, "iban": "NL91"}],
    "vatCode": {"code": "NL21"},
    "PaymentDiscount": {"DiscountPercentage": Decimal("2.50")},
    "Metadata": {"b": "1", "a": "2"},
}
READ = {
    "company": {**COMPANY, "companyCode": "C"},
    "name": "Ann",
    "code": None,
    "address": {"city": "Delft", "streetName": None, "country": {"code": "NL"}},
    "bankAccounts": [{"default": True, "iban": "NL91", "bicCode": None}],
    "vatCode": "NL21",
    "paymentDiscount": {"discountPercentage": Decimal("2.5"), "generalLedger": None},
    "metadata": {"a": "2", "b": "1"},
    "externalId": "EXT",
}


def agree(resource, body, read, options=SKIP):
    evidence = evidence_of(UpdateRequest(resource, ID, body, options))
    if evidence is None:
        return None
    return HASHES.agrees(HASHES.proof(evidence, whole=True), shown_values(resource, record_of(resource, ID, read)))


REPLACED = {
    "as it was sent": ({}, {}, True),
    "another value": ({}, {"name": "Bob"}, False),
    "another value within": ({}, {"address": {"city": "Gouda", "country": {"code": "NL"}}}, False),
    "a value that was left out": ({}, {"phone": "1"}, False),
    "an empty one that was left out": ({}, {"phone": "", "email": None}, True),
    "a value left over within": (
        {},
        {"address": {"city": "Delft", "country": {"code": "NL"}, "postalCode": "1"}},
        False,
    ),
    "another list": ({}, {"bankAccounts": [{"default": True, "iban": "NL92"}]}, False),
    "a longer list": ({}, {"bankAccounts": [*READ["bankAccounts"], {"default": False, "iban": "x"}]}, False),
    "null for empty": ({"phone": ""}, {"phone": None}, True),
    "false for absent": ({"bankAccounts": [{"iban": "x"}]}, {"bankAccounts": [{"iban": "x", "default": False}]}, False),
    "nothing days for none": ({}, {"paymentDiscount": {"discountPercentage": "2.5", "paymentDays": 0}}, False),
}


@pytest.mark.parametrize(("sent", "read", "same"), REPLACED.values(), ids=REPLACED)
def test_of_an_update_that_replaces_everything_counts(sent, read, same):
    assert agree(SUPPLIER, {**SENT, **sent}, {**READ, **read}) is same


def test_a_customers_code_counts_only_where_it_was_sent():
    sent = {"company": COMPANY, "name": "Ann"}
    assert agree(CUSTOMER, sent, {**sent, "code": "C001"}) is True
    assert agree(CUSTOMER, {**sent, "code": "C002"}, {**sent, "code": "C001"}) is False
    assert agree(SUPPLIER, sent, {**sent, "code": "S001"}) is False


def test_what_is_handed_over_proves_nothing():
    assert agree(CUSTOMER, SENT, READ, {"skip_creation_in_accounting_system": False}) is None


MERGED = {
    "as it was sent": ({"Firstname": "Ann"}, {"Firstname": "Ann", "Lastname": "Other"}, True),
    "another value": ({"Firstname": "Ann"}, {"Firstname": "Bea"}, False),
    "a member within": (
        {"InvoiceAddress": {"InvoiceCity": "X"}},
        {"InvoiceAddress": {"InvoiceCity": "X", "InvoiceAddress1": "Y"}},
        True,
    ),
    "cleared": ({"Phone": ""}, {"Phone": None}, True),
    "false": ({"SubscribedToNewsletter": False}, {}, True),
    "a list": ({"CustomFields": [{"Id": 1, "Value": "x"}]}, {"CustomFields": [{"Id": 1, "Value": "x"}]}, None),
    "nothing": ({}, {"Firstname": "Ann"}, None),
}


@pytest.mark.parametrize(("sent", "read", "same"), MERGED.values(), ids=MERGED)
def test_of_an_update_that_merges_what_was_sent_counts(sent, read, same):
    assert agree(BOOKING, sent, read, {}) is same
