"""Requests as the vendor's pages write them, and answers judged. Pure: no I/O but the backend's one send."""

from __future__ import annotations

import asyncio
import decimal
import json
import re
from pathlib import Path

import httpx
import pytest

from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.settings import BaseconeSettings
from app.apis.basecone.types import UpdateCustomerInput, UpdateSupplierInput
from app.call import CallContext
from app.errors import GatewayError
from app.json_codec import encode_json
from app.mapping.wire import from_wire, to_wire
from app.upstream.messages import BackendResponse
from app.upstream.upstream import Upstream
from tests.apis.basecone.asking import Basecone, judged_read, judged_update, request_of

CUSTOMER, SUPPLIER = RESOURCES

SAMPLES = Path(__file__).parent / "samples"
ID = "c0000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("resource", "cls", "sample"),
    [(CUSTOMER, UpdateCustomerInput, "update-customer.json"), (SUPPLIER, UpdateSupplierInput, "update-supplier.json")],
    ids=["customer", "supplier"],
)
@pytest.mark.parametrize("skip", [False, True])
def test_a_request_is_byte_for_byte_the_pages_example(resource, cls, sample, skip):
    text = (SAMPLES / sample).read_text()
    page = json.loads(text, parse_float=decimal.Decimal)
    update = request_of(resource, ID, to_wire(from_wire(cls, page)), skip=skip)
    request = rest(lambda _: None)[0].backend.built(update, {"content-type": "application/json"})
    assert (request.method, request.path) == ("PUT", f"/{resource.scope}/{ID}")
    assert request.query == (("skipCreationInAccountingSystem", "true" if skip else "false"),)
    # The members' order is the input type's; their spelling and values are the page's, to the byte.
    sent = request.body.decode()
    assert json.loads(sent) == json.loads(text)
    assert sorted(re.findall(r'"[^"]*":', sent)) == sorted(re.findall(r'"[^"]*":', text))
    assert ('"DiscountPercentage":0.00' in sent) == (resource is SUPPLIER)
    assert request.headers["content-type"].startswith("application/json")


def test_absent_null_and_empty_are_three_things_on_the_wire():
    body = to_wire(UpdateCustomerInput(company=None, name="n", phone=None, fax=""))
    assert encode_json(body) == b'{"company":null,"name":"n","phone":null,"fax":""}'


def test_204_is_success_even_with_a_body():
    judged_update(CUSTOMER, BackendResponse(204, {}, b""))
    judged_update(CUSTOMER, BackendResponse(204, {}, b'{"code":"unauthorized"}'))


@pytest.mark.parametrize("status", [200, 201, 202, 206, 301, 307, 400, 401, 404, 500])
def test_everything_else_is_an_error(status):
    with pytest.raises(GatewayError) as caught:
        judged_update(CUSTOMER, BackendResponse(status, {}, b""))
    assert caught.value.backend.status == status


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"<html>", b'{"a":'])
def test_a_read_that_is_no_object_is_unreadable(body):
    with pytest.raises(GatewayError) as caught:
        judged_read(CUSTOMER, BackendResponse(200, {}, body), ID)
    assert caught.value.row.reason == "ANSWER_UNREADABLE"


OTHER = "c0000000-0000-4000-8000-000000000009"
NOT_THE_ASKED = [
    b"{}",
    b'{"_links":[],"phone":"x"}',
    b'{"customerId":"%s","name":"N"}' % OTHER.encode(),
    b'{"CUSTOMERID":"","name":"N"}',
    b'{"customerId":7,"name":"N"}',
]


@pytest.mark.parametrize("body", NOT_THE_ASKED)
def test_a_read_that_is_not_the_asked_record_is_unreadable(body):
    with pytest.raises(GatewayError) as caught:
        judged_read(CUSTOMER, BackendResponse(200, {}, body), ID)
    assert caught.value.row.reason == "ANSWER_UNREADABLE"


@pytest.mark.parametrize("body", [f'{{"CustomerId":"{ID.upper()}"}}', f'{{"customerId":"{ID}"}}', '{"NAME":"N"}'])
def test_a_read_in_any_casing_with_its_id_or_without_is_the_record(body):
    assert judged_read(CUSTOMER, BackendResponse(200, {}, body.encode()), ID) == json.loads(body)


def test_only_the_documented_404_is_an_unknown_id():
    documented = b'{"code":"resource_not_found","message":"x"}'
    assert judged_read(CUSTOMER, BackendResponse(404, {}, documented), ID) is None
    with pytest.raises(GatewayError) as caught:
        judged_read(CUSTOMER, BackendResponse(404, {}, b"<html>"), ID)
    assert (caught.value.row.reason, caught.value.backend.status) == ("UNDOCUMENTED_NOT_FOUND", 404)


def rest(answer, **settings):
    seen = []

    def handle(request):
        seen.append(request)
        return answer(request)

    upstream = Upstream("basecone", "https://backend.test/v1", transport=httpx.MockTransport(handle))
    return Basecone(BaseconeSettings(mode="rest", sandbox=True, **settings), upstream), seen


OWN = {"client_identifier": "own-client", "api_access_key": "own-key"}


async def test_the_callers_credentials_replace_the_gateways():
    backend, seen = rest(lambda _: httpx.Response(204), **OWN)
    await backend.update(CUSTOMER, ID, {}, skip=True, call=CallContext("r1"))
    await backend.update(
        CUSTOMER, ID, {}, skip=True, call=CallContext("r2", {"basecone": {"authorization": "Basic caller"}})
    )
    await backend.update(
        CUSTOMER, ID, {}, skip=True, call=CallContext("r3", {"bokamera": {"authorization": "Bearer other"}})
    )
    assert [request.headers["authorization"] for request in seen] == [
        "Basic b3duLWNsaWVudDpvd24ta2V5",
        "Basic caller",
        "Basic b3duLWNsaWVudDpvd24ta2V5",
    ]
    assert str(seen[0].url) == f"https://backend.test/v1/customers/{ID}?skipCreationInAccountingSystem=true"
    assert seen[0].headers["x-request-id"] == "r1"


async def test_without_any_credentials_nothing_is_sent():
    backend, seen = rest(lambda _: httpx.Response(204))
    with pytest.raises(GatewayError) as caught:
        await backend.update(CUSTOMER, ID, {}, skip=True, call=CallContext("r"))
    assert (caught.value.row.code, caught.value.outcome, seen) == ("UNAUTHENTICATED", "NOT_APPLIED", [])


async def test_a_general_ledger_is_read_once_by_credential():
    backend, seen = rest(lambda _: httpx.Response(200, json={"id": ID, "code": "8000"}), **OWN)
    for _ in range(3):
        assert (await backend.general_ledger(ID, call=CallContext("r")))["code"] == "8000"
    await backend.general_ledger(ID, call=CallContext("r", {"basecone": {"authorization": "Basic caller"}}))
    assert len(seen) == 2


async def test_a_general_ledger_is_read_in_any_casing_and_only_as_itself():
    backend, _ = rest(lambda _: httpx.Response(200, json={"ID": ID.upper(), "Code": "8000"}), **OWN)
    assert await backend.general_ledger(ID, call=CallContext("r")) == {"ID": ID.upper(), "Code": "8000"}
    with pytest.raises(GatewayError) as caught:
        await backend.general_ledger(OTHER, call=CallContext("r"))
    assert caught.value.row.reason == "ANSWER_UNREADABLE"


async def test_x_simulate_is_passed_on_with_a_put_and_only_what_is_for_this_service():
    backend, seen = rest(lambda _: httpx.Response(204), **OWN)
    for reason in ("VAT_CODE_INVALID", "HTML-500", "FIELD_EMPTY", "METADATA_INVALID"):
        await backend.update(CUSTOMER, ID, {}, skip=True, call=CallContext("r", simulate=reason))
    assert [request.headers.get("x-simulate") for request in seen] == ["VAT_CODE_INVALID", "HTML-500", None, None]


@pytest.mark.parametrize("reason", ["VAT_CODE_INVALID", "HTML-500", "TIMEOUT"])
async def test_a_failure_is_simulated_by_a_sandbox_alone(reason):
    seen = []
    transport = httpx.MockTransport(lambda request: seen.append(request) or httpx.Response(204))
    backend = Basecone(
        BaseconeSettings(mode="rest", **OWN), Upstream("basecone", "https://backend.test", transport=transport)
    )
    with pytest.raises(GatewayError) as caught:
        await backend.update(CUSTOMER, ID, {}, skip=True, call=CallContext("r", simulate=reason))
    assert (caught.value.outcome, seen) == ("NOT_APPLIED", [])


async def test_credentials_show_in_no_repr():
    backend, _ = rest(lambda _: httpx.Response(204), **OWN)
    shown = (
        repr(backend)
        + repr(BaseconeSettings(**OWN))
        + repr(CallContext("r", {"basecone": {"authorization": "Basic caller"}}))
    )
    assert not re.search("own-key|own-client|Basic caller", shown)


async def test_a_general_ledger_without_a_code_is_asked_for_again_and_two_at_once_are_one():
    answers = iter([{"id": ID}, {"id": ID, "code": "8000"}])
    backend, seen = rest(lambda _: httpx.Response(200, json=next(answers)), **OWN)
    assert await backend.general_ledger(ID, call=CallContext("r")) == {"id": ID}
    call = CallContext("r")
    found = await asyncio.gather(*(backend.general_ledger(ID, call=call) for _ in range(3)))
    assert found == [{"id": ID, "code": "8000"}] * 3
    assert len(seen) == 2


async def test_a_call_does_not_wait_for_the_general_ledger_of_another_one():
    release = asyncio.Event()

    async def first_waits(_):
        if len(seen) == 1:
            await release.wait()
        return httpx.Response(200, json={"id": ID, "code": "8000"})

    backend, seen = rest(first_waits, **OWN)
    first = asyncio.create_task(backend.general_ledger(ID, call=CallContext("r")))
    while not seen:
        await asyncio.sleep(0)
    assert await backend.general_ledger(ID, call=CallContext("r")) == {"id": ID, "code": "8000"}
    assert not first.done()
    release.set()
    assert await first == {"id": ID, "code": "8000"}


async def test_two_fields_of_one_general_ledger_fail_together():
    backend, seen = rest(lambda _: httpx.Response(500), **OWN)
    call = CallContext("r")
    found = await asyncio.gather(*(backend.general_ledger(ID, call=call) for _ in range(2)), return_exceptions=True)
    assert [error.row.reason for error in found] == ["BACKEND_FAILED"] * 2
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"code": "validation_error", "message": "One or more properties were not valid", "_metadata": ["m-1"]}),
        (200, ["m-1"]),
    ],
)
async def test_what_no_client_is_shown_is_in_the_log_at_debug_alone(status, body, caplog):
    backend, _ = rest(lambda _: httpx.Response(status, json=body), **OWN)
    for level, logged in (("INFO", False), ("DEBUG", True)):
        caplog.set_level(level)
        with pytest.raises(GatewayError):
            await backend.read(CUSTOMER, ID, call=CallContext("r"))
        assert ("m-1" in caplog.text) is logged


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "forbidden", "PERMISSION_DENIED"),
        (401, "unauthorized", "CREDENTIALS_UNAUTHORIZED"),
        (400, "invalid_authorization_header", "AUTHORIZATION_HEADER_INVALID"),
        (400, "GeneralLedgerDoesNotExist", "UNDOCUMENTED_BAD_REQUEST"),
    ],
)
async def test_a_refused_general_ledger_is_its_row_and_keeps_the_vendors_code(status, code, reason):
    backend, _ = rest(lambda _: httpx.Response(status, json={"code": code, "message": "No."}), **OWN)
    with pytest.raises(GatewayError) as caught:
        await backend.general_ledger(ID, call=CallContext("r"))
    assert (caught.value.row.reason, caught.value.backend.code) == (reason, code)
