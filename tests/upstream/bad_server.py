"""A server on a real socket that misbehaves as a script says, and counts what reached it.

    async with BadServer(status(200, b"{}")) as server:
        ... server.url ...
    assert server.puts == 1

A script is an async function of one `Exchange`; it is called once for each request whose head was read. Return to
await the connection's next request, `close` or `reset` to end it. `raw=True` calls it once per connection, unread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Exchange:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int = 0
    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def body_read(self) -> None:
        """Read the request's body, which the server does by itself unless `eager` is off."""
        self.body = await self.reader.readexactly(int(self.headers.get("content-length", "0")))

    async def hang(self) -> None:
        """Until the client is gone."""
        while await self.reader.read(65536):
            pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """A TCP RST instead of a FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Exchange], Awaitable[None]]


class BadServer:
    def __init__(self, script: Script, *, raw: bool = False, eager: bool = True, tls=None, port: int = 0):
        self.script = script
        self.raw = raw
        self.eager = eager
        self.tls = tls
        self.port = port
        self.connections = 0
        self.requests: list[Exchange] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def puts(self) -> int:
        """How many PUTs had at least their head received."""
        return sum(1 for exchange in self.requests if exchange.method == "PUT")

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self.tls, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            try:
                if self.raw:
                    await self.script(Exchange(reader, writer, self.connections))
                while not self.raw and not writer.is_closing():
                    await self._one(reader, writer)
            finally:
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        exchange = Exchange(reader, writer, len(self.requests) + 1, method, target, headers)
        self.requests.append(exchange)
        if self.eager:
            await exchange.body_read()
        await self.script(exchange)


def answer(code: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """An answer's bytes; `length` is the content-length to claim, by default the true one."""
    lines = [f"HTTP/1.1 {code} Whatever", *headers]
    if not any(line.lower().startswith("transfer-encoding") for line in headers) and length != -1:
        lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status(code: int, body: bytes = b"", *headers: str) -> Script:
    """A well-behaved answer to every request."""
    return says(answer(code, body, *headers))


def says(data: bytes, *, then: str = "") -> Script:
    """These bytes after each request, and then nothing, "close", "reset" or "hang"."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(data)
        if then == "hang":
            await exchange.hang()
        elif then:
            getattr(exchange, then)()

    return script


def in_turn(*scripts: Script) -> Script:
    """The first script for the first request and so on; the last one for all others."""

    async def script(exchange: Exchange) -> None:
        await scripts[min(exchange.number, len(scripts)) - 1](exchange)

    return script


def unused_port() -> int:
    """A port of the loopback that nothing listens on, and that is given to nobody else: who is told it may listen there.

    That takes SO_REUSEADDR on both sides, which asyncio and the program set.
    """
    reserved = socket.socket()
    atexit.register(reserved.close)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return int(reserved.getsockname()[1])
