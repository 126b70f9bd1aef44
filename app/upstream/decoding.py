"""Reading a body in bounded memory: its size is limited after decompression, before anything is expanded beyond it."""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

_PIECES = 65_536
_PIECES_AT_ONCE = 64
_GZIP = 16 + zlib.MAX_WBITS


class BodyTooLargeError(Exception):
    """The body is larger than the limit, or in absurdly many pieces."""


class BodyUnreadableError(Exception):
    """The body does not follow its content coding, or that is none that was asked for."""


class _Decoder(Protocol):
    def feed(self, data: bytes, room: int) -> bytes: ...
    def finish(self) -> None: ...


class _Identity:
    def feed(self, data: bytes, room: int) -> bytes:
        return data[: room + 1]

    def finish(self) -> None: ...


class _Inflate:
    """gzip, also in several members, and deflate with or without its zlib header (RFC 9110 section 8.4.1)."""

    def __init__(self, coding: str) -> None:
        self._gzip = coding != "deflate"
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes, room: int) -> bytes:
        result = b""
        while data and len(result) <= room:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(self._bits(data))
            try:
                result += self._inflater.decompress(data, room + 1 - len(result))
            except zlib.error as error:
                raise BodyUnreadableError(str(error)) from error
            if len(result) > room or not self._inflater.eof:
                break
            data = self._inflater.unused_data
            if data and not self._gzip:
                raise BodyUnreadableError("data after the end of the deflate stream")
            self._inflater = None if data else self._inflater
        return result

    def finish(self) -> None:
        if self._inflater is not None and not self._inflater.eof:
            raise BodyUnreadableError("the compressed body is cut off")

    def _bits(self, data: bytes) -> int:
        if self._gzip:
            return _GZIP
        return zlib.MAX_WBITS if data[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


def _decoder(coding: str) -> _Decoder:
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return _Identity()
    if coding in {"gzip", "x-gzip", "deflate"}:
        return _Inflate(coding)
    raise BodyUnreadableError(f"content coding {coding[:40]!r}")


async def read(stream: AsyncIterable[bytes], coding: str, limit: int, into: bytearray) -> None:
    """Append the decoded body to `into`, which keeps what was read when this raises."""
    decoder = _decoder(coding)
    pieces = 0
    async for piece in stream:
        pieces += 1
        into += decoder.feed(piece, limit - len(into))
        if len(into) > limit or pieces > _PIECES:
            raise BodyTooLargeError
        if pieces % _PIECES_AT_ONCE == 0:
            await asyncio.sleep(0)  # one read may hold thousands of one-byte chunks: let others run
    decoder.finish()
