"""Calls over our own connections: a request becomes bytes before it has a connection, and is written at once.

So "may have left" is one moment: the one before the write. `transport.py` does the same over httpx.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from app.upstream.broken import InvalidURL, UnsupportedProtocol
from app.upstream.decoding import response_of
from app.upstream.failures import OutOfTimeError, failed, log_unexpected, malformed, not_whole
from app.upstream.messages import BackendRequest, BackendResponse, is_header_name, is_header_value
from app.upstream.pool import Pool
from app.upstream.tls import context_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from app.call import CallContext
    from app.upstream.connection import Connection
    from app.upstream.settings import Limits

_PATH = re.compile(r"[!-~]*")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_HEADERS_KEPT = 64
_PORTS = {"http": 80, "https": 443}
_BLANK = " \t"
_TRACE = frozenset({"x-request-id", "traceparent", "tracestate"})  # known to be valid names
_WITH_BODY = frozenset({"PUT", "POST", "PATCH"})


@lru_cache(256)
def _query(parts: Sequence[tuple[str, str]]) -> str:
    return "?" + "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in parts]) if parts else ""


def _quoted(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def _is_plain(value: str) -> bool:
    """Whether a header's value can be sent as it is. Any other value is checked closely."""
    return value.isascii() and value.isprintable() and value != "" and value[0] != " " and value[-1] != " "


class _MalformedError(Exception):
    """Names a header that cannot be sent."""


def _header_lines(headers: tuple[tuple[str, str], ...]) -> str:
    lines = []
    for name, value in headers:
        if not is_header_name(name) or not is_header_value(value):
            raise _MalformedError(name if is_header_name(name) else "with a malformed name")
        lines.append(f"{name.lower()}: {value.strip(_BLANK)}\r\n")
    return "".join(lines)


def _decorations(call: CallContext) -> str:
    """Headers that are left out where they cannot be sent: a write must not fail because of them."""
    lines = ""
    for name, value in (("x-request-id", call.request_id), *call.trace_headers.items()):
        if name in _TRACE and _is_plain(value):
            lines += f"{name}: {value}\r\n"
        elif is_header_name(name) and is_header_value(value):
            lines += f"{name.lower()}: {value.strip(_BLANK)}\r\n"
    return lines


@dataclass(frozen=True, slots=True)
class Origin:
    """A base URL taken apart: the pool's address, and the lines that every request to it has."""

    pool: Pool
    prefix: str
    head: str


class Outgoing(Struct):
    """A request as it will be sent; `data` may hold credentials."""

    origin: Origin
    data: bytes

    def __repr__(self) -> str:
        return f"Outgoing(origin={self.origin!r})"


class DirectTransport:
    """A connection pool to one service."""

    def __init__(self, name: str, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._name = name
        self._limits = limits
        self._tls = tls
        import httpx  # noqa: PLC0415 - see `broken.py`

        self._url, self._invalid = httpx.URL, httpx.InvalidURL
        self._origins: dict[str, Origin] = {}
        # Most calls have the same headers. A caller's credentials stay here until other callers' push them out.
        self._lines = lru_cache(_HEADERS_KEPT)(_header_lines)

    async def aclose(self) -> None:
        for origin in self._origins.values():
            origin.pool.close()
        # asyncio closes a socket one turn after it was told to.
        await asyncio.sleep(0)

    def attempt(self, outgoing: Outgoing) -> Attempt:
        return Attempt(self._name, self._limits, outgoing)

    def prepared(self, base_url: str, request: BackendRequest, call: CallContext) -> Outgoing:
        """The request as it will be sent. Raises GatewayError if it cannot be sent."""
        origin = self._origins.get(base_url)
        if origin is None:
            try:
                origin = self._origins[base_url] = self._origin(base_url)
            except (InvalidURL, UnsupportedProtocol, ValueError) as error:
                raise failed(self._name, error, left=False) from error
        target = (origin.prefix + request.path or "/") + _query(tuple(request.query))
        if target[0] != "/" or not _PATH.fullmatch(request.path):
            raise failed(self._name, InvalidURL("the address of the request cannot be sent"), left=False)
        try:
            lines = self._lines(tuple(request.headers.items()))
        except _MalformedError as error:
            raise malformed(self._name, str(error)) from None
        more = _decorations(call)
        body = request.body
        if body is not None or request.method in _WITH_BODY:
            body = body or b""
            more = f"{more}content-length: {len(body)}\r\n"
        head = f"{request.method} {target} HTTP/1.1\r\n{origin.head}\r\n{lines}{more}\r\n".encode("latin-1")
        return Outgoing(origin, head if body is None else head + body)

    def _origin(self, base: str) -> Origin:
        # httpx's parser knows the rules of host names. It is used once for each base URL.
        try:
            parts = self._url(base)
        except self._invalid as error:
            raise InvalidURL(str(error)) from error
        if parts.scheme not in _PORTS:
            raise UnsupportedProtocol(f"the scheme {parts.scheme[:20]!r} is none of HTTP")
        host = parts.raw_host.decode("ascii")
        if not host:
            raise InvalidURL("the base URL has no host")
        tls = (self._tls or context_of(self._limits.trust)) if parts.scheme == "https" else None
        pool = Pool(host, parts.port or _PORTS[parts.scheme], tls, self._limits)
        shown = parts.netloc.decode("ascii")
        head = f"host: {shown}\r\naccept-encoding: identity\r\nuser-agent: rest-update-gateway"
        prefix = parts.raw_path.decode("ascii").rstrip("/")
        if not _PATH.fullmatch(prefix):
            raise InvalidURL("the base URL has a path that cannot be sent")
        return Origin(pool, prefix, head)


class Attempt:
    """One request on its way. `left`: whether bytes of it may have left. `answer` is set once it is known."""

    __slots__ = ("_connection", "_limits", "_name", "_outgoing", "left", "response")

    def __init__(self, name: str, limits: Limits, outgoing: Outgoing) -> None:
        self._name = name
        self._limits = limits
        self._outgoing = outgoing
        self._connection: Connection | None = None
        self.left: bool | None = False
        self.response: BackendResponse | None = None

    async def run(self, end: float) -> BackendResponse:
        """Raises GatewayError. A second call tries again where nothing left, otherwise it goes on waiting."""
        connection = self._connection
        if connection is None:
            pool = self._outgoing.origin.pool
            connection = pool.idle(asyncio.get_running_loop().time()) or await self._connected(pool, end)
            self._connection, self.left = connection, True
            connection.send(self._outgoing.data, self._limits.max_answer_bytes)
        await connection.ended(end)
        self.response = self._judged(connection)
        return self.response

    async def _connected(self, pool: Pool, end: float) -> Connection:
        try:
            async with asyncio.timeout_at(end) as time_left:
                return await pool.take()
        except Exception as error:
            if isinstance(error, TimeoutError) and time_left.expired():
                raise OutOfTimeError(self._name, left=False) from None
            log_unexpected(self._name, error)
            raise failed(self._name, error, left=False) from error

    def _judged(self, connection: Connection) -> BackendResponse:
        if not connection.complete:
            connection.take_status()
        response, error = response_of(
            connection.status,
            connection.headers,
            b"".join(connection.pieces),
            self._limits,
            connection.error,
            complete=connection.complete,
        )
        if response is not None and response.complete:
            return response
        self.abandon()
        if response is None:
            raise not_whole(self._name, connection.status, error)
        return response

    async def release(self, end: float, *, reuse: bool) -> None:  # noqa: ARG002 - the other engine's
        if (connection := self._connection) is not None:
            self._connection = None
            self._outgoing.origin.pool.release(connection, reuse=reuse)

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if (connection := self._connection) is not None:
            self._connection = None
            self._outgoing.origin.pool.discard(connection)
