"""Stands in for Basecone in the benchmark: 204 to every PUT, or its documented 400 where the body asks for it.

A bare protocol, so that it costs a fraction of what is measured. Prints its port.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

_APPLIED = b"HTTP/1.1 204 No Content\r\n\r\n"
_TEXT = b'{"code":"invalid_request_payload","message":"The VatCode value provided is invalid."}'
_REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_TEXT),
    _TEXT,
)


class Stub(asyncio.Protocol):
    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            head = held[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(held) < end + 4 + length:
                break
            body = held[end + 4 : end + 4 + length]
            self._transport.write(_REFUSED if b"REFUSE" in body else _APPLIED)
            held = held[end + 4 + length :]
        self._held = held


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(main())
