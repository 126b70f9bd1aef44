"""The composition root: settings -> one backend per API -> the ASGI apps. An argument can replace every part."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount

from app.apis import APIS
from app.apis.api import Api
from app.config import Settings, SettingsError, authenticates, check_settings, is_loopback_host, known_scopes
from app.edge.application import build_app
from app.edge.auth.authenticator import Entrance, KeysUnavailableError, TokensFileError
from app.edge.settings import EdgeSettings
from app.gateway_settings import GatewaySettings
from app.graphql.catalogue import all_rows
from app.graphql.persisted import ManifestError
from app.graphql.schema import Schema, build_schema
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.readiness import Readiness
from app.store.engine import SqlStore, open_store
from app.store.records import StoreUnavailableError
from app.telemetry.drift import UNDOCUMENTED, Drift
from app.telemetry.metrics import CONTENT_TYPE, Metrics
from app.telemetry.operations import Operations
from app.telemetry.stores import observed
from app.updates.reading import Closing
from app.updates.recording import Recorder
from app.upstream.settings import Limits

if TYPE_CHECKING:
    import httpx

    from app.telemetry.traces import Traces
    from app.upstream.upstream import Upstream

log = logging.getLogger(__name__)

# A span shows these paths as they are.
_TRACED = frozenset({"/graphql", "/health/live", "/health/ready", "/metrics"})


class Backends:
    """One backend per API. All are opened and closed together."""

    def __init__(
        self,
        settings: Settings,
        apis: Sequence[Api] = APIS,
        transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self.settings = settings
        self.apis = apis
        self.by_name: dict[str, Any] = {}
        self.upstreams: dict[str, Upstream] = {}
        self.store: SqlStore | None = None
        self.telemetry: Telemetry | None = None
        self._further_store: SqlStore | None = None
        own = settings.gateway
        self.recorder = Recorder(shown=not authenticates(own) and is_loopback_host(own.host))
        self._transports = transports or {}
        self._stack = AsyncExitStack()
        self._readiness: list[Readiness] = []
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Raises StoreUnavailableError where a store that is in use cannot be opened."""
        for api in self.apis:
            settings = self.settings.apis[api.name]
            if settings.mode == "rest":
                backend = api.rest(settings, self._upstream(api.name, settings.url))
            else:
                backend = api.local(settings, await self._records())
            if hasattr(backend, "aclose"):
                self._stack.push_async_callback(backend.aclose)
            self.by_name[api.name] = backend
        if self.settings.gateway.journal is not False:
            await self._open_journal()

    async def _open_journal(self) -> None:
        gateway = self.settings.gateway
        try:
            observer = None if self.telemetry is None else self.telemetry.metrics
            seconds = gateway.backend_seconds
            journal = await Journal.open(await self.any_store(), gateway, observer, backend_seconds=seconds)
        except StoreUnavailableError as error:
            if gateway.journal:
                raise
            log.warning("no journal is kept, and idempotency keys are refused: %s", error)
            return
        self.recorder.journal = journal
        self._readiness.append(Readiness("journal", journal.check))
        self._stack.push_async_callback(journal.aclose)
        resources = [resource for api in self.apis for resource in api.resources]
        keeper = Keeper(journal, Closing(journal, resources, self.by_name).prove)
        self._stack.push_async_callback(keeper.aclose)
        keeper.start()

    async def _records(self) -> SqlStore:
        """The store of the local backends, with its uses measured."""
        if self.store is None:
            self.store = await open_store_for(self.settings, self.apis)
            self._stack.push_async_callback(self.store.aclose)
            self._readiness.append(Readiness("store", self.store.try_writing))
        telemetry = self.telemetry
        return self.store if telemetry is None else observed(self.store, telemetry.metrics, telemetry.traces)

    def _upstream(self, name: str, url: str) -> Upstream:
        from app.upstream.upstream import Upstream  # noqa: PLC0415 - loaded where the mode is rest

        telemetry = self.telemetry
        observer = None if telemetry is None else telemetry.operations
        traces = None if telemetry is None else telemetry.traces
        limits, transport = limits_of(self.settings), self._transports.get(name)
        upstream = self.upstreams[name] = Upstream(name, url, limits, transport, observer=observer, tracer=traces)
        self._stack.push_async_callback(upstream.aclose)
        return upstream

    async def any_store(self) -> SqlStore:
        """The store for the journal and undocumented answers. Without a local backend it is opened for them alone."""
        if self.store is not None:
            return self.store
        async with self._opening:
            if self._further_store is None:
                self._further_store = await open_store(self.settings.gateway.store_url, [UNDOCUMENTED], [])
                self._stack.push_async_callback(self._further_store.aclose)
        return self._further_store

    async def ready(self) -> bool | str:
        """True, or the name of the part that cannot be used."""
        for part in self._readiness:
            if (state := await part()) is not True:
                return state
        return bool(self.by_name)

    async def aclose(self) -> None:
        await self._stack.aclose()


def limits_of(settings: Settings) -> Limits:
    return settings.gateway.limits(settings.trust)


async def open_store_for(settings: Settings, apis: Sequence[Api]) -> SqlStore:
    collections = [*chain.from_iterable(api.collections for api in apis), UNDOCUMENTED]
    return await open_store(settings.gateway.store_url, collections, chain.from_iterable(api.seed() for api in apis))


def edge_settings(gateway: GatewaySettings) -> EdgeSettings:
    """The gateway's settings, with those that depend on others."""
    return gateway.model_copy(
        update={
            "allowed_hosts": gateway.allowed_hosts or _own_names(gateway),
            # Leaves room for single updates.
            "bulk_concurrency": max(1, min(gateway.bulk_concurrency, gateway.max_in_flight // 2)),
        }
    )


def _own_names(gateway: GatewaySettings) -> tuple[str, ...]:
    """The host names of an open gateway on this machine.

    Otherwise a web page could reach it from a browser here: by a name of the page's own that points to 127.0.0.1.
    """
    if authenticates(gateway) or not is_loopback_host(gateway.host):
        return ()
    host = gateway.host.lower()
    return ("localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host)


def create_app(
    settings: Settings,
    apis: Sequence[Api] = APIS,
    backends: Backends | None = None,
    traces: Traces | None = None,
    schema: Schema | None = None,
) -> Starlette:
    """The gateway. Raises SettingsError for settings that contradict each other.

    `schema` is that of the APIs, where it is built already.
    """
    check_settings(settings, apis)
    backends = backends or Backends(settings, apis)
    entrance = entrance_of(settings, apis)
    schema = schema or build_schema(apis)
    telemetry = backends.telemetry = Telemetry(settings, apis, schema, backends, traces)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Any]]:
        try:
            await backends.open()
            telemetry.metrics.watch(backends.upstreams)
            yield {"reload": entrance.reload}
        finally:
            await telemetry.aclose()
            await backends.aclose()
            await entrance.aclose()

    try:
        app = build_app(
            apis=apis,
            backends=backends.by_name,
            schema=schema,
            observer=telemetry.operations,
            metrics=telemetry.exposition,
            settings=edge_settings(settings.gateway),
            rest_hosts={name: urlsplit(api.url).netloc for name, api in settings.apis.items() if api.mode == "rest"},
            simulated={
                name: own.mode if own.mode == "local" else "sandbox" if own.sandbox else "refused"
                for name, own in settings.apis.items()
            },
            ready=backends.ready,
            authenticator=entrance.authenticator,
            recorder=backends.recorder,
            metrics_open=settings.gateway.metrics_open,
            lifespan=lifespan,
        )
    except ManifestError as error:
        raise SettingsError(f"GATEWAY_TRUSTED_DOCUMENTS: {error}") from error
    telemetry.metrics.watch({}, app.state.engine.documents)
    _trace_requests(app, telemetry.traces)
    app.state.reload = entrance.reload
    return app


def _trace_requests(app: Starlette, traces: Traces | None) -> None:
    if traces is not None:
        from app.telemetry.traces import ServerSpans  # noqa: PLC0415 - loaded only where traces are configured

        app.add_middleware(ServerSpans, traces=traces, routes=_TRACED)


def traces_of(settings: Settings, service: str) -> Traces | None:
    """None, and nothing imported, where traces are not configured. Raises SettingsError."""
    if not settings.traces:
        return None
    try:
        from app.telemetry.traces import Traces, provider_from_environment  # noqa: PLC0415 - see above
    except ImportError as error:
        text = "GATEWAY_TRACES: OpenTelemetry is not installed; install the extra `traces`"
        if settings.gateway.traces:
            raise SettingsError(text) from error
        log.warning("%s. Traces that a variable OTEL_... asks for are not exported", text)  # a platform may set it
        return None
    return Traces(provider_from_environment(service))


class Telemetry:
    """Logs, metrics, traces and drift of one gateway, wired together."""

    def __init__(
        self, settings: Settings, apis: Sequence[Api], schema: Schema, backends: Backends, traces: Traces | None
    ) -> None:
        roots = schema._schema  # noqa: SLF001 - Strawberry's only handle on the graphql-core schema
        assert roots.query_type is not None
        assert roots.mutation_type is not None
        self.traces = traces if traces is not None else traces_of(settings, "gateway")
        self.metrics = Metrics(
            {*roots.query_type.fields, *roots.mutation_type.fields},
            {row.reason for row in all_rows(apis)},
            [api.name for api in apis],
            settings.metrics_folder,
        )
        self._drift = Drift(backends.any_store) if settings.gateway.drift else None
        owners = {field: api.name for api in apis for field in api.scopes}
        self.operations = Operations(self.metrics, owners, self._drift, self.traces)

    async def exposition(self, _request: HttpRequest) -> Response:
        return Response(self.metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def aclose(self) -> None:
        if self._drift is not None:
            await self._drift.aclose()
        if self.traces is not None:
            await asyncio.to_thread(self.traces.shutdown)


def entrance_of(settings: Settings, apis: Sequence[Api], transport: httpx.AsyncBaseTransport | None = None) -> Entrance:
    """Who may call. Raises SettingsError for an unusable file of keys or tokens."""
    try:
        return Entrance(settings.gateway, known_scopes(apis), limits_of(settings), transport)
    except TokensFileError as error:
        raise SettingsError(f"GATEWAY_CALLER_TOKENS_FILE: {error}") from error
    except KeysUnavailableError as error:
        raise SettingsError(f"GATEWAY_JWT_KEY_FILE: {error}") from error


def create_sandbox(
    settings: Settings, apis: Sequence[Api] = APIS, store: SqlStore | None = None, traces: Traces | None = None
) -> Starlette:
    """Every API's routes over the local store, on one port. Without `store`, the settings' store is opened."""
    traced = traces if traces is not None else traces_of(settings, "sandbox")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        opened = store or await open_store_for(settings, apis)
        try:
            records = opened if traced is None else observed(opened, traces=traced)
            # The longest path first, so that an API at the root does not hide one below it.
            for api in sorted(apis, key=lambda api: len(api.sandbox_path), reverse=True):
                routes = list(api.sandbox(settings.apis[api.name], records))
                app.router.routes += [Mount(api.sandbox_path, routes=routes)] if api.sandbox_path else routes
            yield
        finally:
            if traced is not None:
                await asyncio.to_thread(traced.shutdown)
            if store is None:
                await opened.aclose()

    sandbox = Starlette(lifespan=lifespan)
    _trace_requests(sandbox, traced)
    return sandbox
