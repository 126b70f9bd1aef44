"""Whose a pause is: a 429's the credential's that was told, a 503's everybody's."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter

import pytest

from app import errors
from app.call import CallContext
from app.errors import GatewayError
from app.upstream.breaker import Pauses
from app.upstream.identity import GATEWAY, identity
from app.upstream.messages import BackendRequest
from app.upstream.settings import Limits
from app.upstream.upstream import Upstream
from tests.upstream.bad_server import BadServer, answer


def basic(user: str, key: str = "key") -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


def bearer(*, scheme: str = "Bearer", signature: str = "s", **claims: object) -> dict[str, str]:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return {"authorization": f"{scheme} e30.{payload}.{signature}"}


ALICE = bearer(iss="https://issuer", sub="alice", exp=1)
SAME = {
    "Basic, another key": (basic("u", "a"), basic("u", "b")),
    "a renewed token": (ALICE, bearer(iss="https://issuer", sub="alice", exp=2, jti="x", signature="other")),
    "the scheme in another case": (ALICE, bearer(scheme="bearer", iss="https://issuer", sub="alice")),
    "the gateway's": ({}, {}),
    "a token with a key": (ALICE, {**ALICE, "x-api-key": "k"}),
}
OTHERS = {
    "another client identifier": (basic("u"), basic("v")),
    "another subject": (ALICE, bearer(iss="https://issuer", sub="bob")),
    "another issuer": (ALICE, bearer(iss="https://other", sub="alice")),
    "parts that run together": (bearer(iss="a", sub="bc"), bearer(iss="ab", sub="c")),
    "no subject": (bearer(iss="a"), bearer(iss="b")),
    "a subject that is no text": (bearer(iss="a", sub=1), bearer(iss="a", sub=2)),
    "opaque tokens": ({"authorization": "Bearer abc"}, {"authorization": "Bearer abd"}),
    "claims that are none": ({"authorization": "Bearer a.!.c"}, {"authorization": "Bearer a.?.c"}),
    "claims that nest": ({"authorization": f"Bearer a.{'W1tb' * 9000}.c"}, {"authorization": "Bearer a.W1tb.c"}),
    "Basic that is none": ({"authorization": "Basic !"}, {"authorization": "Basic ?"}),
    "Basic without a colon": ({"authorization": "Basic YQ=="}, {"authorization": "Basic Yg=="}),
    "another scheme": ({"authorization": "Digest a"}, {"authorization": "Digest b"}),
    "keys": ({"x-api-key": "key-one"}, {"x-api-key": "key-two"}),
    "a caller's and the gateway's": (ALICE, {}),
}


@pytest.mark.parametrize("case", SAME)
def test_one_identity(case):
    first, second = SAME[case]
    assert identity(first) == identity(second)


@pytest.mark.parametrize("case", OTHERS)
def test_two_identities(case):
    first, second = OTHERS[case]
    assert identity(first) != identity(second)
    for credentials in (first, second):
        assert not any(value in identity(credentials) for value in credentials.values())


def test_the_gateway_is_one_identity():
    assert identity({}) == GATEWAY


class Service:
    """Limits some callers by their `authorization`; answers 204 to others."""

    def __init__(self, limited: dict[str | None, bytes]) -> None:
        self.limited = limited
        self.calls: Counter[str | None] = Counter()

    async def __call__(self, exchange) -> None:
        authorization = exchange.headers.get("authorization")
        self.calls[authorization] += 1
        await exchange.send(self.limited.get(authorization, answer(204)))


async def put(upstream: Upstream, credentials: dict[str, str]) -> int | errors.DocumentedError:
    call = CallContext("r", credentials={"x": credentials} if credentials else {})
    try:
        return (await upstream.send(BackendRequest("PUT", "/x", headers=credentials, body=b"{}"), call)).status
    except GatewayError as error:
        return error.row


async def test_of_two_hundred_callers_one_is_limited_and_the_others_calls_are_all_sent():
    callers = [basic(f"caller-{number}") for number in range(200)]
    service = Service({callers[7]["authorization"]: answer(429, b"", "retry-after: 60")})
    async with BadServer(service) as server, Upstream("x", server.url) as upstream:
        for _ in range(3):
            results = await asyncio.gather(*(put(upstream, credentials) for credentials in callers))
            assert [number for number, result in enumerate(results) if result != 204] == [7]
        assert await put(upstream, basic("caller-7", "another key")) is errors.BACKEND_PAUSED
        assert await put(upstream, {}) == 204
        assert upstream.paused_for == 0
    assert service.calls[callers[7]["authorization"]] == 1
    assert set(service.calls.values()) == {1, 3}


@pytest.mark.parametrize("whose", ["the gateway's", "a caller's"])
async def test_the_pause_is_of_the_one_that_was_told(whose):
    told, other = ({}, ALICE) if whose == "the gateway's" else (ALICE, {})
    service = Service({told.get("authorization"): answer(429, b"", "retry-after: 1.5", "retry-after: 60")})
    async with BadServer(service) as server, Upstream("x", server.url) as upstream:
        assert await put(upstream, told) == 429
        assert await put(upstream, told) is errors.BACKEND_PAUSED
        assert await put(upstream, other) == 204
        assert (upstream.paused_for > 10) == (whose == "the gateway's")


async def test_a_503_pauses_everybody():
    service = Service({None: answer(503, b"", "retry-after: 60")})
    async with BadServer(service) as server, Upstream("x", server.url) as upstream:
        assert await put(upstream, {}) == 503
        assert [await put(upstream, caller) for caller in ({}, ALICE, basic("u"))] == [errors.BACKEND_PAUSED] * 3


def test_pauses_are_bounded_and_end():
    now = 1000.0
    pauses = Pauses("x", Limits(), lambda: now)
    for number in range(5000):
        pauses.ask(f"caller-{number}", 30)
    kept = [number for number in range(5000) if pauses.remaining(f"caller-{number}")]
    assert kept == list(range(5000 - 1024, 5000))
    now += 30
    assert not pauses
    assert pauses.remaining("caller-4999") == 0
