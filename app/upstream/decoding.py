"""What arrived as an answer: undoes its body's content coding, in bounded memory and time. Pure."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping

from app.errors import ANSWER_TOO_LARGE, ANSWER_UNREADABLE
from app.upstream.failures import ExchangeError, not_whole
from app.upstream.messages import BackendResponse

log = logging.getLogger(__name__)

_NO_CONTENT = 204
_LEAST_REFUSAL = 400
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


def response_of(
    name: str,
    status: int | None,
    headers: Mapping[str, str],
    body: bytes,
    limit: int,
    error: Exception | None,
    *,
    complete: bool,
    left: bool | None = True,
) -> BackendResponse:
    """The answer. The status of a refusal or failure counts without its body. Raises GatewayError.

    `error` is what broke; None if the time was over.
    """
    if status is not None and complete:
        try:
            # A 204 has no body, whatever its head says.
            coding = "" if status == _NO_CONTENT else headers.get("content-encoding", "")
            return BackendResponse(status, headers, decoded(body, coding, limit))
        except ExchangeError as failure:
            body, error = b"", failure
    if status is None or status < _LEAST_REFUSAL:
        raise not_whole(name, status, error, left=left)
    log.info("an answer of status %d broke off: %r", status, error)
    return BackendResponse(status, headers, body, complete=False)
