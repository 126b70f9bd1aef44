"""GraphQL over HTTP: one address, two media types, and the status of each answer.

https://graphql.github.io/graphql-over-http/draft/. Where draft and audit differ, the audit wins: 400, not 422.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from app.edge.answer import Answer
from app.edge.caller import REQUEST_ID, ROUTER_AUTHORIZATION, Callers, is_router, request_id
from app.edge.envelope import host_name, log_abandoned, log_refusal, surprise
from app.edge.incoming import from_body, from_query, from_whole_body, is_plain_json, requests_of
from app.edge.negotiation import JSON, response_media, wants_page
from app.edge.statuses import GRAPHQL_STATUSES, HttpStatuses
from app.graphql.context import Context
from app.graphql.refusals import (
    BODY_TOO_SLOW,
    GATEWAY_OVERLOADED,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    Fault,
    RefusedRequestError,
    refused,
)
from app.server.exchange import Admission, headers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.call import Call
    from app.edge.auth.authenticator import Authenticator, Caller
    from app.edge.settings import EdgeSettings
    from app.graphql.execution import Engine, Request, Result
    from app.server.exchange import Exchange
    from app.updates.recording import Recorder

log = logging.getLogger(__name__)

_Execution = Callable[[], Coroutine[Any, Any, "Result"]]
_Run = Callable[[_Execution], Awaitable["Result"]]

_RETRY_SECONDS = 1
_NOT_LARGE = 65_536  # uvicorn buffers this much before it pauses a sender


class Observer(Protocol):
    """Surrounds every operation."""

    def operation(
        self, request: Request, context: Context, execution: Coroutine[Any, Any, Result]
    ) -> Coroutine[Any, Any, Result]:
        """Awaits `execution` in the current task and returns its result unchanged."""
        ...

    def refused(self, code: str, reason: str) -> None:
        """Called when a request became no operation."""
        ...


class _Incoming(Protocol):
    """The parts of a POST or GET that the endpoint reads."""

    arrived: float

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def authorizations(self) -> Sequence[str]: ...
    @property
    def identifier(self) -> str: ...


class _Understood(Struct):
    """Headers that are valid, read before the body has arrived."""

    media: str
    call: Call
    trusted: bool


class GraphQLEndpoint:
    """Answers at `/graphql`, as an ASGI application and as the endpoint of `app.server`'s short way.

    `in_flight` holds the running operations, whether or not somebody waits for them.
    """

    path = b"/graphql"

    def __init__(
        self,
        engine: Engine,
        backends: Mapping[str, Any],
        callers: Callers,
        settings: EdgeSettings,
        *,
        page: Callable[[HttpRequest], Response],
        observer: Observer | None = None,
        authenticator: Authenticator | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._engine = engine
        self._backends = backends
        self._callers = callers
        self._settings = settings
        self._page = page
        self._observer = observer
        self._authenticator = authenticator
        self._recorder = recorder
        secret = settings.router_secret
        self._router_secret = None if secret is None else secret.get_secret_value()
        self._statuses = HttpStatuses(settings.http_statuses)
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self.in_flight: set[asyncio.Task[Any]] = set()
        self.most = min(_NOT_LARGE, settings.max_body_bytes)
        self.body_seconds = settings.body_seconds
        self.admission = Admission(self)

    # Over ASGI.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            # Nothing was executed: the body did not arrive.
            return
        await response(scope, receive, send)

    async def _respond(self, request: HttpRequest) -> ASGIApp:
        incoming = _OverAsgi(request)
        try:
            read = self._settings.answers_get
            if request.method in {"GET", "HEAD"} and self._wants_page(request, incoming.headers):
                return self._page(request)
            if request.method != "POST" and not (read and request.method in {"GET", "HEAD"}):
                shown = self._settings.shows_playground or read
                raise refused(METHOD_NOT_ALLOWED, allow="GET, POST" if shown else "POST")
        except RefusedRequestError as refusal:
            return self._refused(refusal, JSON, incoming.identifier)
        ask: Callable[[], Awaitable[Request | list[Request]]]
        if request.method == "POST":
            ask = partial(from_body, request.stream(), incoming.headers, self._settings)
        else:
            ask = partial(from_query, request.query_params, incoming.headers, self._settings)
        return await self._answer(incoming, ask, self._in_a_task)

    async def _in_a_task(self, execution: _Execution) -> Result:
        """Runs to the end even when the client goes away: a mutation that was begun must be finished."""
        task = asyncio.create_task(execution())
        self.in_flight.add(task)
        task.add_done_callback(self.in_flight.discard)
        return await asyncio.shield(task)

    def _wants_page(self, request: HttpRequest, headers: Mapping[str, str]) -> bool:
        shown = self._settings.shows_playground and "query" not in request.query_params
        return shown and wants_page(headers.get("accept"))

    # Without ASGI.

    def takes(self, exchange: Exchange) -> bool:
        """Whether the layers around the endpoint have nothing to do for these headers."""
        headers = exchange.headers
        if self._settings.cors_origins:
            return False
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            return False
        exchange.understood = self._understood(exchange)
        return True

    def identify(self, headers: Mapping[str, str]) -> str:
        return request_id(headers.get(REQUEST_ID))

    def _understood(self, exchange: Exchange) -> _Understood | None:
        """None where something is not plainly valid. The general way then looks for what is wrong."""
        headers = exchange.headers
        media = response_media(headers.get("accept"))
        if media is None or not is_plain_json(headers):
            return None
        try:
            call = self._callers.call(headers, exchange.identifier, exchange.arrived)
        except RefusedRequestError:
            return None
        return _Understood(media, call, self._trusts(headers))

    def begin(self, exchange: Exchange) -> None:
        task = exchange.task = asyncio.get_running_loop().create_task(self._directly(exchange))
        self.in_flight.add(task)

    async def _directly(self, exchange: Exchange) -> None:
        """Runs in a task that nobody cancels: only the exchange belongs to the client."""
        answer: Answer | None = None
        try:
            understood: _Understood | None = exchange.understood
            exchange.understood = None  # breaks a cycle: its call refers to the exchange
            if understood is None or exchange.late:
                ask = partial(from_whole_body, exchange.body, exchange.headers, self._settings, late=exchange.late)
                answer = await self._answer(exchange, ask, partial(_unless_given_up, exchange), exchange.task)
            else:
                answer = await self._at_once(exchange, understood)
        except _GivenUpError:
            pass
        except Exception:
            log.exception("unexpected failure of /graphql", extra={"request_id": exchange.identifier})
            answer = Answer(surprise(exchange.identifier), JSON, 500)
        finally:
            self.in_flight.discard(exchange.task)
            exchange.finish(answer)

    async def _at_once(self, exchange: Exchange, understood: _Understood) -> Answer:
        """Does as `_answer`, where the headers are known to be valid and there is room."""
        media, trusted = understood.media, understood.trusted
        try:
            caller = await self._caller(exchange.authorizations, exchange.task)
            request = requests_of(exchange.body, exchange.headers, self._settings)
        except RefusedRequestError as refusal:
            return self._refused(refusal, media, exchange.identifier)
        call = understood.call
        call.client = exchange
        if isinstance(request, list):
            run = partial(_unless_given_up, exchange)
            return await self._answered(request, call, caller, media, run, trusted=trusted)
        if exchange.response_complete:
            raise _GivenUpError
        return self._answer_of(await self._execution(request, call, caller, trusted=trusted), media, call)

    def overloaded(self, waiting: int) -> bool:
        return len(self.in_flight) + waiting >= self._settings.max_operations

    def refuse(self, exchange: Exchange) -> None:
        media = response_media(exchange.headers.get("accept"))
        refusal = refused(NOT_ACCEPTABLE) if media is None else _busy()
        exchange.finish(self._refused(refusal, media or JSON, exchange.identifier))

    def give_up(self, exchange: Exchange) -> None:
        if exchange.response_complete:
            return
        if exchange.more_body:
            media = response_media(exchange.headers.get("accept")) or JSON
            refusal = refused(BODY_TOO_SLOW, connection="close")
            exchange.finish(self._refused(refusal, media, exchange.identifier))
            return
        log_abandoned(exchange.identifier)
        exchange.finish(Answer(surprise(exchange.identifier), JSON, 500))

    # Either way.

    async def _answer(
        self,
        incoming: _Incoming,
        ask: Callable[[], Awaitable[Request | list[Request]]],
        run: _Run,
        task: asyncio.Task[Any] | None = None,
    ) -> Answer:
        """`task` is already in flight, if there was room for it."""
        media = JSON
        headers = incoming.headers
        try:
            accepted = response_media(headers.get("accept"))
            if accepted is None:
                raise refused(NOT_ACCEPTABLE)
            media = accepted
            if task is None and self.overloaded(0):
                raise _busy()
            caller = await self._caller(incoming.authorizations, task)
            requests = await ask()
            if task is None and self.overloaded(0):  # the caller's check and the body both took time
                raise _busy()
            call = self._callers.call(headers, incoming.identifier, incoming.arrived)
        except RefusedRequestError as refusal:
            return self._refused(refusal, media, incoming.identifier)
        return await self._answered(requests, call, caller, media, run, trusted=self._trusts(headers))

    async def _caller(self, authorizations: Sequence[str], task: asyncio.Task[Any] | None) -> Caller | None:
        """Who calls. `task` is not in flight while it waits for an issuer's keys: anyone can make it wait."""
        if self._authenticator is None:
            return None
        self.in_flight.discard(task)
        caller = await self._authenticator.caller(authorizations)
        if task is not None:
            if self.overloaded(0):
                raise _busy()
            self.in_flight.add(task)
        return caller

    def _trusts(self, headers: Mapping[str, str]) -> bool:
        return is_router(headers.get(ROUTER_AUTHORIZATION), self._router_secret)

    async def _answered(
        self,
        requests: Request | list[Request],
        call: Call,
        caller: Caller | None,
        media: str,
        run: _Run,
        *,
        trusted: bool,
    ) -> Answer:
        if isinstance(requests, list):
            # One after the other: a batch may hold mutations of one record.
            results = [await run(partial(self._execution, item, call, caller, trusted=trusted)) for item in requests]
            return Answer([result.body() for result in results], media, 200)
        return self._answer_of(
            await run(partial(self._execution, requests, call, caller, trusted=trusted)), media, call
        )

    def _execution(
        self, request: Request, call: Call, caller: Caller | None, *, trusted: bool
    ) -> Coroutine[Any, Any, Result]:
        if caller is None:
            context = Context(call, self._backends, trusted, recorder=self._recorder)
        else:
            context = Context(
                call,
                self._backends,
                trusted,
                caller.name,
                caller.scopes,
                recorder=self._recorder,
                subject=caller.subject,
            )
        execution = self._engine.execute(request, context)
        return execution if self._observer is None else self._observer.operation(request, context, execution)

    def _answer_of(self, result: Result, media: str, call: Call) -> Answer:
        if result.refusal is None:
            return Answer(result.body(), media, self._statuses.of_result(errors=bool(result.errors)))
        return self._refusal(result.refusal, media, call.request_id)

    def _refusal(self, refusal: RefusedRequestError, media: str, request_id: str) -> Answer:
        status = self._statuses.of_request_error(refusal.row, media)
        if status not in GRAPHQL_STATUSES:
            media = JSON
        errors = [fault.formatted(request_id) for fault in refusal.faults]
        return Answer({"errors": errors}, media, status, refusal.headers)

    def _refused(self, refusal: RefusedRequestError, media: str, request_id: str) -> Answer:
        """Answers and logs a request that became no operation."""
        answer = self._refusal(refusal, media, request_id)
        log_refusal(refusal.row, answer.status, request_id, refusal.detail)
        if self._observer is not None:
            self._observer.refused(refusal.row.code.value, refusal.row.reason)
        return answer


class _GivenUpError(Exception):
    """The request was answered before it was begun: the time to shut down is over."""


async def _unless_given_up(exchange: Exchange, execution: _Execution) -> Result:
    """Runs in the current task, which nobody cancels."""
    if exchange.response_complete:
        raise _GivenUpError
    return await execution()


class _OverAsgi:
    def __init__(self, request: HttpRequest) -> None:
        self.headers, self.authorizations = headers_of(request.scope["headers"])
        self.arrived = asyncio.get_running_loop().time()
        self.identifier: str = request.scope["state"]["request_id"]


def _busy() -> RefusedRequestError:
    """Refuses at once: a queue would only make every answer late."""
    busy = Fault(GATEWAY_OVERLOADED, GATEWAY_OVERLOADED.text or "", retry_after=_RETRY_SECONDS)
    return RefusedRequestError([busy], {"retry-after": str(_RETRY_SECONDS), "connection": "close"})
