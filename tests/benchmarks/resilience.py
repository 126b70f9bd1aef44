"""One slow backend beside another, and twice the load the gateway can bear: `python -m tests.benchmarks.resilience`.

Neighbour: short runs in turn with BokaMera answering and with BokaMera hanging, the same arrivals of its mutations in both;
Basecone's p50 and p99 of each. Wanted: p99 beside a hanging BokaMera at most twice the healthy one.
Overload: the best rate, and arrivals at twice that rate whoever has been answered or not (an open loop over at most a
thousand connections), in turn. Wanted: at least 80 % of the best rate as whole answers, and an RSS that no longer grows.

The gateway is one process on the first CPU; load and stubs are on the last. Exits 1 where something wanted is not there.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from tests.benchmarks.load import alike, real
from tests.benchmarks.servers import CPUS, HERE, Server, cpu_seconds, gateway, run_load, stub
from tests.benchmarks.workloads import UPDATE

BOOKING = "b0000000-0000-4000-8000-000000000001"
_BODY = json.dumps(
    {
        "query": "mutation($id: UUID!, $input: UpdateBookingCustomerInput!) { updateBookingCustomer(id: $id, input: $input) { bookingCustomer { id } } }",
        "variables": {"id": BOOKING, "input": {"firstname": "Anna"}},
    }
).encode()
BOOK = alike(_BODY).replace(b"\r\n\r\n", b"\r\nx-bokamera-authorization: Bearer x\r\n\r\n", 1)


class BokaMera(asyncio.Protocol):
    """Answers its record, or nothing at all while `hanging`."""

    hanging = False
    held: set[BokaMera] = set()  # noqa: RUF012 - one service
    answer = b'{"Id":"%b","Firstname":"Anna"}' % BOOKING.encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        if not end or len(body) < int(length.split(b"\r\n")[0] or 0):
            return
        self.data = b""
        if BokaMera.hanging:
            BokaMera.held.add(self)
        else:
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(self.answer), self.answer)
            )

    def connection_lost(self, _error: Exception | None) -> None:
        BokaMera.held.discard(self)

    @classmethod
    def recover(cls) -> None:
        cls.hanging = False
        for connection in list(cls.held):
            connection.transport.abort()


class Caller(asyncio.Protocol):
    """One connection of the open loop: back among the free ones once it has its answer."""

    def __init__(self, loop: OpenLoop) -> None:
        self.loop = loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.loop.request())

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self.loop.heard(self.data, time.perf_counter() - self.sent)
        if b"connection: close" not in head.lower():
            self.loop.free.append(self)
        self.data = b""

    def connection_lost(self, _error: Exception | None) -> None:
        self.loop.open -= 1
        if self in self.loop.free:
            self.loop.free.remove(self)


class OpenLoop:
    """Requests at a rate, however many are still waited for, over at most `most` connections.

    A request that finds none of them free is one that a caller's own pool would hold back: it is only counted.
    """

    def __init__(self, port: int, request: Callable[[], bytes], expect: str, most: int = 1000) -> None:
        self.most = most
        self.open = 0
        self.port = port
        self.request = request
        self.expect = expect.encode()
        self.free: list[Caller] = []
        self.told: Counter[str] = Counter()
        self.latencies: list[float] = []

    def heard(self, data: bytes, seconds: float) -> None:
        if self.expect in data:
            self.told["whole"] += 1
            self.latencies.append(seconds)
        elif b" 503 " in data[:20]:
            self.told["shed"] += 1
        else:
            self.told[data.partition(b'"reason":"')[2].split(b'"')[0].decode() or "other"] += 1

    async def _one(self) -> None:
        if not self.free and self.open >= self.most:
            self.told["held back"] += 1
            return
        self.told["sent"] += 1
        if self.free:
            self.free.pop().send()
            return
        self.open += 1
        try:
            _, caller = await asyncio.get_running_loop().create_connection(lambda: Caller(self), "127.0.0.1", self.port)
        except OSError:
            self.open -= 1
            self.told["not connected"] += 1
            return
        caller.send()

    async def run(self, rate: float, seconds: float) -> None:
        started = time.perf_counter()
        sent, tasks = 0, set()
        while (now := time.perf_counter() - started) < seconds:
            while sent < now * rate:
                sent += 1
                task = asyncio.create_task(self._one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.002)


def closed(port: int, seconds: float, connections: int) -> dict[str, Any]:
    return run_load(port, seconds, connections, UPDATE)


def percentile(latencies: list[float], share: float) -> float:
    return sorted(latencies)[int(len(latencies) * share)] * 1000


async def neighbour(server: Server, given: argparse.Namespace) -> bool:
    """Basecone's latency by whether BokaMera hangs."""
    latencies: dict[bool, list[float]] = {False: [], True: []}
    p99: dict[bool, list[float]] = {False: [], True: []}
    told: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for number in range(given.rounds * 2 + 2):
        hanging = BokaMera.hanging = number % 2 == 1
        if not hanging:
            BokaMera.recover()
            await asyncio.sleep(1.5)  # the breaker's time is over
        booking = OpenLoop(server.port, lambda: BOOK, '"id":"' + BOOKING)
        arrivals = asyncio.create_task(booking.run(given.arrivals, given.seconds + 1))
        await asyncio.sleep(0.5)
        found = await asyncio.to_thread(closed, server.port, given.seconds, given.connections)
        await arrivals
        if number >= 2:
            latencies[hanging] += found["latencies"]
            p99[hanging].append(percentile(found["latencies"], 0.99))
            told[hanging] += booking.told
    BokaMera.recover()
    ratio = statistics.median(p99[True]) / statistics.median(p99[False])
    for hanging, name in ((False, "answers"), (True, "hangs")):
        say(
            f"BokaMera {name}: Basecone p50 {percentile(latencies[hanging], 0.5):.1f} ms, "
            f"p99 {statistics.median(p99[hanging]):.1f} ms (median of {len(p99[hanging])} runs), "
            f"{len(latencies[hanging])} answers; BokaMera's: {dict(told[hanging])}"
        )
    say(f"p99 ratio {ratio:.2f}, wanted at most 2")
    return ratio <= 2


async def overload(server: Server, given: argparse.Namespace) -> bool:
    """Best rate and twice that in turn: what else the machine does meanwhile is in both."""
    assert server.process is not None
    pid = server.process.pid
    rates = {}
    for connections in (8, 16, 32, 64):
        found = await asyncio.to_thread(closed, server.port, given.seconds, connections)
        rates[connections] = found["requests"] / found["seconds"]
    width = max(rates, key=lambda count: rates[count])
    say("best rate " + ", ".join(f"{rate:,.0f}/s over {count}" for count, rate in rates.items()))
    best, over, best_cpu, over_cpu, sizes, slow = [], [], [], [], [], []
    told: Counter[str] = Counter()
    for _ in range(given.rounds):
        spent = cpu_seconds(pid)
        found = await asyncio.to_thread(closed, server.port, given.seconds, width)
        best.append(found["requests"] / found["seconds"])
        best_cpu.append(found["requests"] / (cpu_seconds(pid) - spent))
        spent = cpu_seconds(pid)
        flooded = await asyncio.to_thread(flood_from_outside, server.port, 2 * best[-1], given.overload_seconds)
        over.append(flooded["whole"] / given.overload_seconds)
        over_cpu.append(flooded["whole"] / (cpu_seconds(pid) - spent))
        told += Counter(flooded["told"])
        slow.append(flooded["p99"])
        sizes.append(server.rss)
    share = statistics.median(over) / statistics.median(best)
    share_cpu = statistics.median(over_cpu) / statistics.median(best_cpu)
    growth = sizes[-1] / sizes[len(sizes) // 2]
    say(
        f"best {[round(rate) for rate in best]}/s over {width}; of twice that {[round(rate) for rate in over]}/s, {dict(told)}"
    )
    say(
        f"p99 of whole answers {statistics.median(slow):.0f} ms; throughput {share:.0%} of the best, wanted at least 80 %"
    )
    say(f"answers per second of the gateway's own CPU time: {share_cpu:.0%} of the best")
    say(f"RSS MB after each: {[round(size) for size in sizes]}: last / middle {growth:.2f}, wanted at most 1.05")
    return share >= 0.8 and growth <= 1.05


def flood_from_outside(port: int, rate: float, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.resilience", "--overload"],
        input=json.dumps({"port": port, "rate": rate, "seconds": seconds}).encode(),
        stdout=subprocess.PIPE,
        cwd=HERE.parent.parent,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def flood(given: dict[str, Any]) -> None:
    bodies = itertools.cycle([body.encode() for body in UPDATE.bodies])
    loop = OpenLoop(given["port"], lambda: real(next(bodies)), UPDATE.text)
    await loop.run(given["rate"], given["seconds"])
    found = {"whole": loop.told["whole"], "told": dict(loop.told)}
    sys.stdout.write(json.dumps({**found, "p99": percentile(loop.latencies or [0.0], 0.99)}))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def measure(given: argparse.Namespace) -> bool:
    service = await asyncio.get_running_loop().create_server(BokaMera, "127.0.0.1", 0)
    port = service.sockets[0].getsockname()[1]
    environment = {
        "GATEWAY_LOG_LEVEL": "warning",
        "GATEWAY_BOKAMERA_MODE": "rest",
        "GATEWAY_BOKAMERA_URL": f"http://127.0.0.1:{port}",
        "GATEWAY_BOKAMERA_API_KEY": "e0000000-0000-4000-8000-000000000001",
        "GATEWAY_BREAKER_OPEN_SECONDS": "1",
    }
    with stub() as url, tempfile.TemporaryDirectory() as made:
        server = gateway("gateway", url, environment=environment)
        try:
            await asyncio.to_thread(server.start, Path(made))
            await asyncio.to_thread(closed, server.port, 2.0, 16)
            held = [await part(server, given) for part in (neighbour, overload) if given.only in {"", part.__name__}]
        finally:
            await asyncio.to_thread(server.stop)
    service.close()
    return all(held)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run")
    parser.add_argument("--overload-seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=4, help="Basecone's, beside BokaMera")
    parser.add_argument("--arrivals", type=float, default=40.0, help="BokaMera's mutations a second")
    parser.add_argument("--only", choices=["", "neighbour", "overload"], default="")
    parser.add_argument("--overload", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.sched_setaffinity(0, {CPUS[-1]})
    if given.overload:
        uvloop.run(flood(json.load(sys.stdin)))
        return
    sys.exit(0 if uvloop.run(measure(given)) else 1)


if __name__ == "__main__":
    main()
