"""Calls over an httpx transport: through `GATEWAY_PROXY_URL`, or over a test's stand-in for the network.

httpx's client is left out on purpose: it keeps cookies (callers' sessions would mix), follows redirects, reads proxies
and credentials from the environment, and costs more than the transport below it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpx

from app.upstream.decoding import BodyTooLargeError, BodyUnreadableError, response_of
from app.upstream.failures import failed, malformed, not_whole
from app.upstream.messages import BackendRequest, BackendResponse, is_header_name, is_header_value
from app.upstream.tls import context_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import httpcore

    from app.call import CallContext
    from app.upstream.settings import Limits

log = logging.getLogger(__name__)

_OWN = ((b"accept-encoding", b"identity"), (b"user-agent", b"rest-update-gateway"))
_SENDING = "http11.send_request_headers.started"
_CONNECTED = "connection.connect_tcp.complete"
_MAX_PIECES = 65_536
_PIECES_AT_ONCE = 64


class Transport:
    """A connection pool to one service, or its stand-in."""

    def __init__(
        self, name: str, limits: Limits, transport: httpx.AsyncBaseTransport | None, tls: ssl.SSLContext | None
    ) -> None:
        self._name = name
        self._limits = limits
        # Only httpx's own transport reports when it starts to send. For others the type of a failure has to tell.
        self._reports = transport is None
        self._transport = transport or httpx.AsyncHTTPTransport(
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
        await self._transport.aclose()

    def attempt(self, outgoing: httpx.Request) -> Attempt:
        return Attempt(self._name, self._limits, self._transport, outgoing, reports=self._reports)

    def prepared(self, base_url: str, request: BackendRequest, call: CallContext) -> httpx.Request:
        """The request as it will be sent. Raises GatewayError if it cannot be sent."""
        headers = [*_OWN]
        for name, value in request.headers.items():
            if not is_header_name(name) or not is_header_value(value):
                raise malformed(self._name, name if is_header_name(name) else "with a malformed name")
            headers.append((name.lower().encode("ascii"), value.strip(" \t").encode("latin-1")))
        for name, value in {"x-request-id": call.request_id, **call.trace_headers}.items():
            if is_header_name(name) and is_header_value(value):  # a write must not fail because of a decoration
                headers.append((name.lower().encode("ascii"), value.strip(" \t").encode("latin-1")))
        timeout = {"connect": self._limits.connect_seconds, "pool": self._limits.pool_seconds}
        try:
            return httpx.Request(
                request.method,
                base_url + request.path,
                params=list(request.query) or None,
                headers=headers,
                content=request.body,
                extensions={"timeout": {**timeout, "read": None, "write": None}},  # the call's own end covers these
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise failed(self._name, error, left=False) from error


class Attempt:
    """One request on its way, in its own task, so that a waiting caller may leave and another may come."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        transport: httpx.AsyncBaseTransport,
        outgoing: httpx.Request,
        *,
        reports: bool,
    ) -> None:
        self._name = name
        self._limits = limits
        self._transport = transport
        self._outgoing = outgoing
        self._task: asyncio.Task[None] | None = None
        self._connecting: httpcore.AsyncNetworkStream | None = None
        self._response: httpx.Response | None = None
        self._body = bytearray()
        self._complete = False
        self._reports = reports
        self.left: bool | None = False if reports else None
        self.response: BackendResponse | None = None
        if reports:
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
        whole, error = response_of(status, headers, bytes(self._body), self._limits, error, complete=self._complete)
        if whole is None or not whole.complete:
            self._task = None
            await self.release(end, reuse=False)
        if whole is None:
            raise not_whole(self._name, status, error, left=left)
        self.response = whole
        return whole

    async def _broken(self) -> Exception | None:
        """Why the task ended; None where it succeeded, or where its time was over."""
        assert self._task is not None
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
            return None
        error = None if self._task.cancelled() else self._task.exception()
        if isinstance(error, Exception):
            return error
        return None

    async def _exchange(self) -> None:
        try:
            response = await self._transport.handle_async_request(self._outgoing)
        except asyncio.CancelledError:
            if self._connecting is not None:  # httpcore leaves a socket open whose TLS handshake is cancelled
                await self._connecting.aclose()
            raise
        self.left = True
        self._response = response
        if not isinstance(response.stream, httpx.AsyncByteStream):  # the transport is not made for asyncio
            raise BodyUnreadableError(f"status {response.status_code}")
        pieces = 0
        async for piece in response.stream:
            pieces += 1
            self._body += piece
            if len(self._body) > self._limits.max_answer_bytes or pieces > _MAX_PIECES:
                raise BodyTooLargeError
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
