"""The documented rows provoked by data, through the mutation, in every wiring: the rules of the local store."""

from __future__ import annotations

import asyncio
import base64
import copy

import pytest

from app.apis.basecone.errors import DOCUMENTED, GENERAL
from app.apis.basecone.examples import CUSTOMER_ID, CUSTOMER_INPUT, SUPPLIER_ID, SUPPLIER_INPUT
from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.seed import CLERK, COMPANY_B, COMPANY_C, CUSTOMERS, DEMO, SUPPLIERS
from tests.harness import Gateway

CUSTOMER, SUPPLIER = RESOURCES

ZERO = "00000000-0000-0000-0000-000000000000"
UNKNOWN = "00000000-0000-4000-8000-00000000ffff"
IDS = {CUSTOMER: CUSTOMER_ID, SUPPLIER: SUPPLIER_ID}
INPUTS = {CUSTOMER: CUSTOMER_INPUT, SUPPLIER: SUPPLIER_INPUT}
COLLECTIONS = {CUSTOMER: CUSTOMERS, SUPPLIER: SUPPLIERS}
COMPANY_PATH = ["input", "company", "companyId"]


def basic(client, key):
    return {"basecone": {"authorization": "Basic " + base64.b64encode(f"{client}:{key}".encode()).decode()}}


def document(resource):
    name = resource.name.capitalize()
    return (
        f"mutation($id: UUID!, $input: Update{name}Input!, $skip: Boolean! = false) {{ "
        f"{resource.mutation}(id: $id, input: $input, skipCreationInAccountingSystem: $skip) {{ {resource.name} {{ id }} }} }}"
    )


# Row -> what is changed about the valid example: id, skip, credentials, input members (None of the key removes it).
BOTH = {
    "ID_EMPTY": ({"id": ZERO}, ["id"]),
    "COMPANY_ID_EMPTY": ({"company": {"companyId": ZERO}}, COMPANY_PATH),
    "COMPANY_NOT_FOUND": ({"company": {"companyId": UNKNOWN}}, COMPANY_PATH),
    "CREDENTIALS_INVALID": ({"credentials": basic(DEMO[0], "wrong")}, None),
    "CODE_INVALID": ({"code": ""}, ["input", "code"]),
    "CODE_EXISTS": ({"code": "?002"}, ["input", "code"]),
    "VAT_CODE_INVALID": ({"vatCode": {"code": "NL99"}}, ["input", "vatCode", "code"]),
    "PAYMENT_CONDITION_INVALID": ({"paymentCondition": {"code": "NET1"}}, ["input", "paymentCondition", "code"]),
    "PAY_COLLECT_TYPE_INVALID": ({"payCollectType": {"code": "CASH"}}, ["input", "payCollectType", "code"]),
    "ADDRESS_COUNTRY_INVALID": ({"address": {"country": {"code": "XX"}}}, ["input", "address", "country", "code"]),
    "BANK_ACCOUNT_COUNTRY_INVALID": (
        {"bankAccounts": [{"default": True}, {"default": False, "country": {"code": "XX"}}]},
        ["input", "bankAccounts", 1, "country", "code"],
    ),
    "PROPERTIES_NOT_VALID": ({"name": " "}, None),
    "VALIDATION_ERRORS_OCCURRED": ({"bankAccounts": [{"default": True}, {"default": True}]}, None),
    "ACCOUNTING_SYSTEM_VALIDATION": ({"vatNumber": "NL000000000B00"}, None),
    "COMPANY_ACCESS_DENIED": ({"company": {"companyId": COMPANY_B}}, COMPANY_PATH),
    "ACCOUNTING_SYSTEM_ACCESS_DENIED": ({"id": "5", "company": {"companyId": COMPANY_C}}, COMPANY_PATH),
    "BANK_ACCOUNT_CHANGE_DENIED": (
        {"credentials": basic(*CLERK), "bankAccounts": [{"default": True, "iban": "NL69INGB0123456789"}]},
        ["input", "bankAccounts"],
    ),
    "AUTHORIZATION_HEADER_INVALID": ({"credentials": {"basecone": {"authorization": "Basic ???"}}}, None),
    "CREDENTIALS_UNAUTHORIZED": ({"credentials": basic(UNKNOWN, "key")}, None),
    "RESOURCE_NOT_FOUND": ({"id": UNKNOWN}, None),
}
CUSTOMER_ONLY = {"REQUEST_PROPERTIES_NOT_VALID": ({"credentials": basic(*CLERK), "code": "C009"}, None)}
SUPPLIER_ONLY = {
    "DISCOUNT_CALCULATION_METHOD_INVALID": (
        {"paymentDiscount": {"discountCalculationMethod": "Other"}},
        ["input", "paymentDiscount", "discountCalculationMethod"],
    ),
    "PAYMENT_DISCOUNT_GENERAL_LEDGER_INVALID": (
        {"paymentDiscount": {"generalLedger": {"code": "9999"}}},
        ["input", "paymentDiscount", "generalLedger", "code"],
    ),
    "METADATA_INVALID": ({"metadata": {"": "value"}}, ["input", "metadata"]),
}
# Rows that no data of a mutation provokes, each with the reason; `x-simulate` answers them all.
NOT_BY_DATA = {
    "REQUEST_MISSING": "`input` is required by the schema",
    "SUBSTITUTION_GENERAL_LEDGER_INVALID": "an update has no such member; the sandbox's route provokes it",
    "PAYMENT_CONDITION_DUE_DAYS_INVALID": "an update has no such member; the sandbox's route provokes it",
    "CONCURRENT_REQUEST": "needs two updates that overlap; has a test of its own",
    "JSON_PARSE_ERROR": "the gateway writes valid JSON; the sandbox's route provokes it",
    "PERMISSION_DENIED": "documented for other resources of the API",
}
SUPPLIER_NOT_BY_DATA = {"REQUEST_PROPERTIES_NOT_VALID": "its known cause is a customer's code alone"}


def provocations(resource):
    return {**BOTH, **(SUPPLIER_ONLY if resource is SUPPLIER else CUSTOMER_ONLY)}


CASES = [
    pytest.param(resource, reason, *case, id=f"{resource.mutation}-{reason}")
    for resource in RESOURCES
    for reason, case in provocations(resource).items()
]


def test_every_row_is_provoked_or_has_its_reason():
    counts = {}
    for resource in RESOURCES:
        rows = {row.reason for row in (*DOCUMENTED[resource.mutation], *GENERAL)}
        without = {**NOT_BY_DATA, **(SUPPLIER_NOT_BY_DATA if resource is SUPPLIER else {})}
        assert set(provocations(resource)) | set(without) == rows
        assert not set(provocations(resource)) & set(without)
        documented = {row.reason for row in DOCUMENTED[resource.mutation]}
        counts[resource.name] = (len(documented & set(provocations(resource))), len(documented & set(without)))
    assert counts == {"customer": (18, 4), "supplier": (20, 5)}


def request_of(resource, changes):
    given = copy.deepcopy(INPUTS[resource]) | {
        name: value for name, value in changes.items() if name not in {"id", "credentials", "skip"}
    }
    if isinstance(given.get("code"), str):
        given["code"] = given["code"].replace("?", resource.name[0].upper())
    if changes.get("credentials") == basic(*CLERK) and resource is CUSTOMER and "code" not in changes:
        del given["code"]
    record_id = changes.get("id", IDS[resource])
    if len(record_id) == 1:
        record_id = IDS[resource][:-1] + record_id
    return {"id": record_id, "input": given, "skip": changes.get("skip", False)}


@pytest.mark.parametrize(("resource", "reason", "changes", "path"), CASES)
async def test_a_row_is_provoked_by_data(gateway: Gateway, resource, reason, changes, path):
    variables = request_of(resource, changes)
    before = await gateway.store.owned(COLLECTIONS[resource], CUSTOMER_INPUT["company"]["companyId"])
    credentials = changes.get("credentials")
    if gateway.wiring == "local":  # over REST a dry run knows what the gateway knows
        dry = document(resource).replace(
            "skipCreationInAccountingSystem:", "dryRun: true, skipCreationInAccountingSystem:"
        )
        refused_dry = await gateway.error(dry, variables, credentials=credentials)
    error = await gateway.error(document(resource), variables, credentials=credentials)
    if gateway.wiring == "local":
        assert {**refused_dry, "locations": None} == {**error, "locations": None}
    row = next(row for row in (*DOCUMENTED[resource.mutation], *GENERAL) if row.reason == reason)
    shown = error["extensions"]
    assert (shown["reason"], shown["code"], shown["outcome"]) == (reason, row.code, "NOT_APPLIED")
    assert shown.get("input") == (None if path is None else {"path": path})
    assert shown["backend"]["status"] == row.http_status
    assert await gateway.store.owned(COLLECTIONS[resource], CUSTOMER_INPUT["company"]["companyId"]) == before


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
async def test_a_record_of_another_company_is_not_found(gateway: Gateway, resource):
    variables = {
        "id": IDS[resource],
        "input": {"company": {"companyId": COMPANY_C}, "name": "Taken over"},
        "skip": True,
    }
    error = await gateway.error(document(resource), variables)
    assert error["extensions"]["reason"] == "RESOURCE_NOT_FOUND"


async def test_true_leaves_the_accounting_system_alone(gateway: Gateway):
    wrong = request_of(CUSTOMER, {"vatNumber": "NL000000000B00", "skip": True})
    assert "errors" not in await gateway.execute(document(CUSTOMER), wrong)
    no_access = request_of(CUSTOMER, {"id": "5", "company": {"companyId": COMPANY_C}, "skip": True, "code": "C005"})
    assert "errors" not in await gateway.execute(document(CUSTOMER), no_access)


async def test_the_clerk_may_update_what_leaves_the_bank_accounts_alone(gateway: Gateway):
    stored = await gateway.store.get(CUSTOMERS, CUSTOMER_ID)
    same = {
        "company": {"companyId": stored.owner},
        "name": "By the clerk",
        "bankAccounts": stored.document["bankAccounts"],
    }
    clerk = basic(*CLERK)
    assert "errors" not in await gateway.execute(
        document(CUSTOMER), {"id": CUSTOMER_ID, "input": same}, credentials=clerk
    )
    assert (await gateway.store.get(CUSTOMERS, CUSTOMER_ID)).unique == "C001"
    absent = {name: value for name, value in same.items() if name != "bankAccounts"}
    error = await gateway.error(document(CUSTOMER), {"id": CUSTOMER_ID, "input": absent}, credentials=clerk)
    assert error["extensions"]["reason"] == "BANK_ACCOUNT_CHANGE_DENIED"


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
async def test_of_overlapping_updates_one_wins(local_gateway: Gateway, resource):
    """Both read the version before either committed: the first to commit wins."""

    async def update(number):
        variables = {"id": IDS[resource], "input": {**INPUTS[resource], "name": f"Writer {number}"}}
        return number, await local_gateway.execute(document(resource), variables)

    answers = await asyncio.gather(*(update(number) for number in range(20)))
    won = [number for number, answer in answers if "errors" not in answer]
    reasons = {error["extensions"]["reason"] for _, answer in answers for error in answer.get("errors", ())}
    stored = await local_gateway.store.get(COLLECTIONS[resource], IDS[resource])
    assert len(won) >= 1
    assert stored.version == 1 + len(won)
    assert reasons <= {"CONCURRENT_REQUEST"}
    assert len(won) < 20
    assert stored.document["name"] in {f"Writer {number}" for number in won}


@pytest.mark.parametrize("query", ["customer", "supplier"])
async def test_a_query_without_access_is_forbidden_and_an_unknown_id_is_null(gateway: Gateway, query):
    prefix = CUSTOMER_ID[:-1] if query == "customer" else SUPPLIER_ID[:-1]
    error = await gateway.error(f'{{ {query}(id: "{prefix}4") {{ id }} }}')
    assert (error["path"], error["extensions"]["code"]) == ([query], "FORBIDDEN")
    assert "outcome" not in error["extensions"]
    assert await gateway.execute(f'{{ {query}(id: "{UNKNOWN}") {{ id }} }}') == {"data": {query: None}}


@pytest.mark.parametrize("entity", ["Customer", "Supplier"])
async def test_an_entity_without_access_is_named_by_its_place_among_the_representations(gateway: Gateway, entity):
    prefix = CUSTOMER_ID[:-1] if entity == "Customer" else SUPPLIER_ID[:-1]
    representations = [{"__typename": entity, "id": prefix + number} for number in "14"]
    query = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {entity} {{ code }} }} }}"
    body = await gateway.execute(query, {"r": representations})
    (error,) = body["errors"]
    assert body["data"]["_entities"][1] is None
    assert (error["path"], error["extensions"]["code"]) == (["_entities", 1], "FORBIDDEN")
    assert error["extensions"]["input"] == {"path": ["representations", 1, "id"]}
