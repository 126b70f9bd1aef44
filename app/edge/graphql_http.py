"""GraphQL over HTTP: one address, two media types, and the status of each answer.

https://graphql.github.io/graphql-over-http/draft/. Where draft and audit differ, the audit wins: 400, not 422.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.call import CallContext
from app.edge.auth.authenticator import AUTHORIZATION, Authenticator, Caller
from app.edge.caller import READ_HEADERS, REQUEST_ID, ROUTER_AUTHORIZATION, Callers, is_router, request_id
from app.edge.envelope import host_name, log_abandoned, log_request_error, surprise
from app.edge.incoming import Body, from_body, from_query
from app.edge.negotiation import JSON, response_media, wants_page
from app.edge.response import GRAPHQL_STATUSES, PARTIAL, GraphQLResponse, status_of_request_error
from app.edge.settings import EdgeSettings
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest, Result
from app.graphql.request_errors import (
    BODY_TOO_SLOW,
    GATEWAY_OVERLOADED,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    ErrorEntry,
    RequestError,
    request_error,
)
from app.server.direct import Endpoint, EndpointRequest, headers_of
from app.telemetry.operations import Operations
from app.updates.recording import Recorder

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1
_NOT_LARGE = 65_536  # uvicorn buffers this much before it pauses a sender


class GraphQLEndpoint(Endpoint):
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
        observer: Operations | None = None,
        authenticator: Authenticator | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._backends = backends
        self._callers = callers
        self._settings = settings
        self._page = page
        self._observer = observer
        self._authenticator = authenticator
        self._recorder = recorder
        self.names = {name.encode(): name for name in (*READ_HEADERS, *(name for name, _, _ in callers.headers))}
        secret = settings.router_secret
        self._router_secret = None if secret is None else secret.get_secret_value()
        self.in_flight: set[asyncio.Task[Any]] = set()
        self.most = min(_NOT_LARGE, settings.max_body_bytes)
        self.body_seconds = settings.body_seconds

    # Over ASGI.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, settings = HttpRequest(scope, receive), self._settings
        arrived, identifier = asyncio.get_running_loop().time(), scope["state"]["request_id"]
        incoming = EndpointRequest(None, self, *headers_of(scope["headers"], self.names), arrived, identifier)
        gets = request.method in {"GET", "HEAD"}
        shows_page = gets and settings.playground and "query" not in request.query_params
        response: ASGIApp | None
        try:
            if shows_page and wants_page(incoming.headers.get("accept")):
                response = self._page(request)
            elif request.method == "POST":
                response = await self._response(incoming, request.stream())
            elif gets and settings.get_queries:
                response = await self._response(incoming, request.query_params)
            else:
                allow = "GET, POST" if settings.playground or settings.get_queries else "POST"
                response = self._not_executed(request_error(METHOD_NOT_ALLOWED, allow=allow), JSON, identifier)
        except ClientDisconnect:
            # Nothing was executed: the body did not arrive.
            return
        if response is not None:
            await response(scope, receive, send)

    # Without ASGI.

    def takes(self, request: EndpointRequest) -> bool:
        settings, headers = self._settings, request.headers
        if settings.cors_origins:
            return False
        if settings.allowed_hosts and host_name(headers.get("host", "")) not in settings.allowed_hosts:
            return False
        request.identifier = request_id(headers.get(REQUEST_ID))
        return True

    def begin(self, request: EndpointRequest) -> None:
        task = request.task = asyncio.get_running_loop().create_task(self._directly(request))
        self.in_flight.add(task)

    async def _directly(self, request: EndpointRequest) -> None:
        """Runs in a task that nobody cancels: only the request belongs to the client."""
        response: GraphQLResponse | None = None
        try:
            response = await self._response(request, request.body)
        except Exception:
            log.exception("unexpected failure of /graphql", extra={"request_id": request.identifier})
            response = GraphQLResponse(surprise(request.identifier), JSON, 500)
        finally:
            self.in_flight.discard(request.task)
            request.finish(response)

    def refusal(self, request: EndpointRequest, waiting: int) -> GraphQLResponse | None:
        if len(self.in_flight) + waiting < self._settings.max_operations:
            return None
        media = response_media(request.headers.get("accept"))
        error = request_error(NOT_ACCEPTABLE) if media is None else _busy()
        return self._not_executed(error, media or JSON, request.identifier)

    def abandoned(self, request: EndpointRequest) -> GraphQLResponse:
        if request.more_body:
            media = response_media(request.headers.get("accept")) or JSON
            return self._not_executed(request_error(BODY_TOO_SLOW, connection="close"), media, request.identifier)
        log_abandoned(request.identifier)
        return GraphQLResponse(surprise(request.identifier), JSON, 500)

    # Either way.

    async def _response(self, incoming: EndpointRequest, source: Body | QueryParams) -> GraphQLResponse | None:
        """Returns None if the client was told meanwhile that its time is over."""
        headers, task = incoming.headers, incoming.task
        media = response_media(headers.get("accept"))
        try:
            if media is None:
                raise request_error(NOT_ACCEPTABLE)
            if task is None:
                self._demand_room()
            caller = None if self._authenticator is None else await self._caller(self._authenticator, incoming)
            requests: GraphQLRequest | list[GraphQLRequest]
            if isinstance(source, QueryParams):
                requests = from_query(source, headers, self._settings)
            else:
                requests = await from_body(source, headers, self._settings)
            if task is None:
                self._demand_room()  # the caller's check and the body both took time
            call = self._callers.call(incoming)
            if call.idempotency_key is not None and isinstance(requests, list):
                self._engine.refuse_several(requests)
        except RequestError as error:
            return self._not_executed(error, media or JSON, incoming.identifier)
        call.client = incoming
        execution = self._executed(incoming, requests, call, caller, media)
        if task is not None:
            return await execution
        # Runs to the end even when the client goes away: a mutation that was begun must be finished.
        running = asyncio.create_task(execution)
        self.in_flight.add(running)
        running.add_done_callback(self.in_flight.discard)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            incoming.response_complete = True
            raise

    async def _caller(self, authenticator: Authenticator, incoming: EndpointRequest) -> Caller:
        """Who calls. A task is not in flight while it waits for an issuer's keys: anyone can make it wait."""
        task = incoming.task
        self.in_flight.discard(task)
        caller = await authenticator.caller(incoming.headers.get(AUTHORIZATION))
        if task is not None:
            self._demand_room()
            self.in_flight.add(task)
        return caller

    def _demand_room(self) -> None:
        if len(self.in_flight) >= self._settings.max_operations:
            raise _busy()

    async def _executed(
        self,
        incoming: EndpointRequest,
        requests: GraphQLRequest | list[GraphQLRequest],
        call: CallContext,
        caller: Caller | None,
        media: str,
    ) -> GraphQLResponse | None:
        trusted = is_router(incoming.headers.get(ROUTER_AUTHORIZATION), self._router_secret)
        results: list[Result] = []
        # One after the other: a batch may hold mutations of one record.
        for request in requests if isinstance(requests, list) else (requests,):
            if incoming.response_complete:
                return None
            context = Context(call, self._backends, trusted, recorder=self._recorder)
            if caller is not None:
                context.caller, context.scopes, context.subject = caller.name, caller.scopes, caller.subject
            execution = self._engine.execute(request, context)
            if self._observer is not None:
                execution = self._observer.operation(request, context, execution)
            results.append(await execution)
        if isinstance(requests, list):
            return GraphQLResponse([result.body() for result in results], media, 200)
        (result,) = results
        if result.error is not None:
            return self._request_error(result.error, media, call.request_id)
        return GraphQLResponse(result.body(), media, PARTIAL if result.errors and self._settings.http_statuses else 200)

    def _request_error(self, error: RequestError, media: str, request_id: str) -> GraphQLResponse:
        status = status_of_request_error(self._settings.http_statuses, error.row, media)
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


def _busy() -> RequestError:
    """Refuses at once: a queue would only make every answer late."""
    busy = ErrorEntry(GATEWAY_OVERLOADED, GATEWAY_OVERLOADED.text or "", retry_after=_RETRY_SECONDS)
    return RequestError([busy], {"retry-after": str(_RETRY_SECONDS), "connection": "close"})
