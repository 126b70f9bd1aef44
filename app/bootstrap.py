"""The composition root: settings -> one backend per API -> the ASGI apps. Every part can be replaced by an argument."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from app.apis import APIS
from app.apis.api import Api, ApiSettings
from app.call import Call
from app.config import GatewaySettings, Settings, SettingsError
from app.edge.application import build_app
from app.edge.authentication import (
    METRICS_SCOPE,
    Authenticator,
    Checker,
    FetchedKeys,
    FixedKeys,
    Keys,
    KeysUnavailableError,
    SignedTokens,
    StaticTokens,
    read_keys,
)
from app.edge.settings import EdgeSettings
from app.graphql.limits import DocumentLimits
from app.graphql.persisted import ManifestError
from app.graphql.scopes import scopes_of
from app.store.engine import SqlStore, open_store
from app.upstream.exchange import Request
from app.upstream.limits import Limits
from app.upstream.upstream import Upstream

log = logging.getLogger(__name__)


def is_loopback(url: str) -> bool:
    """Whether a base URL names this machine itself: only such a backend may be the sandbox."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
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
                upstream = Upstream(api.name, settings.url, self.limits(), self._transports.get(api.name))
                self._stack.push_async_callback(upstream.aclose)
                self.upstreams[api.name] = upstream
                backend = api.rest(settings, upstream)
            else:
                backend = api.local(settings, self.store)
            if hasattr(backend, "aclose"):
                self._stack.push_async_callback(backend.aclose)
            self.by_name[api.name] = backend

    def limits(self) -> Limits:
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
        max_operations=given.max_operations,
        get_queries=given.get_queries,
        introspection=given.introspection,
        playground=given.playground,
        cors_origins=given.cors_origins,
        allowed_hosts=given.allowed_hosts,
        router_secret=None if given.router_secret is None else given.router_secret.get_secret_value(),
        limits=DocumentLimits(
            max_length=given.max_length,
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
    check_settings(settings, apis)
    backends = backends or Backends(settings, apis)
    callers = Callers(settings.gateway, backends.limits())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            await backends.open()
            yield
        finally:
            await backends.aclose()
            await callers.aclose()

    try:
        return build_app(
            apis=apis,
            backends=backends.by_name,
            settings=edge_settings(settings),
            simulated={api.name: _simulation(settings.apis[api.name]) for api in apis},
            ready=backends.ready,
            authenticator=callers.authenticator,
            metrics_open=settings.gateway.metrics_open,
            lifespan=lifespan,
        )
    except ManifestError as error:
        raise SettingsError(f"GATEWAY_TRUSTED_DOCUMENTS: {error}") from error


def check_settings(settings: Settings, apis: Sequence[Api] = APIS) -> None:
    """What no single setting can show. Raises SettingsError, with every problem."""
    if problems := list(_problems(settings, apis)):
        raise SettingsError(*problems)


_JWT_NEEDS = "GATEWAY_JWT_ISSUER, GATEWAY_JWT_AUDIENCE and one of GATEWAY_JWT_JWKS_URL and GATEWAY_JWT_KEY_FILE belong together"


def _problems(settings: Settings, apis: Sequence[Api]) -> Iterator[str]:
    given = settings.gateway
    if given.trusted_only and given.trusted_documents is None:
        yield "GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS"
    signed = (given.jwt_issuer, given.jwt_audience, given.jwt_jwks_url or given.jwt_key_file)
    if any(signed) and not all(signed):
        missing = next(name for name, value in zip(("ISSUER", "AUDIENCE", "JWKS_URL"), signed, strict=True) if not value)
        yield f"GATEWAY_JWT_{missing}: is not set; {_JWT_NEEDS}"
    if given.jwt_jwks_url and given.jwt_key_file:
        yield "GATEWAY_JWT_KEY_FILE: GATEWAY_JWT_JWKS_URL is set, too; only one of them can be"
    if given.jwt_jwks_url and given.jwt_jwks_url.startswith("http:") and not is_loopback(given.jwt_jwks_url):
        yield "GATEWAY_JWT_JWKS_URL: needs https, since whoever changes the keys on their way can sign any token"
    known = {METRICS_SCOPE, *scopes_of(apis).values()}
    for token in given.caller_tokens:
        if unknown := sorted((token.caller.scopes or frozenset()) - known):
            yield f"GATEWAY_CALLER_TOKENS: {unknown[0]} is no scope; there are {', '.join(sorted(known))}"
    if authenticates(given):
        return
    if given.production:
        yield "GATEWAY_PRODUCTION: callers must be authenticated; set GATEWAY_CALLER_TOKENS, or GATEWAY_JWT_ISSUER and what belongs to it"
    elif not is_loopback_host(given.host) and (holders := [api.title for api in apis if _has_credentials(settings.apis[api.name])]):
        yield (
            f"GATEWAY_HOST: {given.host} is open to other machines and the gateway has credentials of {', '.join(holders)}; set "
            "GATEWAY_CALLER_TOKENS or GATEWAY_JWT_ISSUER so that callers are authenticated, or listen on 127.0.0.1"
        )


def authenticates(given: GatewaySettings) -> bool:
    """Whether callers have to say who they are."""
    return bool(given.caller_tokens or given.jwt_issuer)


def _has_credentials(settings: ApiSettings) -> bool:
    """Whether calls to the real service could be made with the gateway's own credentials: any secret among the settings."""
    return settings.mode == "rest" and any(isinstance(value, SecretStr) for _, value in settings)


class Callers:
    """Who may call, from the settings. `authenticator` is None where anyone may. Raises SettingsError for an unusable key file."""

    def __init__(self, given: GatewaySettings, limits: Limits, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._issuer: Upstream | None = None
        self._transport = transport
        self._limits = limits
        checkers: list[Checker] = []
        if given.caller_tokens:
            checkers.append(StaticTokens(given.caller_tokens))
        if given.jwt_issuer and given.jwt_audience:
            keys = self.keys(given)
            checkers.append(SignedTokens(issuer=given.jwt_issuer, audience=given.jwt_audience, algorithm=given.jwt_algorithm, keys=keys))
        self.authenticator = Authenticator(checkers) if checkers else None

    def keys(self, given: GatewaySettings) -> Keys:
        if given.jwt_jwks_url is None:
            assert given.jwt_key_file is not None
            try:
                return FixedKeys(read_keys(given.jwt_key_file.read_bytes()))
            except (OSError, KeysUnavailableError) as error:
                problem = error.strerror if isinstance(error, OSError) else str(error)
                raise SettingsError(f"GATEWAY_JWT_KEY_FILE: {given.jwt_key_file}: {problem}") from error
        parts = urlsplit(given.jwt_jwks_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        issuer = self._issuer = Upstream("token issuer", origin, self._limits, self._transport)
        request = Request("GET", given.jwt_jwks_url.removeprefix(origin) or "/", headers={"accept": "application/json"})

        async def fetch() -> bytes:
            answer = await issuer.send(request, Call("jwks"))
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise KeysUnavailableError(f"status {answer.status}")
            return answer.body

        return FetchedKeys(fetch)

    async def aclose(self) -> None:
        if self._issuer is not None:
            await self._issuer.aclose()


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
