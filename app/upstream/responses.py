"""Reads answers of any backend: JSON or not, and what a client may see of an undocumented one. Pure."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

import msgspec

from app.errors import BackendDetails, GatewayError, Outcome, Undocumented, family
from app.json_codec import decode_json
from app.notes import note_undocumented
from app.redaction import cleaned, without
from app.upstream.messages import BackendResponse

log = logging.getLogger(__name__)

_DAY = 86_400
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_LONGEST_SECONDS = 12
_LOGGED_BODY = 4096
_CODE_LIMIT = 100
_MESSAGE_MEMBERS = ("message", "title", "detail")


def _unambiguous(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")


# Only looks for duplicate members, which msgspec does not see: it would use the last of two, another reader the first.
_look_through = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_int=len, parse_float=len).raw_decode
_WHITE = " \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # RFC 8259 section 8.1: may be ignored


def parsed(body: bytes) -> Any:
    """The JSON value of a body; None where there is none, or where an object in it names a member twice."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = decode_json(body)  # refuses anything behind the value
        _look_through(body.decode().lstrip(_WHITE))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    return value


def member(data: Any, name: str) -> Any:
    """A member of a JSON object in any casing; None where there is none."""
    if type(data) is not dict and not isinstance(data, Mapping):
        return None
    if name in data:
        return data[name]
    folded = name.casefold()
    return next((value for key, value in data.items() if isinstance(key, str) and key.casefold() == folded), None)


def text_member(data: Any, name: str) -> str | None:
    value = member(data, name)
    return value if isinstance(value, str) and value.strip() else None


def code_member(data: Any, name: str) -> str | None:
    """A vendor's code: a text, or a number's digits."""
    value = member(data, name)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def message_of(data: Any) -> str | None:
    """The message of an undocumented answer, from the member where Basecone, ServiceStack or RFC 9457 has it."""
    return next((text for name in _MESSAGE_MEMBERS if (text := text_member(data, name)) is not None), None)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> int | None:
    """The seconds of a `Retry-After` header, in both forms of RFC 9110 section 10.2.3, at most a day.

    A fraction is rounded up. If the header is repeated, the longest time counts.
    """
    if "retry-after" not in headers:
        return None
    # A date is split after the name of its day, which says nothing.
    parts = [_seconds_of(part.strip(), now or datetime.now(UTC)) for part in headers["retry-after"].split(",")]
    return max((min(max(0, ceil(seconds)), _DAY) for seconds in parts if seconds is not None), default=None)


def _seconds_of(text: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text[:_LONGEST_SECONDS])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def code_of(code: str | None, response: BackendResponse) -> str | None:
    """A vendor's code that is in no table, as a client may see it."""
    return cleaned(code, response.secrets)[:_CODE_LIMIT] or None if code else None


def log_body(name: str, response: BackendResponse) -> None:
    """Logs the body that a client does not see, at debug alone and without the request's credentials."""
    if log.isEnabledFor(logging.DEBUG):
        body = without(response.body.decode("utf-8", "replace"), response.secrets)[:_LOGGED_BODY]
        log.debug("answer of %s: status %d, body %r", name, response.status, body)


def undocumented(
    name: str, response: BackendResponse, *, code: str | None = None, message: str | None = None
) -> GatewayError:
    """The error for an answer that matches no documented row: its status, vendor code and, for a 4xx, its text."""
    row, data = family(response.status), parsed(response.body)
    refused = 400 <= response.status < 500  # noqa: PLR2004 - the class of RFC 9110
    text = message if message is not None else message_of(data)
    text = cleaned(text, response.secrets) if refused and text else None
    code = code_of(code, response)
    error = GatewayError(
        row,
        text or f"{(row.text or row.reason).rstrip('.')} (status {response.status}).",
        backend=BackendDetails(name, response.status, code, text or None),
        outcome=row.outcome or Outcome.UNKNOWN,
        retry_after=retry_after(response.headers),
    )
    media = response.headers.get("content-type", "")
    error.undocumented = Undocumented(name, response.status, code, text, media, data, not response.body.strip())
    note_undocumented(error.undocumented)
    log_body(name, response)
    return error


class BackendClock:
    """`ahead` is the most that the backend's clock can be ahead, in seconds; None where it is not known.

    A `Date` is cut to whole seconds: that second comes on top.
    """

    def __init__(self) -> None:
        self._last_date: tuple[str, float] | None = None

    @property
    def ahead(self) -> float | None:
        if self._last_date is None:
            return None
        date, begun = self._last_date
        try:
            return parsedate_to_datetime(date).timestamp() - begun
        except (ValueError, TypeError, OverflowError):
            return None

    def note(self, headers: Mapping[str, str], begun: float) -> None:
        """Remembers the `Date` of an answer. `begun` is this machine's time before the request was sent.

        An answer with an `Age` comes from a cache, and its `Date` may be old (RFC 9111 section 5.1).
        """
        date = headers.get("date")
        if date is not None and "age" not in headers:
            self._last_date = date, begun
