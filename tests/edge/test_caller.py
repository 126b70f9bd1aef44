"""What surrounds a request: its id, credentials, deadline, simulation, the router's secret, CORS, health."""

import asyncio
import base64
import json
import logging

import httpx
import pytest
from starlette.responses import PlainTextResponse

from app.edge.settings import EdgeSettings
from tests.edge.serving import client, notebook_app, serve
from tests.graphql.asking import UPDATE
from tests.graphql.notebook import FIRST, LocalNotebook
from tests.server.speaking import WAYS, answers_of, post, spoken, update

OK = {"query": "{ __typename }"}
READ = {"query": f'{{ note(id: "{FIRST}") {{ id }} }}'}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-1.2_3:4", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("a\tb", False),
        ("é", False),
    ],
)
async def test_a_harmless_request_id_is_kept_and_another_replaced(given, kept):
    notebook = LocalNotebook()
    async with client(notebook=notebook) as http:
        answer = await http.post("/graphql", json=READ, headers={"x-request-id": given.encode()})
    assert (answer.headers["x-request-id"] == given) == kept
    assert notebook.seen[0].request_id == answer.headers["x-request-id"]


async def test_credentials_reach_their_backend_and_nothing_prints_them(caplog):
    notebook = LocalNotebook()
    with caplog.at_level(logging.DEBUG):
        async with client(notebook=notebook) as http:
            answer = await http.post(
                "/graphql", json=READ, headers={"X-Notebook-Authorization": "Basic sesame", "authorization": "other"}
            )
    (call,) = notebook.seen
    assert call.credentials == {"notebook": {"authorization": "Basic sesame"}}
    assert "sesame" not in caplog.text + repr(call) + answer.text


@pytest.mark.parametrize("given", ["1", "1500", "999999999"])
async def test_the_callers_deadline_is_on_the_loops_clock(given):
    notebook = LocalNotebook()
    before = asyncio.get_running_loop().time()
    async with client(notebook=notebook) as http:
        await http.post("/graphql", json=READ, headers={"x-request-timeout": given})
    after = asyncio.get_running_loop().time()
    # Longer than the settings allow is as long as they allow.
    seconds = min(int(given) / 1000, EdgeSettings().request_seconds)
    assert before <= notebook.seen[0].deadline - seconds <= after


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "1s", "", " ", "9999999999", "\u0661"])
async def test_a_malformed_deadline_is_refused(given):
    async with client() as http:
        answer = await http.post("/graphql", json=READ, headers={"x-request-timeout": given.encode()})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["reason"] == "HEADER_MALFORMED"


MALFORMED = 400, "HEADER_MALFORMED"
APPLIED = 200, None
# The lines of a header, and what becomes of the update.
SEVERAL = [
    ("idempotency-key", ("a", "b"), MALFORMED),
    ("idempotency-key", ("a", "A"), MALFORMED),
    ("idempotency-key", ("a", ""), MALFORMED),
    ("idempotency-key", ("a", "a", "b"), MALFORMED),
    ("x-request-timeout", ("1000", "2000"), MALFORMED),
    ("x-simulate", ("TITLE_TAKEN", "html-500"), MALFORMED),
    ("router-authorization", ("s", "t"), MALFORMED),
    ("x-notebook-authorization", ("Basic a", "Basic b"), MALFORMED),
    ("content-type", ("application/json", "text/plain"), (415, "UNSUPPORTED_MEDIA_TYPE")),
    ("content-type", ("application/json", "application/json; a=b"), (415, "UNSUPPORTED_MEDIA_TYPE")),
    ("content-encoding", ("identity", "br"), (415, "UNSUPPORTED_CONTENT_ENCODING")),
    ("content-encoding", ("identity", ""), APPLIED),
    ("authorization", ("Bearer a", "Bearer b"), APPLIED),
    ("x-request-id", ("one", "two"), APPLIED),
    ("traceparent", tuple(f"00-{digit * 32}-{digit * 16}-01" for digit in "12"), APPLIED),
    ("tracestate", ("a=b", "c=d"), APPLIED),
    ("accept-language", ("sv", "en"), APPLIED),
    ("accept", ("text/html", "application/json"), APPLIED),
    ("apollo-require-preflight", ("1", "2"), APPLIED),
]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_no_update_runs_on_a_header_with_several_values(way):
    """Neither the first line counts nor the last, whichever of them a proxy in front has looked at."""
    notebook = LocalNotebook()
    own = b"content-type: application/json\r\n"
    async with serve(notebook_app(notebook=notebook), http=way) as (address, _):
        for name, values, (status, reason) in SEVERAL:
            for order in (values, values[::-1]):
                notebook.seen.clear()
                lines = b"".join(f"{name}: {value}\r\n".encode() for value in order)
                request = post(update("new")).replace(own, lines if name == "content-type" else own + lines, 1)
                ((answered, body),) = answers_of(await spoken(address, request))
                errors = json.loads(body).get("errors")
                assert (answered, errors and errors[0]["extensions"]["reason"]) == (status, reason), (name, order)
                assert [call.trace_headers for call in notebook.seen] == ([] if reason else [{}])
                assert not {call.request_id for call in notebook.seen} & set(values)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_white_space_around_a_value_is_no_part_of_it(way):
    """https://www.rfc-editor.org/rfc/rfc9110#section-5.5"""
    notebook = LocalNotebook()
    values = {
        "x-request-id": "one",
        "x-request-timeout": "5000",
        "x-notebook-authorization": "Basic a",
        "router-authorization": "s3cret",
        "idempotency-key": "a",
        "traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
    }
    lines = [f"{name}: \t {value} \t ".encode() for name, value in values.items()]
    repeated = [*lines, b"x-request-id: one", b"idempotency-key:a\t"]
    async with serve(notebook_app(EdgeSettings(router_secret="s3cret"), notebook), http=way) as (address, _):
        answers = [answers_of(await spoken(address, post(update("new"), *sent))) for sent in (lines, repeated)]
        ((status, _),) = answers_of(await spoken(address, post(b'{"query": "{ _service { sdl } }"}', *lines)))
    assert [[answered for answered, _ in each] for each in answers] == [[200], [200]]
    assert status == 200
    for call in notebook.seen:
        assert (call.request_id, call.idempotency_key) == ("one", "a")
        assert call.credentials == {"notebook": {"authorization": "Basic a"}}
        assert call.trace_headers == {"traceparent": values["traceparent"]}


async def test_a_header_with_one_value_in_two_lines_counts_once():
    notebook = LocalNotebook()
    same = {"x-request-id": "one", "x-request-timeout": "5000", "x-notebook-authorization": "Basic a"}
    headers = [item for item in same.items() for _ in range(2)]
    async with client(notebook=notebook) as http:
        answer = await http.post("/graphql", json=READ, headers=headers)
    assert answer.headers["x-request-id"] == "one"
    assert notebook.seen[0].credentials == {"notebook": {"authorization": "Basic a"}}


SIMULATED = {
    "local": ("TITLE_TAKEN", "local", False, "TITLE_TAKEN", None),
    "any case": ("title_Taken", "local", False, "TITLE_TAKEN", None),
    "sandbox": ("TITLE_TAKEN", "sandbox", False, "TITLE_TAKEN", None),
    "fault": ("html-500", "sandbox", False, "HTML-500", None),
    "fault without a sandbox": ("timeout", "local", False, None, "SIMULATION_REFUSED"),
    "real service": ("TITLE_TAKEN", "refused", False, None, "SIMULATION_REFUSED"),
    "production": ("TITLE_TAKEN", "local", True, None, "SIMULATION_REFUSED"),
    "unknown": ("NOPE", "local", False, None, "SIMULATION_UNKNOWN"),
    "the gateway's own": ("CONNECTION_LOST", "local", False, None, "SIMULATION_UNKNOWN"),
    "empty": ("", "local", False, None, "SIMULATION_UNKNOWN"),
}


@pytest.mark.parametrize(("wanted", "mode", "production", "passed", "reason"), SIMULATED.values(), ids=SIMULATED)
async def test_a_failure_is_simulated_where_nothing_real_can_happen(wanted, mode, production, passed, reason):
    notebook = LocalNotebook()
    async with client(EdgeSettings(production=production), notebook=notebook, simulated={"notebook": mode}) as http:
        answer = await http.post("/graphql", json=READ, headers={"x-simulate": wanted})
    assert answer.status_code == (200 if passed else 400)
    if passed:
        assert notebook.seen[0].simulate == passed
    else:
        assert answer.json()["errors"][0]["extensions"]["reason"] == reason
        assert notebook.calls == []


@pytest.mark.parametrize(("given", "status"), [("s3cret", 200), ("S3cret", 401), ("", 401), (None, 401), ("é", 401)])
async def test_the_routers_secret_opens_federations_fields(given, status):
    settings = EdgeSettings(router_secret="s3cret")
    assert "s3cret" not in repr(settings)
    headers = {} if given is None else {"Router-Authorization": given.encode()}
    async with client(settings) as http:
        for query in ("{ _service { sdl } }", "{ _entities(representations: []) { __typename } }"):
            answer = await http.post("/graphql", json={"query": query}, headers=headers)
            assert answer.status_code == status
        assert (await http.post("/graphql", json=READ, headers=headers)).status_code == 200


TRACED = {"apollo-federation-include-trace": "ftv1"}


@pytest.mark.parametrize(
    ("headers", "secret", "traced"),
    [
        (TRACED | {"router-authorization": "s3cret"}, "s3cret", True),
        (TRACED | {"router-authorization": "other"}, "s3cret", False),
        (TRACED, "s3cret", False),
        (TRACED, None, False),
        ({"router-authorization": "s3cret"}, "s3cret", False),
    ],
)
async def test_a_federated_trace_is_for_the_trusted_router(headers, secret, traced):
    async with client(EdgeSettings(router_secret=secret)) as http:
        answer = (await http.post("/graphql", json=READ, headers=headers)).json()
    assert ("extensions" in answer) == traced
    if traced:
        assert b"note" in base64.b64decode(answer["extensions"]["ftv1"])


async def test_a_trace_hides_what_an_answer_hides():
    headers = TRACED | {"router-authorization": "s3cret"}
    asked = {"query": UPDATE, "variables": {"input": {"title": "bug"}}}
    async with client(EdgeSettings(router_secret="s3cret")) as http:
        answer = (await http.post("/graphql", json=asked, headers=headers)).json()
    trace = base64.b64decode(answer["extensions"]["ftv1"])
    assert b"Internal server error" in trace
    assert b"secret-host" not in trace


async def test_cors_answers_the_listed_origins_only():
    settings = EdgeSettings(cors_origins=("https://app.example",))
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-notebook-authorization",
    }
    async with client(settings) as http:
        allowed = await http.options("/graphql", headers={"origin": "https://app.example", **asked})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        other = await http.options("/graphql", headers={"origin": "https://evil.example", **asked})
        assert "access-control-allow-origin" not in other.headers
        answer = await http.post("/graphql", json=OK, headers={"origin": "https://app.example"})
        assert answer.headers["access-control-expose-headers"] == "x-request-id"
    async with client() as http:
        answer = await http.post("/graphql", json=OK, headers={"origin": "https://app.example"})
        assert "access-control-allow-origin" not in answer.headers


USUAL = (
    "traceparent, tracestate, baggage, sentry-trace, apollographql-client-name, apollographql-client-version, "
    "x-requested-with, idempotency-key, x-language, content-type, authorization, x-request-id, x-request-timeout, "
    "x-simulate, apollo-require-preflight, x-apollo-operation-name, accept-language, x-notebook-authorization"
)
APP = ("https://app.example",)
PREFLIGHTS = {
    "what clients send": (APP, (), "https://app.example", USUAL, None),
    "further ones": (APP, ("x-own",), "https://app.example", "X-Own,content-type", None),
    "empty elements of a list": (APP, (), "https://app.example", ",content-type,,x-request-id,", None),
    "an empty list": (APP, (), "https://app.example", "", None),
    "another header": (APP, (), "https://app.example", "x-own", "GATEWAY_CORS_HEADERS"),
    "another origin": (APP, (), "https://evil.example", "content-type", "GATEWAY_CORS_ORIGINS"),
    "no origins": ((), (), "https://app.example", "content-type", "GATEWAY_CORS_ORIGINS"),
    "an origin that no log can show": ((), (), "https://a\u00e9.example", "content-type", "GATEWAY_CORS_ORIGINS"),
}


@pytest.mark.parametrize(("origins", "headers", "origin", "asked", "setting"), PREFLIGHTS.values(), ids=PREFLIGHTS)
async def test_a_refused_preflight_is_logged_once_with_its_setting(origins, headers, origin, asked, setting, caplog):
    caplog.set_level(logging.WARNING)
    sent = {
        "origin": origin.encode("latin-1"),
        "access-control-request-method": "POST",
        "access-control-request-headers": asked,
    }
    app = notebook_app(EdgeSettings(cors_origins=origins, cors_headers=headers))
    async with serve(app) as (url, _), httpx.AsyncClient(base_url=url) as http:
        answers = [await http.options("/graphql", headers=sent) for _ in range(20)]
    assert {answer.status_code < 300 for answer in answers} == {setting is None}
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ([] if setting is None else [f"a browser's preflight was refused; {setting} decides"])
    assert all("\u00e9" not in record.origin for record in caplog.records)


@pytest.mark.parametrize(
    ("host", "status"),
    [("gateway.test", 200), ("GATEWAY.test:8000", 200), ("[::1]:80", 200), ("[::1]", 200), ("evil.example", 421)],
)
async def test_only_the_listed_hosts_are_answered(host, status):
    settings = EdgeSettings(allowed_hosts=("gateway.test", "[::1]"))
    async with client(settings) as http:
        assert (await http.post("/graphql", json=OK, headers={"host": host})).status_code == status


async def test_health_and_unknown_addresses():
    usable = True

    async def ready():
        return usable

    async with client(ready=ready) as http:
        assert (await http.get("/health/live")).json() == {"status": "live"}
        assert (await http.get("/health/ready")).status_code == 200
        usable = False
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/nope")).json()["errors"][0]["extensions"]["reason"] == "PATH_NOT_FOUND"
        assert (await http.get("/metrics")).status_code == 404
        assert (await http.post("/health/live")).status_code == 405


async def test_metrics_are_answered_by_whoever_brings_them():
    async def metrics(_request):
        return PlainTextResponse("up 1\n")

    async with client(metrics=metrics) as http:
        assert (await http.get("/metrics")).text == "up 1\n"


async def test_a_surprise_outside_graphql_is_an_answer_too(caplog):
    async def ready():
        raise ZeroDivisionError("secret-host.internal")

    async with client(ready=ready) as http:
        answer = await http.get("/health/ready")
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "secret-host" not in answer.text
    assert "secret-host" in caplog.text


async def test_an_observer_is_told_of_every_operation():
    told = []

    class Observer:
        async def operation(self, _request, context, execution):
            result = await execution
            told.append((context.call.request_id, result.operation and result.operation.name, len(result.errors)))
            return result

        def request_error(self, code, reason):
            told.append((code, reason))

    async with client(observer=Observer()) as http:
        await http.post(
            "/graphql",
            json={"query": UPDATE, "variables": {"input": {"title": "taken"}}},
            headers={"x-request-id": "one"},
        )
        await http.post("/graphql", json={"query": "{"}, headers={"x-request-id": "two"})
        await http.post("/graphql", content="{}", headers={"content-type": "text/plain"})
    assert told == [("one", "Change", 1), ("two", None, 1), ("BAD_REQUEST", "UNSUPPORTED_MEDIA_TYPE")]


def test_strict_mode_without_documents_is_refused_at_the_start():
    with pytest.raises(ValueError, match="trusted_documents"):
        notebook_app(EdgeSettings(trusted_only=True))


async def test_only_trusted_documents_run_in_strict_mode(tmp_path):
    (tmp_path / "known.graphql").write_text("{ __typename }\n")
    async with client(EdgeSettings(trusted_documents=tmp_path, trusted_only=True)) as http:
        assert (await http.post("/graphql", json=OK)).json() == {"data": {"__typename": "Query"}}
        refused = await http.post("/graphql", json=READ)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["reason"]) == (
            400,
            "DOCUMENT_NOT_TRUSTED",
        )


async def test_a_trusted_document_that_cannot_run_is_told_at_the_start(tmp_path, caplog):
    path = tmp_path / "manifest.json"
    path.write_text('{"old": "{ gone }", "known": "{ __typename }", "same": "{ __typename }"}')
    async with client(EdgeSettings(trusted_documents=path, trusted_only=True)) as http:
        assert caplog.messages == ["the trusted document old cannot run: Cannot query field 'gone' on type 'Query'."]
        assert (await http.post("/graphql", json=OK)).json() == {"data": {"__typename": "Query"}}


def test_the_application_shows_its_parts():
    app = notebook_app()
    assert app.state.engine.documents.misses == 0
    assert app.state.in_flight == set()
