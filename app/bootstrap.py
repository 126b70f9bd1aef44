"""The composition root: settings -> one backend per API -> the ASGI apps. Every part can be replaced by an argument."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from app.apis import APIS
from app.apis.api import Api, ApiSettings
from app.config import Settings, SettingsError
from app.edge.application import build_app
from app.edge.settings import EdgeSettings
from app.graphql.limits import DocumentLimits
from app.graphql.persisted import ManifestError
from app.store.engine import SqlStore, open_store
from app.upstream.limits import Limits
from app.upstream.upstream import Upstream

log = logging.getLogger(__name__)


def is_loopback(url: str) -> bool:
    """Whether a base URL names this machine itself: only such a backend may be the sandbox."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class Backends:
    """One backend per API, opened together and closed together."""

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
        self._transports = transports or {}
        self._stack = AsyncExitStack()

    def settings_of(self, api: Api) -> ApiSettings:
        return self.settings.apis[api.name]

    async def open(self) -> None:
        """Raises StoreUnavailableError where the store that is in use cannot be opened."""
        if any(self.settings_of(api).mode == "local" for api in self.apis):
            self.store = await open_store_for(self.settings, self.apis)
            self._stack.push_async_callback(self.store.aclose)
        for api in self.apis:
            settings = self.settings_of(api)
            if settings.mode == "rest":
                upstream = Upstream(api.name, settings.url, self._limits(), self._transports.get(api.name))
                self._stack.push_async_callback(upstream.aclose)
                self.upstreams[api.name] = upstream
                backend = api.rest(settings, upstream)
            else:
                backend = api.local(settings, self.store)
            if hasattr(backend, "aclose"):
                self._stack.push_async_callback(backend.aclose)
            self.by_name[api.name] = backend

    def _limits(self) -> Limits:
        given = self.settings.gateway
        return Limits(
            timeout=given.backend_seconds,
            connect_timeout=given.connect_seconds,
            pool_timeout=given.pool_seconds,
            connect_retries=given.connect_retries,
            max_connections=given.max_connections,
            max_in_flight=given.max_in_flight,
            max_answer_bytes=given.max_answer_bytes,
            max_pause=given.max_pause_seconds,
            breaker_window=given.breaker_window,
            breaker_failures=given.breaker_failures,
            breaker_open=given.breaker_open_seconds,
        )

    async def ready(self) -> bool:
        """Whether every store that is in use can be reached."""
        if self.store is None:
            return bool(self.by_name)
        try:
            await self.store.ping()
        except Exception:  # noqa: BLE001 - whatever it is, the store cannot be used
            log.warning("the store cannot be reached", exc_info=True)
            return False
        return True

    async def aclose(self) -> None:
        await self._stack.aclose()


async def open_store_for(settings: Settings, apis: Sequence[Api]) -> SqlStore:
    collections = list(chain.from_iterable(api.collections for api in apis))
    return await open_store(settings.gateway.store_url, collections, list(chain.from_iterable(api.seed() for api in apis)))


def edge_settings(settings: Settings) -> EdgeSettings:
    given = settings.gateway
    return EdgeSettings(
        production=given.production,
        max_body_bytes=given.max_body_bytes,
        body_timeout_seconds=given.body_seconds,
        max_batch=given.max_batch,
        get_queries=given.get_queries,
        introspection=given.introspection,
        playground=given.playground,
        cors_origins=given.cors_origins,
        allowed_hosts=given.allowed_hosts,
        router_secret=None if given.router_secret is None else given.router_secret.get_secret_value(),
        limits=DocumentLimits(
            max_tokens=given.max_tokens,
            max_depth=given.max_depth,
            max_fields=given.max_fields,
            max_aliases=given.max_aliases,
            max_root_fields=given.max_root_fields,
            max_directives=given.max_directives,
        ),
        max_documents=given.max_documents,
        persisted_queries=given.persisted_queries,
        trusted_documents=given.trusted_documents,
        trusted_only=given.trusted_only,
    )


def create_app(settings: Settings, apis: Sequence[Api] = APIS, backends: Backends | None = None) -> Starlette:
    """The gateway. Raises SettingsError for settings that do not go together."""
    check_settings(settings)
    backends = backends or Backends(settings, apis)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            await backends.open()
            yield
        finally:
            await backends.aclose()

    try:
        return build_app(
            apis=apis,
            backends=backends.by_name,
            settings=edge_settings(settings),
            simulated={api.name: _simulation(settings.apis[api.name]) for api in apis},
            ready=backends.ready,
            lifespan=lifespan,
        )
    except ManifestError as error:
        raise SettingsError(f"GATEWAY_TRUSTED_DOCUMENTS: {error}") from error


def check_settings(settings: Settings) -> None:
    """What no single setting can show. Raises SettingsError."""
    if settings.gateway.production:
        raise SettingsError("GATEWAY_PRODUCTION: callers cannot be authenticated yet, so a production start is refused")
    if settings.gateway.trusted_only and settings.gateway.trusted_documents is None:
        raise SettingsError("GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS")


def _simulation(settings: ApiSettings) -> Literal["local", "sandbox", "refused"]:
    if settings.mode == "local":
        return "local"
    return "sandbox" if is_loopback(settings.url) else "refused"


def create_sandbox(settings: Settings, apis: Sequence[Api] = APIS, store: SqlStore | None = None) -> Starlette:
    """Every API's routes over the local store, on one port. `store` is opened from the settings when not given."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        opened = store or await open_store_for(settings, apis)
        try:
            app.router.routes.extend(sandbox_routes(settings, apis, opened))
            yield
        finally:
            if store is None:
                await opened.aclose()

    return Starlette(lifespan=lifespan)


def sandbox_routes(settings: Settings, apis: Sequence[Api], store: SqlStore) -> list[BaseRoute]:
    # The longest path first, so that an API at the root does not shadow one below it.
    ordered = sorted(apis, key=lambda api: len(api.sandbox_path), reverse=True)
    routes: list[BaseRoute] = []
    for api in ordered:
        own = list(api.sandbox(settings.apis[api.name], store))
        routes += [Mount(api.sandbox_path, routes=own)] if api.sandbox_path else own
    return routes
