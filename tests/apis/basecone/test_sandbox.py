"""Basecone's routes as a client without this gateway meets them: the pages' bodies in, the documented answers out."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from starlette.applications import Starlette

from app.apis.basecone import API
from app.apis.basecone.errors import row_of
from app.apis.basecone.examples import CUSTOMER_ID, CUSTOMER_INPUT, SUPPLIER_ID, SUPPLIER_INPUT
from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.seed import CLERK, COLLECTIONS, COMPANY_A, CUSTOMERS, DEMO, seed
from app.apis.basecone.settings import BaseconeSettings
from app.apis.basecone.types import UpdateCustomerInput, UpdateSupplierInput
from app.json_codec import encode_json
from app.mapping.wire import from_wire, to_wire
from app.store.engine import open_store

CUSTOMER, SUPPLIER = RESOURCES

UNKNOWN = "00000000-0000-4000-8000-00000000ffff"
IDS = {CUSTOMER: CUSTOMER_ID, SUPPLIER: SUPPLIER_ID}
MINIMAL = {"company": {"companyId": COMPANY_A}, "name": "N"}
LEDGER_OF_A, LEDGER_OF_B = "f0000001-0000-4000-8000-000000000001", "f0000002-0000-4000-8000-000000000001"


def basic(pair):
    return {"authorization": "Basic " + base64.b64encode(":".join(pair).encode()).decode()}


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(f"sqlite:///{tmp_path / 'store.db'}", COLLECTIONS, list(seed()))
    yield opened
    await opened.aclose()


@pytest.fixture
async def client(store):
    app = Starlette(routes=list(API.sandbox(BaseconeSettings(), store)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=basic(DEMO)) as opened:
        yield opened


def path(resource, record_id=None):
    return f"/{resource.scope}/{record_id or IDS[resource]}"


def is_row(answer, resource, reason):
    row = row_of(resource.mutation, reason)
    body = answer.json()
    assert (answer.status_code, body["code"]) == (row.http_status, row.vendor_code)
    assert row.text in {None, body["message"]}
    assert body["_metadata"] == []
    return True


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
@pytest.mark.parametrize("casing", [str, str.upper, str.lower], ids=["as the page", "upper", "lower"])
async def test_the_pages_body_in_any_casing_is_204_and_the_read_has_its_own_shape(client, resource, casing):
    cls, given = (
        (UpdateCustomerInput, CUSTOMER_INPUT) if resource is CUSTOMER else (UpdateSupplierInput, SUPPLIER_INPUT)
    )
    page = json.loads(encode_json(to_wire(from_wire(cls, given))))

    def cased(value):
        if isinstance(value, list):
            return [cased(item) for item in value]
        # The keys of a free map are data.
        return (
            {casing(name): item if name == "Metadata" else cased(item) for name, item in value.items()}
            if isinstance(value, dict)
            else value
        )

    answer = await client.put(path(resource), json=cased(page), params={"skipCreationInAccountingSystem": "False"})
    assert (answer.status_code, answer.content) == (204, b"")
    read = (await client.get(path(resource))).json()
    assert read[resource.id_member] == IDS[resource]
    assert read["vatCode"] == "NL21"
    assert read["paymentCondition"] == {"code": "NET30"}
    assert read["company"] == {"companyId": COMPANY_A, "companyCode": "A"}
    assert read["_links"] == [{"rel": "self", "href": f"http://sandbox{path(resource)}"}]
    assert set(read["substitutionGeneralLedger"]) == {"generalLedgerId"}
    assert read["bankAccounts"] == page["bankAccounts"]
    if resource is SUPPLIER:
        assert read["paymentDiscount"]["generalLedger"] == {"generalLedgerId": LEDGER_OF_A}
        assert read["metadata"] == {"key1": "value1", "key2": "value2"}


# What only a request that the gateway does not write can provoke.
BODIES = [
    (b"", "REQUEST_MISSING"),
    (b" \r\n", "REQUEST_MISSING"),
    (b"null", "REQUEST_MISSING"),
    (b'{"name":', "JSON_PARSE_ERROR"),
    (b"\xff\xfe", "JSON_PARSE_ERROR"),
    (b"[" * 100_000, "JSON_PARSE_ERROR"),
    (b'{"name":' + b"1" * 5000 + b"}", "JSON_PARSE_ERROR"),
    (b'{"name":1e9999999999999999999999}', "PROPERTIES_NOT_VALID"),
    (b"x" * (1024 * 1024 + 1), "JSON_PARSE_ERROR"),
    (b"[]", "PROPERTIES_NOT_VALID"),
    (b'"text"', "PROPERTIES_NOT_VALID"),
    (b"{}", "COMPANY_ID_EMPTY"),
    (b'{"company":null}', "COMPANY_ID_EMPTY"),
    (b'{"company":{"companyId":"no guid"}}', "PROPERTIES_NOT_VALID"),
    (encode_json({**MINIMAL, "name": 7}), "PROPERTIES_NOT_VALID"),
    (encode_json({**MINIMAL, "name": None}), "PROPERTIES_NOT_VALID"),
    (encode_json({**MINIMAL, "bankAccounts": [None]}), "PROPERTIES_NOT_VALID"),
    (encode_json({**MINIMAL, "bankAccounts": [{"iban": "x"}]}), "PROPERTIES_NOT_VALID"),
    (encode_json({**MINIMAL, "PaymentCondition": {"DueDays": 2**31}}), "PROPERTIES_NOT_VALID"),
    (encode_json({**MINIMAL, "PaymentCondition": {"Code": "NET30", "DueDays": -1}}), "PAYMENT_CONDITION_DUE_DAYS_INVALID"),
    (encode_json({**MINIMAL, "SubstitutionGeneralLedger": {"Code": "9999"}}), "SUBSTITUTION_GENERAL_LEDGER_INVALID"),
    (encode_json({**MINIMAL, "SubstitutionGeneralLedger": {}}), "SUBSTITUTION_GENERAL_LEDGER_INVALID"),
]  # fmt: skip


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
async def test_a_body_that_the_gateway_does_not_write_is_its_documented_row(client, store, resource):
    before = await store.get(CUSTOMERS, CUSTOMER_ID)
    for body, reason in BODIES:
        assert is_row(await client.put(path(resource), content=body), resource, reason), body[:50]
    assert await store.get(CUSTOMERS, CUSTOMER_ID) == before


CREDENTIALS = [
    ({"authorization": ""}, "AUTHORIZATION_HEADER_INVALID"),
    ({"authorization": "Bearer x"}, "AUTHORIZATION_HEADER_INVALID"),
    ({"authorization": "Basic ???"}, "AUTHORIZATION_HEADER_INVALID"),
    ({"authorization": "Basic bm9jb2xvbg=="}, "AUTHORIZATION_HEADER_INVALID"),
    ({"authorization": "Basic é".encode("latin-1")}, "AUTHORIZATION_HEADER_INVALID"),
    (basic(("nobody", "key")), "CREDENTIALS_UNAUTHORIZED"),
    (basic(("", "")), "CREDENTIALS_UNAUTHORIZED"),
    (basic(("\0", "\0")), "CREDENTIALS_UNAUTHORIZED"),
    (basic((DEMO[0], CLERK[1])), "CREDENTIALS_INVALID"),
]


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_credentials_are_checked_for_every_request(client, method):
    for headers, reason in CREDENTIALS:
        answer = await client.request(method, path(CUSTOMER), json=MINIMAL, headers=headers)
        assert is_row(answer, CUSTOMER, reason), headers


async def test_a_request_without_the_header_is_malformed(client):
    del client.headers["authorization"]
    assert is_row(await client.get(path(SUPPLIER)), SUPPLIER, "AUTHORIZATION_HEADER_INVALID")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
async def test_what_is_no_record_is_not_found(client, resource):
    for record_id in (UNKNOWN, "no-guid", "1", "%00"):
        for method in ("GET", "PUT"):
            answer = await client.request(method, path(resource, record_id), json=MINIMAL)
            assert is_row(answer, resource, "RESOURCE_NOT_FOUND"), (method, record_id)


async def test_a_general_ledger_is_read_by_those_with_access_to_its_company(client):
    ledger = (await client.get(f"/generalLedgers/{LEDGER_OF_A.upper()}")).json()
    assert ledger == {"id": LEDGER_OF_A, "code": "4000", "name": "Costs", "company": {"companyId": COMPANY_A}}
    assert is_row(await client.get(f"/generalLedgers/{LEDGER_OF_B}"), SUPPLIER, "COMPANY_ACCESS_DENIED")
    assert is_row(await client.get(f"/generalLedgers/{UNKNOWN}"), SUPPLIER, "RESOURCE_NOT_FOUND")


async def test_the_flag_is_read_in_any_casing(client):
    wrong = {**MINIMAL, "vatNumber": "NL000000000B00"}
    for flag in ("true", "True", "TRUE"):
        answer = await client.put(path(CUSTOMER), json=wrong, params={"skipCreationInAccountingSystem": flag})
        assert answer.status_code == 204
    refused = (await client.put(path(CUSTOMER), json=wrong)).json()
    assert (refused["code"], refused["message"][:13]) == ("validation_error", "The VatNumber")


async def test_x_simulate_answers_rows_and_faults_of_a_put_alone(client):
    row = await client.put(path(CUSTOMER), json=MINIMAL, headers={"x-simulate": "vat_code_Invalid"})
    assert is_row(row, CUSTOMER, "VAT_CODE_INVALID")
    fault = await client.put(path(CUSTOMER), json=MINIMAL, headers={"x-simulate": "html-500"})
    assert (fault.status_code, fault.headers["content-type"][:9]) == (500, "text/html")
    for reason in ("METADATA_INVALID", "FIELD_EMPTY"):
        other = await client.put(path(CUSTOMER), json=MINIMAL, headers={"x-simulate": reason})
        assert other.status_code == 204
    get = await client.get(path(CUSTOMER), headers={"x-simulate": "VAT_CODE_INVALID"})
    assert get.status_code == 200


async def test_a_lost_store_is_the_documented_500_without_a_code(client, store):
    await store.aclose()
    answer = await client.put(path(CUSTOMER), json=MINIMAL)
    assert (answer.status_code, answer.json()) == (500, {"message": "An error has occurred.", "_metadata": {}})


def test_the_settings_that_point_at_the_sandbox_are_valid():
    given = API.sandbox_settings("http://127.0.0.1:8001")
    assert BaseconeSettings(**given).url == "http://127.0.0.1:8001/v1"
