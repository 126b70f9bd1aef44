"""Real gateway processes under load: killed, told to stop, and several on one PostgreSQL.

`-n 0 -o log_cli=true -o log_cli_level=info` shows the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sqlite3
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from app.apis.basecone.seed import CUSTOMERS
from app.store.engine import open_store
from tests.patience import given_time
from tests.processes import PATIENCE, program
from tests.resilience.load import COLLECTIONS, Connection, Ledger, Load, LostError, body_of, marks_of
from tests.resilience.neighbour import CUSTOMER, rest_settings
from tests.resilience.neighbour import request as neighbour_request
from tests.upstream.bad_server import BadServer, answer, says, status

log = logging.getLogger(__name__)
SLOW = pytest.mark.slow
# No limit of a backend or a request ends what hangs before the shutdown does.
PATIENT = {"GATEWAY_BACKEND_SECONDS": "900", "GATEWAY_REQUEST_SECONDS": "900"}


@SLOW
@pytest.mark.parametrize("rounds", [50])
async def test_kill_9_loses_no_acknowledged_update_and_leaves_no_half(url: str, rounds: int, tmp_path: Path):
    ledger, heard = Ledger(), 0
    for number in range(rounds):
        with program(tmp_path, GATEWAY_STORE_URL=url) as gateway:
            load = Load(gateway.url, f"k{number}")
            wanted = 10 + 37 * number % 101
            await load.until(wanted)
            assert load.tally.answered >= wanted
            gateway.process.kill()
            tally = await load.ended()
            gateway.process.wait()
        store = await open_store(url, COLLECTIONS, ())
        await ledger.check(store, tally, in_order=True)
        await store.aclose()
        heard += tally.answered
    log.info(
        "kill -9 x %d: %d acknowledged, all there; %d applied unheard, whole", rounds, heard, ledger.applied_unheard
    )


@pytest.mark.parametrize(
    ("rounds", "workers"), [(1, 1), pytest.param(20, 1, marks=SLOW), pytest.param(5, 2, marks=SLOW)]
)
async def test_sigterm_under_load_loses_no_request(rounds: int, workers: int, tmp_path: Path):
    """Every request that was sent has its whole answer; what the answers say is what the store holds."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    ledger, heard, lost = Ledger(), 0, 0
    for number in range(rounds):
        with program(
            tmp_path, GATEWAY_STORE_URL=url, GATEWAY_SHUTDOWN_SECONDS="300", GATEWAY_WORKERS=str(workers)
        ) as gateway:
            load = Load(gateway.url, f"t{number}", clients=3)
            await load.until(20 + 37 * number % 101)
            gateway.process.send_signal(signal.SIGTERM)
            tally = await load.ended()
            assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 0
        assert tally.lost == 0
        store = await open_store(url, COLLECTIONS, ())
        await ledger.check(store, tally, in_order=False)
        await store.aclose()
        heard += tally.answered + tally.conflicts
        lost += tally.lost
    assert ledger.applied_unheard == 0
    log.info("SIGTERM x %d: %d answered, %d lost", rounds, heard, lost)


async def test_readiness_is_false_once_the_shutdown_has_begun(tmp_path: Path):
    """Asked over a connection from before, while an update is still waited for; the update is answered whole."""
    arrived, release = asyncio.Event(), asyncio.Event()

    async def script(exchange) -> None:
        arrived.set()
        await release.wait()
        await exchange.send(answer(204))

    async with BadServer(script) as server, contextlib.AsyncExitStack() as stack:
        settings = rest_settings(dict.fromkeys(("basecone", "bokamera"), server.url))
        # The server is in this process, so that starting the gateway may not block it.
        with program(tmp_path, **settings) as gateway:
            host, port = gateway.url.removeprefix("http://").split(":")
            probing = stack.enter_context(contextlib.closing(Connection(host, int(port))))
            assert (await probing.get("/health/ready"))[0] == 200
            updating = stack.enter_context(contextlib.closing(Connection(host, int(port))))
            update = asyncio.create_task(updating.post(json.dumps(neighbour_request("basecone")).encode()))
            await arrived.wait()
            gateway.process.send_signal(signal.SIGTERM)
            while (ready := await probing.get("/health/ready"))[0] == 200:
                pass
            assert ready == (503, {"status": "not ready", "part": "gateway"})
            release.set()
            assert "errors" not in await update
            assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 0
            assert server.puts == 1


async def test_a_shutdown_ends_in_the_grace_time_whatever_hangs(tmp_path: Path):
    """What could not be finished is told as unknown, and the exit code and the log say so, too."""
    hanging = BadServer(says(b"", then="hang"))
    async with hanging as server:
        settings = rest_settings(dict.fromkeys(("basecone", "bokamera"), server.url)) | PATIENT
        with program(tmp_path, GATEWAY_SHUTDOWN_SECONDS="2", **settings) as gateway:
            host, port = gateway.url.removeprefix("http://").split(":")
            connection = Connection(host, int(port))
            update = asyncio.create_task(connection.post(json.dumps(neighbour_request("basecone")).encode()))
            while not server.puts:
                await asyncio.sleep(0)
            gateway.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 1
            [error] = (await update)["errors"]
            connection.close()
        assert (error["extensions"]["code"], error["extensions"]["outcome"]) == ("INTERNAL_SERVER_ERROR", "UNKNOWN")
        assert "operations are abandoned" in gateway.output()


@SLOW
async def test_a_thousand_concurrent_updates_of_one_record_over_four_gateways(
    postgres_url: str,
    tmp_path: Path,
):
    """Winners and those that were refused for certain are all there is: a conflict, or on a slow machine no free connection.

    Each winner is counted once by the store, and one of them is the record.
    """
    record = ("updateCustomer", CUSTOMER)
    async with contextlib.AsyncExitStack() as stack:
        gateways = [stack.enter_context(program(tmp_path, GATEWAY_STORE_URL=postgres_url)) for _ in range(4)]
        connections = []
        for number in range(1000):
            host, port = gateways[number % 4].url.removeprefix("http://").split(":")
            connections.append(Connection(host, int(port)))
            stack.callback(connections[-1].close)
        # Connected first, so that all of them are sent at once.
        assert {(await connection.get("/health/live"))[0] for connection in connections} == {200}
        marks = [f"m{number}" for number in range(1000)]
        told = await asyncio.gather(
            *(connection.post(body_of(*record, mark)) for connection, mark in zip(connections, marks, strict=True))
        )
    winners = [mark for mark, answer in zip(marks, told, strict=True) if "errors" not in answer]
    errors = [answer["errors"][0]["extensions"] for answer in told if "errors" in answer]
    assert {(error["outcome"], error["retry"]["safe"]) for error in errors} <= {("NOT_APPLIED", True)}
    assert {error["reason"] for error in errors} <= {"CONCURRENT_REQUEST", "STORE_UNAVAILABLE"}
    assert len(winners) + len(errors) == 1000
    store = await open_store(postgres_url, COLLECTIONS, ())
    final = await store.get(CUSTOMERS, CUSTOMER)
    await store.aclose()
    [mark] = marks_of(record[0], final.document)
    assert mark in winners
    assert final.version == 1 + len(winners)
    log.info("1,000 updates of one record over 4 gateways: %d won, %d conflicts", len(winners), len(errors))


@pytest.fixture(
    params=[
        pytest.param("backend with two workers", marks=SLOW),
        pytest.param("SQLite", marks=SLOW),
        pytest.param("PostgreSQL", marks=SLOW),
    ]
)
def hanging(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    """What hangs, and the store's URL where it is not the usual one."""
    url = request.getfixturevalue("postgres_url") if request.param == "PostgreSQL" else None
    return request.param, url


async def test_a_shutdown_that_abandons_an_operation_says_so_in_the_grace_time(
    hanging: tuple[str, str | None], tmp_path: Path
):
    """Each attempt has a longer grace time: a machine that stood still to its end has the worker killed without a word."""

    async def within(seconds: float) -> None:
        try:
            await abandoned(*hanging, tmp_path, seconds)
        except LostError as error:
            raise AssertionError from error

    await given_time(within, 2)


async def abandoned(hangs: str, url: str | None, tmp_path: Path, seconds: float) -> None:
    settings = {"GATEWAY_SHUTDOWN_SECONDS": str(seconds), **PATIENT}
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(BadServer(says(b"", then="hang")))
        if hangs == "backend with two workers":
            settings |= rest_settings(dict.fromkeys(("basecone", "bokamera"), server.url)) | {"GATEWAY_WORKERS": "2"}
        elif url is not None:
            settings["GATEWAY_STORE_URL"] = url
        gateway = stack.enter_context(program(tmp_path, **settings))
        host, port = gateway.url.removeprefix("http://").split(":")
        connection = Connection(host, int(port))
        stack.callback(connection.close)
        assert (await connection.get("/health/live"))[0] == 200
        if hangs == "SQLite":
            foreign = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
            foreign.execute("BEGIN IMMEDIATE")
            stack.callback(foreign.close)
        elif url is not None:
            holder = await asyncpg.connect(url)
            stack.push_async_callback(holder.close)
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT 1 FROM basecone_customers FOR UPDATE")
        update = asyncio.create_task(connection.post(json.dumps(neighbour_request("basecone")).encode()))
        if hangs == "backend with two workers":
            while not server.puts:
                await asyncio.sleep(0)
        else:
            await in_flight(gateway.url)
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 1
        [error] = (await update)["errors"]
    assert (error["extensions"]["code"], error["extensions"]["outcome"]) == ("INTERNAL_SERVER_ERROR", "UNKNOWN")


async def in_flight(url: str) -> None:
    """Until an operation is under way."""
    async with httpx.AsyncClient(base_url=url) as client:
        while "gateway_operations_in_flight 1.0" not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.01)


@SLOW
async def test_a_worker_that_cannot_start_leaves_the_others_alone_and_is_tried_again(tmp_path: Path):
    """The store is away while a worker dies; what needs no store goes on, and both serve again when it is back."""
    async with BadServer(status(204)) as server:
        settings = rest_settings(dict.fromkeys(("basecone", "bokamera"), server.url)) | {
            "GATEWAY_WORKERS": "2",
            "GATEWAY_JOURNAL": "false",
        }
        # The local store is the other one's; the journal would need it, too.
        settings = {name: value for name, value in settings.items() if not name.startswith("GATEWAY_BOKAMERA")}
        with program(tmp_path, **settings) as gateway:
            async with httpx.AsyncClient(base_url=gateway.url) as client:
                while len(workers := workers_of(gateway.process.pid)) < 2:
                    await asyncio.sleep(0.05)
                while "startup complete" not in gateway.output().split("startup complete", 1)[-1]:
                    await asyncio.sleep(0.05)
                path = tmp_path / "gateway.db"
                away = path.rename(tmp_path / "away.db")
                path.mkdir()
                os.kill(workers[0], signal.SIGKILL)
                while "exit code 3, another one" not in gateway.output():
                    assert gateway.process.poll() is None
                    await asyncio.sleep(0.05)
                assert "errors" not in (await client.post("/graphql", json=neighbour_request("basecone"))).json()
                path.rmdir()
                away.rename(path)
                before = gateway.output().count("startup complete")
                while gateway.output().count("startup complete") == before:
                    await asyncio.sleep(0.05)
            gateway.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(gateway.process.wait, PATIENCE) == 0


def workers_of(pid: int) -> list[int]:
    children = psutil.Process(pid).children()
    return [child.pid for child in children if any("spawn_main" in part for part in child.cmdline())]
