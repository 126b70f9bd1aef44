"""Bulks against single updates: `python -m tests.benchmarks.bulk`. Nothing is asserted: read the ratios.

CPU: a process of the gateway is sent single updates and bulks of 100 in turns, over a stub that answers at once; CPU per
item is user + system time of its process tree. Time: 500 patches in one request over a backend that answers in 100 ms,
while single updates come at a steady rate, and those latencies beside the ones without a bulk.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks.basecone_stub import Answers, Stub
from tests.benchmarks.servers import Server, cpu_seconds, gateway, run_load, stub
from tests.benchmarks.workloads import QUERY, UPDATE, Workload, customer, record_id

ITEMS = 100
BACKEND_SECONDS = 0.1
AT_ONCE = 8
RECORD = "customer { id name vatNumber address { city } bankAccounts { iban default } }"
BULK_QUERY = f"""mutation Updates($items: [UpdateCustomerItem!]!) {{
  updateCustomers(items: $items) {{ results {{ outcome {RECORD} userErrors {{ reason }} }} }} }}"""
PATCHES = """mutation Patches($items: [PatchCustomerItem!]!) {
  patchCustomers(items: $items) { applied results { outcome userErrors { reason } } } }"""
PATCH = """mutation Patch($id: UUID!, $patch: CustomerPatch!) {
  patchCustomer(id: $id, patch: $patch) { customer { id } } }"""


def _item(number: int) -> dict[str, Any]:
    return {"id": record_id(number), "input": customer(number)}


def _patch(number: int) -> dict[str, Any]:
    return {"id": record_id(number), "patch": {"name": f"Patched {number}"}}


def _bulk(item: Any) -> Any:
    return lambda number: {"items": [item(number * ITEMS + place) for place in range(ITEMS)]}


LOADS = {
    "update, single": UPDATE,
    f"update, {ITEMS} in a bulk": Workload(
        BULK_QUERY, _bulk(_item), "APPLIED", names_record=False, items=ITEMS, count=5
    ),
    "patch, single": Workload(PATCH, _patch, '"customer"'),
    f"patch, {ITEMS} in a bulk": Workload(PATCHES, _bulk(_patch), "APPLIED", names_record=False, items=ITEMS, count=5),
}


class SlowStub(Stub):
    """Answers after a while."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._transport = _Later(transport)  # type: ignore[assignment]


class _Later:
    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def write(self, answer: bytes) -> None:
        asyncio.get_running_loop().call_later(BACKEND_SECONDS, self._transport.write, answer)


async def single(client: httpx.AsyncClient, number: int) -> float:
    begun = time.perf_counter()
    answer = await client.post("/graphql", json={"query": QUERY, "variables": _item(number)})
    assert UPDATE.text in answer.text, answer.text
    return time.perf_counter() - begun


async def steadily(client: httpx.AsyncClient, rate: float, over: asyncio.Event) -> list[float]:
    """Latencies of single updates that come at a rate, whatever becomes of those before."""
    tasks = []
    while not over.is_set():
        tasks.append(asyncio.create_task(single(client, len(tasks))))
        await asyncio.sleep(1 / rate)
    return await asyncio.gather(*tasks)


def p99(latencies: list[float]) -> float:
    return sorted(latencies)[len(latencies) * 99 // 100] * 1000


async def timed(server: Server, folder: Path, patches: int, rate: float, quiet_seconds: float) -> None:
    answers = Answers()
    backend = await asyncio.get_running_loop().create_server(lambda: SlowStub(answers), "127.0.0.1", 0)
    port = backend.sockets[0].getsockname()[1]
    server.environment["GATEWAY_BASECONE_URL"] = f"http://127.0.0.1:{port}/v1"
    await asyncio.to_thread(server.start, folder)
    over = asyncio.Event()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=120) as client:
        asyncio.get_running_loop().call_later(quiet_seconds, over.set)
        quiet = await steadily(client, rate, over)
        over = asyncio.Event()
        beside = asyncio.create_task(steadily(client, rate, over))
        begun = time.perf_counter()
        items = [_patch(number) for number in range(patches)]
        answer = await client.post("/graphql", json={"query": PATCHES, "variables": {"items": items}})
        seconds = time.perf_counter() - begun
        over.set()
        latencies = await beside
    backend.close()
    assert answer.json()["data"]["patchCustomers"]["applied"] == patches, answer.text[:500]
    best = patches / AT_ONCE * 2 * BACKEND_SECONDS
    say(
        f"\n{patches} patches in one request, a backend of {BACKEND_SECONDS * 1000:.0f} ms: {seconds:.2f} s, "
        f"{seconds / best:.3f} x {best:.2f} s",
        f"single updates meanwhile, {rate:g}/s: p99 {p99(latencies):.1f} ms; without a bulk {p99(quiet):.1f} ms; "
        f"ratio {p99(latencies) / p99(quiet):.2f}",
    )


def cpu(server: Server, seconds: float, rounds: int) -> None:
    spent: dict[str, list[float]] = {name: [] for name in LOADS}
    for turn in range(rounds + 1):
        for name, load in LOADS.items():
            before = cpu_seconds(server.pid)
            result = run_load(server.port, seconds, 4, load)
            if turn:  # the first warms up
                spent[name].append((cpu_seconds(server.pid) - before) / (result["requests"] * load.items) * 1000)
    say("| load | CPU ms per item (range) | ratio to single |", "|---|--:|--:|")
    for name, values in spent.items():
        first = statistics.median(spent[f"{name.partition(',')[0]}, single"])
        shown = f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"
        say(f"| {name} | {shown} | {statistics.median(values) / first:.2f} |")


def say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--patches", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0, help="single updates a second beside the bulk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"GATEWAY_STORE_URL": f"sqlite:///{folder}/bulk.db"}
        with stub() as url:
            server = gateway("gateway", url, settings)
            server.start(Path(folder))
            try:
                cpu(server, arguments.seconds, arguments.rounds)
            finally:
                server.stop()
        server = gateway("gateway before a slow backend", "", settings)
        try:
            asyncio.run(timed(server, Path(folder), arguments.patches, arguments.rate, 10.0))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
