"""Over real sockets: a client that goes away, a body that does not come, a shutdown, the reference audit."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from app.edge.settings import EdgeSettings
from tests.edge.serving import notebook_app, serve
from tests.graphql.asking import UPDATE
from tests.graphql.notebook import FIRST, LocalNotebook

SLOW = json.dumps({"query": UPDATE, "variables": {"input": {"title": "slow"}}}).encode()


def request(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    return head.encode() + body


async def connect(address: str):
    host, port = address.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def test_a_client_that_goes_away_does_not_abort_its_mutation():
    notebook = LocalNotebook()
    app = notebook_app(notebook=notebook)
    async with serve(app) as (address, _):
        _, writer = await connect(address)
        writer.write(request(SLOW))
        await notebook.entered.wait()
        (operation,) = app.state.in_flight
        writer.transport.abort()
        # The server has seen the end of the connection once a later one is answered.
        reader, second = await connect(address)
        second.write(b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        await reader.read()
        second.close()
        notebook.release.set()
        await operation
    assert notebook.notes[FIRST]["title"] == "slow"


async def test_the_number_of_operations_at_a_time_is_bounded():
    notebook = LocalNotebook()
    settings = EdgeSettings(max_operations=1)
    async with serve(notebook_app(settings, notebook)) as (address, _), httpx.AsyncClient() as http:
        first = asyncio.create_task(
            http.post(f"{address}/graphql", content=SLOW, headers={"content-type": "application/json"})
        )
        await notebook.entered.wait()
        for media in ("application/json", "application/graphql-response+json"):
            busy = await http.post(f"{address}/graphql", json={"query": "{ __typename }"}, headers={"accept": media})
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
            assert busy.headers["content-type"] == "application/json; charset=utf-8"
            extensions = busy.json()["errors"][0]["extensions"]
            assert (extensions["code"], extensions["retry"]) == ("BACKEND_UNAVAILABLE", {"afterSeconds": 1})
        notebook.release.set()
        assert (await first).json() == {"data": {"updateNote": {"note": {"title": "slow"}}}}
        assert (await http.post(f"{address}/graphql", json={"query": "{ __typename }"})).status_code == 200


async def test_shutdown_waits_for_an_operation_that_nobody_waits_for():
    notebook = LocalNotebook()
    closed = []

    @contextlib.asynccontextmanager
    async def lifespan(_app):
        yield
        closed.append(notebook.notes[FIRST]["title"])

    async with serve(notebook_app(notebook=notebook, lifespan=lifespan)) as (address, server):
        _, writer = await connect(address)
        writer.write(request(SLOW))
        await notebook.entered.wait()
        writer.transport.abort()
        server.should_exit = True
        notebook.release.set()
    assert closed == ["slow"]


async def test_a_body_that_does_not_come_is_not_waited_for():
    async with serve(notebook_app(EdgeSettings(body_seconds=0.01))) as (address, _):
        reader, writer = await connect(address)
        writer.write(request(b'{"query', length=100))
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"BODY_TOO_SLOW" in answer


async def test_a_body_that_does_not_come_is_answered_when_the_time_to_shut_down_is_over():
    async with serve(notebook_app(), timeout_graceful_shutdown=0) as (address, server):
        reader, writer = await connect(address)
        writer.write(request(b'{"query', length=100).replace(b"host: a", b"host: a\r\nexpect: 100-continue"))
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"  # the body is being waited for
        server.should_exit = True
        answer = await reader.read()
        writer.close()
    assert b"HTTP/1.1 408 " in answer
    assert b"BODY_TOO_SLOW" in answer


async def test_a_mutation_that_outlasts_the_shutdown_is_answered_as_unknown_and_finished():
    notebook = LocalNotebook()
    async with serve(notebook_app(notebook=notebook), timeout_graceful_shutdown=0) as (address, server):
        reader, writer = await connect(address)
        writer.write(request(SLOW).replace(b"host: a", b"host: a\r\nx-request-id: last"))
        await notebook.entered.wait()
        server.should_exit = True
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        notebook.release.set()
    assert head.startswith(b"HTTP/1.1 500 ")
    (error,) = json.loads(body)["errors"]
    assert error["extensions"] == {
        "code": "INTERNAL_SERVER_ERROR",
        "reason": "INTERNAL",
        "outcome": "UNKNOWN",
        "retry": {"safe": False},
        "requestId": "last",
    }
    assert notebook.notes[FIRST]["title"] == "slow"


AUDIT = """
import { auditServer } from "graphql-http";
const results = await auditServer({ url: process.argv[2], fetchFn: fetch });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
"""


@pytest.mark.external
async def test_the_reference_audit_passes(tmp_path: Path):
    """All 61 items of npm's graphql-http: https://github.com/graphql/graphql-http#audits."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("the audit is a Node program; this machine has no npm")
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    (tmp_path / "audit.mjs").write_text(AUDIT)
    await asyncio.to_thread(
        subprocess.run,
        [npm, "install", "--no-audit", "--no-fund", "graphql-http@1.23.1", "graphql@16"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    async with serve(notebook_app()) as (address, _):
        process = await asyncio.create_subprocess_exec(
            node, "audit.mjs", f"{address}/graphql", cwd=tmp_path, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    results = json.loads(output)
    assert [item for item in results if item["status"] != "ok"] == []
    assert len(results) == 61
