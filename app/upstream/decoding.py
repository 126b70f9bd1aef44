"""Undoes a body's content coding, in bounded memory and time. Pure."""

from __future__ import annotations

import zlib

from app.errors import ANSWER_TOO_LARGE, ANSWER_UNREADABLE
from app.upstream.failures import ExchangeError

_GZIP = 16 + zlib.MAX_WBITS
_MAX_MEMBERS = 100  # members of a gzip body: each costs a copy of the rest


def decoded(body: bytes, coding: str, limit: int) -> bytes:
    """Decodes gzip, also in several members, and deflate with or without its zlib header (RFC 9110 section 8.4.1).

    Nothing is expanded beyond `limit`. Raises ExchangeError.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        if len(body) > limit:
            raise ExchangeError(ANSWER_TOO_LARGE, "the body is larger than the limit")
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise ExchangeError(ANSWER_UNREADABLE, f"content coding {coding[:40]!r}")
    raw = coding == "deflate"
    result = b""
    for _ in range(_MAX_MEMBERS):
        if not body:
            return result
        bits = _GZIP if not raw else zlib.MAX_WBITS if body[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS
        inflater = zlib.decompressobj(bits)
        try:
            result += inflater.decompress(body, limit + 1 - len(result))
        except zlib.error as error:
            raise ExchangeError(ANSWER_UNREADABLE, str(error)) from error
        if len(result) > limit:
            raise ExchangeError(ANSWER_TOO_LARGE, "the body is larger than the limit")
        if not inflater.eof:
            raise ExchangeError(ANSWER_UNREADABLE, "the compressed body is cut off")
        body = inflater.unused_data
        if body and raw:
            raise ExchangeError(ANSWER_UNREADABLE, "data after the end of the deflate stream")
    raise ExchangeError(ANSWER_TOO_LARGE, "the body has too many members")
