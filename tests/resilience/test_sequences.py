"""What one call does to the next: pauses, breaker, bulkheads, pool. Over the whole gateway and real sockets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.patience import given_time
from tests.resilience.neighbour import _HEADERS as BEARER
from tests.resilience.neighbour import applied, gatewayed, request
from tests.upstream.bad_server import BadServer, Exchange, Script, answer, says, status, unused_port

UNSENT = {"code": "BACKEND_UNAVAILABLE", "outcome": "NOT_APPLIED"}
APIS = ("basecone", "bokamera")


def shown(error, *names: str):
    return {name: error["extensions"][name] for name in names}


class Held:
    """Answers nothing until `release` is set; `arrived` says that a request came."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.arrived.set()
        await self.release.wait()
        await exchange.send(self.data)


def date_in(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("api", APIS)
async def test_until_retry_after_is_over_further_calls_are_refused_unsent(api, code, form, tmp_path: Path):
    value = "100" if form == "seconds" else date_in(100)
    async with gatewayed(tmp_path, status(code, b"", f"retry-after: {value}")) as gateway:
        first = (await gateway.error(api))["extensions"]
        later = [await gateway.error(api) for _ in range(3)]
        other = next(name for name in APIS if name != api)
        elsewhere = await gateway.error(other)
        # The other backend is not paused: its own answer is heard.
        assert elsewhere["extensions"]["backend"]["status"] == code
        assert (gateway.server.puts, gateway.neighbour.reads) == (2, 0)
    expected = ("RATE_LIMITED", "NOT_APPLIED", True) if code == 429 else ("BACKEND_ERROR", "UNKNOWN", False)
    assert expected == (first["code"], first["outcome"], first["retry"]["safe"])
    assert 40 <= first["retry"]["afterSeconds"] <= 100
    for error in later:
        assert shown(error, "code", "outcome", "reason") == {**UNSENT, "reason": "BACKEND_PAUSED"}
        assert error["extensions"]["retry"]["safe"]
        assert 40 <= error["extensions"]["retry"]["afterSeconds"] <= 100
        assert error["extensions"]["backend"] == {"name": api}


async def test_a_pause_that_forbids_the_read_back_is_told(tmp_path: Path):
    async with gatewayed(tmp_path, status(503, b"", "retry-after: 100"), delivered=True) as gateway:
        error = await gateway.error("basecone", skip=True)
    assert error["extensions"]["outcome"] == "UNKNOWN"
    assert "The record could not be read back" in error["message"]


FAILING = {"500": says(answer(500)), "closed": says(b"", then="close"), "time-out": says(b"", then="hang")}


@pytest.mark.parametrize("failing", FAILING)
async def test_a_backend_that_keeps_failing_is_not_called(failing, tmp_path: Path):
    settings = {"GATEWAY_BREAKER_WINDOW": "10", "GATEWAY_BREAKER_FAILURES": "4"}

    async def within(seconds: float) -> None:
        folder = tmp_path / str(seconds)
        folder.mkdir()
        await keep_failing(FAILING[failing], folder, {**settings, "GATEWAY_BACKEND_SECONDS": str(seconds)})

    await (given_time(within, 0.2) if failing == "time-out" else keep_failing(FAILING[failing], tmp_path, settings))


async def keep_failing(script: Script, folder: Path, settings: dict[str, str]) -> None:
    # Reads fail as well: with every update two calls do.
    async with gatewayed(folder, script, get=script, settings=settings) as gateway:
        before = [await gateway.error("basecone") for _ in range(2)]
        assert [error["extensions"]["outcome"] for error in before] == ["UNKNOWN"] * 2
        sent = len(gateway.server.requests)
        refused = await gateway.error("basecone")
        assert len(gateway.server.requests) == sent == 4
        other = await gateway.error("bokamera")
        assert other["extensions"]["outcome"] == "UNKNOWN"
    assert shown(refused, "code", "outcome", "reason") == {**UNSENT, "reason": "BREAKER_OPEN"}
    assert refused["extensions"]["retry"]["safe"]
    assert 1 <= refused["extensions"]["retry"]["afterSeconds"] <= 10


async def test_connections_that_fail_open_the_breaker_too(tmp_path: Path):
    settings = {"GATEWAY_BREAKER_FAILURES": "3", "GATEWAY_CONNECT_RETRIES": "0"}
    url = f"http://127.0.0.1:{unused_port()}"
    async with gatewayed(tmp_path, status(204), url=url, settings=settings) as gateway:
        reasons = [(await gateway.error("basecone"))["extensions"]["reason"] for _ in range(5)]
    assert reasons == ["NOT_CONNECTED"] * 3 + ["BREAKER_OPEN"] * 2


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422, 429])
async def test_a_refusal_never_opens_the_breaker(code, tmp_path: Path):
    settings = {"GATEWAY_BREAKER_WINDOW": "2", "GATEWAY_BREAKER_FAILURES": "1"}
    async with gatewayed(tmp_path, status(code), settings=settings) as gateway:
        for _ in range(3):
            await gateway.error("basecone")
        assert gateway.server.puts == 3


async def test_a_probe_that_succeeds_closes_the_breaker(tmp_path: Path):
    well = False

    async def put(exchange: Exchange) -> None:
        await exchange.send(answer(204 if well else 500))

    settings = {"GATEWAY_BREAKER_WINDOW": "2", "GATEWAY_BREAKER_FAILURES": "1", "GATEWAY_BREAKER_OPEN_SECONDS": "0.1"}
    async with gatewayed(tmp_path, put, settings=settings) as gateway:
        assert (await gateway.error("basecone"))["extensions"]["outcome"] == "UNKNOWN"
        well = True
        while "errors" in (body := await gateway.update("basecone")):
            assert body["errors"][0]["extensions"]["reason"] == "BREAKER_OPEN"
        assert gateway.server.puts == 2
        assert applied("basecone", await gateway.update("basecone"))


CROWDED = {
    "bulkhead": ({"GATEWAY_MAX_IN_FLIGHT": "1"}, "OVERLOADED", {"safe": True, "afterSeconds": 1}),
    "pool": (
        {"GATEWAY_MAX_CONNECTIONS": "1", "GATEWAY_POOL_SECONDS": "0.1", "GATEWAY_CONNECT_RETRIES": "1"},
        "NO_FREE_CONNECTION",
        {"safe": True},
    ),
}


@pytest.mark.parametrize("crowded", CROWDED)
async def test_one_call_too_many_is_refused_unsent(crowded, tmp_path: Path):
    settings, reason, retry = CROWDED[crowded]
    held = Held(answer(204))
    async with gatewayed(tmp_path, held, settings={**settings}) as gateway:
        first = asyncio.create_task(gateway.update("basecone"))
        await held.arrived.wait()
        refused = await gateway.error("basecone")
        assert gateway.server.puts == 1
        held.release.set()
        assert applied("basecone", await first)
    assert shown(refused, "code", "outcome", "reason") == {**UNSENT, "reason": reason}
    assert refused["extensions"]["retry"] == retry


async def test_a_free_connection_in_time_is_waited_for(tmp_path: Path):
    """The pool's wait is inside the deadline, and what waited there was not sent before."""
    held = Held(answer(204))
    async with gatewayed(tmp_path, held, settings={"GATEWAY_MAX_CONNECTIONS": "1"}) as gateway:
        updates = [asyncio.create_task(gateway.update("basecone")) for _ in range(3)]
        await held.arrived.wait()
        assert gateway.server.puts == 1
        held.release.set()
        assert all(applied("basecone", body) for body in await asyncio.gather(*updates))
        assert (gateway.server.puts, gateway.server.connections) == (3, 1)


async def test_a_backend_that_hangs_does_not_starve_the_other(tmp_path: Path):
    held = Held(answer(500))
    settings = {"GATEWAY_MAX_IN_FLIGHT": "8", "GATEWAY_MAX_CONNECTIONS": "8"}
    async with BadServer(held) as hanging:
        others = {"bokamera": hanging.url}
        async with gatewayed(tmp_path, status(204), settings=settings, others=others) as gateway:
            stuck = [asyncio.create_task(gateway.error("bokamera")) for _ in range(8)]
            while hanging.puts < 8:
                await held.arrived.wait()
                await asyncio.sleep(0)
            refused = await gateway.error("bokamera")
            assert refused["extensions"]["reason"] == "OVERLOADED"
            for _ in range(20):
                assert applied("basecone", await gateway.update("basecone"))
            assert not any(task.done() for task in stuck)
            held.release.set()
            assert {(await task)["extensions"]["outcome"] for task in stuck} == {"UNKNOWN"}


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirection_reaches_no_other_host(code, tmp_path: Path):
    async with BadServer(status(204)) as other:
        script = status(code, b"", f"location: {other.url}/v1/customers/x")
        async with gatewayed(tmp_path, script) as gateway:
            error = await gateway.error("basecone")
            assert gateway.server.puts == 1
        assert other.connections == 0
    assert shown(error, "code", "reason", "outcome") == {
        "code": "BACKEND_ERROR",
        "reason": "REDIRECTED",
        "outcome": "UNKNOWN",
    }


async def test_a_connection_is_retried_inside_the_deadline_and_the_update_is_sent_once(tmp_path: Path):
    """The first attempts meet a port that nobody listens on yet."""
    port = unused_port()
    settings = {"GATEWAY_CONNECT_RETRIES": "20"}
    async with gatewayed(tmp_path, status(204), url=f"http://127.0.0.1:{port}", settings=settings) as gateway:
        update = asyncio.create_task(gateway.update("basecone"))
        async with BadServer(status(204), port=port) as late:
            assert applied("basecone", await update)
            assert late.puts == 1


OF_ONE = {"basecone": "VAT_CODE_INVALID", "bokamera": "FIELD_EMPTY"}


@pytest.mark.parametrize("api", APIS)
async def test_a_proxy_to_the_real_service_is_asked_for_no_failure(api, tmp_path: Path):
    """Behind any address may be the real one; only a setting says that it is not. Its neighbour has that setting."""
    other = next(name for name in APIS if name != api)
    async with gatewayed(tmp_path, status(204), settings={f"GATEWAY_{api.upper()}_SANDBOX": "false"}) as gateway:

        async def asked(name: str, wanted: str):
            headers = {**BEARER, "x-simulate": wanted}
            answer = (await gateway.client.post("/graphql", json=request(name), headers=headers)).json()
            return [error["extensions"]["code"] for error in answer.get("errors", ())]

        for wanted in (OF_ONE[api], "html-500", "timeout", "reset", "204-with-body"):
            assert await asked(api, wanted) == ["BAD_REQUEST"]
        assert gateway.server.requests == []
        for name in (other, api):
            await asked(name, OF_ONE[other])
        puts = [item for item in gateway.server.requests if item.method == "PUT"]
        assert [item.headers.get("x-simulate") for item in puts] == [OF_ONE[other], None]
