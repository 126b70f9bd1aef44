"""Reads a chunked body (RFC 9112 section 7.1). A line may end without CR, which llhttp refuses. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.errors import CONNECTION_LOST
from app.upstream.failures import ExchangeError

_MAX_LINE = 16 * 1024
_MAX_TRAILERS = 100 * 1024
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class ChunkReader:
    """Reads one body. `complete`: its end was read. `surplus`: more bytes followed its end."""

    def __init__(self) -> None:
        self._line = b""
        self._left = 0  # bytes of the chunk that are still to come
        self._behind_data = self._in_trailers = False
        self._trailers = 0
        self.complete = self.surplus = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the pieces of the body. Raises ExchangeError."""
        at = 0
        while at < len(data) and not self.complete:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                yield piece
                continue
            end = data.find(b"\n", at)
            line = self._line + (data[at:] if end < 0 else data[at:end])
            if len(line) > _MAX_LINE:
                raise ExchangeError(CONNECTION_LOST, "a line of the framing is too long")
            self._line = line if end < 0 else b""
            if end < 0:
                return
            at = end + 1
            self._take(line.removesuffix(b"\r"))
        self.surplus = at < len(data)

    def _take(self, line: bytes) -> None:
        if self._in_trailers:
            self._trailers += len(line)
            if self._trailers > _MAX_TRAILERS:
                raise ExchangeError(CONNECTION_LOST, "the trailers are too large")
            self.complete = not line
        elif self._behind_data:
            if line:
                raise ExchangeError(CONNECTION_LOST, "a chunk is longer than its size says")
            self._behind_data = False
        else:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise ExchangeError(CONNECTION_LOST, "the size of a chunk is no number")
            self._left = int(size[1], 16)
            self._in_trailers = self._left == 0
            self._behind_data = not self._in_trailers
