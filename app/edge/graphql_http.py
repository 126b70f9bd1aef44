"""GraphQL over HTTP: one address, two media types, and the status that each answer has.

https://graphql.github.io/graphql-over-http/draft/. Where draft and audit differ, the audit holds: 400, not 422.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest

from app.edge.caller import ROUTER_AUTHORIZATION, Callers, is_router
from app.edge.envelope import log_refusal
from app.edge.incoming import from_body, from_query
from app.edge.negotiation import JSON, response_media, wants_page
from app.graphql.context import Context
from app.graphql.refusals import (
    GATEWAY_OVERLOADED,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    WELL_FORMED,
    Fault,
    RefusedRequestError,
    refused,
)
from app.wire import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.call import Call
    from app.edge.authentication import Authenticator, Caller
    from app.edge.settings import EdgeSettings
    from app.graphql.execution import Engine, Request, Result

# Statuses whose answer is still GraphQL's, and so carries the negotiated media type.
_GRAPHQL_STATUSES = frozenset({400, 401, 403})


_RETRY_SECONDS = 1


class Observer(Protocol):
    """Stands around every operation."""

    def operation(
        self, request: Request, context: Context, execution: Coroutine[Any, Any, Result]
    ) -> Coroutine[Any, Any, Result]:
        """Awaits `execution` in the task that this runs in, and gives its result unchanged."""
        ...

    def refused(self, code: str, reason: str) -> None:
        """A request became no operation."""
        ...


class GraphQLEndpoint:
    """The ASGI application at `/graphql`. `in_flight` holds the operations that run, whoever still waits for them."""

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
    ) -> None:
        self._engine = engine
        self._backends = backends
        self._callers = callers
        self._settings = settings
        self._page = page
        self._observer = observer
        self._authenticator = authenticator
        self.in_flight: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            # Nothing was executed: the body did not even arrive.
            return
        await response(scope, receive, send)

    async def _respond(self, request: HttpRequest) -> ASGIApp:
        media = JSON
        headers = _headers(request.scope)
        try:
            read = self._settings.answers_get
            if request.method in {"GET", "HEAD"} and self._wants_page(request, headers):
                return self._page(request)
            if request.method != "POST" and not (read and request.method in {"GET", "HEAD"}):
                shown = self._settings.shows_playground or read
                raise refused(METHOD_NOT_ALLOWED, allow="GET, POST" if shown else "POST")
            accepted = response_media(headers.get("accept"))
            if accepted is None:
                raise refused(NOT_ACCEPTABLE)
            media = accepted
            self._refuse_overload()
            caller = None if self._authenticator is None else await self._authenticator.caller(request.headers)
            if request.method == "POST":
                asked = await from_body(request, headers, self._settings)
            else:
                asked = from_query(request.query_params, headers, self._settings)
            call = self._callers.call(request.scope["state"]["request_id"], headers)
        except RefusedRequestError as refusal:
            answer = self._refusal(refusal, media, request.scope["state"]["request_id"])
            log_refusal(refusal.row, answer.status, request.scope["state"]["request_id"])
            if self._observer is not None:
                self._observer.refused(refusal.row.code.value, refusal.row.reason)
            return answer
        trusted = is_router(headers.get(ROUTER_AUTHORIZATION), self._settings.router_secret)
        if isinstance(asked, list):
            # In order: a batch may hold mutations of one record.
            results = [await self._run(item, self._context(call, caller, trusted=trusted)) for item in asked]
            return _answer([result.body() for result in results], media, 200)
        result = await self._run(asked, self._context(call, caller, trusted=trusted))
        if result.refusal is None:
            return _answer(result.body(), media, 200)
        return self._refusal(result.refusal, media, call.request_id)

    def _refuse_overload(self) -> None:
        """At once: a queue would only make every answer late."""
        if len(self.in_flight) >= self._settings.max_operations:
            busy = Fault(GATEWAY_OVERLOADED, GATEWAY_OVERLOADED.text or "", retry_after=_RETRY_SECONDS)
            raise RefusedRequestError([busy], {"retry-after": str(_RETRY_SECONDS), "connection": "close"})

    def _wants_page(self, request: HttpRequest, headers: Mapping[str, str]) -> bool:
        shown = self._settings.shows_playground and "query" not in request.query_params
        return shown and wants_page(headers.get("accept"))

    def _context(self, call: Call, caller: Caller | None, *, trusted: bool) -> Context:
        if caller is None:
            return Context(call, self._backends, trusted_router=trusted)
        return Context(call, self._backends, trusted_router=trusted, caller=caller.name, scopes=caller.scopes)

    async def _run(self, request: Request, context: Context) -> Result:
        """To the end, even when the client goes away: a mutation that was begun must be finished."""
        execution = self._engine.execute(request, context)
        if self._observer is not None:
            execution = self._observer.operation(request, context, execution)
        task = asyncio.create_task(execution)
        self.in_flight.add(task)
        task.add_done_callback(self.in_flight.discard)
        return await asyncio.shield(task)

    @staticmethod
    def _refusal(refusal: RefusedRequestError, media: str, request_id: str) -> _Answer:
        row = refusal.row
        status = row.http_status or 400
        if media == JSON and row.code in WELL_FORMED:
            status = 200
        elif status not in _GRAPHQL_STATUSES:
            media = JSON
        body = {"errors": [fault.formatted(request_id) for fault in refusal.faults]}
        return _answer(body, media, status, refusal.headers)


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name, as ASGI gives them; of a repeated one the first. `accept` is a list: all of its lines.

    https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        if key not in found:
            found[key] = value.decode("latin-1")
        elif key == "accept":
            found[key] += ", " + value.decode("latin-1")
    return found


class _Answer:
    """Bytes and how they are labelled, as an ASGI application."""

    __slots__ = ("_body", "_headers", "status")

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._body = body
        self.status = status
        self._headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def _answer(body: Any, media: str, status: int, headers: Mapping[str, str] | None = None) -> _Answer:
    content = encode_json(body)
    named = [
        (b"content-length", b"%d" % len(content)),
        (b"content-type", b"%b; charset=utf-8" % media.encode("ascii")),
        (b"vary", b"Accept"),
    ]
    if headers:
        named += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return _Answer(content, status, named)
