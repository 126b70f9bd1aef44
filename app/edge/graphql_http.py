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

from app.edge.caller import REQUEST_ID, ROUTER_AUTHORIZATION, Callers, is_router, request_id
from app.edge.envelope import host_name, log_abandoned, log_request_error, surprise
from app.edge.incoming import from_body, from_query, from_whole_body, is_plain_json, requests_of
from app.edge.negotiation import JSON, response_media, wants_page
from app.edge.response import GraphQLResponse
from app.edge.statuses import GRAPHQL_STATUSES, HttpStatuses
from app.graphql.context import Context
from app.graphql.request_errors import (
    BODY_TOO_SLOW,
    GATEWAY_OVERLOADED,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    ErrorEntry,
    RequestError,
    request_error,
)
from app.server.direct import Admission, headers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.call import CallContext
    from app.edge.auth.authenticator import Authenticator, Caller
    from app.edge.settings import EdgeSettings
    from app.graphql.execution import Engine, GraphQLRequest, Result
    from app.server.direct import DirectRequest
    from app.updates.recording import Recorder

log = logging.getLogger(__name__)

_Execution = Callable[[], Coroutine[Any, Any, "Result"]]
_Run = Callable[[_Execution], Awaitable["Result"]]

_RETRY_SECONDS = 1
_NOT_LARGE = 65_536  # uvicorn buffers this much before it pauses a sender


class Observer(Protocol):
    """Surrounds every operation."""

    def operation(
        self, request: GraphQLRequest, context: Context, execution: Coroutine[Any, Any, Result]
    ) -> Coroutine[Any, Any, Result]:
        """Awaits `execution` in the current task and returns its result unchanged."""
        ...

    def request_error(self, code: str, reason: str) -> None:
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
    call: CallContext
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
                raise request_error(METHOD_NOT_ALLOWED, allow="GET, POST" if shown else "POST")
        except RequestError as error:
            return self._not_executed(error, JSON, incoming.identifier)
        ask: Callable[[], Awaitable[GraphQLRequest | list[GraphQLRequest]]]
        if request.method == "POST":
            ask = partial(from_body, request.stream(), incoming.headers, self._settings)
        else:
            ask = partial(from_query, request.query_params, incoming.headers, self._settings)
        return await self._response(incoming, ask, self._in_a_task)

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

    def takes(self, direct: DirectRequest) -> bool:
        """Whether the layers around the endpoint have nothing to do for these headers."""
        headers = direct.headers
        if self._settings.cors_origins:
            return False
        if self._hosts and host_name(headers.get("host", "")) not in self._hosts:
            return False
        direct.understood = self._understood(direct)
        return True

    def identify(self, headers: Mapping[str, str]) -> str:
        return request_id(headers.get(REQUEST_ID))

    def _understood(self, direct: DirectRequest) -> _Understood | None:
        """None where something is not plainly valid. The general way then looks for what is wrong."""
        headers = direct.headers
        media = response_media(headers.get("accept"))
        if media is None or not is_plain_json(headers):
            return None
        try:
            call = self._callers.call(headers, direct.identifier, direct.arrived)
        except RequestError:
            return None
        return _Understood(media, call, self._trusts(headers))

    def begin(self, direct: DirectRequest) -> None:
        task = direct.task = asyncio.get_running_loop().create_task(self._directly(direct))
        self.in_flight.add(task)

    async def _directly(self, direct: DirectRequest) -> None:
        """Runs in a task that nobody cancels: only the exchange belongs to the client."""
        response: GraphQLResponse | None = None
        try:
            understood: _Understood | None = direct.understood
            direct.understood = None  # breaks a cycle: its call refers to the exchange
            if understood is None or direct.late:
                ask = partial(from_whole_body, direct.body, direct.headers, self._settings, late=direct.late)
                response = await self._response(direct, ask, partial(_unless_given_up, direct), direct.task)
            else:
                response = await self._at_once(direct, understood)
        except _GivenUpError:
            pass
        except Exception:
            log.exception("unexpected failure of /graphql", extra={"request_id": direct.identifier})
            response = GraphQLResponse(surprise(direct.identifier), JSON, 500)
        finally:
            self.in_flight.discard(direct.task)
            direct.finish(response)

    async def _at_once(self, direct: DirectRequest, understood: _Understood) -> GraphQLResponse:
        """Does as `_answer`, where the headers are known to be valid and there is room."""
        media, trusted = understood.media, understood.trusted
        try:
            caller = await self._caller(direct.authorizations, direct.task)
            request = requests_of(direct.body, direct.headers, self._settings)
        except RequestError as error:
            return self._not_executed(error, media, direct.identifier)
        call = understood.call
        call.client = direct
        if isinstance(request, list):
            run = partial(_unless_given_up, direct)
            return await self._answered(request, call, caller, media, run, trusted=trusted)
        if direct.response_complete:
            raise _GivenUpError
        return self._response_of(await self._execution(request, call, caller, trusted=trusted), media, call)

    def overloaded(self, waiting: int) -> bool:
        return len(self.in_flight) + waiting >= self._settings.max_operations

    def refuse(self, direct: DirectRequest) -> None:
        media = response_media(direct.headers.get("accept"))
        error = request_error(NOT_ACCEPTABLE) if media is None else _busy()
        direct.finish(self._not_executed(error, media or JSON, direct.identifier))

    def give_up(self, direct: DirectRequest) -> None:
        if direct.response_complete:
            return
        if direct.more_body:
            media = response_media(direct.headers.get("accept")) or JSON
            error = request_error(BODY_TOO_SLOW, connection="close")
            direct.finish(self._not_executed(error, media, direct.identifier))
            return
        log_abandoned(direct.identifier)
        direct.finish(GraphQLResponse(surprise(direct.identifier), JSON, 500))

    # Either way.

    async def _response(
        self,
        incoming: _Incoming,
        ask: Callable[[], Awaitable[GraphQLRequest | list[GraphQLRequest]]],
        run: _Run,
        task: asyncio.Task[Any] | None = None,
    ) -> GraphQLResponse:
        """`task` is already in flight, if there was room for it."""
        media = JSON
        headers = incoming.headers
        try:
            accepted = response_media(headers.get("accept"))
            if accepted is None:
                raise request_error(NOT_ACCEPTABLE)
            media = accepted
            if task is None and self.overloaded(0):
                raise _busy()
            caller = await self._caller(incoming.authorizations, task)
            requests = await ask()
            if task is None and self.overloaded(0):  # the caller's check and the body both took time
                raise _busy()
            call = self._callers.call(headers, incoming.identifier, incoming.arrived)
        except RequestError as error:
            return self._not_executed(error, media, incoming.identifier)
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
        requests: GraphQLRequest | list[GraphQLRequest],
        call: CallContext,
        caller: Caller | None,
        media: str,
        run: _Run,
        *,
        trusted: bool,
    ) -> GraphQLResponse:
        if isinstance(requests, list):
            # One after the other: a batch may hold mutations of one record.
            results = [await run(partial(self._execution, item, call, caller, trusted=trusted)) for item in requests]
            return GraphQLResponse([result.body() for result in results], media, 200)
        return self._response_of(
            await run(partial(self._execution, requests, call, caller, trusted=trusted)), media, call
        )

    def _execution(
        self, request: GraphQLRequest, call: CallContext, caller: Caller | None, *, trusted: bool
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

    def _response_of(self, result: Result, media: str, call: CallContext) -> GraphQLResponse:
        if result.error is None:
            return GraphQLResponse(result.body(), media, self._statuses.of_result(errors=bool(result.errors)))
        return self._request_error(result.error, media, call.request_id)

    def _request_error(self, error: RequestError, media: str, request_id: str) -> GraphQLResponse:
        status = self._statuses.of_request_error(error.row, media)
        if status not in GRAPHQL_STATUSES:
            media = JSON
        errors = [entry.formatted(request_id) for entry in error.errors]
        return GraphQLResponse({"errors": errors}, media, status, error.headers)

    def _not_executed(self, error: RequestError, media: str, request_id: str) -> GraphQLResponse:
        """Answers and logs a request that became no operation."""
        response = self._request_error(error, media, request_id)
        log_request_error(error.row, response.status, request_id, error.detail)
        if self._observer is not None:
            self._observer.request_error(error.row.code.value, error.row.reason)
        return response


class _GivenUpError(Exception):
    """The request was answered before it was begun: the time to shut down is over."""


async def _unless_given_up(direct: DirectRequest, execution: _Execution) -> Result:
    """Runs in the current task, which nobody cancels."""
    if direct.response_complete:
        raise _GivenUpError
    return await execution()


class _OverAsgi:
    def __init__(self, request: HttpRequest) -> None:
        self.headers, self.authorizations = headers_of(request.scope["headers"])
        self.arrived = asyncio.get_running_loop().time()
        self.identifier: str = request.scope["state"]["request_id"]


def _busy() -> RequestError:
    """Refuses at once: a queue would only make every answer late."""
    busy = ErrorEntry(GATEWAY_OVERLOADED, GATEWAY_OVERLOADED.text or "", retry_after=_RETRY_SECONDS)
    return RequestError([busy], {"retry-after": str(_RETRY_SECONDS), "connection": "close"})
