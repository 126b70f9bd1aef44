"""One line for each operation, with what an operator needs and nothing that is anybody's."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.redaction import REMOVED, Redaction
from app.telemetry import logs
from tests.telemetry.running import BOOKING_CUSTOMER, COMPANY, CUSTOMER, running, update

# Told to the gateway in every place that holds a person's data or a credential.
PERSONAL = ("Jansenius", "jansenius@example.nl", "Kerkstraat-99", "NL91ABNA0417164300", "0612345678")
CREDENTIALS = (
    "dXNlcjpwYXNzd29yZA",
    "a-very-secret-bearer",
    "a-very-secret-key",
    "d1000000-0000-4000-8000-000000000001",
)
INPUT = {
    "name": PERSONAL[0],
    "email": PERSONAL[1],
    "phone": PERSONAL[4],
    "address": {"streetName": PERSONAL[2], "country": {"code": "NL"}},
    "bankAccounts": [{"iban": PERSONAL[3], "default": True}],
}
HEADERS = {
    "x_basecone_authorization": f"Basic {CREDENTIALS[0]}",
    "x_bokamera_authorization": f"Bearer {CREDENTIALS[1]}",
    "x_bokamera_api_key": CREDENTIALS[2],
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged, at debug, as JSON lines."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("debug", "json", [CREDENTIALS[3]], stream)
    yield stream
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)


def lines(stream: io.StringIO, logger: str = "app.telemetry.operations") -> list[dict]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if line["logger"] == logger]


async def test_a_mutation_is_one_line_that_tells_everything(written: io.StringIO, tmp_path: Path):
    async with running(tmp_path, rest=True) as gateway:
        await gateway.post(update(input=INPUT), x_request_id="request-1")
    (line,) = lines(written)
    assert line["level"] == "info"
    assert line["duration_ms"] >= line["backend_ms"] > 0
    expected = {
        "message": "operation answered",
        "request_id": "request-1",
        "operation": "Rename",
        "kind": "mutation",
        "field": "updateCustomer",
        "record": CUSTOMER,
        "backend": "basecone",
        "status": "204",
        "outcome": "APPLIED",
    }
    assert {name: line.get(name) for name in expected} == expected


async def test_a_refusal_is_one_line_at_info_with_its_reason(written: io.StringIO, tmp_path: Path):
    async with running(tmp_path, rest=True) as gateway:
        await gateway.post(update(input={"vatCode": {"code": "WRONG"}}), x_request_id="request-2")
    (line,) = lines(written)
    told = {name: line[name] for name in ("level", "message", "code", "reason", "outcome", "status", "backend")}
    assert told == {
        "level": "info",
        "message": "operation refused",
        "code": "BAD_USER_INPUT",
        "reason": "VAT_CODE_INVALID",
        "outcome": "NOT_APPLIED",
        "status": "400",
        "backend": "basecone",
    }


async def test_a_request_that_becomes_no_operation_is_one_line_and_a_count_all_the_same(
    written: io.StringIO, tmp_path: Path
):
    given = {"GATEWAY_CALLER_TOKENS": "app:" + "0" * 64}
    async with running(tmp_path, {**given, "GATEWAY_METRICS_OPEN": "true"}) as gateway:
        await gateway.post(update(), authorization=f"Bearer {CREDENTIALS[1]}", x_request_id="request-4")
        await gateway.client.get(f"/{PERSONAL[2]}?name={PERSONAL[0]}", headers={"x-request-id": "request-5"})
        metrics = (await gateway.client.get("/metrics")).text
    told = [
        {name: value for name, value in line.items() if name not in {"time", "logger"}}
        for line in lines(written, "app.edge.envelope")
    ]
    refused = {"level": "info", "message": "request refused"}
    unknown = {
        "status": "401",
        "code": "UNAUTHENTICATED",
        "reason": "CALLER_UNAUTHENTICATED",
        "detail": "unknown token: no static token has its hash",
    }
    nowhere = {"status": "404", "code": "BAD_REQUEST", "reason": "PATH_NOT_FOUND"}
    assert told == [
        {**refused, "request_id": "request-4", **unknown},
        {**refused, "request_id": "request-5", **nowhere},
    ]
    assert [value for value in (*PERSONAL, *CREDENTIALS) if value in written.getvalue()] == []
    labels = 'code="UNAUTHENTICATED",field="none",reason="CALLER_UNAUTHENTICATED"'
    assert f"gateway_operations_total{{{labels}}} 1.0" in metrics


async def test_an_unreachable_backend_says_how_in_the_log_alone(written: io.StringIO, tmp_path: Path):
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed", request=request)

    async with running(tmp_path, {"GATEWAY_CONNECT_RETRIES": "0"}, httpx.MockTransport(refuse), rest=True) as gateway:
        answer = await gateway.post(update())
    (line,) = lines(written)
    assert (line["reason"], line["status"]) == ("NOT_CONNECTED", "NOT_CONNECTED")
    assert "All connection attempts failed" in line["detail"]
    assert "attempts" not in answer.text


class Broken(httpx.AsyncBaseTransport):
    """Something that nobody expected."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002 - the protocol's
        raise ZeroDivisionError("the whole story")


async def test_a_surprise_is_an_error_with_the_whole_story(written: io.StringIO, tmp_path: Path):
    async with running(tmp_path, {}, Broken(), rest=True) as gateway:
        answer = await gateway.post(update(), x_request_id="request-3")
    assert "story" not in answer.text
    everything = [json.loads(line) for line in written.getvalue().splitlines()]
    stories = [
        line for line in everything if line["level"] == "error" and "ZeroDivisionError" in line.get("exception", "")
    ]
    assert stories
    assert "Traceback" in stories[0]["exception"]
    assert {line["request_id"] for line in stories} == {"request-3"}
    assert lines(written)[0]["request_id"] == "request-3"


async def test_request_ids_are_passed_on_and_returned(tmp_path: Path):
    async with running(tmp_path, rest=True) as gateway:
        answer = await gateway.post(update(), x_request_id="mine-1")
        made = await gateway.post(update())
        assert answer.headers["x-request-id"] == "mine-1"
        sent = [request.headers["x-request-id"] for request in gateway.requests]
        assert sent == ["mine-1", made.headers["x-request-id"]]


ANSWERS = {
    "the sandbox": None,
    "undocumented": httpx.Response(
        418, json={"code": "x", "message": f"{PERSONAL[1]} is a teapot", "who": PERSONAL[0]}
    ),
    "html": httpx.Response(502, html=f"<p>{PERSONAL[2]}</p>"),
    "unreadable": httpx.Response(200, content=b"\xff\xfe"),
    "a token": httpx.Response(403, json={"message": "no", "access_token": CREDENTIALS[1]}),
}


@pytest.mark.parametrize("wiring", ["local", *ANSWERS])
async def test_no_personal_data_and_no_credential_at_debug(wiring: str, written: io.StringIO, tmp_path: Path):
    response = ANSWERS.get(wiring)

    def answer(_: httpx.Request) -> httpx.Response:
        assert response is not None
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    transport = None if response is None else httpx.MockTransport(answer)
    booking = {
        "query": """mutation($id: UUID!, $input: UpdateBookingCustomerInput!) {
          updateBookingCustomer(id: $id, input: $input) { bookingCustomer { id email } } }""",
        "variables": {
            "id": BOOKING_CUSTOMER,
            "input": {"firstname": PERSONAL[0], "email": PERSONAL[1], "phone": PERSONAL[4]},
        },
    }
    wrong = {**INPUT, "vatCode": {"code": "WRONG"}}
    literal = (
        f'mutation {{ updateCustomer(id: "{CUSTOMER}", input: {{ name: "{PERSONAL[0]}" }}) {{ customer {{ id }} }} }}'
    )
    async with running(tmp_path, {}, transport, rest=wiring != "local") as gateway:
        for body in (update(input=INPUT), update(input=wrong), booking, {"query": literal}):
            await gateway.post(body)
            await gateway.post(body, **HEADERS)
        await gateway.post(update(), authorization=f"Bearer {CREDENTIALS[1]}", x_basecone_authorization=CREDENTIALS[0])
    text = written.getvalue()
    assert len(lines(written)) == 9
    assert [secret for secret in CREDENTIALS if secret in text] == []
    raw = {"undocumented", "html", "a token"}  # a raw body is what debug is for
    if wiring not in raw:
        assert [value for value in PERSONAL if value in text] == []
    without_bodies = [line for line in text.splitlines() if '"level":"debug"' not in line]
    assert [value for value in PERSONAL if value in "\n".join(without_bodies)] == []


CREDENTIAL_FORMS = {
    "Authorization: Basic dXNlcjpwYXNz": "dXNlcjpwYXNz",
    "{'authorization': 'Bearer abc.def-ghi'}": "abc.def-ghi",
    '{"x-api-key": "0123456789"}': "0123456789",
    'body {\\"password\\":\\"hunter22\\"}': "hunter22",
    "refresh_token=ey.123&x=1": "ey.123",
    "postgresql://gateway:hunter22@database/x": "hunter22",
    "the key configured-secret was refused": "configured-secret",
    "the key c0f10000000040008000000000000001 was refused": "c0f10000000040008000000000000001",
    "ApiAccessKey=00000000-1111-2222": "00000000-1111-2222",
}


@pytest.mark.parametrize("text", CREDENTIAL_FORMS)
@pytest.mark.parametrize("form", ["json", "text"])
def test_credentials_are_taken_out_by_their_form(text: str, form: str):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = logs.JsonFormatter if form == "json" else logs.TextFormatter
    handler.setFormatter(formatter(Redaction(["configured-secret", "c0f10000-0000-4000-8000-000000000001"])))
    try:
        raise RuntimeError(text)
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", (text,), __import__("sys").exc_info())
    record.detail = text
    record.several = [text, {"inner": text}]
    handler.emit(record)
    assert CREDENTIAL_FORMS[text] not in stream.getvalue()
    assert REMOVED in stream.getvalue()


def test_text_shows_control_characters_and_never_obeys_them():
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\nb\x1b[31m", (), None)
    record.field = "c\r\nd"
    line = logs.TextFormatter(Redaction()).format(record)
    assert line.endswith(r"INFO    a\nb\x1b[31m field=c\r\nd")


@pytest.mark.parametrize("more", ["", " for a cause that takes many words to tell" * 5], ids=["short", "long message"])
def test_text_fits_a_terminal_and_ends_with_the_requests_id(more: str):
    record = logging.LogRecord("x", logging.WARNING, "", 0, f"operation refused{more}", (), None)
    record.request_id, record.record = "request-1", "c" * 36
    record.detail = "the host api.example refused the connection after three attempts, the last of them at noon, " * 4
    record.token = "x" * 300
    lines = logs.TextFormatter(Redaction(), colour=True).format(record).splitlines()
    plain = [re.sub("\x1b\\[[0-9]+m", "", line) for line in lines]
    assert "\x1b[33mWARNING\x1b[0m operation refused" in lines[0]
    assert max(map(len, plain)) <= 120
    assert plain[-1].endswith("request_id=request-1")
    assert "".join(plain).count("x") >= 300  # nothing is cut off


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("text", False, False)],
)
def test_the_form_follows_the_setting_and_the_terminal(written: io.StringIO, form: str, terminal: bool, is_json: bool):
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    logs.configure("info", form, (), stream)
    logging.getLogger("uvicorn.error").info("the server's own line")
    assert stream.getvalue().startswith("{") is is_json
    assert "the server's own line" in stream.getvalue()
    assert written.getvalue() == ""


async def test_operation_names_are_bounded_and_ids_are_uuids(written: io.StringIO, tmp_path: Path):
    async with running(tmp_path) as gateway:
        await gateway.post({"query": "query %s { __typename }" % ("n" * 5000)})
        await gateway.post(
            {"query": "query Q($id: UUID!) { customer(id: $id) { id } }", "variables": {"id": PERSONAL[1]}}
        )
        await gateway.post(
            {"query": f'{{ a: customer(id: "{CUSTOMER}") {{ id }} b: customer(id: "{COMPANY.upper()}") {{ id }} }}'}
        )
    first, second, third = lines(written)
    assert first["operation"] == "n" * 100
    assert "record" not in second
    assert third["record"] == f"{CUSTOMER},{COMPANY}"


async def test_a_store_that_is_gone_is_one_line(written: io.StringIO, tmp_path: Path):
    async with running(tmp_path) as gateway:
        (tmp_path / "gateway.db").unlink()
        assert (await gateway.client.get("/health/ready")).status_code == 503
    (line,) = lines(written, "app.readiness")
    assert line["level"] == "warning"
    assert line["message"].startswith("not ready: the SQLite database")
    assert "exception" not in line


PARTS = ["Basic", "bearer ", "BEARER", "abc=", ": ", "authoriſation", "Authorization", "api_Key", "api-key", "pass", "word", "ſecret", "refresh_token", "://", "user:pw", "@", "s3cret-", "known", "\n", " "]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=6).map("".join), max_size=3))
def test_a_line_that_is_passed_over_holds_nothing_to_remove(texts):
    redaction = Redaction(["s3cret-known"])
    if redaction.needless(texts):
        assert [redaction(text) for text in texts] == texts
