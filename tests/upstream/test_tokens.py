"""Bearer tokens: how often the endpoint is asked, with which grant, and what its failures become."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import parse_qs

import httpx
import pytest

from app import errors
from app.call import CallContext
from app.errors import Code, GatewayError, Outcome
from app.upstream.settings import Limits
from app.upstream.tokens import TokenSource
from tests.upstream.bad_server import BadServer, answer, says, status, unused_port

CALL = CallContext("request-1")
USER, PASSWORD = "somebody@example.com", "p&ss=wörd?"
REFUSED = httpx.Response(401, json={"error": "invalid_grant", "error_description": "Invalid user credentials"})
NO_RETRY = Limits(connect_retries=0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Endpoint:
    """A token endpoint: issues `access-1`, `access-2`, … and keeps every form that it was sent."""

    def __init__(self, **members) -> None:
        self.members = {"expires_in": 300, "refresh_expires_in": 1800, "token_type": "Bearer"} | members
        self.forms: list[dict[str, str]] = []
        self.clock = Clock()
        self.gate: asyncio.Event | None = None
        self.arrived = asyncio.Semaphore(0)
        self.next: list[httpx.Response | type[Exception]] = []

    @property
    def grants(self) -> list[str]:
        return [form["grant_type"] for form in self.forms]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        self.forms.append({name: values[0] for name, values in parse_qs(request.content.decode()).items()})
        self.arrived.release()
        if self.gate is not None:
            await self.gate.wait()
        if self.next:
            prepared = self.next.pop(0)
            if isinstance(prepared, httpx.Response):
                return prepared
            raise prepared("x")
        number = len(self.forms)
        issued = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"} | self.members
        return httpx.Response(200, json={name: value for name, value in issued.items() if value is not None})

    def source(self, **options) -> TokenSource:
        url = "http://identity.test/realms/r/protocol/openid-connect/token"
        transport = httpx.MockTransport(self)
        return TokenSource(url, "client", USER, PASSWORD, transport, NO_RETRY, clock=self.clock, **options)


async def error_of(source: TokenSource, call: CallContext = CALL) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await source.bearer(call)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    return caught.value


async def test_the_password_grant_is_asked_as_documented():
    endpoint = Endpoint()
    async with endpoint.source() as source:
        assert await source.bearer(CALL) == "access-1"
    assert endpoint.forms == [{"grant_type": "password", "client_id": "client", "username": USER, "password": PASSWORD}]


async def test_a_client_secret_is_sent_as_basic_credentials():
    async with (
        BadServer(status(401)) as server,
        TokenSource(f"{server.url}/token/", "client", USER, PASSWORD, client_secret="s3cret") as source,
    ):
        await error_of(source)
    assert server.requests[0].headers["authorization"] == "Basic Y2xpZW50OnMzY3JldA=="
    assert server.requests[0].target == "/token/"
    assert b"s3cret" not in server.requests[0].body


async def test_200_callers_with_an_expired_token_cause_one_request():
    endpoint = Endpoint()
    async with endpoint.source() as source:
        assert await source.bearer(CALL) == "access-1"
        endpoint.clock.now += 301
        tokens = await asyncio.gather(*(source.bearer(CallContext(str(number))) for number in range(200)))
    assert set(tokens) == {"access-2"}
    assert endpoint.grants == ["password", "refresh_token"]


async def test_200_callers_share_one_failure():
    endpoint = Endpoint()
    endpoint.next = [REFUSED]
    async with endpoint.source() as source:
        errors_seen = await asyncio.gather(*(error_of(source) for _ in range(200)))
    assert len(endpoint.forms) == 1
    assert len({id(error) for error in errors_seen}) == 200


async def test_a_cancelled_caller_does_not_cancel_the_others():
    endpoint = Endpoint()
    endpoint.gate = asyncio.Event()
    async with endpoint.source() as source:
        first, second = (asyncio.create_task(source.bearer(CALL)) for _ in range(2))
        await endpoint.arrived.acquire()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        endpoint.gate.set()
        assert await second == "access-1"
    assert len(endpoint.forms) == 1


async def test_a_callers_deadline_ends_only_its_own_wait():
    endpoint = Endpoint()
    endpoint.gate = asyncio.Event()
    async with endpoint.source() as source:
        deadline = asyncio.get_running_loop().time() + 0.05
        error = await error_of(source, CallContext("r", deadline=deadline))
        patient = asyncio.create_task(source.bearer(CALL))
        await asyncio.sleep(0)
        endpoint.gate.set()
        assert await patient == "access-1"
    assert error.row is errors.DEADLINE_BEFORE_SENDING
    assert len(endpoint.forms) == 1


@pytest.mark.parametrize(
    ("expires_in", "fresh_until"),
    [
        (300, 269.9),
        ("300", 269.9),
        (10, 4.9),
        (None, 269.9),
        (True, 269.9),
        (-1, 269.9),
        ("soon", 269.9),
        (10.0, 4.9),
        ("10.0", 4.9),
    ],
)
async def test_a_token_is_renewed_before_it_expires(expires_in, fresh_until):
    endpoint = Endpoint(expires_in=expires_in)
    async with endpoint.source(margin=30.0) as source:
        await source.bearer(CALL)
        endpoint.clock.now += fresh_until
        assert await source.bearer(CALL) == "access-1"
        endpoint.clock.now += 0.2
        assert await source.bearer(CALL) == "access-2"
    assert endpoint.grants == ["password", "refresh_token"]
    assert endpoint.forms[1] == {"grant_type": "refresh_token", "client_id": "client", "refresh_token": "refresh-1"}


async def test_a_token_that_is_issued_expired_is_not_used():
    endpoint = Endpoint(expires_in=0)
    async with endpoint.source() as source:
        assert (await error_of(source)).row is errors.TOKEN_UNAVAILABLE


async def test_a_refresh_token_past_its_time_is_not_tried():
    endpoint = Endpoint(refresh_expires_in=400)
    async with endpoint.source() as source:
        await source.bearer(CALL)
        endpoint.clock.now += 401
        assert await source.bearer(CALL) == "access-2"
    assert endpoint.grants == ["password", "password"]


async def test_without_a_refresh_token_the_password_is_used():
    endpoint = Endpoint(refresh_token=None)
    async with endpoint.source() as source:
        await source.bearer(CALL)
        endpoint.clock.now += 300
        assert await source.bearer(CALL) == "access-2"
    assert endpoint.grants == ["password", "password"]


async def test_a_refresh_that_brings_no_new_refresh_token_keeps_the_old_one():
    endpoint = Endpoint()
    async with endpoint.source() as source:
        await source.bearer(CALL)
        endpoint.next = [httpx.Response(200, json={"access_token": "other", "expires_in": 60})]
        endpoint.clock.now += 300
        assert await source.bearer(CALL) == "other"
        endpoint.clock.now += 60
        await source.bearer(CALL)
    assert [form.get("refresh_token") for form in endpoint.forms] == [None, "refresh-1", "refresh-1"]


async def test_a_refused_refresh_falls_back_to_the_password():
    endpoint = Endpoint()
    async with endpoint.source() as source:
        await source.bearer(CALL)
        endpoint.clock.now += 300
        endpoint.next = [
            httpx.Response(400, json={"error": "invalid_grant", "error_description": "Session not active"})
        ]
        assert await source.bearer(CALL) == "access-3"
        endpoint.clock.now += 300
        await source.bearer(CALL)
    assert endpoint.grants == ["password", "refresh_token", "password", "refresh_token"]


async def test_a_dropped_token_is_renewed_and_only_that_one_is_dropped():
    endpoint = Endpoint()
    async with endpoint.source() as source:
        token = await source.bearer(CALL)
        source.drop("another")
        assert await source.bearer(CALL) == "access-1"
        source.drop(token)
        assert await source.bearer(CALL) == "access-2"
        source.drop(token)  # a late 401 of the old one
        assert await source.bearer(CALL) == "access-2"
        assert source.drop("Bearer access-2")
        assert await source.bearer(CALL) == "access-3"
    assert len(endpoint.forms) == 3


async def test_beside_a_callers_own_key_a_new_token_is_not_what_was_refused():
    """Else a wrong key would make the gateway fetch a token for each call."""
    endpoint = Endpoint()
    async with endpoint.source() as source:
        token = await source.bearer(CALL)
        assert not source.drop(token, alone=False)
        assert await source.bearer(CALL) == token
        endpoint.clock.now += 6
        assert source.drop(token, alone=False)
        assert await source.bearer(CALL) != token


async def test_a_refusal_is_unauthenticated_and_not_repeated_at_once():
    endpoint = Endpoint()
    endpoint.next = [REFUSED]
    async with endpoint.source(backend="x") as source:
        error = await error_of(source)
        await error_of(source)
        endpoint.clock.now += 4.9
        await error_of(source)
        assert len(endpoint.forms) == 1
        endpoint.clock.now += 0.2
        assert await source.bearer(CALL) == "access-2"
    assert (error.row, error.row.code) == (errors.TOKEN_REFUSED, Code.UNAUTHENTICATED)
    assert error.extensions["backend"] == {
        "name": "x",
        "status": 401,
        "code": "invalid_grant",
        "message": "Invalid user credentials",
    }
    assert not error.retry_safe


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError,
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.Response(500, text="oh"),
        httpx.Response(503, headers={"retry-after": "7"}),
        httpx.Response(429, headers={"retry-after": "7"}),
        httpx.Response(404, text="no realm"),
        httpx.Response(302, headers={"location": "http://elsewhere"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=["access_token"]),
        httpx.Response(200, json={"access_token": 5}),
        httpx.Response(200, json={"access_token": "a\r\nb"}),
        httpx.Response(200, json={"access_token": ""}),
    ],
)
async def test_an_endpoint_that_cannot_answer_is_unavailable(failure):
    endpoint = Endpoint()
    endpoint.next = [failure]
    async with endpoint.source() as source:
        error = await error_of(source)
    assert (error.row, error.row.code) == (errors.TOKEN_UNAVAILABLE, Code.BACKEND_UNAVAILABLE)
    assert error.retry_safe
    assert error.retry_after == (7 if "retry-after" in getattr(failure, "headers", {}) else None)


async def test_an_unreachable_endpoint_does_not_matter_while_the_token_lasts():
    endpoint = Endpoint()
    async with endpoint.source() as source:
        await source.bearer(CALL)
        endpoint.clock.now += 280
        endpoint.next = [httpx.ConnectError, httpx.ConnectError]
        assert await source.bearer(CALL) == "access-1"
        endpoint.clock.now += 30
        assert (await error_of(source)).row is errors.TOKEN_UNAVAILABLE


async def test_nothing_listens_at_the_endpoint():
    url = f"http://127.0.0.1:{unused_port()}/token"
    async with TokenSource(url, "client", USER, PASSWORD, limits=NO_RETRY) as source:
        assert (await error_of(source)).row is errors.TOKEN_UNAVAILABLE


async def test_no_secret_is_logged_or_shown(caplog):
    caplog.set_level(logging.DEBUG)
    echo = f'{{"error":"invalid_grant","error_description":"{USER} / {PASSWORD} at http://identity.test/x"}}'
    async with (
        BadServer(says(answer(400, echo.encode()))) as server,
        TokenSource(f"{server.url}/token", "client", USER, PASSWORD, backend="x") as source,
    ):
        refused = await error_of(source)
        shown = repr(source)
    endpoint = Endpoint(access_token="acc3ss", refresh_token="r3fresh")
    async with endpoint.source() as source:
        await source.bearer(CALL)
        source.drop("acc3ss")
        endpoint.next = [httpx.Response(400, json={"error": "x", "error_description": "bad r3fresh"}), REFUSED]
        again = await error_of(source)
        shown += repr(source) + repr(source.__dict__["_tokens"])
    for error in (refused, again):
        shown += f"{error!r} {error.message} {error.detail} {error.extensions}"
    for secret in (USER, PASSWORD, "acc3ss", "r3fresh", "identity.test"):
        assert secret not in shown + caplog.text


async def test_closing_ends_a_renewal_that_nobody_waits_for():
    endpoint = Endpoint()
    endpoint.gate = asyncio.Event()
    source = endpoint.source()
    caller = asyncio.create_task(source.bearer(CALL))
    await endpoint.arrived.acquire()
    caller.cancel()
    endpoint.gate.set()
    await source.aclose()
    assert caller.done() or caller.cancelling()
