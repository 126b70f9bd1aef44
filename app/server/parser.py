"""Reads one request at a time with httptools and says which bytes belong to it. Knows no connection."""

from __future__ import annotations

import re
from typing import Any

import httptools

_EMPTY_LINE = b"\r\n\r\n"
_TAIL = len(_EMPTY_LINE) - 1
# https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[A-Za-z0-9.:%_~-]+\])(?::[0-9]*)?[ \t]*")
_NO_REQUEST = 400, "Invalid HTTP request received."


class RefusedError(Exception):
    """The bytes are no request, or none that is accepted: a status and a line of text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class RequestParser:
    """Gives httptools heads and chunks, and no byte beyond the current request.

    A request ends at its length, or with an empty line (head, chunks). `head`: the head was read. `whole`: the request
    was read. `body` is what arrived of the body and was not yet taken. `length` is what the header says. Values of
    `fields` may end with white space.
    """

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self.reset()

    def reset(self) -> None:
        """Before the first byte of a request."""
        self._parser: Any = httptools.HttpRequestParser(self)
        self._begun = self.head = self.whole = False
        self._overhead = 0  # bytes of the head, or of chunks' lines and trailer fields since a byte of the body
        self._tail = b""  # the end of what came
        self._line: bytes | None = b""  # the end of what came of the first line; None behind that line
        self.length: int | None = None
        self._left = 0  # bytes still to come of a body with a length
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []

    def close(self) -> None:
        """Breaks the reference cycle of the two parsers, which the garbage collector would find late."""
        self._parser = None

    def feed(self, data: bytes, at: int) -> int:
        """Reads from `at` on and returns the position behind what it read. Raises RefusedError."""
        if self._left:
            end = min(len(data), at + self._left)
            self._left -= end - at
            self.whole = not self._left
            self.body.append(data[at:end])
            return end
        had_head, end = self.head, self._end(data, at)
        piece = data[at:end]
        self._overhead += len(piece)
        if had_head:
            self._parse(piece)
            self._overhead *= not self.body
        if (most := self._max_head_bytes) < self._overhead:
            # Without a bound a trailer field would be collected for as long as its sender likes.
            what = "trailer fields" if had_head else "address and headers"
            raise RefusedError(431, f"The request's {what} are larger than {most} bytes.")
        if not had_head:
            if self._line is not None:
                # httptools reads them, too: https://www.rfc-editor.org/rfc/rfc9112#section-2.3
                line, line_end, _ = (self._line + piece).partition(b"\n")
                if b" RTSP/" in line or b" ICE/" in line:
                    raise RefusedError(*_NO_REQUEST)
                self._line = None if line_end else line[-len(b" RTSP/") :]
            self._parse(piece)
            if self.head:
                self._understand()
        return end

    def _parse(self, piece: bytes) -> None:
        try:
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade:
                self._without_offer()
        except httptools.HttpParserError:
            raise RefusedError(*_NO_REQUEST) from None
        self._tail = (self._tail + piece[-_TAIL:])[-_TAIL:]

    def _end(self, data: bytes, at: int) -> int:
        """The position up to which bytes surely belong to this request."""
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
        self.headers = headers = dict(self.fields)  # the last value of each
        names = [] if len(headers) == len(self.fields) else [name for name, _ in self.fields]
        host, coding = headers.get(b"host"), headers.get(b"transfer-encoding", b"chunked")
        # https://www.rfc-editor.org/rfc/rfc9112#section-3.2
        if (host is None and self.version == "1.1") or names.count(b"host") > 1 or not _HOST.fullmatch(host or b""):
            raise RefusedError(400, "A request has one Host header, with the name of a host.")
        # https://www.rfc-editor.org/rfc/rfc9112#section-6.1
        if coding.rstrip().lower() != b"chunked" or names.count(b"transfer-encoding") > 1:
            raise RefusedError(501, "The only transfer coding is chunked.")
        if (length := headers.get(b"content-length")) is not None:
            self.length = self._left = int(length)
            self.whole = not self._left

    def may_go_short(self, most: int) -> bool:
        """Whether this is a plain POST with a body of at most `most` bytes."""
        return (
            self.length is not None
            and self.length <= most
            and self.method == b"POST"
            and self.version == "1.1"
            and b"expect" not in self.headers
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
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head = True
        # Read here: httptools forgets it at the message's end, which comes at once for a request without a body.
        self._persists: bool = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.whole = True
