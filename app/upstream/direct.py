"""Calls over our own connections: a request becomes bytes before it has a connection, and is written at once.

So "may have left" is one moment: the one before the write. `transport.py` does the same over httpx.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from msgspec import Struct

from app.call import CallContext
from app.errors import INTERNAL, GatewayError
from app.upstream.connection import Connection
from app.upstream.decoding import response_of
from app.upstream.failures import ExchangeError, OutOfTimeError, failed
from app.upstream.heads import header_lines, optional_lines
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.pool import Pool
from app.upstream.settings import Limits
from app.upstream.tls import context_of

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
    """A base URL taken apart: its pool, and the lines that every request to it has."""

    pool: Pool
    prefix: str
    head: str


class DirectTransport:
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
        target = origin.prefix + request.path or "/"
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
        head = f"{request.method} {target} HTTP/1.1\r\n{origin.head}\r\n{lines}\r\n".encode("latin-1")
        return Attempt(self._name, self._limits, origin.pool, head if body is None else head + body)


def _origin(base_url: str, limits: Limits, tls: ssl.SSLContext | None) -> Origin:
    import httpx  # noqa: PLC0415 - a start without a service to call is a tenth shorter without it

    try:
        parts = httpx.URL(base_url)  # knows the rules of host names
    except (httpx.InvalidURL, ValueError) as error:
        raise ExchangeError(INTERNAL, f"{type(error).__name__}: {error}") from error
    host = parts.raw_host.decode("ascii")
    prefix = parts.raw_path.decode("ascii").rstrip("/")
    if parts.scheme not in _PORTS or not host or not _PATH.fullmatch(prefix):
        raise ExchangeError(INTERNAL, "the base URL is none of HTTP, has no host or a path that cannot be sent")
    tls = (tls or context_of(limits.trust)) if parts.scheme == "https" else None
    head = f"host: {parts.netloc.decode('ascii')}\r\naccept-encoding: identity\r\nuser-agent: rest-update-gateway"
    return Origin(Pool(host, parts.port or _PORTS[parts.scheme], tls, limits), prefix, head)


class Attempt:
    """One request on its way. `left`: whether bytes of it may have left."""

    __slots__ = ("_connection", "_data", "_limits", "_name", "_pool", "left")

    def __init__(self, name: str, limits: Limits, pool: Pool, data: bytes) -> None:
        self._name = name
        self._limits = limits
        self._pool = pool
        self._data = data  # may hold credentials
        self._connection: Connection | None = None
        self.left: bool | None = False

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
        try:
            response = response_of(
                self._name,
                connection.status,
                connection.headers,
                b"".join(connection.pieces),
                self._limits.max_answer_bytes,
                connection.error,
                complete=connection.complete,
            )
        except GatewayError:
            self.abandon()
            raise
        if not response.complete:
            self.abandon()
        return response

    async def _connected(self, end: float) -> Connection:
        try:
            async with asyncio.timeout_at(end) as time_left:
                return await self._pool.take()
        except Exception as error:
            if isinstance(error, TimeoutError) and time_left.expired():
                raise OutOfTimeError(self._name, left=False) from None
            raise failed(self._name, error, left=False) from error

    async def release(self, end: float, *, reuse: bool) -> None:  # noqa: ARG002 - the other engine's
        if (connection := self._connection) is not None:
            self._connection = None
            self._pool.release(connection, reuse=reuse)

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if (connection := self._connection) is not None:
            self._connection = None
            self._pool.discard(connection)
