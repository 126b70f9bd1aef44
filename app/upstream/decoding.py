"""What arrived as an answer: undoes its body's content coding, in bounded memory and time. Pure."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

from app.upstream.messages import BackendResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.upstream.settings import Limits

log = logging.getLogger(__name__)

_NO_CONTENT = 204
_LEAST_REFUSAL = 400
_GZIP = 16 + zlib.MAX_WBITS
_MAX_MEMBERS = 100  # members of a gzip body: each costs a copy of the rest


class BodyTooLargeError(Exception):
    """The body is larger than the limit, or in too many pieces."""


class BodyUnreadableError(Exception):
    """The body does not follow its content coding, its coding was not asked for, or its head makes no sense."""


def decoded(body: bytes, coding: str, limit: int) -> bytes:
    """Decodes gzip, also in several members, and deflate with or without its zlib header (RFC 9110 section 8.4.1).

    Nothing is expanded beyond `limit`. Raises BodyTooLargeError, BodyUnreadableError.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        if len(body) > limit:
            raise BodyTooLargeError
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise BodyUnreadableError(f"content coding {coding[:40]!r}")
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
            raise BodyUnreadableError(str(error)) from error
        if len(result) > limit:
            raise BodyTooLargeError
        if not inflater.eof:
            raise BodyUnreadableError("the compressed body is cut off")
        body = inflater.unused_data
        if body and raw:
            raise BodyUnreadableError("data after the end of the deflate stream")
    raise BodyTooLargeError


def response_of(
    status: int | None,
    headers: Mapping[str, str],
    body: bytes,
    limits: Limits,
    error: Exception | None,
    *,
    complete: bool,
) -> tuple[BackendResponse | None, Exception | None]:
    """The answer, or the reason why there is none. The status of a refusal or failure counts without its body."""
    if status is None:
        return None, error
    if complete:
        try:
            # A 204 has no body, whatever its head says.
            coding = "" if status == _NO_CONTENT else headers.get("content-encoding", "")
            return BackendResponse(status, headers, decoded(body, coding, limits.max_answer_bytes)), None
        except (BodyTooLargeError, BodyUnreadableError) as failure:
            body, error = b"", failure
    if status < _LEAST_REFUSAL:
        return None, error
    log.info("an answer of status %d broke off: %r", status, error)
    return BackendResponse(status, headers, body, complete=False), error
