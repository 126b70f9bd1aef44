"""One exchange over a connection of our own: what `transport.py` does over httpx, at a fraction of its cost.

Both are judged by one fault table over real sockets. A request is bytes before it has a connection, and it is written
at once, so that what "may have left" is one moment: that before the write.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
from msgspec import Struct

from app.errors import ANSWER_TIMED_OUT, DEADLINE_BEFORE_SENDING, BackendAnswer, GatewayError
from app.upstream import decoding
from app.upstream.connection import Connection
from app.upstream.exchange import Answer, Request
from app.upstream.failures import broken_off, failed, malformed
from app.upstream.pool import Pool
from app.upstream.transport import Progress, answered, coding_of, default_tls, is_header_name, is_header_value

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from app.call import Call
    from app.upstream.limits import Limits

log = logging.getLogger(__name__)

_PATH = re.compile(r"[!-~]*")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_HEADERS_KEPT = 64
_PORTS = {"http": 80, "https": 443}
_BLANK = " \t"
_WITH_BODY = frozenset({"PUT", "POST", "PATCH"})


@lru_cache(256)
def _query(parts: Sequence[tuple[str, str]]) -> str:
    return "?" + "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in parts]) if parts else ""


def _quoted(text: str) -> str:
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def _is_plain(value: str) -> bool:
    """Whether a header's value is one that is sent as it is; another one is looked at closely."""
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


def _decorations(call: Call) -> str:
    """Left out, where they cannot be sent, rather than fail a write."""
    found = (("x-request-id", call.request_id), *call.trace_headers.items())
    return _header_lines(tuple(item for item in found if is_header_name(item[0]) and is_header_value(item[1])))


@dataclass(frozen=True, slots=True)
class Origin:
    """A base URL taken apart: the pool's address, and what stands in every request to it."""

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
        self._origins: dict[str, Origin] = {}
        # Most calls bring the same headers. A caller's credentials stay until those of others push them out.
        self._lines = lru_cache(_HEADERS_KEPT)(_header_lines)

    async def aclose(self) -> None:
        for origin in self._origins.values():
            origin.pool.close()
        # asyncio closes a socket in the turn after the one in which it is told to.
        await asyncio.sleep(0)

    def started(self) -> Progress:
        return Progress(left=False)

    def prepared(self, base_url: str, request: Request, call: Call) -> Outgoing:
        """The request as it will be sent. Raises GatewayError if it cannot be."""
        origin = self._origins.get(base_url)
        if origin is None:
            try:
                origin = self._origins[base_url] = self._origin(base_url)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
                raise failed(self._name, error, left=False) from error
        target = (origin.prefix + request.path or "/") + _query(tuple(request.query))
        if target[0] != "/" or not _PATH.fullmatch(request.path):
            raise failed(self._name, httpx.InvalidURL("the address of the request cannot be sent"), left=False)
        try:
            lines = self._lines(tuple(request.headers.items()))
        except _MalformedError as error:
            raise malformed(self._name, str(error)) from None
        if call.trace_headers or not _is_plain(call.request_id):
            more = _decorations(call)
        else:
            more = f"x-request-id: {call.request_id}\r\n"
        body = request.body
        if body is not None or request.method in _WITH_BODY:
            body = body or b""
            more = f"{more}content-length: {len(body)}\r\n"
        head = f"{request.method} {target} HTTP/1.1\r\n{origin.head}\r\n{lines}{more}\r\n".encode("latin-1")
        return Outgoing(origin, head if body is None else head + body)

    def _origin(self, base: str) -> Origin:
        # httpx's parser knows the rules of host names; it is asked once for each base URL.
        parts = httpx.URL(base)
        if parts.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"the scheme {parts.scheme[:20]!r} is none of HTTP")
        host = parts.raw_host.decode("ascii")
        if not host:
            raise httpx.InvalidURL("the base URL has no host")
        tls = (self._tls or default_tls()) if parts.scheme == "https" else None
        pool = Pool(host, parts.port or _PORTS[parts.scheme], tls, self._limits)
        shown = parts.netloc.decode("ascii")
        head = f"host: {shown}\r\naccept-encoding: identity\r\nuser-agent: rest-update-gateway"
        prefix = parts.raw_path.decode("ascii").rstrip("/")
        if not _PATH.fullmatch(prefix):
            raise httpx.InvalidURL("the base URL has a path that cannot be sent")
        return Origin(pool, prefix, head)

    def ready(self, outgoing: Outgoing, now: float) -> Connection | None:
        """A connection over which the request can be sent at once."""
        return outgoing.origin.pool.idle(now)

    async def exchange(self, outgoing: Outgoing, progress: Progress) -> Answer:
        """One attempt. Raises GatewayError. Where this is cancelled, `progress` says how far it came."""
        try:
            connection = await outgoing.origin.pool.take()
        except Exception as error:
            raise self._logged(failed(self._name, error, left=False), error) from error
        connection.send(outgoing.data, progress)
        return await self.rest(connection, progress)

    def whole(self, connection: Connection, progress: Progress) -> Answer | None:
        """The answer, where all of it is there and needs no decoding; the connection is given back."""
        if progress.headers is None or progress.status is None or coding_of(progress.status, progress.headers):
            return None
        body = connection.whole(self._limits.max_answer_bytes)
        if body is None:
            return None
        connection.pool.give_back(connection)
        return Answer(progress.status, progress.headers, body)

    def discard(self, connection: Connection) -> None:
        connection.pool.discard(connection)

    async def rest(self, connection: Connection, progress: Progress) -> Answer:
        """From the request's being written to the answer's end. Raises GatewayError."""
        try:
            answer = await self._read(connection, progress)
        except BaseException:
            connection.pool.discard(connection)
            raise
        connection.pool.give_back(connection)
        return answer

    async def _read(self, connection: Connection, progress: Progress) -> Answer:
        try:
            await connection.answered()
        except Exception as error:
            raise self._logged(failed(self._name, error, left=True), error) from error
        assert progress.status is not None
        assert progress.headers is not None
        body = progress.body = bytearray()
        try:
            coding = coding_of(progress.status, progress.headers)
            whole = None if coding else connection.whole(self._limits.max_answer_bytes)
            if whole is not None:
                progress.complete = True
                return Answer(progress.status, progress.headers, whole)
            await decoding.read(connection.pieces(), coding, self._limits.max_answer_bytes, body)
            progress.complete = True
        except Exception as error:
            answer = answered(progress)
            if answer is None:
                raise self._logged(broken_off(self._name, progress.status, error), error) from error
            log.info("%s answered %d, but its body broke off: %r", self._name, answer.status, error)
            return answer
        return Answer(progress.status, progress.headers, bytes(body))

    def timed_out(self, progress: Progress) -> GatewayError:
        """The error of an exchange that the end of its time cut off before its status was known, or was of use."""
        row = DEADLINE_BEFORE_SENDING if progress.left is False else ANSWER_TIMED_OUT
        return GatewayError(row, backend=BackendAnswer(self._name, progress.status), detail="the call's time was over")

    def _logged(self, error: GatewayError, cause: Exception) -> GatewayError:
        if not isinstance(cause, httpx.HTTPError | decoding.BodyTooLargeError | decoding.BodyUnreadableError):
            log.error("%s: an exchange broke unexpectedly", self._name, exc_info=cause)
        return error
