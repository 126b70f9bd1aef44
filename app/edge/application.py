"""The ASGI application: its routes and the layers around them. The composition root provides the parts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from app.apis.api import Api
from app.edge.auth.authenticator import AUTHORIZATION, METRICS_SCOPE, Authenticator
from app.edge.caller import Callers
from app.edge.cors import Cors
from app.edge.envelope import Envelope, error_response
from app.edge.graphql_http import GraphQLEndpoint
from app.edge.playground import Playground
from app.edge.settings import EdgeSettings
from app.graphql.bulk_documents import bulks
from app.graphql.execution import Engine
from app.graphql.persisted import PersistedDocuments, digest, read_trusted
from app.graphql.request_errors import (
    METHOD_NOT_ALLOWED,
    PATH_NOT_FOUND,
    REQUEST_MALFORMED,
    SCOPE_MISSING,
    RequestError,
)
from app.graphql.schema import Schema, build_schema
from app.server.direct import headers_of
from app.telemetry.operations import Operations
from app.updates.recording import Recorder

log = logging.getLogger(__name__)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[Any]]


def build_app(  # noqa: PLR0913 - keyword-only, one for each part that a test or the composition root may replace
    *,
    apis: Sequence[Api],
    backends: Mapping[str, Any],
    settings: EdgeSettings | None = None,
    rest_hosts: Mapping[str, str] | None = None,
    schema: Schema | None = None,
    simulated: Mapping[str, Literal["local", "sandbox", "refused"]] | None = None,
    ready: Callable[[], Awaitable[bool | str]] | None = None,
    metrics: Callable[[Request], Awaitable[Response]] | None = None,
    metrics_open: bool = False,
    authenticator: Authenticator | None = None,
    recorder: Recorder | None = None,
    observer: Operations | None = None,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """`simulated` is that of `Callers`.

    `rest_hosts` are the hosts of the services by API name, shown by the playground.

    `lifespan` is left only after the last operation in flight has ended. Raises ManifestError for unusable trusted
    documents. `app.state.engine` and `app.state.in_flight` are for metrics.

    Without `authenticator` anyone may call. With one, `/metrics` needs it too, unless `metrics_open`; health does not.
    """
    settings = settings or EdgeSettings()
    engine = build_engine(schema or build_schema(apis), settings)
    callers = Callers(apis, simulated or {}, production=settings.production, seconds=settings.request_seconds)
    playground = Playground(apis, rest_hosts=rest_hosts or {})
    endpoint = GraphQLEndpoint(
        engine,
        backends,
        callers,
        settings,
        page=playground.page,
        observer=observer,
        authenticator=authenticator,
        recorder=recorder,
    )

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def readiness(request: Request) -> Response:
        # The server sets this in every request's state once it was told to stop.
        state = "gateway" if "stopping" in request.scope["state"] else ready is None or await ready()
        if state is True:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"} | ({"part": state} if state else {}), 503)

    table: list[BaseRoute] = [
        Route("/graphql", endpoint),
        Route("/health/live", live),
        Route("/health/ready", readiness),
        *(playground.routes if settings.playground else ()),
    ]
    if metrics is not None:
        if authenticator is not None and not metrics_open:
            metrics = _for_callers(metrics, authenticator)
        table.append(Route("/metrics", metrics))

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[Any]:
        async with lifespan(app) if lifespan else nullcontext() as state:
            try:
                yield state
            finally:
                while endpoint.in_flight:
                    await asyncio.wait(set(endpoint.in_flight))

    app = _Application(
        routes=table,
        middleware=[
            Middleware(Envelope, allowed_hosts=settings.allowed_hosts),
            Middleware(Cors, settings=settings, apis=apis),
        ],
        exception_handlers={HTTPException: _http_exception},
        lifespan=life,
    )
    # A path with a slash at its end is another path: some clients lose the body in a redirection.
    app.router.redirect_slashes = False
    app.endpoint = endpoint
    app.state.engine = engine
    app.state.in_flight = endpoint.in_flight
    return app


class _Application(Starlette):
    """Offers its endpoint to the server, for the short way."""

    endpoint: GraphQLEndpoint

    @property
    def direct(self) -> GraphQLEndpoint | None:
        """The endpoint that needs no ASGI; None where it does not know all the layers around it."""
        layers: set[object] = {layer.cls for layer in self.user_middleware}
        return self.endpoint if layers <= {Envelope, Cors} else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            server = scope.get("state", {})
            # The server makes it true when it stops, after it was told to and the announced time is over.
            self.state.engine.rooms.stopping = lambda: bool(server.get("stopping"))
        await super().__call__(scope, receive, send)


def _for_callers(
    response: Callable[[Request], Awaitable[Response]], authenticator: Authenticator
) -> Callable[[Request], Awaitable[Response]]:
    async def checked(request: Request) -> Response:
        identifier = request.scope["state"]["request_id"]
        try:
            headers, _ = headers_of(request.scope["headers"], {AUTHORIZATION.encode(): AUTHORIZATION})
            caller = await authenticator.caller(headers.get(AUTHORIZATION))
        except RequestError as error:
            return error_response(error.row, error.row.http_status or 401, identifier, error.headers, error.detail)
        if not caller.may(METRICS_SCOPE):
            challenge = f'Bearer realm="gateway", error="insufficient_scope", scope="{METRICS_SCOPE}"'
            return error_response(SCOPE_MISSING, 403, identifier, {"www-authenticate": challenge})
        return await response(request)

    return checked


def build_engine(schema: Schema, settings: EdgeSettings) -> Engine:
    if settings.trusted_only and settings.trusted_documents is None:
        raise ValueError("trusted_only needs trusted_documents")
    trusted = read_trusted(settings.trusted_documents) if settings.trusted_documents is not None else {}
    own = {digest(bulk.document): bulk.document for bulk in bulks(schema._schema).values()}  # noqa: SLF001 - Strawberry's only handle
    engine = Engine(
        schema,
        limits=settings,
        introspection=settings.introspection,
        max_documents=settings.max_documents,
        compiled=settings.compiled,
        bulk_concurrency=settings.bulk_concurrency,
        persisted=PersistedDocuments(
            trusted=own | trusted, strict=settings.trusted_only, automatic=settings.persisted_queries
        ),
        router_secret_set=settings.router_secret is not None,
    )
    for text, identifier in {text: identifier for identifier, text in trusted.items()}.items():
        try:
            engine.documents.get(text)
        except RequestError as error:
            log.warning("the trusted document %s cannot run: %s", identifier, error)
    return engine


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    row = {404: PATH_NOT_FOUND, 405: METHOD_NOT_ALLOWED}.get(error.status_code, REQUEST_MALFORMED)
    return error_response(row, error.status_code, request.scope["state"]["request_id"], dict(error.headers or {}))
