"""A gateway for tests: the real composition, below HTTP, in each wiring. Every answer is checked for what all answers promise."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import ssl
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from uvicorn.server import ServerState

from app.apis import APIS
from app.apis.api import Api
from app.bootstrap import Backends, create_sandbox, open_store_for
from app.call import CallContext
from app.config import Settings, parse_settings
from app.errors import Code, Outcome
from app.graphql.compiled import Execution
from app.graphql.compiled.operations import CompiledOperations
from app.graphql.context import Context
from app.graphql.documents import Documents
from app.graphql.execution import Engine, GraphQLRequest
from app.graphql.schema import Schema, build_schema
from app.json_codec import JsonNumber
from app.server.serving import Config
from app.store.engine import SqlStore
from tests.switch import COMPILED

# How the operations of this process were run; none where they were refused before.
WAYS: Counter[Execution | None] = Counter()
WIRINGS = ("local", "sandbox-in-process", "sandbox-over-socket")
MEMBERS = {
    "code",
    "reason",
    "backend",
    "input",
    "currentRevision",
    "outcome",
    "retry",
    "readBack",
    "replayed",
    "requestId",
}
_decode = msgspec.json.Decoder(float_hook=JsonNumber.of).decode
_LEAKS = re.compile(r"https?://|127\.0\.0\.1|localhost|Traceback|\.py\b|Basic [A-Za-z0-9+/=]{8}|Bearer ")


def check_error(error: Mapping[str, Any]) -> None:
    """What every error promises, from any layer."""
    assert set(error) <= {"message", "locations", "path", "extensions"}
    assert isinstance(error["message"], str)
    assert error["message"]
    extensions = error["extensions"]
    assert set(extensions) <= MEMBERS
    Code(extensions["code"])
    assert extensions["requestId"]
    assert None not in extensions.values()
    if "outcome" in extensions:
        outcome = Outcome(extensions["outcome"])
        if extensions["retry"]["safe"]:
            # The outcome of a request in progress is the first one's.
            assert outcome is Outcome.NOT_APPLIED or extensions["reason"] == "IDEMPOTENT_REQUEST_IN_PROGRESS"
    if "backend" in extensions:
        assert set(extensions["backend"]) <= {"name", "status", "code", "message"}
        assert None not in extensions["backend"].values()
    assert not _LEAKS.search(repr(error)), error


@dataclass
class Recorder(httpx.AsyncBaseTransport):
    """Passes requests on and remembers them: what left the gateway."""

    inner: httpx.AsyncBaseTransport
    requests: list[httpx.GraphQLRequest] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.GraphQLRequest) -> httpx.Response:
        self.requests.append(request)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)


@dataclass
class Gateway:
    """One wiring. `transports` records the requests of the REST wirings; `store` is the store behind either."""

    wiring: str
    backends: Backends
    engine: Engine
    store: SqlStore
    transports: dict[str, Recorder]

    async def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        credentials: Mapping[str, Mapping[str, str]] | None = None,
        simulate: str | None = None,
        key: str | None = None,
        request_id: str = "test-request",
        **caller: Any,
    ) -> dict[str, Any]:
        """The answer's body. Variables go through JSON, as over HTTP. `caller` are members of the context."""
        given = _decode(msgspec.json.encode(variables or {}, enc_hook=str))
        call = CallContext(request_id, credentials or {}, simulate=simulate, idempotency_key=key)
        context = Context(call, self.backends.by_name, recorder=self.backends.recorder, **caller)
        result = await self.engine.execute(GraphQLRequest(query, given), context)
        WAYS[result.execution] += 1
        body = result.body()
        for error in body.get("errors", ()):
            check_error(error)
        return body

    async def error(self, query: str, variables: Mapping[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
        """The only error of an answer that must have one."""
        body = await self.execute(query, variables, **kwargs)
        assert len(body.get("errors", ())) == 1, body
        return body["errors"][0]


@contextlib.asynccontextmanager
async def serving(app: Starlette, **options: Any) -> AsyncIterator[str]:
    """A real listener on a free loopback port; gives its base URL. uvicorn's own loop would end on its next tick."""
    config = Config(app, **options)
    config.load()
    lifespan = config.lifespan_class(config)
    state = ServerState()
    await lifespan.startup()

    def connection() -> asyncio.Protocol:
        return config.http_protocol_class(config=config, server_state=state, app_state=lifespan.state)

    listener = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for open_connection in list(state.connections):
            open_connection.shutdown()
        if state.tasks:
            # A handler of a test that failed may hang for ever.
            ended, hanging = await asyncio.wait(state.tasks, timeout=10)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*ended, *hanging, return_exceptions=bool(hanging))
        await lifespan.shutdown()


@contextlib.asynccontextmanager
async def gateway(
    wiring: str,
    folder: Path,
    apis: Sequence[Api] = APIS,
    extra: Mapping[str, str] | None = None,
    url_of_store: str | None = None,
) -> AsyncIterator[Gateway]:
    """The gateway in one wiring over a fresh store in `folder`, or over another one."""
    store_url = {"GATEWAY_STORE_URL": url_of_store or f"sqlite:///{folder / 'gateway.db'}"}
    local = parse_settings(apis, {**store_url})
    if url_of_store is None:
        await fill(folder / "gateway.db", apis)
    async with contextlib.AsyncExitStack() as stack:
        if wiring == "local":
            settings = parse_settings(apis, {**store_url, **(extra or {})})
            backends = Backends(settings, apis)
            await stack.enter_async_context(_opened(backends))
            assert backends.store is not None
            yield Gateway(wiring, backends, engine_of(tuple(apis)), backends.store, {})
            return
        store = await open_store_for(local, apis)
        stack.push_async_callback(store.aclose)
        sandbox = create_sandbox(local, apis, store)
        if wiring == "sandbox-in-process":
            url = "http://127.0.0.1:9"
            await stack.enter_async_context(sandbox.router.lifespan_context(sandbox))
            transports = {api.name: Recorder(httpx.ASGITransport(sandbox)) for api in apis}
        else:
            url = await stack.enter_async_context(serving(sandbox))
            transports = {api.name: Recorder(httpx.AsyncHTTPTransport(verify=_TLS)) for api in apis}
        journal = {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'journal.db'}"}
        await fill(folder / "journal.db", ())
        backends = Backends(_rest_settings(apis, url, journal | dict(extra or {})), apis, transports)
        await stack.enter_async_context(_opened(backends))
        yield Gateway(wiring, backends, engine_of(tuple(apis)), store, transports)


_first_contents: dict[tuple[Api, ...], bytes] = {}


async def fill(file: Path, apis: Sequence[Api] = APIS) -> None:
    """Makes a SQLite file as the first start would, unless it is there. That would take longer than most tests.

    Without APIs it is what a gateway without a local backend makes.
    """
    if not file.exists():
        file.write_bytes(await _first_content(tuple(apis)))


async def _first_content(apis: tuple[Api, ...]) -> bytes:
    if apis not in _first_contents:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "gateway.db")
            store = await open_store_for(parse_settings(apis, {"GATEWAY_STORE_URL": f"sqlite:///{path}"}), apis)
            await store.aclose()
            _first_contents[apis] = path.read_bytes()
    return _first_contents[apis]


# Loading all the authorities takes longer than a test; the tests' backends speak plain HTTP.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.cache
def schema_of(apis: tuple[Api, ...]) -> Schema:
    """Built once for each set of APIs: a schema holds no state."""
    return build_schema(apis)


def engine_of(apis: tuple[Api, ...]) -> Engine:
    """Knows the documents of all others, which keep nothing of a request: preparing one takes longer than a test."""
    engine = Engine(schema_of(apis), compiled=COMPILED)
    engine.documents, engine._compiled = _documents_of(apis)
    return engine


def share_inputs(app: Starlette, apis: tuple[Api, ...]) -> None:
    """What reads the inputs of a schema is made once for all gateways; their documents have limits of their own."""
    if COMPILED and app.state.engine._compiled is not None:
        _, app.state.engine._compiled = _documents_of(apis)


@functools.cache
def _documents_of(apis: tuple[Api, ...]) -> tuple[Documents, CompiledOperations | None]:
    engine = Engine(schema_of(apis), compiled=COMPILED)
    return engine.documents, engine._compiled


def _rest_settings(apis: Sequence[Api], url: str, extra: Mapping[str, str]) -> Settings:
    values = {
        f"GATEWAY_{api.name}_{name}".upper(): value for api in apis for name, value in api.sandbox_settings(url).items()
    }
    return parse_settings(apis, {**values, **extra})


@contextlib.asynccontextmanager
async def _opened(backends: Backends) -> AsyncIterator[None]:
    await backends.open()
    try:
        yield
    finally:
        await backends.aclose()
