"""The long way: carries one request to an ASGI application and writes its answer. Knows no timer.

No application here streams. A body without a `content-length` is therefore not chunked, and its parts are written as
they come.
"""

from __future__ import annotations

import asyncio
import http
import logging
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httptools

from app.server.parser import RefusedError, RequestParser

if TYPE_CHECKING:
    from app.server.connection import Connection

log = logging.getLogger(__name__)

_BUFFERED_BYTES = 65_536  # bytes of a body that are buffered before its sender has to wait
_NO_BODY = frozenset({204, 304})
_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(100, 600)}
_FAILED = b"Internal Server Error"
_FAILED_HEADERS = (
    (b"content-length", b"%d" % len(_FAILED)),
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"connection", b"close"),
)


def scope_of(parser: RequestParser, version: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """`version` is that of ASGI. The addresses of both sides are left out: no application here asks for them.

    Raises RefusedError.
    """
    try:
        target = httptools.parse_url(parser.url)
    except httptools.HttpParserInvalidURLError:
        raise RefusedError(400, "The request's address is malformed.") from None
    fields = [(name, value.rstrip()) for name, value in parser.fields]
    if target.host:
        # An address with a host wins: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
        authority = target.host if target.port is None else b"%b:%d" % (target.host, target.port)
        fields = [(name, authority if name == b"host" else value) for name, value in fields]
    path = target.path or b"/"
    return {
        "type": "http",
        "asgi": {"version": version, "spec_version": "2.3"},
        "http_version": parser.version,
        "scheme": "http",
        "method": parser.method.decode("ascii"),
        "root_path": "",
        "path": urllib.parse.unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": target.query or b"",
        "headers": fields,
        "state": dict(state),
    }


class AsgiRequest:
    """`gone`: nobody reads the answer. `half_closed`: the client sends nothing more, but still reads."""

    def __init__(self, connection: Connection, scope: dict[str, Any]) -> None:
        self._connection = connection
        self._scope = scope
        # Only a client of HTTP/1.1 can read it: https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1
        self._expects = scope["http_version"] == "1.1" and any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
        )
        self._body = bytearray()
        self._more_body = True
        self._body_delivered = False  # all of the body was received
        self._event = asyncio.Event()
        self._head: bytes | None = None  # built, and not yet written; empty once it is
        self._complete = False
        self.gone = False
        self.half_closed = False

    # Called by the connection.

    def feed(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _BUFFERED_BYTES:
            self._connection.pause()
        self._event.set()

    def complete(self) -> None:
        self._more_body = False
        self._event.set()

    def disconnect(self, *, half: bool = False) -> None:
        self.half_closed = True
        self.gone = self.gone or not half
        self._event.set()

    # ASGI.

    async def run(self, app: Any) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            await self._fail()
            raise
        except Exception:
            log.exception("unexpected failure of the application")
        await self._fail()

    async def _fail(self) -> None:
        """Answers 500 where no answer was begun. An answer that was begun is cut off."""
        if self._complete or self.gone:
            return
        if self._head == b"":
            self._connection.cut()
            return
        self._head = None
        await self.send({"type": "http.response.start", "status": 500, "headers": _FAILED_HEADERS})
        await self.send({"type": "http.response.body", "body": _FAILED})

    async def receive(self) -> Any:
        while not self.gone and not self._complete:
            if self._body or not (self._more_body or self._body_delivered):
                body, self._body = bytes(self._body), bytearray()
                self._body_delivered = not self._more_body
                return {"type": "http.request", "body": body, "more_body": self._more_body}
            if self.half_closed:
                break
            if self._more_body:
                if self._expects:
                    self._expects = False
                    self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self._connection.resume()
            self._event.clear()
            await self._event.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.gone or self._complete:
            return
        if message["type"] == "http.response.start":
            self._head = self._head_of(message["status"], message.get("headers", ()))
            return
        assert self._head is not None
        data, self._head = self._head, b""
        if self._scope["method"] != "HEAD":
            data += message.get("body", b"")
        self._complete = not message.get("more_body", False)
        if self._complete:
            self._event.set()
        self._connection.answer(data, last=self._complete)

    def _head_of(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        connection = self._connection
        fields = [(name.lower(), value) for name, value in (*connection.default_headers, *headers)]
        says_close = any(name == b"connection" and b"close" in value.lower() for name, value in fields)
        ends_alone = status in _NO_BODY or self._scope["method"] == "HEAD" or b"content-length" in dict(fields)
        # A body without a length ends with the connection.
        if says_close or not ends_alone or not connection.stays:
            connection.keep_alive = False
            fields += () if says_close else [(b"connection", b"close")]
        return STATUS_LINES[status] + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
