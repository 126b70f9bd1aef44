"""Calls refused unsent: the pause, the breaker and the bulkhead, driven through an upstream with a clock of its own."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app import errors
from app.call import CallContext
from app.errors import GatewayError, Outcome
from app.upstream.breaker import Breaker, BreakerState
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.responses import retry_after
from app.upstream.settings import Limits
from app.upstream.upstream import Upstream

PUT = BackendRequest("PUT", "/x", body=b"{}")
CALL = CallContext("request-1")
OPENS_AFTER_THREE = Limits(breaker_window=4, breaker_failures=3, breaker_open_seconds=10.0, connect_retries=0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Service:
    """A transport that answers with whatever is set, counts calls, and waits at the gate where one is set."""

    def __init__(self, *answers) -> None:
        self.answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.calls = 0
        self.arrived = asyncio.Semaphore(0)
        self.gate: asyncio.Event | None = None

    async def __call__(self, _: httpx.Request) -> httpx.Response:
        self.calls += 1
        self.arrived.release()
        if self.gate is not None:
            await self.gate.wait()
        answer = next(self.answers)
        if isinstance(answer, int):
            return httpx.Response(answer)
        if isinstance(answer, type):
            raise answer("x")
        return answer

    async def called(self, times: int) -> None:
        for _ in range(times):
            await self.arrived.acquire()

    def upstream(self, limits: Limits | None = None, clock: Clock | None = None) -> Upstream:
        return Upstream("x", "http://x", limits, httpx.MockTransport(self), clock=clock or Clock())


async def result(upstream: Upstream, call: CallContext = CALL) -> int | GatewayError:
    try:
        return (await upstream.send(PUT, call)).status
    except GatewayError as error:
        return error


def asks(status: int, value: str) -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": value})


def refused(error: int | GatewayError, row: errors.DocumentedError, seconds: int) -> bool:
    assert isinstance(error, GatewayError)
    assert error.outcome is Outcome.NOT_APPLIED
    assert error.retry_safe
    return (error.row, error.retry_after) == (row, seconds)


def in_half_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_refuses_unsent_until_it_is_over(status):
    clock, service = Clock(), Service(asks(status, "30"), 204)
    async with service.upstream(clock=clock) as upstream:
        assert await result(upstream) == status
        assert refused(await result(upstream), errors.BACKEND_PAUSED, 30)
        clock.now += 28.5
        assert refused(await result(upstream), errors.BACKEND_PAUSED, 2)
        assert upstream.paused_for == 1.5
        assert service.calls == 1
        clock.now += 1.5
        assert await result(upstream) == 204
        assert (service.calls, upstream.paused_for) == (2, 0.0)


async def test_a_pause_may_be_given_as_a_date():
    service = Service(asks(429, in_half_a_minute()), 204)
    async with service.upstream() as upstream:
        await result(upstream)
        assert 5 < upstream.paused_for <= 30


@pytest.mark.parametrize(
    "answer",
    [429, asks(429, "0"), asks(429, "soon"), asks(429, "-5"), asks(500, "30"), asks(404, "30"), asks(204, "30")],
)
async def test_no_pause_without_a_time_or_for_another_status(answer):
    service = Service(answer, 204)
    async with service.upstream() as upstream:
        await result(upstream)
        assert await result(upstream) == 204


async def test_a_pause_is_bounded_and_never_shortened_by_a_later_answer():
    service = Service(asks(429, "99999999999999999999"), asks(503, "5"))
    service.gate = asyncio.Event()
    async with service.upstream(Limits(max_pause_seconds=60.0)) as upstream:
        calls = [asyncio.create_task(result(upstream)) for _ in range(2)]
        service.gate.set()
        await asyncio.gather(*calls)
        assert upstream.paused_for == 60.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("999999999999", 86_400),
        ("", None),
        ("1.5", 2),
        ("0.2", 1),
        ("1.", 1),
        (".5", None),
        ("1,5", 5),
        ("30, 60", 60),
        ("60, 30", 60),
        ("soon, 5", 5),
        ("Fri, 02 Jan 2026 00:00:10 GMT, 7", 10),
        ("7, Fri, 02 Jan 2026 00:00:10 GMT", 10),
        ("Fri, 02 Jan 2026 00:00:10 GMT, Fri, 02 Jan 2026 00:00:20 GMT", 20),
        ("9" * 400, 86_400),
        ("+5", None),
        ("\u0665", None),
        ("Fri, 02 Jan 2026 00:00:10 GMT", 10),
        ("Fri, 02 Jan 2026 01:00:10 +0100", 10),
        ("Friday, 02-Jan-26 00:00:10 GMT", 10),
        ("Fri Jan  2 00:00:10 2026", 10),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0),
        ("Fri, 02 Jan 9999 00:00:00 GMT", 86_400),
        ("Fri, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
def test_both_forms_of_retry_after_are_read(value, seconds):
    assert retry_after({"retry-after": value}, datetime(2026, 1, 2, tzinfo=UTC)) == seconds


@pytest.mark.parametrize("failure", [500, 503, 599, httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout])
async def test_failures_of_the_service_open_the_breaker(failure):
    service = Service(failure)
    async with service.upstream(OPENS_AFTER_THREE) as upstream:
        for _ in range(3):
            assert upstream.breaker_state is BreakerState.CLOSED
            await result(upstream)
        assert upstream.breaker_state is BreakerState.OPEN
        assert refused(await result(upstream), errors.BREAKER_OPEN, 10)
    assert service.calls == 3


@pytest.mark.parametrize("answer", [200, 204, 307, 400, 401, 403, 404, 408, 409, 422, 429, 499, httpx.PoolTimeout])
async def test_what_is_no_failure_of_the_service_never_opens_it(answer):
    service = Service(answer)
    async with service.upstream(OPENS_AFTER_THREE) as upstream:
        for _ in range(20):
            await result(upstream)
        assert upstream.breaker_state is BreakerState.CLOSED
    assert service.calls == 20


async def test_successes_push_failures_out_of_the_window():
    service = Service(500, 204, 500, 204, 500, 204, 204, 500, 500, 204)
    async with service.upstream(OPENS_AFTER_THREE) as upstream:
        assert [await result(upstream) for _ in range(10)] == [500, 204, 500, 204, 500, 204, 204, 500, 500, 204]
        assert upstream.breaker_state is BreakerState.CLOSED


async def test_half_open_lets_one_probe_through_and_closes_when_it_succeeds():
    clock, service = Clock(), Service(500, 500, 500, 204)
    async with service.upstream(OPENS_AFTER_THREE, clock) as upstream:
        for _ in range(3):
            await result(upstream)
        clock.now += 9.5
        assert refused(await result(upstream), errors.BREAKER_OPEN, 1)
        clock.now += 0.5
        assert upstream.breaker_state is BreakerState.HALF_OPEN
        service.gate = asyncio.Event()
        probe = asyncio.create_task(result(upstream))
        await service.called(4)
        others = [await result(upstream) for _ in range(50)]
        assert all(refused(other, errors.BREAKER_OPEN, 1) for other in others)
        service.gate.set()
        assert await probe == 204
        assert upstream.breaker_state is BreakerState.CLOSED
        assert await result(upstream) == 204
    assert service.calls == 5


async def test_a_failed_probe_opens_it_again():
    clock, service = Clock(), Service(500)
    async with service.upstream(OPENS_AFTER_THREE, clock) as upstream:
        for _ in range(3):
            await result(upstream)
        clock.now += 10
        assert await result(upstream) == 500
        assert refused(await result(upstream), errors.BREAKER_OPEN, 10)
    assert service.calls == 4


async def test_a_callers_own_short_deadline_does_not_open_it_for_everybody():
    service = Service(204)
    service.gate = asyncio.Event()
    async with service.upstream(OPENS_AFTER_THREE) as upstream:
        timed_out = 0
        while timed_out < 10:
            deadline = asyncio.get_running_loop().time() + 0.005
            error = await result(upstream, CallContext("r", deadline=deadline))
            timed_out += error.row is errors.ANSWER_TIMED_OUT
            # On a machine that stands still it may be over before.
            assert error.row in {errors.ANSWER_TIMED_OUT, errors.DEADLINE_BEFORE_SENDING}
        assert upstream.breaker_state is BreakerState.CLOSED


async def test_time_outs_by_the_settings_open_it():
    service = Service(204)
    service.gate = asyncio.Event()
    limits = Limits(backend_seconds=0.01, breaker_window=4, breaker_failures=3)
    async with service.upstream(limits) as upstream:
        timed_out = 0
        while timed_out < 3:
            assert upstream.breaker_state is BreakerState.CLOSED
            timed_out += (await result(upstream)).row is errors.ANSWER_TIMED_OUT
        assert upstream.breaker_state is BreakerState.OPEN


async def test_beyond_the_number_in_flight_calls_are_refused_at_once():
    service = Service(204)
    service.gate = asyncio.Event()
    async with service.upstream(Limits(max_in_flight=3)) as upstream:
        calls = [asyncio.create_task(result(upstream)) for _ in range(10)]
        await service.called(3)
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert upstream.in_flight == 3
        service.gate.set()
        results = await asyncio.gather(*calls)
        assert upstream.in_flight == 0
        assert await result(upstream) == 204
    assert len(done) == 7
    assert results.count(204) == 3
    assert all(refused(error, errors.OVERLOADED, 1) for error in results if error != 204)
    assert service.calls == 4


async def test_one_service_never_holds_up_another():
    slow, fast = Service(204), Service(204)
    slow.gate = asyncio.Event()
    async with slow.upstream(Limits(max_in_flight=2)) as stuck, fast.upstream(Limits(max_in_flight=2)) as healthy:
        calls = [asyncio.create_task(result(stuck)) for _ in range(5)]
        assert [await result(healthy) for _ in range(20)] == [204] * 20
        slow.gate.set()
        await asyncio.gather(*calls)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, results and time: the breaker never lets more than its probes through, nor sticks."""

    limits = Limits(breaker_window=5, breaker_failures=3, breaker_open_seconds=10.0, breaker_probes=2)

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker("x", self.limits, self.clock)
        self.held = []

    @rule()
    def enter(self) -> None:
        before = self.breaker.state
        permit = self.breaker.enter()
        if isinstance(permit, int):
            assert permit >= 1
            assert before is not BreakerState.CLOSED
        else:
            assert before is not BreakerState.OPEN
            self.held.append(permit)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), failed=st.sampled_from([True, True, False, None]))
    def leave(self, data, failed) -> None:
        index = data.draw(st.integers(0, len(self.held) - 1))
        before = self.breaker.state
        self.breaker.leave(self.held.pop(index), failed=failed)
        if before is BreakerState.OPEN:
            assert self.breaker.state is BreakerState.OPEN

    @rule(seconds=st.sampled_from([0.1, 5.0, 10.0]))
    def wait(self, seconds) -> None:
        self.clock.now += seconds

    @invariant()
    def probes_are_bounded(self) -> None:
        assert 0 <= self.breaker._probes <= self.limits.breaker_probes

    def teardown(self) -> None:
        for permit in self.held:
            self.breaker.leave(permit, failed=None)
        self.clock.now += 10.0
        permit = self.breaker.enter()
        assert not isinstance(permit, int)
        self.breaker.leave(permit, failed=False)
        assert self.breaker.state is BreakerState.CLOSED


TestBreaker = BreakerMachine.TestCase


def test_an_answer_shows_neither_headers_nor_body():
    assert repr(BackendResponse(200, {"a": "secret"}, b"secret")) == "BackendResponse(status=200, complete=True)"
