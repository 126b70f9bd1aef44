"""Reads one request at a time with httptools and says which bytes belong to it. Knows no connection."""

from __future__ import annotations

import re
from typing import Any

import httptools

_EMPTY_LINE = b"\r\n\r\n"
_TAIL = len(_EMPTY_LINE) - 1
# https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[A-Za-z0-9.:%_~-]+\])(?::[0-9]*)?")
_OTHER_PROTOCOL = re.compile(rb" (?:RTSP|ICE)/")
_NO_REQUEST = 400, "Invalid HTTP request received."


class RefusedError(Exception):
    """The bytes are no request, or none that is accepted: a status and a line of text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RequestParser:
    """Gives httptools no byte beyond the current request.

    A request ends at its length, or with an empty line (head, chunks). `head`: the head was read. `whole`: the request
    was read. `body` is what arrived of the body and was not yet taken. `length` is what the header says.
    """

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._parser: Any = httptools.HttpRequestParser(self)
        self.reset()

    def reset(self) -> None:
        """Before the first byte of a request."""
        self._begun = self.head = self.whole = False
        self._size = 0
        self._tail = b""
        self._line: bytes | None = b""  # the end of what came of the first line; None behind that line
        self.length: int | None = None
        self._left = 0  # bytes still to come of a body with a length
        self._overhead = 0  # bytes of chunks' lines and trailer fields since a byte of the body
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []

    def close(self) -> None:
        """Breaks the reference cycle of the two parsers, which the garbage collector would find late."""
        self._parser = None

    def feed(self, data: bytes, at: int) -> int:
        """Reads from `at` on and returns the position behind what it read. Raises RefusedError."""
        end = self._end(data, at)
        if not self.head:
            self._size += end - at
            if (most := self._max_head_bytes) < self._size:
                raise RefusedError(431, f"The request's address and headers are larger than {most} bytes.")
            self._check_protocol(data[at:end])
            if not self._parse(data[at:end]):
                return end
            self._understand()
            if self.length and end < len(data):
                return self.feed(data, end)
        else:
            self._parse(data[at:end])
            self._left -= end - at
            # Without a bound a trailer field would be collected for as long as its sender likes.
            self._overhead = 0 if self.body or self.length is not None else self._overhead + end - at
            if (most := self._max_head_bytes) < self._overhead:
                raise RefusedError(431, f"The request's trailer fields are larger than {most} bytes.")
        if self.length is not None and self.whole == bool(self._left):
            raise RefusedError(*_NO_REQUEST)  # httptools and this class disagree where the request ends
        return end

    def _check_protocol(self, piece: bytes) -> None:
        """Refuses RTSP and ICE, which httptools reads too: https://www.rfc-editor.org/rfc/rfc9112#section-2.3."""
        if self._line is None:
            return
        line, end, _ = (self._line + piece).partition(b"\n")
        if _OTHER_PROTOCOL.search(line):
            raise RefusedError(*_NO_REQUEST)
        self._line = None if end else line[-len(b" RTSP/") :]

    def _parse(self, piece: bytes) -> bool:
        """Whether the head is there."""
        try:
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                self._without_offer()
        except httptools.HttpParserError:
            raise RefusedError(*_NO_REQUEST) from None
        if self.length is None:
            self._tail = (self._tail + piece)[-_TAIL:]
        return self.head

    def _end(self, data: bytes, at: int) -> int:
        """The position up to which bytes surely belong to this request."""
        if self.length is not None:
            return min(len(data), at + self._left)
        if self._tail:
            seam = self._tail + data[at : at + _TAIL]
            if (position := seam.find(_EMPTY_LINE)) >= 0:
                return at + position + len(_EMPTY_LINE) - len(self._tail)
        position = data.find(_EMPTY_LINE, at)
        return len(data) if position < 0 else position + len(_EMPTY_LINE)

    def _without_offer(self) -> None:
        """Reads the head again without its `Upgrade`: an offer of another protocol is ignored, the body is read.

        https://www.rfc-editor.org/rfc/rfc9110#section-7.8
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            # What follows is no request: https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
            raise RefusedError(501, "CONNECT is not supported.")
        version = self._parser.get_http_version().encode()
        lines = b"".join(b"%b: %b\r\n" % field for field in self.fields if field[0] != b"upgrade")
        head = b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, lines)
        self.reset()
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head)

    def _understand(self) -> None:
        """Raises RefusedError for a head that httptools reads although HTTP/1.1 does not allow it."""
        if self.body:
            raise RefusedError(*_NO_REQUEST)
        parser = self._parser
        self.version: str = parser.get_http_version()
        if self.version not in {"1.0", "1.1"}:
            raise RefusedError(505, "HTTP/1.1 is spoken here.")
        self.method: bytes = parser.get_method()
        self.keep_alive = self.version == "1.1" and self._persists
        self._headers = dict(self.fields)
        hosts, codings = self._count(b"host"), self._count(b"transfer-encoding")
        # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        if hosts > 1 or (not hosts and self.version == "1.1") or not _HOST.fullmatch(self._headers.get(b"host", b"")):
            raise RefusedError(400, "A request has one Host header, with the name of a host.")
        # https://www.rfc-editor.org/rfc/rfc9112#section-6.1
        if codings and (codings > 1 or self._headers[b"transfer-encoding"].lower() != b"chunked"):
            raise RefusedError(501, "The only transfer coding is chunked.")
        if (length := self._headers.get(b"content-length")) is not None:
            self.length = self._left = int(length)

    def _count(self, name: bytes) -> int:
        if name not in self._headers or len(self._headers) == len(self.fields):
            return int(name in self._headers)
        return [field for field, _ in self.fields].count(name)

    def may_go_short(self, most: int) -> bool:
        """Whether this is a plain POST with a body of at most `most` bytes."""
        return (
            self.length is not None
            and self.length <= most
            and self.method == b"POST"
            and self.version == "1.1"
            and b"expect" not in self._headers
        )

    # Called by httptools.

    def on_message_begin(self) -> None:
        if self._begun:
            raise RuntimeError("bytes beyond the end of a request")  # httptools raises an error of its own for it
        self._begun = True

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.head:  # otherwise it is a trailer field
            self.fields.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        self.head = True
        # Read here: httptools forgets it at the message's end, which comes at once for a request without a body.
        self._persists: bool = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.whole = True
