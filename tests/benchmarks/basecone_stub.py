"""Stands in for Basecone in the benchmarks: a bare protocol, so that it costs a fraction of what is measured.

A PUT is answered 204, or by the documented 400 where its body asks for that; a GET by the record or the list; a PUT under `/echo` by
200 and what was sent. `POST /answers/real` gives each answer its own id, a date and a proxy's usual headers,
`POST /answers/alike` none. Prints its port.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from email.utils import formatdate

import uvloop

from tests.benchmarks.workloads import vendor_list, vendor_record

_REFUSAL = b'{"code":"invalid_request_payload","message":"The VatCode value provided is invalid."}'
_RECORD = json.dumps(vendor_record()).encode()[1:]
_LIST = json.dumps(vendor_list()).encode()
_REAL = (
    b"server: nginx\r\ndate: %b\r\nx-request-id: %032x\r\nstrict-transport-security: max-age=31536000; includeSubDomains\r\n"
    b"x-content-type-options: nosniff\r\nx-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n"
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\ncache-control: no-store\r\n"
    b"x-ratelimit-remaining: %d\r\nconnection: keep-alive\r\n"
)


class Answers:
    """The header lines that every answer has."""

    def __init__(self) -> None:
        self.real = False
        self._numbers = itertools.count(1)
        self._date = b""
        self._second = 0

    def lines(self) -> bytes:
        if not self.real:
            return b""
        number = next(self._numbers)
        if (second := int(time.time())) != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return _REAL % (self._date, number * 0x9E3779B97F4A7C15F39CC0605CEDC835 & (1 << 128) - 1, 5000 - number % 5000)


class Stub(asyncio.Protocol):
    def __init__(self, answers: Answers) -> None:
        self._received = b""
        self._answers = answers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        while (end := received.find(b"\r\n\r\n")) >= 0:
            head = received[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(received) < end + 4 + length:
                break
            target = received[: received.find(b" HTTP/")]
            self._transport.write(self._answer(target, received[end + 4 : end + 4 + length]))
            received = received[end + 4 + length :]
        self._received = received

    def _answer(self, target: bytes, body: bytes) -> bytes:
        if target.startswith(b"PUT /v1/"):
            if b"REFUSE" in body:
                return self._with_body(b"400 Bad Request", _REFUSAL)
            return b"HTTP/1.1 204 No Content\r\n%b\r\n" % self._answers.lines()
        if target.startswith(b"POST /answers/"):
            self._answers.real = target.endswith(b"/real")
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        if target.startswith(b"GET /v1/customers?"):
            return self._with_body(b"200 OK", _LIST)
        record_id = target.partition(b"?")[0].rpartition(b"/")[2]
        if target.startswith(b"PUT /echo/"):
            return self._with_body(b"200 OK", b'{"customer":{"id":"%b",%b}' % (record_id, body[1:]))
        return self._with_body(b"200 OK", b'{"customerId":"%b",%b' % (record_id, _RECORD))

    def _with_body(self, status: bytes, body: bytes) -> bytes:
        return b"HTTP/1.1 %b\r\n%bcontent-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n\r\n%b" % (
            status,
            self._answers.lines(),
            len(body),
            body,
        )


async def main() -> None:
    answers = Answers()
    server = await asyncio.get_running_loop().create_server(lambda: Stub(answers), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(main())
