"""Byte streams of a client, whole and broken, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.server.speaking import chunked, update

_TARGETS = [b"/graphql"] * 5 + [
    b"/graphql?a=b",
    b"/health/live",
    b"/health/ready",
    b"/nothing",
    b"http://a/graphql",
    b"*",
]
_METHODS = [b"POST"] * 6 + [b"GET", b"HEAD", b"PUT", b"OPTIONS", b"DELETE"]
_BODIES = [
    update("new"),
    update("taken"),
    b'{"query": "{ __typename }"}',
    b"",
    b"{",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
]
_FIELDS = [
    b"accept: application/json",
    b"Accept: application/graphql-response+json",
    b"content-type: application/json",
    b"Content-Type: application/json; charset=utf-8",
    b"connection: close",
    b"Connection: keep-alive",
    b"expect: 100-continue",
    b"x-simulate: TITLE_TAKEN",
    b"x:  padded \t",
    b"Connection: Upgrade\r\nUpgrade: h2c",
    b"connection: upgrade, x\r\nupgrade: websocket",
    b"UPGRADE: TLS/1.0",
    b"te: trailers",
]
# What may stand where it may not, one byte or more in a request's place.
_NOISE = [b"\0", b"\r", b"\n", b" ", b"\t", b":", b"\x80", b"\r\n", b"\n\n", b"0", b"-", b";", b",", b"\r\n\r\n", b"G"]
_RARE = [b"host: b", b"content-length: 0", b"content-length: 5", b"transfer-encoding: chunked", b"transfer-encoding: x"]


def request(chance: random.Random) -> bytes:
    """Mostly one; sometimes what a peer that is broken or hostile sends in place of it."""
    body = chance.choice(_BODIES)
    fields = [b"Host: a"] if chance.random() < 0.97 else []
    fields += chance.sample(_FIELDS, chance.randrange(4))
    fields += [b"content-type: application/json"] * (chance.random() < 0.7)
    if chance.random() < 0.05:
        fields.append(chance.choice(_RARE))
    framing = chance.random()
    if framing < 0.6:
        fields.append(b"Content-Length: %d" % len(body))
    elif framing < 0.85:
        fields.append(b"Transfer-Encoding: chunked")
        body = chunked(body, chance.choice([1, 3, 1000]))
        if chance.random() < 0.3:
            body = body[:-2] + b"content-type: text/plain\r\n\r\n"
    else:
        body = b""
    chance.shuffle(fields)
    version = (
        b"HTTP/1.1" if chance.random() < 0.95 else chance.choice([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1"])
    )
    line = b"%b %b %b" % (chance.choice(_METHODS), chance.choice(_TARGETS), version)
    whole = b"\r\n" * (chance.random() < 0.1) + b"\r\n".join([line, *fields, b"", b""]) + body
    if chance.random() < 0.06:
        at = chance.randrange(len(whole))
        whole = whole[:at] + chance.choice(_NOISE) + whole[at + chance.randrange(3) :]
    return whole


def streams(seed: int, requests: int) -> Iterator[tuple[bytes, list[int]]]:
    """What a client sends on a connection, one to six requests and perhaps cut off, and in which pieces it arrives."""
    chance = random.Random(seed)
    while requests > 0:
        number = chance.randint(1, 6)
        requests -= number
        stream = b"".join(request(chance) for _ in range(number))
        if chance.random() < 0.06:
            stream = stream[: chance.randrange(len(stream)) + 1]
        yield stream, [chance.choice([1, 2, 5, 40, 150, 400, 3000]) for _ in range(20)]
