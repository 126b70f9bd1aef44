"""Reads a response's head as RFC 9112 tells a client to, also one that is not strict. Pure; knows no socket.

A folded line is a space (5.2), a line may end without CR (2.2), one content-length may stand twice, and chunks win over
a content-length (6.3). llhttp refuses these, and its refusal loses the status.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from app.errors import CONNECTION_LOST
from app.upstream.failures import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES = 100 * 1024  # a head with all interim responses before it, as in httpcore
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_START = b"HTTP/1."
_LINE_END = b"\r\n"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"[0-9]{1,18}")
_MAX_INTERIM = 100
_KNOWN, _KNOWN_LENGTH = 512, 128
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


@lru_cache(_KNOWN_LENGTH)
def _status(line: str) -> tuple[int, bool] | None:
    """And whether HTTP/1.1 is spoken; None for no status line."""
    match = _STATUS_LINE.fullmatch(line)
    return None if match is None else (int(match[2]), match[1] == "1")


def _parsed(text: str) -> Head | None:
    """None for an interim response."""
    first, *lines = text.split("\n")
    line = first.rstrip("\r")
    status_line = _status(line) if len(line) < _KNOWN_LENGTH else _status.__wrapped__(line)
    if status_line is None:
        raise ExchangeError(CONNECTION_LOST, "the status line cannot be read")
    status, persists = status_line
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
    fields = [_known_field(line) if len(line) < _KNOWN_LENGTH else _field(line) for line in lines]
    headers = dict(fields)
    if len(headers) == len(fields) and "" not in headers:
        return headers, True
    headers, name, clean = {}, "", True
    for line, field in zip(lines, fields, strict=True):
        if line[0] in " \t":
            if name:
                headers[name] = f"{headers[name]} {line.strip()}".strip()
            continue
        name, value = field
        if not name:
            clean = False
            continue
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers, clean


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t").lower()
    return (name, value.strip(" \t\r").replace("\r", " ")) if colon and _NAME.fullmatch(name) else ("", "")


# A service's answers repeat most of their short lines, so that parsed lines are cached.
_known_field = lru_cache(_KNOWN)(_field)


def _framing(headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """RFC 9112 section 6.3: the body's length, None where it is unknown, and whether it is chunked."""
    codings = [coding.strip().lower() for coding in headers.get("transfer-encoding", "identity").split(",")]
    if codings == ["chunked"]:
        return None, True
    if codings != ["identity"]:
        raise ExchangeError(CONNECTION_LOST, "a transfer coding that was not asked for")
    if "content-length" not in headers:
        return None, False
    lengths = {length.strip() for length in headers["content-length"].split(",")}
    if len(lengths) != 1 or not _LENGTH.fullmatch(length := lengths.pop()):
        raise ExchangeError(CONNECTION_LOST, "the content-length is none")
    return int(length), False
