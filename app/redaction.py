"""Removes credentials from log lines, and from a backend's texts also what they tell of its inside.

The log keeps a backend's words and loses everything behind a credential's name. A client's text keeps the service's
words about a password, and loses addresses, paths and stack traces.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

REMOVED = "[removed]"
_TEXT_LIMIT = 500
_PLAIN = frozenset({str, int, float, bool})
_SCHEME = re.compile(r"(?i)\b(basic|bearer) +[A-Za-z0-9._~+/=-]+")
_NAMED = re.compile(
    r"(?i)((?:authorization|api[_-]?key|access[_-]?key|password|secret|(?:access|refresh|id)_token)\W{1,6})"
    r"(?!(?:basic|bearer) )[^\s\"'\\,;&}\])]+"
)
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]+(?=@)")
# Without one of these none of the patterns above can match.
_SIGNS = ("basic", "bearer", "authorization", "key", "password", "secret", "_token", "://")
# Shorter ones would remove harmless words; no real key is that short.
_LEAST = 6
# Each pattern starts only where a word does and never tries a label twice, so that a hostile text costs linear time.
_URL = r"(?i)(?<![a-z0-9+.-])[a-z0-9+.-]++://[^\s\"'<>]*|\\\\[^\s\"'<>]+"
# An IPv4 address, a name with two dots, one with a dot and a port or a usual ending, a plain one with a port of four
# digits or more. "e-mail", "One. Two" and "12:30" stay.
_HOST = r"""(?ix) (?<![a-z0-9_.-]) \.*+ (?:
    (?:[0-9]{1,3}\.){3}[0-9]{1,3}
  | localhost
  | (?:[a-z0-9_-]++\.)+[a-z]{2,}(?=:[0-9])
  | (?:[a-z0-9_-]++\.){2,}[a-z]{2,}
  | [a-z0-9_-]++\.(?:com|net|org|eu|se|nl|io|dev|local|localdomain|internal|intranet|lan|corp|cloud)
  | [a-z][a-z0-9_-]*+(?=:[0-9]{4,5}(?![0-9]))
) (?![a-z0-9_-]) (?::[0-9]{1,5})? (?:/[^\s\"'<>]*)?"""
_IPV6 = (
    r"(?i)(?<![\w:.])\[?(?=[0-9a-f:]*::|(?:[0-9a-f]{1,4}:){4})"
    r"(?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,15}(?:%\w+)?\]?(?::[0-9]{1,5})?(?![\w:])"
)
# Credentials that are not the request's own: a scheme with something that is no word, and a signed token.
_CREDENTIAL = (
    r"(?i)\b(?:basic|bearer)\s++(?=[^\s]*[0-9=]|[^\s]{16})[a-z0-9._~+/=-]{6,}|\beyJ[\w-]{8,}\.[\w-]{4,}[\w.-]*"
)
# A connection string, a setting or a header that an error text quotes. Behind a colon a word stays: a service's
# sentence about a password is text.
_NAMED_CREDENTIAL = (
    r"(?i)\b(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)"
    r"\s*+(?:=|:(?=\s*+(?:[^\s]*[0-9=]|[^\s]{16})))\s*+[^\s;,&\"']++"
)
# The first frame of a stack trace as .NET, JavaScript and Python write it. No message follows it.
_STACK = re.compile(
    r"\sat\s++(?:(?=[^\s(]*\.)[^\s(]++\(|lambda_method\(|[^\s(]++\s\([^\s()]*:[0-9]++\)).*"
    r"|(?:^|\s)Traceback \(most recent call last\).*"
)
_FILE = r"(?i)(?<![a-z0-9])[a-z]:\\[^\s\"'<>]*|(?<![\w./])/(?:app|etc|home|opt|root|srv|tmp|usr|var)/[^\s\"'<>]*"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


_SHORTEST_SECRET = 8
_GUID = re.compile(r"(?i)[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")
_NO_SECRETS = frozenset({"accept", "content-type", "x-simulate"})


def _spellings(secret: str) -> Iterator[str]:
    """How a service may write a credential: base64 without its padding, a GUID with or without dashes."""
    unpadded = secret.rstrip("=")
    yield unpadded if len(unpadded) >= _SHORTEST_SECRET else secret
    if _GUID.fullmatch(secret):
        digits = secret.replace("-", "")
        yield from {digits, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"} - {secret}


def secrets_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The credentials in a request's headers: whole, without the scheme, and a Basic pair's two halves.

    Those with fewer than eight characters are left out: they would match ordinary words.
    """
    secrets: list[str] = []
    for name, value in headers.items():
        if name in _NO_SECRETS:
            continue
        scheme, *rest = value.strip().split(maxsplit=1) or [""]
        secrets.append(rest[0] if rest else scheme)
        if rest and scheme.casefold() == "basic":
            try:
                secrets += base64.b64decode(rest[0], validate=True).decode().partition(":")[::2]
            except ValueError:
                continue
    long = (item for item in secrets if len(item) >= _SHORTEST_SECRET)
    return tuple(sorted((text for item in long for text in _spellings(item)), key=len, reverse=True))


def cleaned(text: str, secrets: Sequence[str] = ()) -> str:
    """A backend's text as a client may see it: at most 500 characters.

    Control characters, URLs, host names, paths of a server's files, credentials and stack traces are removed.
    """
    text = without(text, secrets)[: _TEXT_LIMIT * 4]
    text = _STACK.sub("", _CONTROL.sub(" ", text))
    for pattern in _removed():
        text = pattern.sub(REMOVED, text)
    return " ".join(text.split())[:_TEXT_LIMIT]


@cache
def _removed() -> list[re.Pattern[str]]:
    """Compiled when the first text is redacted: that saves half a per cent of a start."""
    return [re.compile(text) for text in (_CREDENTIAL, _NAMED_CREDENTIAL, _URL, _FILE, _IPV6, _HOST)]


def without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = re.sub(re.escape(secret), REMOVED, text, flags=re.IGNORECASE)
    return text


class Redaction:
    """Removes credentials from a text: by their form, and the settings' own wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spelled = {text for secret in secrets if len(secret) >= _LEAST for text in _spellings(secret)}
        longest_first = sorted(spelled, key=len, reverse=True)
        self._own_secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def needless(self, values: Collection[Any]) -> bool:
        """Whether no value can hold a credential. One look at all of them, because hardly any line has one."""
        if not _PLAIN.issuperset(map(type, values)):
            return False
        return self.needless_in("\n".join([value for value in values if type(value) is str]))

    def needless_in(self, text: str) -> bool:
        folded = text.casefold()
        for sign in _SIGNS:
            if sign in folded:
                return False
        return self._own_secrets is None or self._own_secrets.search(text) is None

    def __call__(self, text: str) -> str:
        if self._own_secrets is not None:
            text = self._own_secrets.sub(REMOVED, text)
        text = _NAMED.sub(rf"\1{REMOVED}", text)
        text = _SCHEME.sub(rf"\1 {REMOVED}", text)
        return _USER_OF_URL.sub(REMOVED, text)
