"""Time, retries, connections and what a caller's end does, over real sockets."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc

import httpx
import pytest

from app import errors
from app.call import CallContext
from app.errors import GatewayError, Outcome
from app.upstream.failures import ExchangeError, failed
from app.upstream.messages import BackendRequest
from app.upstream.pool import Pool
from app.upstream.settings import Limits
from app.upstream.transport import FAILURES, row_of
from app.upstream.upstream import Upstream
from tests.patience import given_time
from tests.upstream.bad_server import BadServer, answer, in_turn, says, status, unused_port

PUT = BackendRequest("PUT", "/x", body=b"{}")
GET = BackendRequest("GET", "/x")
CALL = CallContext("request-1")


async def error_of(upstream: Upstream, request: BackendRequest = PUT, call: CallContext = CALL) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await upstream.send(request, call)
    return caught.value


def in_seconds(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class Gate:
    """A script that answers 204 only once it is opened, and tells how many requests wait at it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.arrived = asyncio.Semaphore(0)

    async def __call__(self, exchange) -> None:
        self.arrived.release()
        await self.opened.wait()
        await exchange.send(answer(204))


class Recorder:
    """A jitter and a sleep that only write down what they were asked."""

    def __init__(self, jitter=lambda ceiling: ceiling) -> None:
        self.ceilings: list[float] = []
        self.slept: list[float] = []
        self._jitter = jitter

    def jitter(self, ceiling: float) -> float:
        self.ceilings.append(ceiling)
        return self._jitter(ceiling)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_every_failure_of_httpx_has_a_row():
    classes = {value for value in vars(httpx).values() if isinstance(value, type) and issubclass(value, Exception)}
    pending = set(classes)
    while pending:
        more = set(pending.pop().__subclasses__()) - classes
        classes |= more
        pending |= more
    ours = {kind for kind in classes if kind.__module__.startswith("httpx")}
    rows = {kind: row_of(kind) for kind in ours}
    assert None not in rows.values()
    unsent = {kind.__name__ for kind, row in rows.items() if row.outcome is Outcome.NOT_APPLIED}
    assert unsent == {"PoolTimeout", "ConnectTimeout", "ConnectError", "ProxyError"}
    shadowed = [
        (late, early)
        for early, late in itertools.combinations([kind for kind, _ in FAILURES], 2)
        if issubclass(late, early)
    ]
    assert shadowed == []


async def test_only_certainly_unsent_failures_are_tried_again_with_growing_full_jitter():
    recorder = Recorder(lambda ceiling: ceiling / 2)
    limits = Limits(connect_retries=4, backoff=0.1, max_backoff=0.5)
    url = f"http://127.0.0.1:{unused_port()}"
    async with Upstream("x", url, limits, jitter=recorder.jitter, sleep=recorder.sleep) as upstream:
        error = await error_of(upstream)
    assert error.row is errors.NOT_CONNECTED
    assert error.retry_safe
    assert recorder.ceilings == [0.1, 0.2, 0.4, 0.5]
    assert recorder.slept == [0.05, 0.1, 0.2, 0.25]


async def test_a_put_that_left_is_never_sent_again():
    recorder = Recorder()
    async with (
        BadServer(says(b"", then="close")) as server,
        Upstream("x", server.url, Limits(connect_retries=5), sleep=recorder.sleep) as upstream,
    ):
        error = await error_of(upstream)
    assert (error.row, server.puts, recorder.slept) == (errors.CONNECTION_LOST, 1, [])


async def test_a_retry_reaches_a_service_that_came_up_meanwhile():
    port = unused_port()
    server = None

    async def starts(_seconds: float) -> None:
        nonlocal server
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)

    async with Upstream("x", f"http://127.0.0.1:{port}", sleep=starts) as upstream:
        error = await error_of(upstream)
    server.close()
    assert error.row is errors.CONNECTION_LOST


async def test_no_retry_would_end_after_the_deadline():
    recorder = Recorder(lambda _: 10.0)
    url = f"http://127.0.0.1:{unused_port()}"
    async with Upstream("x", url, jitter=recorder.jitter, sleep=recorder.sleep) as upstream:
        error = await error_of(upstream, call=CallContext("r", deadline=in_seconds(9)))
    assert (error.row, recorder.slept) == (errors.NOT_CONNECTED, [])


async def test_a_deadline_that_is_over_sends_nothing():
    async with BadServer(status(204)) as server, Upstream("x", server.url) as upstream:
        error = await error_of(upstream, call=CallContext("r", deadline=in_seconds(-1)))
    assert (error.row, error.outcome) == (errors.DEADLINE_BEFORE_SENDING, Outcome.NOT_APPLIED)
    assert server.connections == 0


async def test_a_deadline_shortens_the_time_of_a_call():
    async def attempt(seconds: float) -> None:
        async with (
            BadServer(says(b"", then="hang")) as server,
            Upstream("x", server.url, Limits(backend_seconds=3600)) as upstream,
        ):
            error = await error_of(upstream, call=CallContext("r", deadline=in_seconds(seconds)))
        assert (error.row, error.outcome, server.puts) == (errors.ANSWER_TIMED_OUT, Outcome.UNKNOWN, 1)

    await given_time(attempt, 1)


async def test_a_wait_for_a_connection_ends_unsent():
    gate = Gate()
    limits = Limits(max_connections=1, pool_seconds=0.1, connect_retries=0)
    async with BadServer(gate) as server, Upstream("x", server.url, limits) as upstream:
        first = asyncio.create_task(upstream.send(PUT, CALL))
        await gate.arrived.acquire()
        error = await error_of(upstream)
        gate.opened.set()
        assert (await first).status == 204
    assert (error.row, error.outcome, server.puts) == (errors.NO_FREE_CONNECTION, Outcome.NOT_APPLIED, 1)
    assert error.retry_safe


async def test_a_deadline_during_the_wait_for_a_connection_ends_unsent():
    gate = Gate()
    async with BadServer(gate) as server, Upstream("x", server.url, Limits(max_connections=1)) as upstream:
        first = asyncio.create_task(upstream.send(PUT, CALL))
        await gate.arrived.acquire()
        error = await error_of(upstream, call=CallContext("r", deadline=in_seconds(0.1)))
        gate.opened.set()
        await first
        assert (await upstream.send(PUT, CALL)).status == 204  # and no connection is lost by it
    assert (error.row, error.outcome, server.puts) == (errors.DEADLINE_BEFORE_SENDING, Outcome.NOT_APPLIED, 2)


@pytest.mark.parametrize("surplus", [b"{}", b'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}'])
async def test_bytes_beyond_an_answer_are_never_read_as_the_next_ones(surplus):
    scripts = in_turn(says(b"HTTP/1.1 204 No Content\r\n\r\n" + surplus), status(409))
    async with BadServer(scripts) as server, Upstream("x", server.url) as upstream:
        assert (await upstream.send(PUT, CALL)).status == 204
        assert (await upstream.send(PUT, CALL)).status == 409
    assert (server.puts, server.connections) == (2, 2)


async def test_a_connection_is_kept_between_clean_answers():
    async with BadServer(status(204)) as server, Upstream("x", server.url) as upstream:
        for _ in range(5):
            await upstream.send(PUT, CALL)
    assert (server.puts, server.connections) == (5, 1)


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again():
    closed = asyncio.Event()

    async def closes_after_the_answer(exchange) -> None:
        await exchange.send(answer(204))
        exchange.close()
        await exchange.writer.wait_closed()
        closed.set()

    async with BadServer(closes_after_the_answer) as server, Upstream("x", server.url) as upstream:
        for number in (1, 2, 3):
            assert (await upstream.send(PUT, CALL)).status == 204
            await closed.wait()
            closed.clear()
            assert number == server.connections == server.puts


async def test_a_kept_connection_that_dies_under_the_next_put_is_unknown_and_not_sent_again():
    scripts = in_turn(status(204), says(b"", then="reset"))
    async with BadServer(scripts) as server, Upstream("x", server.url) as upstream:
        await upstream.send(PUT, CALL)
        error = await error_of(upstream)
    assert (error.row, error.outcome, server.puts) == (errors.CONNECTION_LOST, Outcome.UNKNOWN, 2)


async def test_a_put_outlives_its_caller_and_closing_waits_for_it(caplog):
    gate = Gate()
    async with BadServer(gate) as server, Upstream("x", server.url) as upstream:
        caller = asyncio.create_task(upstream.send(PUT, CALL))
        await gate.arrived.acquire()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert upstream.in_flight == 1
        closing = asyncio.create_task(upstream.aclose())
        await asyncio.sleep(0)
        assert not closing.done()
        gate.opened.set()
        await closing
        assert upstream.in_flight == 0
        assert server.puts == 1
    assert "ended without its caller: status 204" in caplog.text


async def test_a_read_ends_with_its_caller():
    gate = Gate()
    async with BadServer(gate) as server, Upstream("x", server.url) as upstream:
        caller = asyncio.create_task(upstream.send(GET, CALL))
        await gate.arrived.acquire()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert upstream.in_flight == 0


async def test_over_a_kept_connection_too_a_put_outlives_its_caller_and_a_read_does_not(caplog):
    gate = Gate()
    async with BadServer(in_turn(status(204), gate, gate)) as server, Upstream("x", server.url) as upstream:
        await upstream.send(PUT, CALL)
        for request, left in ((PUT, 1), (GET, 0)):
            caller = asyncio.create_task(upstream.send(request, CALL))
            await gate.arrived.acquire()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            assert upstream.in_flight == left
            gate.opened.set()
            while upstream.in_flight:
                await asyncio.sleep(0)
            gate.opened.clear()
        assert (server.puts, server.connections) == (2, 1)
        gate.opened.set()
        assert (await upstream.send(PUT, CALL)).status == 204
        # The connection of the read that nobody waited for was closed.
        assert (server.puts, server.connections) == (3, 2)
    assert "ended without its caller: status 204" in caplog.text


async def test_over_a_kept_connection_each_call_has_its_own_time():
    """The connection's one timer was set for a later end, and then for an earlier one."""
    script = in_turn(status(204), says(b"", then="hang"), status(204), status(204), says(b"", then="hang"))

    async def applied(upstream: Upstream, seconds: float) -> None:
        try:
            assert (await upstream.send(PUT, CallContext("r", deadline=in_seconds(seconds)))).status == 204
        except GatewayError as error:
            raise AssertionError from error

    async def attempt(seconds: float) -> None:
        async with BadServer(script) as server, Upstream("x", server.url, Limits(backend_seconds=900)) as upstream:
            for _ in range(2):
                await applied(upstream, 20 * seconds)
                if server.puts > 1:
                    await applied(upstream, 3 * seconds)
                started = asyncio.get_running_loop().time()
                with pytest.raises(GatewayError) as caught:
                    await upstream.send(PUT, CallContext("r", deadline=in_seconds(seconds)))
                # uvloop's clock counts milliseconds.
                if asyncio.get_running_loop().time() - started < seconds - 0.01:
                    pytest.fail("a call ended before its time")
                assert (caught.value.row, caught.value.outcome) == (errors.ANSWER_TIMED_OUT, Outcome.UNKNOWN)
                assert upstream.in_flight == 0
            assert server.puts == 5

    await given_time(attempt, 1)


async def test_over_a_kept_connection_an_answer_may_come_in_pieces():
    async def drips(exchange) -> None:
        for byte in answer(200, b"whole"):
            await exchange.send(bytes([byte]))
            await asyncio.sleep(0)

    async with BadServer(drips) as server, Upstream("x", server.url) as upstream:
        for _ in range(3):
            assert (await upstream.send(PUT, CALL)).body == b"whole"
        assert server.connections == 1


async def test_answers_under_load_are_never_mixed_up():
    async def echoes(exchange) -> None:
        await asyncio.sleep(0)
        await exchange.send(answer(200, exchange.body))

    async def one(upstream: Upstream, number: int) -> bool:
        body = f"body-{number}".encode()
        return (await upstream.send(BackendRequest("PUT", "/x", body=body), CALL)).body == body

    async with BadServer(echoes) as server, Upstream("x", server.url, Limits(max_connections=10)) as upstream:
        assert all(await asyncio.gather(*(one(upstream, number) for number in range(200))))
    assert (server.puts, server.connections) == (200, 10)


async def test_100_mb_cost_no_memory():
    piece = bytes(65536)

    async def floods(exchange) -> None:
        await exchange.send(answer(200, length=100 * 2**20))
        for _ in range(1600):
            await exchange.send(piece)

    async with BadServer(floods) as server, Upstream("x", server.url, Limits(backend_seconds=60)) as upstream:
        tracemalloc.start()
        try:
            error = await error_of(upstream)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert error.row is errors.ANSWER_TOO_LARGE
    assert peak < 12 * 2**20


async def test_the_observer_hears_of_every_call_and_cannot_spoil_one():
    heard = []

    class Observer:
        def on_call(self, *told) -> None:
            heard.append(told)
            raise RuntimeError("broken metrics")

    async with (
        BadServer(in_turn(status(204), says(b"", then="close"))) as server,
        Upstream("x", server.url, observer=Observer()) as upstream,
    ):
        assert (await upstream.send(PUT, CALL)).status == 204
        await error_of(upstream)
        await error_of(upstream, call=CallContext("r", deadline=in_seconds(-1)))
    assert [told[:4] for told in heard] == [
        ("x", "PUT", 204, None),
        ("x", "PUT", None, "CONNECTION_LOST"),
        ("x", "PUT", None, "DEADLINE_BEFORE_SENDING"),
    ]
    assert all(told[4] >= 0 for told in heard)


async def test_another_transport_is_judged_by_its_failures_alone():
    def handler(request: httpx.Request) -> httpx.Response:
        raise {"/a": httpx.ConnectError, "/b": httpx.ReadError, "/c": KeyError}[request.url.path]("x")

    limits = Limits(connect_retries=0)
    async with Upstream("x", "http://x", limits, httpx.MockTransport(handler)) as upstream:
        rows = [(await error_of(upstream, BackendRequest("PUT", path))).row for path in ("/a", "/b", "/c")]
    assert rows == [errors.NOT_CONNECTED, errors.CONNECTION_LOST, errors.INTERNAL]


class Stream(httpx.AsyncByteStream):
    """A body that is complete, on a connection whose end goes wrong."""

    def __init__(self, end) -> None:
        self._end = end

    async def __aiter__(self):
        yield b"{}"

    async def aclose(self) -> None:
        await self._end()


async def fails() -> None:
    raise httpx.ReadError("x")


@pytest.mark.parametrize("end", [fails, lambda: asyncio.Event().wait()], ids=["fails", "hangs"])
async def test_an_answer_that_was_complete_stands_whatever_closing_does(end):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Stream(end)))

    async def within(seconds: float) -> None:
        async with Upstream("x", "http://x", Limits(backend_seconds=seconds), transport) as upstream:
            try:
                answered = await upstream.send(PUT, CALL)
            except GatewayError as error:
                raise AssertionError from error
        assert (answered.status, answered.body, answered.complete) == (200, b"{}", True)

    await given_time(within, 0.1)


BROKEN = [*(row for _, row in FAILURES), errors.ANSWER_TOO_LARGE]


@pytest.mark.parametrize("error", [*(ExchangeError(row) for row in BROKEN), KeyError()])
def test_what_is_known_of_the_bytes_overrules_the_failures_row(error):
    sent, unsent = (failed("x", error, left=left) for left in (True, False))
    assert (sent.outcome, sent.retry_safe) == (Outcome.UNKNOWN, False)
    assert unsent.outcome is Outcome.NOT_APPLIED


async def test_a_connection_that_closes_while_it_is_handed_over_is_not_sent_over():
    """Who waits for a connection gets it in a later turn than that in which it became free."""
    async with BadServer(status(204)) as server:
        pool = Pool("127.0.0.1", server.port, None, Limits(max_connections=1))
        connection = await pool.take()
        waiting = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        connection.send(b"PUT / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", 0)
        await connection.ended(in_seconds(60))
        assert connection.complete
        pool.release(connection, reuse=True)
        connection.abort()
        other = await waiting
        assert other is not connection
        pool.discard(other)


async def test_a_204_has_no_body_whatever_it_says_of_its_coding():
    scripts = says(b"HTTP/1.1 204 No Content\r\ncontent-encoding: br\r\n\r\n")
    async with BadServer(scripts) as server, Upstream("x", server.url) as upstream:
        for _ in range(2):
            assert (await upstream.send(PUT, CALL)).status == 204
    assert server.puts == 2


async def test_a_request_that_is_answered_before_its_end_is_sent_to_its_end():
    body = b"x" * 16_000_000

    async def answers_first(exchange) -> None:
        await exchange.send(answer(204))
        await exchange.body_read()

    async with BadServer(answers_first, eager=False) as server, Upstream("x", server.url) as upstream:
        for _ in range(2):
            # Over a kept connection the second would be sent by another way, were it kept.
            assert (await upstream.send(BackendRequest("PUT", "/x", body=body), CALL)).status == 204
        while not all(exchange.body for exchange in server.requests):
            await asyncio.sleep(0)
    assert [len(exchange.body) for exchange in server.requests] == [len(body)] * 2
