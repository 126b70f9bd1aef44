"""Load for the benchmarks: a closed loop over keep-alive connections, one request at a time on each.

With `rate` each request has its moment, so many a second: who comes late is measured from then on. The first second is not
measured: it opens the connections, here and from the server to its backend.

Reads a JSON object from standard input (`port`, `cpu`, `seconds`, `connections`, `bodies`, `expect`, `kind`, `rate`), writes one
to standard output (`requests`, `seconds`, `errors`, `sample`, `latencies`, sorted, in seconds). An answer without the two
texts that `expect` has for its body counts as an error.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from typing import Any

import uvloop

_ALIKE = (
    b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"accept: application/json\r\ncontent-length: %d\r\n\r\n"
)
# What a router in front of a subgraph sends on: its own lines, the proxy's, a caller's token and language.
_REAL = (
    b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: router/2.7.0\r\ncontent-type: application/json\r\n"
    b"accept: application/json\r\naccept-encoding: gzip, br, deflate\r\naccept-language: sv-SE,sv;q=0.9,en;q=0.8\r\n"
    b"apollographql-client-name: back-office\r\napollographql-client-version: 4.31.2\r\n"
    b"authorization: Bearer " + b"eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ." + b"c3ViamVjdC" * 40 + b"\r\n"
    b"x-forwarded-proto: https\r\nx-forwarded-host: graphql.example.com\r\nx-forwarded-for: 203.0.%d.%d, 10.4.7.21\r\n"
    b"traceparent: 00-%032x-%016x-01\r\ntracestate: vendor=%016x\r\nx-request-id: %032x\r\n"
    b"content-length: %d\r\n\r\n"
)
_RANDOM = random.Random(20260901)
_WARM_SECONDS = 1.0  # at a rate


def alike(body: bytes) -> bytes:
    return _ALIKE % len(body) + body


def real(body: bytes) -> bytes:
    number = _RANDOM.getrandbits(128)
    span = number >> 64 | 1
    return _REAL % (number & 255, number >> 8 & 255, number | 1, span, span, number ^ span, len(body)) + body


class Client(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._received = b""
        self._sent_at = 0.0
        self._expect: tuple[bytes, bytes] = (b"", b"")
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        body, self._expect = next(self._run.exchanges)
        request = self._run.request(body)
        moment, now = self._run.moment(), time.perf_counter()
        self._sent_at = now if moment is None else moment
        if moment is None or moment <= now:
            self._transport.write(request)
        else:
            asyncio.get_running_loop().call_later(moment - now, self._transport.write, request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        end = received.find(b"\r\n\r\n")
        if end < 0:
            self._received = received
            return
        head = received[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(received) < end + 4 + length:
            self._received = received
            return
        self._received = b""
        now = time.perf_counter()
        if self._sent_at >= self._run.measured_from:
            self._run.latencies.append(now - self._sent_at)
        record_id, text = self._expect
        if record_id not in received or text not in received:
            self._run.errors += 1
            self._run.sample = received
        if now < self._run.end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._run.errors += 1
        self.closed.set_result(None)


class Run:
    def __init__(self, order: dict[str, Any]) -> None:
        expect = [(record_id.encode(), text.encode()) for record_id, text in order["expect"]]
        bodies = [body.encode() for body in order["bodies"]]
        self.exchanges = itertools.cycle(list(zip(bodies, expect, strict=True)))
        self.request = {"alike": alike, "real": real}[order["kind"]]
        self.latencies: list[float] = []
        self.errors = 0
        self.sample = b""
        self.begun = time.perf_counter()
        self._rate: float | None = order.get("rate")
        self.measured_from = self.begun + (0.0 if self._rate is None else _WARM_SECONDS)
        self.end = self.measured_from + order["seconds"]
        self._sent = 0

    def moment(self) -> float | None:
        """When the next request is to be sent; None for at once."""
        self._sent += 1
        return None if self._rate is None else self.begun + self._sent / self._rate


async def main(order: dict[str, Any]) -> None:
    run = Run(order)
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(run), "127.0.0.1", order["port"]))[1]
        for _ in range(order["connections"])
    ]
    await asyncio.gather(*(client.closed for client in clients))
    result = {
        "requests": len(run.latencies),
        "seconds": time.perf_counter() - started,
        "errors": run.errors,
        "sample": run.sample.decode("utf-8", "replace")[:2000],
        "latencies": sorted(run.latencies),
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    read_order = json.load(sys.stdin)
    os.sched_setaffinity(0, {read_order["cpu"]})
    uvloop.run(main(read_order))
