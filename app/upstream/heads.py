"""Reads a response's head as RFC 9112 tells a client to, also one that is not strict; writes a request's headers. Pure.

A folded line is a space (5.2), a line may end without CR (2.2), one content-length may stand twice, and chunks win over
a content-length (6.3). llhttp refuses these, and its refusal loses the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from app.call import CallContext
from app.errors import CONNECTION_LOST
from app.upstream.failures import ExchangeError, malformed

_MAX_BYTES = 100 * 1024  # a head with all interim responses before it, as in httpcore
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_START = b"HTTP/1."
_LINE_END = b"\r\n"
# RFC 9110 sections 5.6.2 and 5.5. Text beyond ASCII is passed on as the bytes that arrived.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_BLANK = " \t"
_MOST_DIGITS = 18
_MAX_INTERIM = 100
_KNOWN = 128  # names and status lines that are cached; a head bounds the length of each
_SWITCHING = 101
_LEAST_FINAL = 200
_WITHOUT_BODY = frozenset({204, 304})


class Head(NamedTuple):
    """`headers` has lower-case names and no cookies. `length` None, not `chunked`: the body ends by closing."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    chunked: bool
    keep: bool


class HeadReader:
    """Reads one response's head. Interim responses (1xx) are skipped, and count towards its size."""

    def __init__(self) -> None:
        self._buffer = b""
        self._received = self._interim = 0

    @property
    def status(self) -> int | None:
        """The status of a head whose first line arrived, whatever follows."""
        line, end, _ = self._buffer.partition(b"\n")
        match = _STATUS_LINE.fullmatch(line.decode("latin-1").rstrip("\r")) if end else None
        return int(match[2]) if match is not None and int(match[2]) >= _LEAST_FINAL else None

    def feed(self, data: bytes) -> tuple[Head | None, bytes]:
        """The final head, once it is complete, and the bytes behind it. Raises ExchangeError."""
        self._received += len(data)
        buffer = self._buffer = (self._buffer + data).lstrip(_LINE_END)
        searched = max(0, len(buffer) - len(data) - 3)
        while (end := _end_of(buffer, searched)) is not None:
            head = _parsed(buffer[: end[0]].decode("latin-1"))
            rest = buffer[end[1] :]
            self._bound(len(rest))
            if head is not None:
                return head, rest
            self._interim += 1
            buffer, searched = rest.lstrip(_LINE_END), 0
            self._buffer = buffer
        self._bound(0)
        if not buffer.startswith(_START[: len(buffer)]):
            raise ExchangeError(CONNECTION_LOST, "what arrived is no HTTP/1 response")
        return None, b""

    def _bound(self, behind: int) -> None:
        if self._received - behind > _MAX_BYTES or self._interim > _MAX_INTERIM:
            raise ExchangeError(CONNECTION_LOST, "the head of the response is too large")


def _end_of(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Where the first empty line begins and ends, with CR or without."""
    end = buffer.find(b"\n\r\n", at)
    bare = buffer.find(b"\n\n", at, end + 1 if end >= 0 else len(buffer))
    if bare >= 0:
        return bare, bare + 2
    return (end, end + 3) if end >= 0 else None


@lru_cache(_KNOWN)
def _status(line: str) -> tuple[int, bool]:
    """And whether HTTP/1.1 is spoken."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise ExchangeError(CONNECTION_LOST, "the status line cannot be read")
    return int(match[2]), match[1] == "1"


def _parsed(text: str) -> Head | None:
    """None for an interim response."""
    first, *lines = text.replace("\r\n", "\n").replace("\r", " ").split("\n")
    status, persists = _status(first)
    if status == _SWITCHING:
        raise ExchangeError(CONNECTION_LOST, "the service switched protocols unasked")
    if status < _LEAST_FINAL:
        return None
    headers, clean = _headers(lines)
    options = headers.get("connection", "").lower()
    keep = clean and "close" not in options and (persists or "keep-alive" in options)
    length, chunked = (0, False) if status in _WITHOUT_BODY else _framing(headers)
    if (length is None and not chunked) or (chunked and "content-length" in headers):
        keep = False
    headers.pop("set-cookie", None)
    return Head(status, headers, length, chunked, keep)


def _headers(lines: list[str]) -> tuple[dict[str, str], bool]:
    """The headers by lower-case name, and whether every line was a header."""
    headers: dict[str, str] = {}
    last, clean = "", True
    for line in lines:
        before, colon, value = line.partition(":")
        value = value.strip(" \t")
        if colon and (name := _name(before)):
            last = name
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        elif line[0] not in " \t":
            last, clean = "", False
        elif last:
            headers[last] = f"{headers[last]} {line.strip()}".strip()
    return headers, clean


@lru_cache(_KNOWN)
def _name(text: str) -> str:
    """A header's name in lower case; empty for none."""
    name = text.rstrip(" \t").lower()
    return name if _NAME.fullmatch(name) else ""


def _framing(headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """RFC 9112 section 6.3: the body's length, None where it is unknown, and whether it is chunked."""
    coding = headers.get("transfer-encoding", "identity").lower()
    if coding == "chunked":
        return None, True
    if coding != "identity":
        raise ExchangeError(CONNECTION_LOST, "a transfer coding that was not asked for")
    if "content-length" not in headers:
        return None, False
    length, *others = [part.strip() for part in headers["content-length"].split(",")]
    if not (length.isdecimal() and len(length) <= _MOST_DIGITS) or any(other != length for other in others):
        raise ExchangeError(CONNECTION_LOST, "the content-length is none")
    return int(length), False


def _sendable_name(name: str) -> str:
    return _name(name) if name.isascii() and name[-1:] not in _BLANK else ""


def _is_value(value: str) -> bool:
    return (value.isascii() and value.isprintable()) or _VALUE.fullmatch(value) is not None


def header_lines(service: str, headers: tuple[tuple[str, str], ...]) -> str:
    """Raises GatewayError for a header that cannot be sent."""
    lines = ""
    for name, value in headers:
        known = _sendable_name(name)
        if not known or not _is_value(value):
            raise malformed(service, name if known else "with a malformed name")
        lines += f"{known}: {value.strip(_BLANK)}\r\n"
    return lines


def optional_lines(call: CallContext) -> str:
    """Headers that are left out where they cannot be sent: a write must not fail because of them."""
    lines = ""
    for name, value in (("x-request-id", call.request_id), *call.trace_headers.items()):
        if (known := _sendable_name(name)) and _is_value(value):
            lines += f"{known}: {value.strip(_BLANK)}\r\n"
    return lines
