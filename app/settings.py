"""The kinds of values that settings have. Each is trimmed, or refused in words that do not show it, pydantic's too.

https://docs.pydantic.dev/latest/concepts/validators/: a ValueError's text becomes the setting's line.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import ErrorDetails

_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
_ASSIGNMENT = re.compile(r"(?i)(?:export\s+|set\s+)?gateway_\w+\s*=")
_INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_WORDS = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}
# pydantic calls the characters of a secret items.
_LENGTH = re.compile(r"Value should (have at (?:least|most) \d+) items .*")
_CLOSE = 0.75
_DEFAULT_PORTS = {"http": 80, "https": 443}


def cleaned(value: str) -> str:
    """Removes what shells, secret stores and env files leave around a value. Raises ValueError.

    Everything inside is the value's own; an invisible character there can only be an accident.
    """
    start, end = 0, len(value)
    while start < end and _is_invisible(value[start]):
        start += 1
    while end > start and _is_invisible(value[end - 1]):
        end -= 1
    value = value[start:end]
    if not value:
        raise ValueError("is blank; leave it out, or give a value")
    if len(value) > 1 and _QUOTES.get(value[0]) == value[-1]:
        raise ValueError("stands in quotes; write it without them")
    if _ASSIGNMENT.match(value):
        raise ValueError("begins with the name of a setting and =; write the value alone")
    for character in value:
        if character != " " and _is_invisible(character):
            raise ValueError(f"has an invisible character inside, U+{ord(character):04X}")
        if unicodedata.category(character) == "Cs":
            raise ValueError("is not UTF-8")
    return value


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def _without_spaces(value: str) -> str:
    if " " in value:
        raise ValueError("has a space inside")
    return value


def _key(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str):
        _without_spaces(text)
        _header_text(text)
    return value


def _header_text(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if isinstance(text, str) and not (text.isascii() and text.isprintable()):
        raise ValueError("has a character that no HTTP header can carry; use printable ASCII")
    return value


def _split(value: str) -> SplitResult:
    if not (value.isascii() and value.isprintable()) or re.search(r'[\s<>"{}|\\^`]', value):
        raise ValueError("is no URL: it has a character that must be percent-encoded")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL: its host or port cannot be read") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError("is no URL: write https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password")
    if "#" in value:
        raise ValueError("must not have a fragment")
    return parts


def _url(value: str) -> str:
    return _split(value).geturl()


def _base_url(value: str) -> str:
    if _split(value).query or "?" in value:
        raise ValueError("must not have a query")
    return _url(value).rstrip("/")


def is_host(value: str) -> bool:
    """A name, or an address of either version."""
    try:
        ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        return _HOST.fullmatch(value) is not None
    return True


def _host(value: str) -> str:
    if not is_host(value):
        raise ValueError("is no address or name to listen on; the port has a setting of its own")
    return value


def separated(value: Any) -> Any:
    """The parts of a comma-separated text. A text of commas alone is no list."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if value and not parts:
        raise ValueError("names nothing")
    return parts


def _origin(value: str) -> str:
    """An origin as browsers send it: https://www.rfc-editor.org/rfc/rfc6454#section-6.2."""
    if value == "*":
        return value
    scheme, separator, rest = value.lower().partition("://")
    host, colon, port = rest.rpartition(":") if re.search(r":[0-9]*$", rest) else (rest, "", "")
    if not separator or not _SCHEME.fullmatch(scheme) or not rest.isascii() or re.search(r"[/?#@\s]", rest):
        raise ValueError("an origin is written https://host or https://host:port, without a path")
    if "*" in rest:
        raise ValueError("an origin is named whole; * stands for all of them alone")
    if scheme in _DEFAULT_PORTS and not (is_host(host) or (host[:1] == "[" and is_host(host[1:-1]))):
        raise ValueError("an origin is written https://host or https://host:port, without a path")
    if colon and (not port or port == str(_DEFAULT_PORTS.get(scheme))):
        raise ValueError("no browser sends the scheme's own port in an origin; leave it out")
    return f"{scheme}://{rest}"


def _allowed_host(value: str) -> str:
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if not is_host(bare) or (":" in bare) != (bare != value):
        raise ValueError("a host is a name without scheme, port or *, an IPv6 address in brackets")
    return value.lower()


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value == "*":
        raise ValueError("each is the name of one header")
    return value.lower()


def _issuer(value: str) -> str:
    if "/.well-known/" in value:
        raise ValueError("is the address of a document; the issuer is what stands before /.well-known/")
    if "://" in value and re.search(r"[?#@]", value):
        raise ValueError("can never be an issuer: it has a query, a fragment or a user")
    return _without_spaces(value)


def _audience(value: str) -> str:
    if "," in value:
        raise ValueError("is one audience, not a list")
    return _without_spaces(value)


def _audience_claim(value: str) -> str:
    if value in {"iss", "exp", "nbf", "iat"}:
        raise ValueError("cannot name the audience: this claim has a check of its own")
    return _without_spaces(value)


def _store_url(value: str) -> str:
    if not re.match(r"(?i)(sqlite:///.|postgres(ql)?://.)", value):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return value


def in_words(error: ErrorDetails) -> str:
    """Never the value."""
    words = _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    words = _LENGTH.sub(r"must \1 characters", words)
    return words.replace("Input should be", "must be").replace("Input should", "must").replace("String should", "must")


def guess(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant. The names have no common prefix here, which would make all of them similar."""
    if close := difflib.get_close_matches(name, names, 1, _CLOSE):
        return close[0]
    longer = [other for other in names if other.startswith(f"{name}_")]
    return longer[0] if len(longer) == 1 else None


Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
Host = Annotated[str, AfterValidator(_host)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Audience = Annotated[str, AfterValidator(_audience)]
AudienceClaim = Annotated[str, AfterValidator(_audience_claim)]
Word = Annotated[str, AfterValidator(_without_spaces)]
Words = Annotated[tuple[Word, ...], BeforeValidator(separated)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(separated)]
AllowedHosts = Annotated[tuple[Annotated[str, AfterValidator(_allowed_host)], ...], BeforeValidator(separated)]
HeaderNames = Annotated[tuple[Annotated[str, AfterValidator(_header_name)], ...], BeforeValidator(separated)]
# What is sent, or compared, as a header or a part of one.
Key = Annotated[str, AfterValidator(_key)]
SecretKey = Annotated[SecretStr, AfterValidator(_key)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_header_text)]
