"""Requests as bytes, and clients that send them in pieces, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.server.connection import Connection
from tests.graphql.asking import UPDATE


class LongWay(Connection):
    """Everything goes over ASGI."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._endpoint = None


WAYS = {"short way": Connection, "ASGI": LongWay}


def update(title: str) -> bytes:
    return json.dumps({"query": UPDATE, "variables": {"input": {"title": title}}}).encode()


def chunked(body: bytes, size: int = 10) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def post(body: bytes, *fields: bytes, target: bytes = b"/graphql", in_chunks: bool = False) -> bytes:
    framing = b"transfer-encoding: chunked" if in_chunks else b"content-length: %d" % len(body)
    lines = (b"POST %b HTTP/1.1" % target, b"host: a", b"content-type: application/json", *fields, framing, b"", b"")
    return b"\r\n".join(lines) + (chunked(body) if in_chunks else body)


def get(target: bytes = b"/health/live", *fields: bytes) -> bytes:
    return b"\r\n".join((b"GET %b HTTP/1.1" % target, b"host: a", *fields, b"", b""))


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def spoken(address: str, *pieces: bytes) -> bytes:
    """All that is answered to pieces that arrive one by one, the last of them followed by the end of sending."""
    async with connected(address) as (reader, writer):
        writer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        return await reader.read()


def answers_of(received: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer with a length."""
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        answers.append((int(head.split()[1]), rest[:length]))
        received = rest[length:]
    return answers


def in_pieces(kind: type[Connection]) -> Any:
    """A connection that is given what arrives in pieces of its class's `sizes`, one after another, again and again."""

    class Pieces(kind):  # type: ignore[misc,valid-type]
        sizes: Sequence[int] = (1,)
        turn = 0

        def data_received(self, data: bytes) -> None:
            while data:
                size = self.sizes[self.turn % len(self.sizes)]
                self.turn += 1
                super().data_received(data[:size])
                data = data[size:]

    return Pieces
