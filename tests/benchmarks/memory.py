"""Memory over documents and ids that never repeat: `python -m tests.benchmarks.memory`, a shortened hour as a table.

Every request has a document of its own, parsed, validated and compiled, the id of a record of its own and a request id
of its own; every fifth is refused by the backend, every tenth document is invalid. Prints RSS as the requests go by; the
growth is what the second half of them added, and the hour what that comes to at the rate that was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path

from tests.benchmarks.servers import gateway, stub
from tests.benchmarks.workloads import INPUT, QUERY

_HOUR = 3600


def request(number: int) -> bytes:
    record = str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))
    query = QUERY.replace("mutation Update", f"mutation Update{number}").replace("{ id name", f"{{ a{number}: id name")
    if number % 10 == 9:
        query = query.replace("vatNumber", f"nothing{number}")
    name = "REFUSE" if number % 5 == 1 else f"Company {number}"
    body = json.dumps({"query": query, "variables": {"id": record, "input": {**INPUT, "name": name}}}).encode()
    head = f"host: localhost\r\ncontent-type: application/json\r\nx-request-id: request-{number}\r\n"
    return b"POST /graphql HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


async def send(port: int, numbers: list[int], connections: int) -> None:
    waiting = iter(numbers)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            for number in waiting:
                writer.write(request(number))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if not head.startswith(b"http/1.1 200"):
                    raise RuntimeError(head.decode())
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(client())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument(
        "--documents", type=int, default=200, help="that the gateway keeps: few, so that it is soon full"
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    with stub() as url, tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        server = gateway(
            "gateway", url, environment={"GATEWAY_LOG_LEVEL": "warning", "GATEWAY_MAX_DOCUMENTS": str(given.documents)}
        )
        stack.callback(server.stop)
        server.start(Path(made))
        sys.stdout.write(f"| distinct requests | RSS MB |\n|--:|--:|\n| 1 | {server.rss:.1f} |\n")
        step = given.requests // given.steps
        sizes = []
        started = time.perf_counter()
        for number in range(given.steps):
            asyncio.run(send(server.port, list(range(number * step, (number + 1) * step)), given.connections))
            sizes.append(server.rss)
            sys.stdout.write(f"| {(number + 1) * step:,} | {sizes[-1]:.1f} |\n")
            sys.stdout.flush()
        rate = given.requests / (time.perf_counter() - started)
        half = len(sizes) // 2
        growth = (sizes[-1] - sizes[half - 1]) / ((len(sizes) - half) * step)
        sys.stdout.write(
            f"\n{rate:,.0f} requests/s; {growth * 1024:.3f} KB for each one of the second half, "
            f"{growth * rate * _HOUR:+.1f} MB in an hour of them.\n"
        )


if __name__ == "__main__":
    main()
