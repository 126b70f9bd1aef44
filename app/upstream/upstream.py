"""One remote service: sends a request once, in bounded time, and says truthfully how a failure came about."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

from msgspec import Struct

from app.call import CallContext
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
    REDIRECTED,
    UNEXPECTED_SUCCESS,
    BackendDetails,
    DocumentedError,
    GatewayError,
    GatewayFailure,
)
from app.upstream.breaker import Breaker, BreakerState, Pauses, Permit
from app.upstream.direct import DirectTransport
from app.upstream.failures import PASSING, OutOfTimeError
from app.upstream.identity import GATEWAY, identity
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.responses import retry_after
from app.upstream.settings import Limits

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

T = TypeVar("T")

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SERVER_ERROR = 500
_TOO_MANY = 429
_UNAVAILABLE = 503
# These answers prove, or suggest, that the connection is out of step.
_CONDEMNED = frozenset({ANSWER_UNREADABLE, UNEXPECTED_SUCCESS, REDIRECTED})
# A full pool is our own load, and a refused call never reached the service: neither counts as its failure.
_ITS_OWN_FAULT = frozenset({NOT_CONNECTED, CONNECTION_LOST, ANSWER_TIMED_OUT, ANSWER_UNREADABLE, ANSWER_TOO_LARGE})


class _Sending(Struct):
    """One call on its way. `status` is the answer's; `reason` says why there is none."""

    request: BackendRequest
    call: CallContext
    judge: Callable[[BackendResponse], Any]
    attempt: Any = None
    permit: Any = None
    end: float = 0.0
    patience: float = 0.0  # from this time on the service is blamed for a time-out
    status: int | None = None
    reason: str | None = None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _as_it_is(response: BackendResponse) -> BackendResponse:
    return response


class Observer(Protocol):
    """Called once for every call, also for one that was refused unsent (`status` None, `reason` the row's)."""

    def on_call(self, name: str, method: str, status: int | None, reason: str | None, seconds: float) -> None: ...


class Tracer(Protocol):
    """Gives a call its span: the trace headers to send, and a function that takes the response's status."""

    def backend_call(
        self, name: str, method: str
    ) -> AbstractContextManager[tuple[Mapping[str, str], Callable[[int], None]]]: ...


class Upstream:
    """A remote service under one base URL. Use as an async context manager, or `aclose` it.

    `clock`, `jitter` (from a ceiling to a wait, both seconds) and `sleep` can be replaced by tests.
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
        self.transport = transport  # replaces the network; None: the real one
        self._transport: Any
        if transport is None and self.limits.proxy_url is None:
            self._transport = DirectTransport(name, self.base_url, self.limits, tls)
        else:
            from app.upstream.transport import Transport  # noqa: PLC0415 - loads httpx's transports

            self._transport = Transport(name, self.base_url, self.limits, transport, tls)
        self._breaker = Breaker(name, self.limits, clock)
        self._pauses = Pauses(name, self.limits, clock)
        self._jitter = jitter
        self._sleep = sleep
        self.in_flight = 0
        self._writes: set[asyncio.Task[None]] = set()

    @property
    def breaker_state(self) -> BreakerState:
        return self._breaker.state

    @property
    def paused_for(self) -> float:
        """Seconds until the pause of the gateway's own credentials is over."""
        return self._pauses.remaining(GATEWAY)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Waits for the writes whose callers are gone, each at most `backend_seconds` long. Closes every connection."""
        while self._writes:
            await asyncio.wait(self._writes)
        await self._transport.aclose()

    @overload
    async def send(self, request: BackendRequest, call: CallContext) -> BackendResponse: ...
    @overload
    async def send(self, request: BackendRequest, call: CallContext, judge: Callable[[BackendResponse], T]) -> T: ...
    async def send(
        self, request: BackendRequest, call: CallContext, judge: Callable[[BackendResponse], Any] = _as_it_is
    ) -> Any:
        """Returns the judgement of the answer, whatever its status. Raises GatewayError, and what `judge` raises.

        `judge` is called before the connection carries another call. The connection is not used again if `judge` finds
        the answer unreadable, another record's, or an undocumented success or redirection. A write that may have left
        goes on when its caller is cancelled: half a request would have an unknown outcome.
        """
        started = time.perf_counter()
        sending = _Sending(request, call, judge)
        try:
            if self._tracer is None:
                return await self._send(sending)
            with self._tracer.backend_call(self.name, request.method) as (headers, tell_status):
                sending.call = replace(call, trace_headers=headers)
                try:
                    return await self._send(sending)
                finally:
                    if sending.status is not None:
                        tell_status(sending.status)
        except GatewayError as error:
            if sending.status is None:
                sending.reason = error.row.reason
                sending.status = error.backend.status if error.backend else None
            raise
        except asyncio.CancelledError:
            sending.reason = "CANCELLED"
            raise
        finally:
            if self.observer is not None:
                seconds = time.perf_counter() - started
                try:
                    self.observer.on_call(self.name, request.method, sending.status, sending.reason, seconds)
                except Exception:
                    log.exception("an observer failed; the call's result stands")

    async def _send(self, sending: _Sending) -> Any:
        call = sending.call
        attempt = sending.attempt = self._transport.attempt(sending.request, call)
        safe = sending.request.method in _SAFE_METHODS
        now = _now()
        sending.end = now + self.limits.backend_seconds
        shortened = call.deadline is not None and call.deadline < sending.end
        if call.deadline is not None and shortened:
            sending.end = call.deadline
            if sending.end <= now:
                raise self._refusal(DEADLINE_BEFORE_SENDING)
        sending.permit = self._admitted(call)
        if call.recording is not None and not safe:
            try:
                await call.recording.sending(sending.end)
                now = _now()
                if now >= sending.end:
                    raise self._refusal(DEADLINE_BEFORE_SENDING)  # noqa: TRY301 - as what `sending` raises
            except BaseException:
                self._ended(sending, failed=None)
                raise
        sending.patience = now + self.limits.breaker_patience if shortened else now
        try:
            return await self._run(sending)
        except asyncio.CancelledError:
            if safe or attempt.left is False:
                attempt.abandon()
                self._ended(sending, failed=None)
            else:
                orphan = asyncio.create_task(self._to_its_end(sending))
                self._writes.add(orphan)
                orphan.add_done_callback(self._writes.discard)
            raise

    async def _run(self, sending: _Sending) -> Any:
        """Runs one call to its end. Called again after a cancellation, it goes on."""
        attempt, end = sending.attempt, sending.end
        failed: bool | None = None
        attempts = 0
        try:
            while True:
                try:
                    response = await attempt.run(end)
                    break
                except GatewayError as error:
                    attempts += 1
                    if not await self._may_try_again(error, attempts, end):
                        raise
            response.sent = sending.request.headers
            sending.status = response.status
            failed = self.answered(response, sending.call)
            reuse = False
            try:
                result = sending.judge(response)
                reuse = True
            except GatewayFailure as failure:
                reuse = not any(error.row in _CONDEMNED for error in failure.errors)
                raise
            finally:
                await attempt.release(end, reuse=reuse)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if sending.status is None and isinstance(error, GatewayError):
                patient = not isinstance(error, OutOfTimeError) or _now() >= sending.patience
                failed = True if patient and error.row in _ITS_OWN_FAULT else None
            self._ended(sending, failed=failed)
            raise
        self._ended(sending, failed=failed)
        return result

    async def _to_its_end(self, sending: _Sending) -> None:
        """Finishes a write whose caller is gone."""
        name = f"{sending.request.method} to {self.name} for {sending.call.request_id}"
        try:
            await self._run(sending)
        except asyncio.CancelledError:
            log.warning("%s was cancelled, its outcome is unknown", name)
            raise
        except Exception as error:  # noqa: BLE001 - nobody else is there to be told
            log.warning("%s ended without its caller: %r", name, error)
        else:
            log.warning("%s ended without its caller: status %s", name, sending.status)

    async def _may_try_again(self, error: GatewayError, attempts: int, end: float) -> bool:
        """Waits with full jitter, after a failure that certainly sent nothing. False where there is no time for it."""
        if error.row not in PASSING or attempts > self.limits.connect_retries:
            return False
        wait = self._jitter(min(self.limits.backoff * 2 ** (attempts - 1), self.limits.max_backoff))
        if _now() + wait >= end:
            return False
        await self._sleep(wait)
        return True

    def _identity(self, call: CallContext) -> str:
        return identity(call.credentials.get(self.name, {}))

    def _admitted(self, call: CallContext) -> Permit:
        """Counts the call in, or refuses it at once: nothing queues here."""
        if self._pauses and (remaining := self._pauses.remaining(self._identity(call))) > 0:
            raise self._refusal(BACKEND_PAUSED, remaining)
        if self.in_flight >= self.limits.max_in_flight:
            raise self._refusal(OVERLOADED, 1)
        permit = self._breaker.enter()
        if isinstance(permit, int):
            raise self._refusal(BREAKER_OPEN, permit)
        self.in_flight += 1
        return permit

    def answered(self, response: BackendResponse, call: CallContext) -> bool:
        """Called for every answer. Returns whether the service failed, and begins the pause that it asked for."""
        if response.status in {_TOO_MANY, _UNAVAILABLE}:
            whose = self._identity(call) if response.status == _TOO_MANY else Pauses.SERVICE
            self._pauses.ask(whose, retry_after(response.headers) or 0)
        return response.status >= _SERVER_ERROR

    def _ended(self, sending: _Sending, *, failed: bool | None) -> None:
        self.in_flight -= 1
        self._breaker.leave(sending.permit, failed=failed)

    def _refusal(self, row: DocumentedError, seconds: float | None = None) -> GatewayError:
        wait = None if seconds is None else max(1, -int(-seconds // 1))
        return GatewayError(row, backend=BackendDetails(self.name), retry_after=wait)
