"""Each fault made for real, through a mutation over the whole gateway: what the client is told, and what was sent."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.patience import given_time
from tests.resilience.neighbour import AFTER, BEFORE, Gatewayed, applied, gatewayed
from tests.resilience.table import BROKEN, TABLE, Fault
from tests.upstream import faults
from tests.upstream.bad_server import unused_port
from tests.upstream.faults import MEBIBYTE

DIFFERS = "The record was read back and differs from what was sent."


Attempt = Callable[[Path, dict[str, str], dict[str, str]], Awaitable[None]]


async def attempted(fault: Fault, folder: Path, attempt: Attempt) -> None:
    """In a folder of its own, with what is set beside the fault's own settings, and the caller's headers."""

    async def within(seconds: float) -> None:
        here = folder / str(seconds)
        here.mkdir()
        if fault.hurried:
            await attempt(here, {}, {"x-request-timeout": f"{1000 * seconds:.0f}"})
        else:
            await attempt(here, {"GATEWAY_BACKEND_SECONDS": str(seconds)}, {})

    await (given_time(within, 0.5) if fault.waits or fault.hurried else attempt(folder, {}, {}))


@contextlib.asynccontextmanager
async def made(fault: Fault, folder: Path, settings: dict[str, str], **more: Any):
    async with contextlib.AsyncExitStack() as stack:
        url, tls = fault.url, None
        if url == "refused":
            url = f"http://127.0.0.1:{unused_port()}"
        elif url == "black hole":
            url = await stack.enter_async_context(faults.black_hole())
        elif url == "untrusted":
            (tls, _), url = faults.certificate(folder), None
        settings = {**fault.settings, **settings}
        gateway = await stack.enter_async_context(
            gatewayed(folder, fault.put, url=url, raw=fault.raw, eager=fault.eager, tls=tls, settings=settings, **more)
        )
        yield gateway


def update(gateway: Gatewayed, fault: Fault, **more: Any):
    if fault.body:
        more["name"] = "x" * fault.body
    return gateway.update(fault.api, **more)


@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.id)
async def test_each_fault_reaches_the_client_truthfully(fault: Fault, tmp_path: Path):
    """The backend did not apply the update, so nothing but a success that it claimed itself may say so."""

    async def attempt(folder: Path, settings: dict[str, str], headers: dict[str, str]) -> None:
        async with made(fault, folder, settings) as gateway:
            body = await update(gateway, fault, headers=headers)
            puts, reads = gateway.server.puts, gateway.neighbour.reads
            assert BEFORE[fault.api] == await gateway.neighbour.name(fault.api)
        told = body.get("errors", [{}])[0].get("extensions", {})
        if puts and told.get("outcome") == "NOT_APPLIED" and not told.get("backend", {}).get("status"):
            pytest.fail("A PUT that left and was not answered was said not to be applied.")
        assert (fault.puts, fault.reads) == (puts, reads)
        judge(fault, body)

    await attempted(fault, tmp_path, attempt)


def judge(fault: Fault, body: dict[str, Any]) -> None:
    if fault.outcome is None:
        assert applied(fault.api, body)
        return
    [error] = body["errors"]
    assert list(body["data"].values()) == [None]
    told = error["extensions"]
    assert (fault.code, fault.reason, fault.outcome, fault.retry) == (
        told["code"],
        told["reason"],
        told["outcome"],
        told["retry"],
    )
    backend = told.get("backend", {})
    assert (fault.api, fault.status) == (backend.get("name"), backend.get("status"))
    assert (DIFFERS in error["message"]) == (fault.outcome == "UNKNOWN")


def test_the_table_is_large_enough_and_each_fault_has_a_name_of_its_own():
    assert 25 <= len(TABLE) == len({fault.id for fault in TABLE})


# The backend has to have read the whole request before it can have applied it.
DELIVERABLE = [fault for fault in BROKEN if fault.eager]


@pytest.mark.parametrize("fault", DELIVERABLE, ids=lambda fault: fault.id)
async def test_an_update_that_was_applied_before_the_fault_is_proven_but_for_a_time_out(fault: Fault, tmp_path: Path):
    """Nothing beside the record was asked for, so that the read-back proves all of it. One PUT, whatever broke.

    After a time-out, also a proxy's, the update may still be on its way.
    """

    async def attempt(folder: Path, settings: dict[str, str], headers: dict[str, str]) -> None:
        async with made(fault, folder, settings, delivered=True, took=5) as gateway:
            body = await update(gateway, fault, headers=headers, skip=True)
            if fault.waits or fault.status == 504:
                assert [error["extensions"].get("readBack") for error in body["errors"]] == ["SAME"]
            else:
                assert applied(fault.api, body)
            assert (gateway.server.puts, gateway.neighbour.reads) == (1, 1)
            assert await gateway.neighbour.name(fault.api) == AFTER

    await attempted(fault, tmp_path, attempt)


async def test_what_answers_too_much_costs_little_memory(tmp_path: Path):
    large = [fault for fault in BROKEN if fault.reason == "ANSWER_TOO_LARGE"]
    async with contextlib.AsyncExitStack() as stack:
        gateways = []
        for number, fault in enumerate(large):
            folder = tmp_path / str(number)
            folder.mkdir()
            gateways.append((await stack.enter_async_context(made(fault, folder, {})), fault))
        tracemalloc.start()
        try:
            await asyncio.gather(*(update(*pair) for pair in gateways for _ in range(4)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 64 * MEBIBYTE  # of the 800 MiB that were answered; the servers' own buffers are among them
