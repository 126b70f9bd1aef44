"""Calls over an httpx transport: through `GATEWAY_PROXY_URL`, or over a test's stand-in for the network.

httpx's client is left out on purpose: it keeps cookies (callers' sessions would mix), follows redirects, reads proxies
and credentials from the environment, and costs more than the transport below it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx

from app.call import CallContext
from app.errors import (
    ANSWER_TIMED_OUT,
    ANSWER_TOO_LARGE,
    ANSWER_UNREADABLE,
    CONNECTION_LOST,
    INTERNAL,
    NO_FREE_CONNECTION,
    NOT_CONNECTED,
    DocumentedError,
    GatewayError,
)
from app.upstream.decoding import response_of
from app.upstream.failures import ExchangeError, failed
from app.upstream.heads import header_lines, optional_lines
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.settings import Limits
from app.upstream.tls import context_of

if TYPE_CHECKING:
    import httpcore

log = logging.getLogger(__name__)

_OWN = ((b"accept-encoding", b"identity"), (b"user-agent", b"rest-update-gateway"))
_SENDING = "http11.send_request_headers.started"
_CONNECTED = "connection.connect_tcp.complete"
_MAX_PIECES = 65_536
_PIECES_AT_ONCE = 64

# The first match counts. With httpx's own transport, a failure to connect or to get a connection from the pool means
# that no byte of the request left. Every other failure may come after bytes left. A test compares this with httpx's.
FAILURES: tuple[tuple[type[Exception], DocumentedError], ...] = (
    (httpx.PoolTimeout, NO_FREE_CONNECTION),
    (httpx.ConnectTimeout, NOT_CONNECTED),
    (httpx.ConnectError, NOT_CONNECTED),
    (httpx.ProxyError, NOT_CONNECTED),
    (httpx.TimeoutException, ANSWER_TIMED_OUT),
    (httpx.DecodingError, ANSWER_UNREADABLE),
    (httpx.UnsupportedProtocol, INTERNAL),
    (httpx.TransportError, CONNECTION_LOST),
    (httpx.TooManyRedirects, ANSWER_UNREADABLE),
    (httpx.HTTPError, CONNECTION_LOST),
    (httpx.InvalidURL, INTERNAL),
    (httpx.StreamError, CONNECTION_LOST),
    (httpx.CookieConflict, INTERNAL),
    (OSError, CONNECTION_LOST),  # in case a transport lets a socket's own failures through
)


def row_of(kind: type[Exception]) -> DocumentedError | None:
    return next((row for failure, row in FAILURES if issubclass(kind, failure)), None)


def _exchange_error(name: str, error: Exception) -> ExchangeError:
    if isinstance(error, ExchangeError):
        return error
    if not isinstance(error, httpx.HTTPError):
        log.error("%s: a call broke unexpectedly", name, exc_info=error)
    return ExchangeError(row_of(type(error)) or INTERNAL, f"{type(error).__name__}: {error}")


class Transport:
    """A connection pool to one service, or its stand-in."""

    def __init__(
        self,
        name: str,
        base_url: str,
        limits: Limits,
        transport: httpx.AsyncBaseTransport | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self.limits = limits
        # Only httpx's own transport reports when it starts to send. For others the type of a failure has to tell.
        self.reports = transport is None
        self.transport = transport or httpx.AsyncHTTPTransport(
            verify=tls or context_of(limits.trust),
            trust_env=False,
            proxy=None if limits.proxy_url is None else httpx.Proxy(limits.proxy_url.get_secret_value()),
            limits=httpx.Limits(
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_connections,
                keepalive_expiry=limits.keepalive,
            ),
        )

    async def aclose(self) -> None:
        await self.transport.aclose()

    def attempt(self, request: BackendRequest, call: CallContext) -> Attempt:
        """The request as it will be sent. Raises GatewayError if it cannot be sent."""
        lines = header_lines(self.name, tuple(request.headers.items())) + optional_lines(call)
        pairs = [line.partition(": ") for line in lines.split("\r\n")[:-1]]
        headers = [*_OWN, *((name.encode("ascii"), value.encode("latin-1")) for name, _, value in pairs)]
        timeout = {"connect": self.limits.connect_seconds, "pool": self.limits.pool_seconds}
        try:
            outgoing = httpx.Request(
                request.method,
                self._base_url + request.path,
                params=list(request.query) or None,
                headers=headers,
                content=request.body,
                extensions={"timeout": {**timeout, "read": None, "write": None}},  # the call's own end covers these
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise failed(self.name, ExchangeError(INTERNAL, f"{type(error).__name__}: {error}"), left=False) from error
        return Attempt(self, outgoing)


class Attempt:
    """One request on its way, in its own task, so that a waiting caller may leave and another may come."""

    def __init__(self, engine: Transport, outgoing: httpx.Request) -> None:
        self._engine = engine
        self._name = engine.name
        self._most_bytes = engine.limits.max_answer_bytes
        self._outgoing = outgoing
        self._task: asyncio.Task[None] | None = None
        self._connecting: httpcore.AsyncNetworkStream | None = None
        self._response: httpx.Response | None = None
        self._body = bytearray()
        self._complete = False
        self.left: bool | None = False if engine.reports else None
        self.response: BackendResponse | None = None
        if engine.reports:
            outgoing.extensions["trace"] = self._trace

    async def run(self, end: float) -> BackendResponse:
        """Raises GatewayError. A second call tries again where nothing left, otherwise it goes on waiting."""
        if self.response is not None:
            return self.response
        if self._task is None:
            self._task = asyncio.create_task(self._exchange())
        await asyncio.wait({self._task}, timeout=max(0.0, end - asyncio.get_running_loop().time()))
        error = await self._broken()
        response, left = self._response, self.left
        status, headers = None, {}
        if response is not None:
            status = response.status_code
            headers = {name: value for name, value in response.headers.items() if name != "set-cookie"}
        body, limit = bytes(self._body), self._most_bytes
        try:
            whole = response_of(self._name, status, headers, body, limit, error, complete=self._complete, left=left)
        except GatewayError:
            await self._give_up(end)
            raise
        if not whole.complete:
            await self._give_up(end)
        self.response = whole
        return whole

    async def _give_up(self, end: float) -> None:
        self._task = None
        await self.release(end, reuse=False)

    async def _broken(self) -> Exception | None:
        """Why the task ended; None where it succeeded, or where its time was over."""
        assert self._task is not None
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
            return None
        error = None if self._task.cancelled() else self._task.exception()
        return _exchange_error(self._name, error) if isinstance(error, Exception) else None

    async def _exchange(self) -> None:
        try:
            response = await self._engine.transport.handle_async_request(self._outgoing)
        except asyncio.CancelledError:
            if self._connecting is not None:  # httpcore leaves a socket open whose TLS handshake is cancelled
                await self._connecting.aclose()
            raise
        self.left = True
        self._response = response
        if not isinstance(response.stream, httpx.AsyncByteStream):  # the transport is not made for asyncio
            raise ExchangeError(ANSWER_UNREADABLE, f"status {response.status_code}")
        pieces = 0
        async for piece in response.stream:
            pieces += 1
            self._body += piece
            if len(self._body) > self._most_bytes or pieces > _MAX_PIECES:
                raise ExchangeError(ANSWER_TOO_LARGE, "the body is larger than the limit, or in too many pieces")
            if pieces % _PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)  # one read may hold thousands of one-byte chunks: others get their turn
        self._complete = True

    async def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        # CONNECT is between the gateway and its proxy: nothing of the call has left with it.
        if event == _SENDING and info["request"].method != b"CONNECT":
            self.left = True
            self._connecting = None
        elif event == _CONNECTED:
            self._connecting = info["return_value"]

    async def release(self, end: float, *, reuse: bool) -> None:
        """Gives the connection back within the call's time. Without `reuse`, and with a surplus, it is closed."""
        response, self._response = self._response, None
        if response is None:
            return
        _end_connection(response, reuse=reuse)
        closing = asyncio.create_task(response.aclose())
        _, hanging = await asyncio.wait({closing}, timeout=max(0.0, end - asyncio.get_running_loop().time()))
        for task in hanging:
            task.cancel()
        if not hanging and closing.exception() is not None:
            log.debug("%s: closing failed: %r", self._name, closing.exception())

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if self._task is not None:
            self._task.cancel()


def _end_connection(response: httpx.Response, *, reuse: bool) -> None:
    """Makes the pool close a connection that must not be used again, or that holds bytes beyond its answer.

    A 204 with a body is such a case. httpcore keeps the connection and has no public way to ask. This code reads its
    private attributes, and a test over real sockets fails when they change.
    """
    layer: Any = response.stream
    for attribute in ("_httpcore_stream", "_stream", "_connection", "_h11_state"):
        layer = getattr(layer, attribute, None)
    if layer is not None and (layer.trailing_data[0] or not reuse):
        layer.send_failed()
