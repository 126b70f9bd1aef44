"""What the README tells an operator: each transcript and line is what the program says, each file is read and tried."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from email.message import Message
from types import SimpleNamespace

import httpx
import pytest
import yaml

from app.apis import APIS
from app.config import check_settings, parse_settings
from app.gateway_settings import GatewaySettings
from app.journal.hashes import Hashes
from app.telemetry.lines import Line
from tests.processes import PATIENCE, program, run
from tests.telemetry.running import CUSTOMER, update
from tests.test_readme import EXPORT, TEXT, check, marked, transcripts

PYTHON = ".venv/bin/python"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a container listens on


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with program(tmp_path_factory.mktemp("shop"), **dict(EXPORT.findall(marked("callers: settings")))) as started:
        yield started


@pytest.mark.parametrize("number", range(3), ids=["without a token", "with it", "beyond its scopes"])
def test_a_callers_transcript_is_what_the_gateway_answers(shop, number):
    command, answer = transcripts(marked("callers: transcript"))[number]
    check(command, answer, shop.url)


def test_the_one_command_makes_a_token_that_works(tmp_path):
    command = shlex.split(marked("token"))
    assert command[0] == PYTHON
    made = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True).stdout
    token, setting = made.splitlines()
    name, _, value = setting.partition("=")
    with program(tmp_path, **{name: value}) as gateway:
        bearer = {"authorization": "Bearer " + token.removeprefix("token: ")}
        asked = {"query": "{ __typename }"}
        assert httpx.post(f"{gateway.url}/graphql", json=asked, headers=bearer).status_code == 200
        assert httpx.post(f"{gateway.url}/graphql", json=asked).status_code == 401


@pytest.mark.slow
def test_a_token_is_rotated_as_the_page_says_without_a_restart(tmp_path):
    ((name, file),) = EXPORT.findall(marked("callers: file"))
    old, new = "token-of-the-shop", "another-token-of-the-shop"
    (entry,) = [value for _, value in EXPORT.findall(marked("callers: settings"))]
    (tmp_path / file).write_text(f"# the shop's\n{entry}\n")

    def status(gateway, token):
        headers = {"authorization": f"Bearer {token}"}
        return httpx.post(f"{gateway.url}/graphql", json={"query": "{ __typename }"}, headers=headers).status_code

    with program(tmp_path, **{name: file}) as gateway:
        assert (status(gateway, old), status(gateway, new)) == (200, 401)
        variables = {**os.environ, "NEW_TOKEN": new, "GATEWAY_PID": str(gateway.process.pid)}
        subprocess.run(["bash", "-euc", marked("callers: rotation")], cwd=tmp_path, env=variables, check=True)
        while status(gateway, new) != 200:
            assert gateway.process.poll() is None, gateway.output()
        assert status(gateway, old) == 200


def test_the_settings_of_signed_tokens_go_together():
    check_settings(parse_settings(APIS, dict(EXPORT.findall(marked("jwt")))), APIS)


VARYING = {"time", "duration_ms", "backend_ms"}


@pytest.mark.slow
def test_the_log_line_is_one_that_is_written(tmp_path):
    shown = json.loads(marked("log"))
    rest = dict(EXPORT.findall(marked("gateway")))
    callers = {"GATEWAY_CALLER_TOKENS": dict(EXPORT.findall(marked("callers: settings")))["GATEWAY_CALLER_TOKENS"]}
    (tmp_path / "sandbox").mkdir()
    with program(tmp_path / "sandbox", "sandbox") as sandbox:
        settings = {name: value.replace("http://127.0.0.1:8001", sandbox.url) for name, value in rest.items()}
        with program(tmp_path, **settings, **callers) as gateway:
            headers = {"authorization": "Bearer token-of-the-shop", "x-request-id": shown["request_id"]}
            wrong = update("Anna Bakery BV", input={"vatCode": {"code": "NL99"}})
            httpx.post(f"{gateway.url}/graphql", json=wrong, headers=headers)
            gateway.process.send_signal(signal.SIGTERM)
            gateway.process.wait(PATIENCE)
    lines = [json.loads(line) for line in gateway.output().splitlines()]
    (line,) = [line for line in lines if line["logger"] == shown["logger"]]
    assert list(line) == list(shown)
    assert {name: line[name] for name in line.keys() - VARYING} == {name: shown[name] for name in line.keys() - VARYING}


def test_every_member_of_a_log_line_is_explained():
    _, _, rest = TEXT.partition("<!-- log members -->\n")
    table = rest.partition("\n\n")[0]
    explained = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert explained == {*Line.__struct_fields__, "exception"}


@pytest.fixture(scope="module")
def sandboxed(tmp_path_factory):
    """A folder and settings of a gateway before the sandbox."""
    with program(tmp_path_factory.mktemp("behind"), "sandbox") as sandbox:
        yield dict(EXPORT.findall(marked("gateway").replace("http://127.0.0.1:8001", sandbox.url)))


def transcript(name):
    """Variables, arguments and the output of the one command of a block."""
    ((command, answer),) = transcripts(marked(name))
    words = shlex.split(command)
    given = dict(word.split("=", 1) for word in itertools.takewhile(lambda word: "=" in word, words))
    assert words[len(given) : len(given) + 3] == [PYTHON, "-m", "app"]
    return given, words[len(given) + 3 :], answer


def test_the_check_says_what_the_readme_shows(tmp_path, sandboxed):
    given, arguments, answer = transcript("check")
    ended = run(tmp_path, *arguments, **{**sandboxed, **given})
    assert (ended.stdout, ended.stderr, ended.returncode) == (answer, "", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_undocumented_answer_is_listed_as_the_readme_shows(tmp_path, sandboxed):
    _, arguments, answer = transcript("undocumented")
    with program(tmp_path, **sandboxed) as gateway:
        httpx.post(f"{gateway.url}/graphql", json=update(), headers={"x-simulate": "html-500"})
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(PATIENCE)
    ended = run(tmp_path, *arguments, **sandboxed)
    moment = re.compile(r"2\d{3}-\d\d-\d\d(T\d\d:\d\d:\d\d\+00:00)?")
    assert moment.sub("when", ended.stdout).rstrip() == moment.sub("when", answer).rstrip()


def told(name):
    """Document, variables and answer of a marked operation."""
    _, _, rest = TEXT.partition(f"<!-- {name} -->\n")
    document, variables, answer = (body for _, body in re.findall(r"```(graphql|json)\n(.*?)```", rest, re.DOTALL)[:3])
    return {"query": document, "variables": json.loads(variables)}, json.loads(answer)


@pytest.mark.slow
def test_the_journal_tells_what_its_page_shows(tmp_path):
    changing, replayed = told("journal: key")
    asking, entries = told("journal: updates")
    headers = {"idempotency-key": "order-4711", "x-request-id": asking["variables"]["requestId"]}
    with program(tmp_path) as gateway:
        first, again = (httpx.post(f"{gateway.url}/graphql", json=changing, headers=headers).json() for _ in range(2))
        assert httpx.post(f"{gateway.url}/graphql", json=asking).json() == entries
    assert (first["data"]["patchSupplier"].pop("replayed"), again) == (False, replayed)
    _, arguments, answer = transcript("journal: command")
    ended = run(tmp_path, *arguments)
    moment = re.compile(r"2\d{3}-\d\d-\d\dT[\d:.]+Z")
    assert moment.sub("when", ended.stdout) == moment.sub("when", answer)


def test_a_person_is_found_as_the_page_of_the_journal_computes_it():
    lines = marked("journal: person").splitlines()
    (name, secret) = EXPORT.findall(lines[0])[0]
    command = shlex.split("\n".join(lines[1:]))
    assert command[0] == PYTHON
    made = subprocess.run(
        [sys.executable, *command[1:]], env={name: secret}, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert made == Hashes(secret).person(command[-1])
    check_settings(parse_settings(APIS, {name: secret}), APIS)


def test_prometheus_is_told_of_the_metrics(shop):
    (job,) = yaml.safe_load(marked("prometheus"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{GatewaySettings().port}"]}]
    assert httpx.get(shop.url + job["metrics_path"]).status_code == 401


class Collector:
    """What an OTLP/HTTP endpoint gets."""

    def __init__(self):
        self.resources = []

    async def __call__(self, scope, receive, send):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = Message()
        for name, value in scope["headers"]:
            headers[name.decode()] = value.decode()
        if headers["content-encoding"] == "gzip":
            import gzip

            body = gzip.decompress(body)
        assert scope["path"] == "/v1/traces"
        self.resources += ExportTraceServiceRequest.FromString(body).resource_spans
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def spans(self):
        """Service and span, of everything that came."""
        for resource in self.resources:
            (service,) = [
                item.value.string_value for item in resource.resource.attributes if item.key == "service.name"
            ]
            for scope in resource.scope_spans:
                yield from (SimpleNamespace(service=service, span=span) for span in scope.spans)


@pytest.mark.slow
async def test_one_trace_over_two_programs_reaches_the_endpoint_of_the_variables(tmp_path):
    """As started by hand: the gateway and the sandbox export for themselves, under the caller's trace id."""
    import asyncio

    from starlette.applications import Starlette
    from starlette.routing import Mount

    from tests.harness import serving

    trace = "0af7651916cd43dd8448eb211c80319c"
    collector = Collector()
    (name, port_setting) = EXPORT.findall(marked("traces"))[0]
    assert port_setting == "http://127.0.0.1:4318"

    def both(endpoint):
        (tmp_path / "sandbox").mkdir()
        with program(tmp_path / "sandbox", "sandbox", **{name: endpoint}) as sandbox:
            rest = dict(EXPORT.findall(marked("gateway").replace("http://127.0.0.1:8001", sandbox.url)))
            with program(tmp_path, **rest, **{name: endpoint}) as gateway:
                headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
                return httpx.post(f"{gateway.url}/graphql", json=update(), headers=headers).json()

    async with serving(Starlette(routes=[Mount("/", collector)])) as url:
        answer = await asyncio.to_thread(both, url)
    assert "errors" not in answer
    found = list(collector.spans())
    of_trace = [item for item in found if item.span.trace_id.hex() == trace]
    by_id = {item.span.span_id: item for item in of_trace}
    (commit,) = [item for item in of_trace if item.span.name == "store commit"]
    line = []
    step = commit
    while step is not None:
        line.append((step.service, step.span.name))
        step = by_id.get(step.span.parent_span_id)
    assert line == [
        ("sandbox", "store commit"),
        ("sandbox", "PUT *"),
        ("gateway", "PUT basecone"),
        ("gateway", "GraphQL mutation"),
        ("gateway", "POST /graphql"),
    ]
    assert not any(CUSTOMER in str(item.span) for item in found)
