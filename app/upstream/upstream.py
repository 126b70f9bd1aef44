"""One remote service: sends a request once, in bounded time, and says truthfully how that broke."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from app.errors import (
    ANSWER_TIMED_OUT,
    ANSWER_TOO_LARGE,
    ANSWER_UNREADABLE,
    BACKEND_PAUSED,
    BREAKER_OPEN,
    CONNECTION_LOST,
    DEADLINE_BEFORE_SENDING,
    NOT_CONNECTED,
    OVERLOADED,
    BackendAnswer,
    DocumentedError,
    GatewayError,
)
from app.upstream.answers import retry_after
from app.upstream.breaker import Breaker, BreakerState, Pauses, Permit
from app.upstream.direct import DirectTransport
from app.upstream.failures import FAILURES, PASSING
from app.upstream.identity import GATEWAY, identity
from app.upstream.limits import Limits
from app.upstream.transport import Transport, answered

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    import httpx

    from app.call import Call
    from app.upstream.connection import Connection
    from app.upstream.exchange import Answer, Request
    from app.upstream.transport import Progress

__all__ = ["FAILURES", "Limits", "Observer", "Upstream"]

log = logging.getLogger(__name__)

_Exchange = Callable[[], Coroutine[Any, Any, "Answer"]]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SERVER_ERROR = 500
_TOO_MANY = 429
_UNAVAILABLE = 503
# A full pool is our own load and a refused call never reached the service: neither says that it fails.
_ITS_OWN_FAULT = frozenset({NOT_CONNECTED, CONNECTION_LOST, ANSWER_TIMED_OUT, ANSWER_UNREADABLE, ANSWER_TOO_LARGE})


class _OutOfTimeError(Exception):
    """The end of the call's time, which a caller may have set: whether the service is to blame is decided apart."""

    def __init__(self, error: GatewayError) -> None:
        self.error = error


class Observer(Protocol):
    """Told of every call once, also of one that was refused unsent (`status` None, `reason` the row's)."""

    def on_call(self, name: str, method: str, status: int | None, reason: str | None, seconds: float) -> None: ...


class Tracer(Protocol):
    """Gives a call its span: the headers that hand it on, and what to tell the response's status."""

    def backend_call(
        self, name: str, method: str
    ) -> AbstractContextManager[tuple[Mapping[str, str], Callable[[int], None]]]: ...


class Upstream:
    """A remote service under one base URL. Use as an async context manager, or `aclose` it.

    `clock`, `jitter` (from a ceiling to a wait, both seconds) and `sleep` are there for tests.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one for each replaceable part
        self,
        name: str,
        base_url: str,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        observer: Observer | None = None,
        tracer: Tracer | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float], float] = lambda ceiling: random.uniform(0, ceiling),  # noqa: S311 - no secret
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.limits = limits or Limits()
        self.observer = observer
        self._tracer = tracer
        self.transport = transport  # what replaces the network; None where nothing does
        own = transport is None and self.limits.engine == "direct"
        self._direct = DirectTransport(name, self.limits, tls) if own else None
        self._transport: Any = self._direct or Transport(name, self.limits, transport, tls)
        self._breaker = Breaker(name, self.limits, clock)
        self._pauses = Pauses(name, self.limits, clock)
        self._jitter = jitter
        self._sleep = sleep
        self._in_flight = 0
        self._writes: set[asyncio.Task[Answer]] = set()

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def breaker_state(self) -> BreakerState:
        return self._breaker.state

    @property
    def paused_for(self) -> float:
        """Seconds until the pause of the gateway's own credentials is over."""
        return self._pauses.remaining(GATEWAY)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for the writes whose callers are gone, at most `limits.timeout` long, and close every connection."""
        while self._writes:
            await asyncio.wait(self._writes)
        await self._transport.aclose()

    async def send(self, request: Request, call: Call) -> Answer:
        """The answer, whatever its status. Raises GatewayError, whose outcome is what the failure proves.

        A write goes on when its caller is cancelled: half a request would leave an outcome that nobody knows.
        """
        started = time.perf_counter()
        status: int | None = None
        reason: str | None = None
        try:
            if self._tracer is None:
                answer = await self._send(request, call)
            else:
                with self._tracer.backend_call(self.name, request.method) as (headers, tell_status):
                    answer = await self._send(request, replace(call, trace_headers=headers))
                    tell_status(answer.status)
            status = answer.status
            answer.sent = request.headers
        except GatewayError as error:
            reason = error.row.reason
            status = error.backend.status if error.backend else None
            raise
        except asyncio.CancelledError:
            reason = "CANCELLED"
            raise
        else:
            return answer
        finally:
            self._observe(request.method, status, reason, time.perf_counter() - started)

    async def _send(self, request: Request, call: Call) -> Answer:
        outgoing = self._transport.prepared(self.base_url, request, call)
        now = asyncio.get_running_loop().time()
        end = now + self.limits.timeout
        shortened = call.deadline is not None and call.deadline < end
        if call.deadline is not None and shortened:
            end = call.deadline
            if end <= now:
                raise self._refusal(DEADLINE_BEFORE_SENDING)
        permit = self._admitted(call)
        safe = request.method in _SAFE_METHODS
        direct = self._direct
        connection = None if direct is None else direct.ready(outgoing, now)
        if direct is None or connection is None:
            run = partial(self._run, partial(self._attempts, outgoing, end), call, now, permit, shortened=shortened)
            return await run() if safe else await self._to_its_end(run, request, call)
        progress = direct.started()
        try:
            # The request is written; waited for is what comes first. Mostly that is the whole answer, and no task of
            # its own is needed for a write to outlast its caller.
            await connection.begin(outgoing.data, progress, end)
        except asyncio.CancelledError:
            if safe:
                direct.discard(connection)
                self._ended(permit, failed=None)
            else:
                rest = partial(self._rest, direct, connection, progress, end)
                run = partial(self._run, rest, call, now, permit, shortened=shortened)
                self._task_of(run, request, call).add_done_callback(_log_orphan)
            raise
        answer = direct.whole(connection, progress)
        if answer is None:
            rest = partial(self._rest, direct, connection, progress, end)
            run = partial(self._run, rest, call, now, permit, shortened=shortened)
            return await run() if safe else await self._to_its_end(run, request, call)
        self._ended(permit, failed=self._judged(answer, call))
        return answer

    async def _to_its_end(self, run: _Exchange, request: Request, call: Call) -> Answer:
        """Also when the caller is cancelled."""
        task = self._task_of(run, request, call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_orphan)
            raise

    def _task_of(self, run: _Exchange, request: Request, call: Call) -> asyncio.Task[Answer]:
        task = asyncio.create_task(run(), name=f"{request.method} to {self.name} for {call.request_id}")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return task

    def _identity(self, call: Call) -> str:
        return identity(call.credentials.get(self.name, {}))

    def _admitted(self, call: Call) -> Permit:
        """Counts the call in, or refuses it at once: nothing ever queues here."""
        if self._pauses and (remaining := self._pauses.remaining(self._identity(call))) > 0:
            raise self._refusal(BACKEND_PAUSED, remaining)
        if self._in_flight >= self.limits.max_in_flight:
            raise self._refusal(OVERLOADED, 1)
        permit = self._breaker.enter()
        if isinstance(permit, int):
            raise self._refusal(BREAKER_OPEN, permit)
        self._in_flight += 1
        return permit

    async def _run(self, attempts: _Exchange, call: Call, started: float, permit: Permit, *, shortened: bool) -> Answer:
        failed: bool | None = None
        try:
            answer = await attempts()
            failed = self._judged(answer, call)
        except _OutOfTimeError as over:
            seconds = asyncio.get_running_loop().time() - started
            patient = not shortened or seconds >= self.limits.breaker_patience
            failed = True if patient and over.error.row in _ITS_OWN_FAULT else None
            raise over.error from None
        except GatewayError as error:
            failed = True if error.row in _ITS_OWN_FAULT else None
            raise
        else:
            return answer
        finally:
            self._ended(permit, failed=failed)

    def _judged(self, answer: Answer, call: Call) -> bool:
        """Whether the service failed; what it asks for is kept."""
        if answer.status in {_TOO_MANY, _UNAVAILABLE}:
            whose = self._identity(call) if answer.status == _TOO_MANY else Pauses.SERVICE
            self._pauses.ask(whose, retry_after(answer.headers) or 0)
        return answer.status >= _SERVER_ERROR

    def _ended(self, permit: Permit, *, failed: bool | None) -> None:
        self._in_flight -= 1
        self._breaker.leave(permit, failed=failed)

    async def _attempts(self, outgoing: Any, end: float) -> Answer:
        """Sent again only after a failure that certainly sent nothing, with full jitter, and only inside the time."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            try:
                return await self._attempt(outgoing, end)
            except GatewayError as error:
                ceiling = min(self.limits.backoff * 2**attempt, self.limits.max_backoff)
                if error.row not in PASSING or attempt >= self.limits.connect_retries:
                    raise
                wait = self._jitter(ceiling)
                if loop.time() + wait >= end:
                    raise
            attempt += 1
            await self._sleep(wait)

    async def _attempt(self, outgoing: Any, end: float) -> Answer:
        progress = self._transport.started()
        return await self._in_time(partial(self._transport.exchange, outgoing, progress), progress, end)

    async def _rest(self, direct: DirectTransport, connection: Connection, progress: Progress, end: float) -> Answer:
        """Of an exchange that was begun: it is never sent again."""
        return await self._in_time(partial(direct.rest, connection, progress), progress, end)

    async def _in_time(self, exchange: _Exchange, progress: Progress, end: float) -> Answer:
        try:
            async with asyncio.timeout_at(end) as time_left:
                return await exchange()
        except TimeoutError:
            if not time_left.expired():
                raise
        # A body that drips past the end changes nothing about a refusal whose status is known.
        if (answer := answered(progress)) is not None:
            return answer
        raise _OutOfTimeError(self._transport.timed_out(progress))

    def _refusal(self, row: DocumentedError, seconds: float | None = None) -> GatewayError:
        wait = None if seconds is None else max(1, -int(-seconds // 1))
        return GatewayError(row, backend=BackendAnswer(self.name), retry_after=wait)

    def _observe(self, method: str, status: int | None, reason: str | None, seconds: float) -> None:
        if self.observer is None:
            return
        try:
            self.observer.on_call(self.name, method, status, reason, seconds)
        except Exception:
            log.exception("an observer failed; the call's result stands")


def _log_orphan(task: asyncio.Task[Answer]) -> None:
    if task.cancelled():
        log.warning("%s was cancelled, its outcome is unknown", task.get_name())
    elif (error := task.exception()) is not None:
        log.warning("%s ended without its caller: %r", task.get_name(), error)
    else:
        log.warning("%s ended without its caller: status %d", task.get_name(), task.result().status)
