"""Load for the benchmark: a closed loop over keep-alive connections, one request at a time on each.

Reads a JSON object from standard input (`port`, `connections`, `seconds`, `cpu`, `body`), writes one to standard output:
`requests`, `seconds`, `errors`, `latencies` (sorted, seconds). A request counts as an error when its answer lacks `expect`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import uvloop


class Client(asyncio.Protocol):
    def __init__(self, run: Run) -> None:
        self._run = run
        self._held = b""
        self._sent = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        end = held.find(b"\r\n\r\n")
        if end < 0:
            self._held = held
            return
        head = held[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(held) < end + 4 + length:
            self._held = held
            return
        self._held = b""
        now = time.perf_counter()
        self._run.latencies.append(now - self._sent)
        if self._run.expect not in held:
            self._run.errors += 1
            self._run.sample = held
        if now < self._run.end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._run.errors += 1
        self.closed.set_result(None)


class Run:
    def __init__(self, given: dict[str, Any]) -> None:
        body = given["body"].encode()
        self.request = (
            b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            b"accept: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.expect = given["expect"].encode()
        self.latencies: list[float] = []
        self.errors = 0
        self.sample = b""
        self.end = time.perf_counter() + given["seconds"]


async def main(given: dict[str, Any]) -> None:
    run = Run(given)
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(run), "127.0.0.1", given["port"]))[1]
        for _ in range(given["connections"])
    ]
    await asyncio.gather(*(client.closed for client in clients))
    answer = {
        "requests": len(run.latencies),
        "seconds": time.perf_counter() - started,
        "errors": run.errors,
        "sample": run.sample.decode("utf-8", "replace")[:2000],
        "latencies": sorted(run.latencies),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    wanted = json.load(sys.stdin)
    os.sched_setaffinity(0, {wanted["cpu"]})
    uvloop.run(main(wanted))
