"""Answers that come again byte for byte on a connection: what is made of them is what the parser makes of them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from app.call import Call
from app.errors import GatewayError
from app.upstream.exchange import Request
from app.upstream.upstream import Limits, Upstream
from tests.upstream.bad_server import BadServer, Exchange

PUT = Request("PUT", "/x", body=b"{}")
REFUSED = b'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nx: a\r\nx: b\r\ncontent-length: 13\r\n\r\n{"code":"no"}'
ANSWERS = [
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\ndate: Wed, 25 Nov 2026 10:00:00 GMT\r\nset-cookie: a=b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    REFUSED,
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3000\r\n\r\n" + b"x" * 3000,
    b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    # More than an answer, less than one, and none.
    b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}",
    b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
]


class Script:
    """Answers each request with the next of `sent`, in one piece or two; what is no whole answer ends the connection."""

    def __init__(self, sent: list[tuple[bytes, int]]) -> None:
        self.sent = iter(sent)

    async def __call__(self, exchange: Exchange) -> None:
        data, cut = next(self.sent)
        if cut:
            await exchange.send(data[:cut])
            await asyncio.sleep(0.001)
        await exchange.send(data[cut:])
        if data in ANSWERS[-5:]:
            exchange.close()


async def told(sent: list[tuple[bytes, int]], keepalive: float) -> list[Any]:
    """Status, headers and body of each answer, or why there is none. `keepalive` 0: each on its own connection."""
    found: list[Any] = []
    limits = Limits(max_connections=1, keepalive=keepalive, breaker_failures=10_000)
    async with BadServer(Script(sent)) as server, Upstream("x", server.url, limits) as upstream:
        for _ in sent:
            try:
                answer = await upstream.send(PUT, Call("r"))
                found.append((answer.status, dict(answer.headers), answer.body))
            except GatewayError as error:
                found.append((error.row.reason, error.outcome))
        assert server.puts == len(sent)
    return found


async def test_any_answers_on_one_connection_are_what_each_is_on_its_own():
    chance = random.Random(11)
    for _ in range(40):
        sent = []
        data = chance.choice(ANSWERS)
        for _ in range(10):
            if chance.random() < 0.4:
                data = chance.choice(ANSWERS)
            sent.append((data, chance.choice([0, 0, 0, chance.randrange(1, len(data))])))
        assert await told(sent, 30.0) == await told(sent, 0.0)


async def test_the_same_answer_is_parsed_once():
    """What was made of the first one's head is what the others have, until another date makes another answer of it."""
    sent = [(data, 0) for data in [REFUSED] * 3 + [ANSWERS[1]] * 2 + [REFUSED]]
    async with BadServer(Script(sent)) as server, Upstream("x", server.url) as upstream:
        heads = [(await upstream.send(PUT, Call("r"))).headers for _ in sent]
        assert server.connections == 1
    assert heads[0] is heads[1] is heads[2]
    assert heads[3] is heads[4]
    assert heads[5] is not heads[0]
    assert heads[5] == heads[0]
