"""Calls over our own connections: a request becomes bytes before it has a connection, and is written at once.

So "may have left" is one moment: the one before the write. A proxy is asked for its tunnel earlier (`pool.py`).
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from app.call import CallContext
from app.errors import INTERNAL
from app.upstream.connection import Connection
from app.upstream.credentials import basic_header
from app.upstream.decoding import decoded
from app.upstream.failures import ExchangeError, OutOfTimeError, failed
from app.upstream.heads import header_lines, optional_lines
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.pool import Pool, Tunnel
from app.upstream.settings import Limits
from app.upstream.tls import context_of

log = logging.getLogger(__name__)

_NO_CONTENT = 204
_LEAST_REFUSAL = 400
_PATH = re.compile(r"[!-~]*")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_HEADERS_KEPT = 64
_PORTS = {"http": 80, "https": 443}
_WITH_BODY = frozenset({"PUT", "POST", "PATCH"})


@lru_cache(256)
def _query(parts: Sequence[tuple[str, str]]) -> str:
    return "?" + "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in parts)


def _quoted(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


class Origin(Struct, frozen=True):
    """A base URL taken apart: its pool, its path, and the lines that every request to it has.

    A proxy that is asked for plain HTTP takes the whole address: `address` is what stands before the path then.
    """

    pool: Pool
    address: str
    path: str
    head: str


class Transport:
    """A connection pool to one service."""

    def __init__(self, name: str, base_url: str, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._name = name
        self._limits = limits
        self._origin: Origin | ExchangeError
        try:
            self._origin = _origin(base_url, limits, tls)
        except ExchangeError as error:
            self._origin = error
        # Most calls have the same headers. A caller's credentials stay here until other callers' push them out.
        self._header_lines = lru_cache(_HEADERS_KEPT)(header_lines)

    async def aclose(self) -> None:
        if isinstance(self._origin, Origin):
            self._origin.pool.close()
        # asyncio closes a socket one turn after it was told to.
        await asyncio.sleep(0)

    def attempt(self, request: BackendRequest, call: CallContext) -> Attempt:
        """The request as it will be sent. Raises GatewayError if it cannot be sent."""
        origin = self._origin
        if isinstance(origin, ExchangeError):
            raise failed(self._name, origin, left=False)
        target = origin.path + request.path or "/"
        if target[0] != "/" or not _PATH.fullmatch(request.path):
            error = ExchangeError(INTERNAL, "the address of the request cannot be sent")
            raise failed(self._name, error, left=False)
        if request.query:
            target += _query(tuple(request.query))
        lines = self._header_lines(self._name, tuple(request.headers.items())) + optional_lines(call)
        body = request.body
        if body is not None or request.method in _WITH_BODY:
            body = body or b""
            lines = f"{lines}content-length: {len(body)}\r\n"
        head = f"{request.method} {origin.address}{target} HTTP/1.1\r\n{origin.head}{lines}\r\n".encode("latin-1")
        return Attempt(self._name, self._limits, origin.pool, head if body is None else head + body)


def _origin(base_url: str, limits: Limits, tls: ssl.SSLContext | None) -> Origin:
    try:
        url = urlsplit(base_url)
        usual = _PORTS[url.scheme]
        host, port, path = url.hostname or "", url.port or usual, url.path.rstrip("/")
    except (KeyError, ValueError) as error:
        raise ExchangeError(INTERNAL, "the base URL is none of HTTP, or none at all") from error
    if not host or not _PATH.fullmatch(host + path):
        raise ExchangeError(INTERNAL, "the base URL has no host, or a part that cannot be sent")
    name = f"[{host}]" if ":" in host else host
    named = name if port == usual else f"{name}:{port}"
    head = f"host: {named}\r\naccept-encoding: identity\r\nuser-agent: rest-update-gateway\r\n"
    tls = (tls or context_of(limits.trust)) if url.scheme == "https" else None
    if limits.proxy_url is None:
        return Origin(Pool(host, port, tls, limits), "", path, head)
    proxy = urlsplit(limits.proxy_url.get_secret_value())
    own = ""
    if proxy.username or proxy.password:
        own = basic_header(unquote(proxy.username or ""), unquote(proxy.password or ""))
        own = f"proxy-authorization: {own}\r\n"
    tunnel = None
    if tls is not None:
        asking = f"CONNECT {name}:{port} HTTP/1.1\r\nhost: {name}:{port}\r\n{own}\r\n"
        tunnel = Tunnel(asking.encode(), host, tls)
    proxy_tls = context_of(limits.trust) if proxy.scheme == "https" else None
    pool = Pool(proxy.hostname or "", proxy.port or _PORTS[proxy.scheme], proxy_tls, limits, tunnel=tunnel)
    return Origin(pool, "", path, head) if tunnel is not None else Origin(pool, f"http://{named}", path, head + own)


class Attempt:
    """One request on its way. `left`: whether bytes of it may have left."""

    __slots__ = ("_connection", "_data", "_limits", "_name", "_pool", "left")

    def __init__(self, name: str, limits: Limits, pool: Pool, data: bytes) -> None:
        self._name = name
        self._limits = limits
        self._pool = pool
        self._data = data  # may hold credentials
        self._connection: Connection | None = None
        self.left = False

    async def run(self, end: float) -> BackendResponse:
        """Raises GatewayError. A second call tries again where nothing left, otherwise it goes on waiting."""
        connection = self._connection
        if connection is None:
            connection = self._pool.idle(asyncio.get_running_loop().time()) or await self._connected(end)
            self._connection, self.left = connection, True
            connection.send(self._data, self._limits.max_answer_bytes)
        await connection.ended(end)
        if not connection.complete:
            connection.take_status()
        status, error, body = connection.status, connection.error, b"".join(connection.pieces)
        if status is not None and connection.complete:
            try:
                # A 204 has no body, whatever its head says.
                coding = "" if status == _NO_CONTENT else connection.headers.get("content-encoding", "")
                return BackendResponse(status, connection.headers, decoded(body, coding, self._limits.max_answer_bytes))
            except ExchangeError as failure:
                body, error = b"", failure
        self.abandon()
        if status is not None and status >= _LEAST_REFUSAL:
            log.info("an answer of status %d broke off: %r", status, error)
            return BackendResponse(status, connection.headers, body, complete=False)
        raise OutOfTimeError(self._name, status) if error is None else failed(self._name, error, status, left=True)

    async def _connected(self, end: float) -> Connection:
        try:
            async with asyncio.timeout_at(end) as time_left:
                return await self._pool.take()
        except Exception as error:
            if isinstance(error, TimeoutError) and time_left.expired():
                raise OutOfTimeError(self._name, left=False) from None
            raise failed(self._name, error, left=False) from error

    def release(self, *, reuse: bool) -> None:
        if (connection := self._connection) is not None:
            self._connection = None
            self._pool.release(connection, reuse=reuse)

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if (connection := self._connection) is not None:
            self._connection = None
            self._pool.discard(connection)


MakeTransport = Callable[[str, str, Limits, ssl.SSLContext | None], Transport]
