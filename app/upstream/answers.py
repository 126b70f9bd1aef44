"""Reading answers of any backend: JSON or not, and what of an undocumented one may reach a client. Pure."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import msgspec

from app.errors import BackendAnswer, GatewayError, Outcome, family
from app.json_codec import decode_json
from app.telemetry.journal import Undocumented, note_undocumented

if TYPE_CHECKING:
    from app.upstream.exchange import Answer

log = logging.getLogger(__name__)

_TEXT_LIMIT = 500
_DAY = 86_400
_KEPT_BODY = 65_536
_LOGGED_BODY = 4096
_CODE_LIMIT = 100
# Each pattern starts only where a word does and never tries a label twice: a hostile text costs linear time.
_URL = re.compile(r"(?i)(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s\"'<>]*|\\\\[^\s\"'<>]+")
# An IPv4 address, a name with two dots, one with a dot and a port or a usual ending, a plain one with a port of four
# digits or more. "e-mail", "One. Two" and "12:30" stay.
_HOST = re.compile(
    r"""(?ix) (?<![a-z0-9_.-]) \.*+ (?:
        (?:[0-9]{1,3}\.){3}[0-9]{1,3}
      | localhost
      | (?:[a-z0-9_-]++\.)+[a-z]{2,}(?=:[0-9])
      | (?:[a-z0-9_-]++\.){2,}[a-z]{2,}
      | [a-z0-9_-]++\.(?:com|net|org|eu|se|nl|io|dev|local|localdomain|internal|intranet|lan|corp|cloud)
      | [a-z][a-z0-9_-]*+(?=:[0-9]{4,5}(?![0-9]))
    ) (?![a-z0-9_-]) (?::[0-9]{1,5})? (?:/[^\s\"'<>]*)?"""
)
_IPV6 = re.compile(
    r"(?i)(?<![\w:.])\[?(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){4})(?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,15}(?:%\w+)?\]?(?::[0-9]{1,5})?(?![\w:])"
)
# Credentials that are not the request's own: a scheme with what looks like no word, and a signed token.
_CREDENTIAL = re.compile(
    r"(?i)\b(?:basic|bearer)\s++(?=[^\s]*[0-9=]|[^\s]{16})[a-z0-9._~+/=-]{6,}|\beyJ[\w-]{8,}\.[\w-]{4,}[\w.-]*"
)
# A connection string, a setting or a header that an error text quotes. Behind a colon a word is a word: what a
# service says of a password is text.
_NAMED_CREDENTIAL = re.compile(
    r"(?i)\b(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)"
    r"\s*+(?:=|:(?=\s*+(?:[^\s]*[0-9=]|[^\s]{16})))\s*+[^\s;,&\"']++"
)
# The first frame of a stack trace as .NET, JavaScript and Python write it: what follows is no message.
_STACK = re.compile(
    r"\sat\s++(?:(?=[^\s(]*\.)[^\s(]++\(|lambda_method\(|[^\s(]++\s\([^\s()]*:[0-9]++\)).*"
    r"|(?:^|\s)Traceback \(most recent call last\).*"
)
_FILE = re.compile(
    r"(?i)(?<![a-z0-9])[a-z]:\\[^\s\"'<>]*|(?<![\w./])/(?:app|etc|home|opt|root|srv|tmp|usr|var)/[^\s\"'<>]*"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_MESSAGE_MEMBERS = ("message", "title", "detail")


def _unambiguous(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")


# Only looks for duplicates, which msgspec does not see: it would take the last of two, another reader the first.
_look_through = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_int=len, parse_float=len).raw_decode
_WHITE = " \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # RFC 8259 section 8.1: may be ignored


def parsed(body: bytes) -> Any:
    """The JSON value of a body; None where there is none, or where an object in it names a member twice."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = decode_json(body)  # and nothing behind it
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


def cleaned(text: str, secrets: Sequence[str] = ()) -> str:
    """A backend's text as a client may see it: at most 500 characters.

    Control characters, URLs, host names, the paths of a server's files, credentials and stack traces are gone.
    """
    text = _without(text, secrets)[: _TEXT_LIMIT * 4]
    text = _STACK.sub("", _CONTROL.sub(" ", text))
    for pattern in (_CREDENTIAL, _NAMED_CREDENTIAL, _URL, _FILE, _IPV6, _HOST):
        text = pattern.sub("[removed]", text)
    return " ".join(text.split())[:_TEXT_LIMIT]


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = re.sub(re.escape(secret), "[removed]", text, flags=re.IGNORECASE)
    return text


def message_of(data: Any) -> str | None:
    """The message of an undocumented answer: the member that Basecone, ServiceStack or RFC 9457 would put it in."""
    return next((text for name in _MESSAGE_MEMBERS if (text := text_member(data, name)) is not None), None)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> int | None:
    """Seconds of a `Retry-After` header, in both forms of RFC 9110 section 10.2.3, capped to a day."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(int(value[:9]), _DAY)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0, min(int(seconds + 0.999), _DAY))


def code_of(code: str | None, answer: Answer) -> str | None:
    """A vendor's code that is in no table, as a client may see it."""
    return cleaned(code, answer.secrets)[:_CODE_LIMIT] or None if code else None


def log_body(name: str, answer: Answer) -> None:
    """What a client is not shown of an answer, for the log at debug alone, without the request's credentials."""
    if log.isEnabledFor(logging.DEBUG):
        body = _without(answer.body.decode("utf-8", "replace"), answer.secrets)[:_LOGGED_BODY]
        log.debug("answer of %s: status %d, body %r", name, answer.status, body)


def undocumented(name: str, answer: Answer, *, code: str | None = None, message: str | None = None) -> GatewayError:
    """The error for an answer that no documented row matches: keeps its status, vendor code and, of a 4xx, its text."""
    row = family(answer.status)
    refused = 400 <= answer.status < 500  # noqa: PLR2004 - the class of RFC 9110
    text = message if message is not None else message_of(parsed(answer.body))
    text = cleaned(text, answer.secrets) if refused and text else None
    code = code_of(code, answer)
    note_undocumented(
        Undocumented(name, answer.status, code, text, answer.headers.get("content-type", ""), answer.body[:_KEPT_BODY])
    )
    log_body(name, answer)
    return GatewayError(
        row,
        text or f"{(row.text or row.reason).rstrip('.')} (status {answer.status}).",
        backend=BackendAnswer(name, answer.status, code, text or None),
        outcome=row.outcome or Outcome.UNKNOWN,
        retry_after=retry_after(answer.headers),
    )
