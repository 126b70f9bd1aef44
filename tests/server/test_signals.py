"""The program as it is told: to read again, to stop in a while; and what strangers may cost it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.edge.serving import notebook_app, serve
from tests.patience import given_time
from tests.processes import PATIENCE, ROOT, Program, environment, program
from tests.resilience.test_processes import workers_of
from tests.server.speaking import WAYS, answers_of, get, post, spoken, update


async def says(gateway: Program, text: str, times: int = 1) -> None:
    while gateway.output().count(text) < times:
        assert gateway.process.poll() is None
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "command", [(), pytest.param(("sandbox",), marks=pytest.mark.slow)], ids=["gateway", "sandbox"]
)
async def test_sighup_never_ends_the_process(command: tuple[str, ...], tmp_path: Path):
    with program(tmp_path, *command) as server:
        server.process.send_signal(signal.SIGHUP)
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await client.get("/health/live")).status_code == (404 if command else 200)
        assert server.process.poll() is None


@pytest.mark.parametrize("arguments", [[], ["serve"], ["sandbox"], ["apply", "file"]], ids="-".join)
def test_sighup_does_not_end_a_start_either(arguments: list[str], tmp_path: Path):
    """Loading takes seconds on a busy machine. The first library that is loaded looks; who waits at a terminal may end."""
    (tmp_path / "starlette.py").write_text("import signal; raise SystemExit(repr(signal.getsignal(signal.SIGHUP)))")
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under `nohup` a program inherits that it is ignored
    try:
        started = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            env=environment({}) | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    handler = signal.SIG_DFL if arguments[:1] == ["apply"] else signal.SIG_IGN
    assert started.stderr.strip() == repr(handler)


@pytest.mark.slow
async def test_every_worker_is_told_and_none_ends(tmp_path: Path):
    """Also one that is only just starting: the signal waits for its handler."""
    with program(tmp_path, GATEWAY_WORKERS="2") as gateway:
        await says(gateway, "startup complete", 2)
        workers = workers_of(gateway.process.pid)
        os.kill(workers[0], signal.SIGKILL)
        await says(gateway, "another one takes its place")
        while len(workers_of(gateway.process.pid)) < 2:
            await asyncio.sleep(0.01)
        gateway.process.send_signal(signal.SIGHUP)
        await says(gateway, "startup complete", 3)
        after = workers_of(gateway.process.pid)
        gateway.process.send_signal(signal.SIGHUP)
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            for _ in range(100):
                assert (await client.get("/health/live")).status_code == 200
        assert workers_of(gateway.process.pid) == after
        assert workers[1] in after


@pytest.mark.slow
async def test_every_worker_reads_the_callers_tokens_again(tmp_path: Path):
    def entry(token: str) -> str:
        return f"{token}:{hashlib.sha256(token.encode()).hexdigest()}\n"

    path = tmp_path / "tokens"
    path.write_text("# who may call\n" + entry("old"))
    with program(tmp_path, GATEWAY_WORKERS="2", GATEWAY_CALLER_TOKENS_FILE=str(path)) as gateway:
        await says(gateway, "startup complete", 2)

        async def statuses(token: str) -> set[int]:
            """Each over a connection of its own, so that both workers are asked."""
            headers = {"authorization": f"Bearer {token}", "connection": "close"}
            async with httpx.AsyncClient(base_url=gateway.url, headers=headers) as client:
                body = {"query": "{ __typename }"}
                return {(await client.post("/graphql", json=body)).status_code for _ in range(20)}

        assert (await statuses("old"), await statuses("new")) == ({200}, {401})
        path.write_text("nobody\n")
        gateway.process.send_signal(signal.SIGHUP)
        await says(gateway, "the former tokens stay", 2)
        assert await statuses("old") == {200}
        path.write_text(entry("new"))
        gateway.process.send_signal(signal.SIGHUP)
        await says(gateway, "tokens was read again", 2)
        assert (await statuses("old"), await statuses("new")) == ({401}, {200})


async def test_the_hook_is_called_and_may_fail(caplog):
    app = notebook_app()
    calls: list[int] = []

    def reload() -> None:
        calls.append(len(calls))
        if len(calls) == 2:
            raise ValueError("no tokens")

    app.state.reload = reload
    async with serve(app) as (address, _):
        for number in range(1, 4):
            os.kill(os.getpid(), signal.SIGHUP)
            while len(calls) < number:
                await asyncio.sleep(0)
        assert [status for status, _ in answers_of(await spoken(address, get()))] == [200]
    assert "everything stays as it was" in caplog.text


@pytest.mark.slow
async def test_a_shutdown_is_announced_for_a_while(tmp_path: Path):
    """New connections are taken, requests are answered, and only `/health/ready` says it."""

    async def announced(seconds: float) -> None:
        delay = {"GATEWAY_SHUTDOWN_DELAY_SECONDS": str(seconds)}
        with program(tmp_path, **delay) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                assert (await client.get("/health/ready")).status_code == 200
                begun = time.monotonic()
                gateway.process.send_signal(signal.SIGTERM)
                try:
                    while (await client.get("/health/ready")).status_code == 200:
                        await asyncio.sleep(0)
                    async with httpx.AsyncClient(base_url=gateway.url) as other:
                        answer = await other.post("/graphql", json={"query": "{ __typename }"})
                except httpx.TransportError as error:
                    raise AssertionError from error
                assert answer.json() == {"data": {"__typename": "Query"}}
                assert "connection" not in answer.headers
            assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 0
            if time.monotonic() - begun < seconds:
                pytest.fail("it ended before its time")

    await given_time(announced, 2)


@pytest.mark.slow
async def test_a_second_signal_ends_the_announcement(tmp_path: Path):
    with program(tmp_path, GATEWAY_SHUTDOWN_DELAY_SECONDS="3600") as gateway:
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{gateway.url}/health/ready")).status_code == 200
            gateway.process.send_signal(signal.SIGTERM)
            while (await client.get(f"{gateway.url}/health/ready")).status_code == 200:
                await asyncio.sleep(0)
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 0


async def test_the_log_says_when_no_connection_can_be_accepted(caplog):
    caplog.set_level(logging.ERROR, "app.server")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serve(notebook_app()) as (_, server):
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            for tick in range(3):
                await server.on_tick(tick)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [record.message.split(":")[0] for record in caplog.records] == ["no connection can be accepted"]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["health", "graphql"])
async def test_a_hundred_megabytes_of_pipelined_requests_are_not_kept(target: str, tmp_path: Path):
    padding = b"x: " + b"a" * 8000
    request = get(b"/health/live", padding) if target == "health" else post(update("new"), padding)
    with program(tmp_path) as gateway:
        host, port = gateway.url.removeprefix("http://").split(":")
        process = psutil.Process(gateway.process.pid)

        def sent(amount: int) -> None:
            with socket.create_connection((host, int(port))) as client:
                client.setblocking(False)
                data, left = memoryview(request * 200), amount
                at = 0
                while left > 0:
                    with contextlib.suppress(BlockingIOError):
                        at += client.send(data[at:])
                        left -= at if at == len(data) else 0
                        at %= len(data)
                    with contextlib.suppress(BlockingIOError):
                        while client.recv(1 << 20):
                            pass

        await asyncio.to_thread(sent, 5_000_000)
        before = process.memory_info().rss
        await asyncio.to_thread(sent, 100_000_000)
        assert process.memory_info().rss - before < 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_thousand_connections_with_one_byte_are_gone_in_their_time(way: Any, caplog):
    caplog.set_level(logging.INFO, "app.server")
    async with (
        serve(notebook_app(), http=way, head_seconds=2) as (address, server),
        contextlib.AsyncExitStack() as stack,
    ):
        host, port = address.removeprefix("http://").split(":")
        for _ in range(1000):
            client = stack.enter_context(contextlib.closing(socket.create_connection((host, int(port)))))
            client.send(b"G")
            await asyncio.sleep(0)
        while server.server_state.connections:
            await asyncio.sleep(0.1)
    assert [record.message for record in caplog.records if record.name == "app.server.summary"] == [
        "closed a connection whose request did not come in time"
    ]
