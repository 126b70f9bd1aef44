"""Requests as the vendor's page writes them, and answers judged. Pure: no I/O but the backend's one send."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
from strawberry import UNSET

from app.apis.bokamera.jsv import decode
from app.apis.bokamera.lists import CUSTOMER_LIST
from app.apis.bokamera.resources import BOOKING_CUSTOMERS
from app.apis.bokamera.settings import BokameraSettings, rest
from app.apis.bokamera.types import UpdateBookingCustomerInput
from app.call import CallContext
from app.errors import GatewayError, GatewayErrors, Outcome
from app.mapping.wire import from_wire, to_wire
from app.updates.listing import ListRequest, judge_page
from app.upstream.messages import BackendResponse
from app.upstream.tokens import TokenSource
from app.upstream.upstream import Upstream
from tests.apis.bokamera.asking import Bokamera, booking_customer, judged_read, judged_update, request_of

SAMPLES = Path(__file__).parent / "samples"
ID = "b0000000-0000-4000-8000-000000000001"
COMPANY = "ba000000-0000-4000-8000-000000000001"
JSON = {"content-type": "application/json"}
JSV = {"content-type": "text/jsv"}


def built(company, body, form, headers=None):
    upstream = Upstream("bokamera", "http://bokamera.invalid", transport=httpx.MockTransport(lambda _: saved()))
    backend = rest(BokameraSettings(mode="rest", format=form), upstream)
    return backend.built(request_of(ID, company, body), headers or {"x-api-key": "k"})


def test_a_jsv_request_is_byte_for_byte_the_pages_example():
    text = (SAMPLES / "update-customer" / "request.jsv").read_text()
    document = decode(text.encode())
    sent = to_wire(from_wire(UpdateBookingCustomerInput, document, absent=UNSET))
    company = "CompanyId:00000000-0000-0000-0000-000000000000,"
    request = built(COMPANY, sent, "jsv")
    assert request.body.decode() == text.replace(company, "", 1)
    assert (request.method, request.path, request.query) == ("PUT", f"/customers/{ID}", (("CompanyId", COMPANY),))
    assert request.headers == {"x-api-key": "k"}


def test_a_json_request_has_only_the_given_members_in_pascal_case():
    sent = to_wire(from_wire(UpdateBookingCustomerInput, {"Firstname": "Å", "Email": ""}, absent=UNSET))
    request = built(None, sent, "json")
    assert request.body.decode() == '{"Firstname":"Å","Email":""}'
    assert request.query == ()


def test_a_read_asks_for_everything():
    path, query = BOOKING_CUSTOMERS.get(ID, {"company_id": COMPANY})
    assert path == "/customers"
    assert query == (
        ("CustomerId", ID),
        ("CompanyId", COMPANY),
        ("IncludeCustomFields", "true"),
        ("IncludeCustomFieldValues", "true"),
        ("IncludeComments", "true"),
        ("IncludeAccessKeys", "true"),
        ("IncludeInvoiceAddress", "true"),
    )


def test_text_that_cannot_be_encoded_is_refused_unsent():
    for form in ("json", "jsv"):
        with pytest.raises(GatewayError) as caught:
            built(None, {"Firstname": "\ud800"}, form)
        assert (caught.value.row.reason, caught.value.outcome) == ("VALUE_NOT_SUPPORTED", Outcome.NOT_APPLIED)


@pytest.mark.parametrize(("name", "headers"), [("200-documented.json", JSON), ("200-documented.jsv", JSV)])
def test_the_pages_reply_is_the_customer(name, headers):
    answer = BackendResponse(200, headers, (SAMPLES / "update-customer" / name).read_bytes())
    customer = booking_customer(judged_update(answer, ID), ID)
    # A default-valued id is left out: it is the asked one.
    assert (customer.id, customer.firstname, customer.updated) == (ID, "String", None)
    assert (customer.custom_fields[0].is_mandatory, customer.custom_fields[0].max_length) == (False, 0)
    assert customer.custom_fields[0].values[0].value == "String"
    assert customer.custom_field_values[0].column == "String"
    assert (customer.comments[0].id, customer.comments[0].customer_id) == (0, None)
    assert (customer.access_keys[0].id, customer.access_keys[0].access_key_type_id) == (None, 0)
    assert customer.subscribed_to_newsletter is False
    assert customer.invoice_address.invoice_country_code == "String"


def test_another_writers_reply_is_read():
    answer = BackendResponse(200, JSON, (SAMPLES / "update-customer" / "200-other-writer.json").read_bytes())
    customer = booking_customer(judged_update(answer, ID), ID)
    assert (customer.id, customer.firstname, customer.subscribed_to_newsletter) == (
        "b0000000-0000-4000-8000-000000000001",
        "Anna",
        True,
    )
    assert (customer.created, customer.updated) == ("2026-01-15T10:00:00Z", "2026-09-07T09:00:00+02:00")


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, JSON, b""),
        (200, JSON, b"[]"),
        (200, JSON, b"{}"),
        (200, JSON, b'{"ResponseStatus":{}}'),
        (200, JSON, b'{"AccessKeys":[],"ResponseStatus":{}}'),
        (200, JSON, b'{"ResponseStatus":{"ErrorCode":"Oops","Message":"m"},"Firstname":"x"}'),
        (200, JSON, b'{"ResponseStatus":{"ErrorCode":7},"Firstname":"x"}'),
        (200, JSON, b'{"ResponseStatus":{"Message":"m","Errors":[{"ErrorCode":"NotEmpty"}]},"Firstname":"x"}'),
        (200, JSON, b'{"Id":"b0000000-0000-4000-8000-000000000002","Firstname":"Other"}'),
        (200, JSON, b'{"Id":5,"Firstname":"Other"}'),
        (200, JSON, b'{"Id":[],"Firstname":"Other"}'),
        (200, JSON, b'{"Firstname":"cut o'),
        (200, {"content-type": "text/html"}, b"<html></html>"),
        (200, JSV, b"{Firstname:cut o"),
        (200, JSV, (SAMPLES / "update-customer" / "200-pretty-printed.jsv").read_bytes()),
        (200, JSV, b"text"),
        (201, JSON, b'{"Firstname":"x"}'),
        (204, JSON, b""),
        (204, JSON, b'{"Firstname":"x"}'),
        (302, {"location": "http://elsewhere.example.com/"}, b""),
        (500, JSON, b'{"ResponseStatus":{"ErrorCode":"NullReferenceException"}}'),
    ],
)
def test_what_is_no_understood_success_leaves_the_outcome_unknown(status, headers, body):
    with pytest.raises(GatewayError) as caught:
        judged_update(BackendResponse(status, headers, body), ID)
    assert (caught.value.row.code, caught.value.outcome) == ("BACKEND_ERROR", Outcome.UNKNOWN)
    assert caught.value.extensions["backend"]["status"] == status
    assert caught.value.retry_safe is False


def test_an_error_code_in_a_success_is_kept():
    with pytest.raises(GatewayError) as caught:
        judged_update(BackendResponse(200, JSON, b'{"ResponseStatus":{"ErrorCode":"Oops","Message":"m"}}'), ID)
    assert caught.value.extensions["backend"] == {"name": "bokamera", "status": 200, "code": "Oops"}


@pytest.mark.parametrize("sample", ["200-envelope", "200-list"])
def test_a_read_picks_the_asked_record(sample):
    answer = BackendResponse(200, JSON, (SAMPLES / "customer-query" / f"{sample}.json").read_bytes())
    assert judged_read(answer, ID)["Firstname"] == "Anna"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, JSON, b"[]"),
        (200, JSON, b'{"Offset":0,"Total":0,"Results":[]}'),
        (200, JSV, b"{Offset:0,Total:0,Results:[]}"),
        (404, JSON, b'{"ResponseStatus":{"ErrorCode":"NotFound","Message":"x"}}'),
    ],
)
def test_an_unknown_customer_is_none(status, headers, body):
    assert judged_read(BackendResponse(status, headers, body), ID) is None


@pytest.mark.parametrize(
    "answer",
    [
        BackendResponse(200, JSON, b'[{"Id":"b0000000-0000-4000-8000-000000000002"}]'),
        BackendResponse(200, JSON, b'{"Total":1}'),
        BackendResponse(200, JSON, b'"x"'),
        BackendResponse(404, {"content-type": "text/html"}, b"<html>"),
        BackendResponse(200, JSON, b'{"ResponseStatus":{"ErrorCode":"Oops"}}'),
    ],
    ids=["another", "no-list", "text", "html-404", "error-code"],
)
def test_anything_else_is_not_taken_for_unknown(answer):
    with pytest.raises(GatewayError):
        judged_read(answer, ID)


@pytest.mark.parametrize(("total", "told"), [("3", 3), ("0", 0), ("9" * 5_000, None), ("-1", None), ("many", None)])
@pytest.mark.parametrize(("headers", "text"), [(JSV, "%s"), (JSON, '"%s"')], ids=["jsv", "json"])
def test_a_total_that_is_no_count_leaves_the_list_as_it_is(headers, text, total, told):
    body = '{"Total":%s,"Results":[]}' if headers is JSON else "{Total:%s,Results:[]}"
    response = BackendResponse(200, headers, (body % (text % total)).encode())
    page = judge_page(ListRequest(CUSTOMER_LIST, {}, 10, counts=True), response)
    assert (page.items, page.more, page.total) == ([], False, told)


class Service:
    """A BokaMera that answers from a list and remembers what came."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        return self.answers.pop(0)

    def backend(self, tokens=None, **settings):
        upstream = Upstream("bokamera", "http://bokamera.invalid", transport=httpx.MockTransport(self))
        return Bokamera.rest(BokameraSettings(mode="rest", sandbox=True, **settings), upstream, tokens)


def saved(firstname="Anna"):
    return httpx.Response(200, json={"Id": ID, "Firstname": firstname})


CALLERS = {"bokamera": {"authorization": "Bearer theirs", "x-api-key": "their-key"}}


@pytest.mark.parametrize(
    ("settings", "credentials", "sent"),
    [
        ({"api_key": "own"}, {}, ("own", None)),
        ({"api_key": "own"}, CALLERS, ("their-key", "Bearer theirs")),
        ({"api_key": "own"}, {"bokamera": {"authorization": "Bearer theirs"}}, ("own", "Bearer theirs")),
        ({}, {"bokamera": {"x-api-key": "their-key"}}, ("their-key", None)),
        ({}, {"bokamera": {"authorization": "Bearer theirs"}}, (None, "Bearer theirs")),
        ({}, {**CALLERS, "basecone": {"authorization": "Basic other"}}, ("their-key", "Bearer theirs")),
    ],
)
async def test_each_of_the_callers_credentials_replaces_the_gateways(settings, credentials, sent):
    service = Service(saved())
    await service.backend(**settings).update(ID, None, {}, call=CallContext("r", credentials))
    headers = service.requests[0].headers
    assert (headers.get("x-api-key"), headers.get("authorization")) == sent


@pytest.mark.parametrize("operation", ["update", "read"])
async def test_without_any_credentials_nothing_is_sent(operation):
    service = Service()
    backend = service.backend()
    call = CallContext("r", {"basecone": {"authorization": "Basic other"}})
    attempt = backend.update(ID, None, {}, call=call) if operation == "update" else backend.read(ID, None, call=call)
    with pytest.raises(GatewayError) as caught:
        await attempt
    assert caught.value.extensions["code"] == "UNAUTHENTICATED"
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert service.requests == []


async def test_a_401_drops_the_token_and_the_put_is_not_sent_again():
    issued = iter(["first", "second"])

    def endpoint(_):
        return httpx.Response(200, json={"access_token": next(issued), "expires_in": 300})

    tokens = TokenSource("http://id.invalid/token", "c", "u", "p", transport=httpx.MockTransport(endpoint))
    service = Service(httpx.Response(401), saved())
    backend = service.backend(tokens, api_key="own")
    with pytest.raises(GatewayError) as caught:
        await backend.update(ID, None, {}, call=CallContext("r"))
    assert (caught.value.row.reason, caught.value.outcome) == ("NOT_AUTHENTICATED", Outcome.NOT_APPLIED)
    assert caught.value.retry_safe
    assert (await backend.update(ID, None, {}, call=CallContext("r")))["Firstname"] == "Anna"
    assert [request.headers["authorization"] for request in service.requests] == ["Bearer first", "Bearer second"]
    await backend.aclose()


async def test_a_callers_bearer_asks_for_no_token():
    def endpoint(_):
        raise AssertionError("asked")

    tokens = TokenSource("http://id.invalid/token", "c", "u", "p", transport=httpx.MockTransport(endpoint))
    service = Service(httpx.Response(401))
    backend = service.backend(tokens)
    with pytest.raises(GatewayError):
        await backend.update(ID, None, {}, call=CallContext("r", CALLERS))
    await backend.aclose()


async def test_several_faults_are_raised_together():
    body = (SAMPLES / "update-customer" / "400-field-errors.json").read_bytes()
    service = Service(httpx.Response(400, content=body))
    with pytest.raises(GatewayErrors) as caught:
        await service.backend(api_key="k").update(ID, None, {}, call=CallContext("r"))
    assert len(caught.value.errors) == 3
    assert len(service.requests) == 1


async def test_x_simulate_is_passed_on_with_the_put_alone():
    service = Service(saved(), httpx.Response(200, json=[]), saved(), saved())
    backend = service.backend(api_key="k")
    await backend.update(ID, None, {}, call=CallContext("r", simulate="FIELD_EMPTY"))
    await backend.read(ID, None, call=CallContext("r", simulate="FIELD_EMPTY"))
    await backend.update(ID, None, {}, call=CallContext("r", simulate="HTML-500"))
    # Another API's reason, which this service, perhaps the real one, must not even see.
    await backend.update(ID, None, {}, call=CallContext("r", simulate="VAT_CODE_INVALID"))
    seen = [request.headers.get("x-simulate") for request in service.requests]
    assert seen == ["FIELD_EMPTY", None, "HTML-500", None]


# accept-language -> x-language.
LANGUAGES = {
    None: None,
    "": None,
    "sv": "sv",
    "EN": "en",
    "sv-SE,sv;q=0.9,en;q=0.8": "sv",
    "de, en-GB;q=0.5, sv;q=0.7": "sv",
    "en;q=0.7,sv;q=0.7": "en",
    "en ; q=1.000 , sv": "en",
    "de-DE,de;q=0.9": None,
    "*": None,
    "sv;q=0": None,
    "sv;q=0,en;q=0.001": "en",
    "sv;q=2, en;q=0.1": "en",
    "svenska": None,
    "sv\tx": None,
    "sv," + "en," * 1000: None,
}


@pytest.mark.parametrize(("accepted", "sent"), LANGUAGES.items())
async def test_the_best_language_of_the_caller_is_asked_for(accepted, sent):
    service = Service(saved(), httpx.Response(200, json=[]))
    backend = service.backend(api_key="k")
    call = CallContext("r", accept_language=accepted)
    await backend.update(ID, None, {}, call=call)
    await backend.read(ID, None, call=call.for_write(0.0))
    assert [request.headers.get("x-language") for request in service.requests] == [sent, sent]


def test_settings_show_no_secret_and_belong_together():
    settings = BokameraSettings(
        api_key="hush-1", token_url="https://id.example/t", client_id="c", username="u", password="hush-2"
    )
    assert "hush" not in repr(settings) + str(settings)
    with pytest.raises(ValueError, match="PASSWORD not set"):
        BokameraSettings(token_url="https://id.example/t", client_id="c", username="u")
    assert "hush" not in repr(rest(settings, Upstream("bokamera", "http://bokamera.invalid")))


@pytest.mark.parametrize("answer", [saved(), httpx.Response(401), httpx.Response(418, text="odd"), httpx.Response(500)])
async def test_no_credential_is_logged_or_shown(caplog, answer):
    caplog.set_level(logging.DEBUG)
    credentials = {"bokamera": {"authorization": "Bearer hush-1", "x-api-key": "hush-2"}}
    call = CallContext("r", credentials)
    service = Service(answer)
    backend = service.backend(api_key="hush-3")
    shown = [repr(call), repr(backend), repr(built(None, {}, "json", credentials["bokamera"]))]
    try:
        await backend.update(ID, None, {"Firstname": "x"}, call=call)
    except GatewayError as error:
        shown += [repr(error), str(error), repr(error.extensions), str(error.detail)]
    assert service.requests[0].headers["x-api-key"] == "hush-2"
    assert "hush" not in caplog.text + "".join(shown)


async def test_a_refusal_of_the_action_is_no_word_against_the_token():
    tokens = TokenSource(
        "http://id.invalid/token",
        "c",
        "u",
        "p",
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"access_token": "only", "expires_in": 300})),
    )
    body = {"ResponseStatus": {"ErrorCode": "Forbidden", "Message": "Current user is not allowed."}}
    service = Service(httpx.Response(401, json=body), saved())
    backend = service.backend(tokens, api_key="own")
    with pytest.raises(GatewayError) as caught:
        await backend.update(ID, None, {}, call=CallContext("r"))
    assert caught.value.extensions["code"] == "FORBIDDEN"
    held = repr(tokens)
    await backend.update(ID, None, {}, call=CallContext("r"))
    assert held == "<TokenSource holding a token>"
    await backend.aclose()
