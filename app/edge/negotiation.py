"""Chooses the media type of the answer and recognises that of the body. Pure functions over header values.

https://graphql.github.io/graphql-over-http/draft/ and https://www.rfc-editor.org/rfc/rfc9110#name-accept
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
HTML = "text/html"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for it, not a secret
_RANGE = re.compile(rf"{_TOKEN}/{_TOKEN}")
# A parameter may be empty, so that a header may end with a semicolon:
# https://www.rfc-editor.org/rfc/rfc9110#name-parameters
_PARAMETER = re.compile(rf"\s*;\s*(?:({_TOKEN})\s*=\s*({_TOKEN}|\"(?:[^\"\\]|\\.)*\")\s*)?")
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
# A comma inside a quoted parameter does not end a range. A quote that is not closed reaches to the end and is never
# tried again from within, so that the time grows only with the header's length.
_PART = re.compile(r'(?s:[^,"]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))+')
_UTF_8 = frozenset({"utf-8", "utf8"})
_MOST = 64  # headers that are remembered, each as long as a head may be: clients send few different ones


class MediaRange(NamedTuple):
    """One part of an Accept header, or a Content-Type. `parameters` has no q; names are lower case."""

    name: str
    parameters: Sequence[tuple[str, str]]
    quality: float

    def precedence_for(self, media: str) -> int:
        """0 when it does not match. The most specific match decides."""
        if any(name != "charset" or value.lower() not in _UTF_8 for name, value in self.parameters):
            return 0
        exact = 4 if self.parameters else 3
        return {media: exact, f"{media.partition('/')[0]}/*": 2, "*/*": 1}.get(self.name, 0)


def parse_media(text: str) -> MediaRange | None:
    """None when it is malformed."""
    text = text.strip()
    match = _RANGE.match(text)
    if match is None:
        return None
    parameters: list[tuple[str, str]] = []
    quality = 1.0
    position = match.end()
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if parameter is None:
            return None
        position = parameter.end()
        if parameter[1] is None:
            continue
        name, value = parameter[1].lower(), parameter[2].strip('"')
        if name != "q":
            parameters.append((name, value))
        elif _QUALITY.fullmatch(value):
            quality = float(value)
        else:
            return None
    return MediaRange(match[0].lower(), tuple(parameters), quality)


def _parse_accept(header: str | None) -> list[MediaRange]:
    """The ranges of an Accept header: none where it is missing or cannot be understood."""
    return [parsed for part in _PART.findall(header or "") if (parsed := parse_media(part)) is not None]


def _quality(ranges: Sequence[MediaRange], media: str) -> float:
    """How much the client wants a media type, by the most specific range that matches."""
    matches = [(item.precedence_for(media), item.quality) for item in ranges if item.precedence_for(media)]
    return max(matches, default=(0, 0.0))[1]


@lru_cache(_MOST)
def response_media(header: str | None) -> str | None:
    """The media type of a GraphQL answer; None when the client accepts neither.

    A missing or unreadable header, and a wildcard, mean `application/json`: clients that know the newer type name it.
    Of two named types with one quality, the newer is used.
    """
    ranges = _parse_accept(header)
    if not ranges:
        return JSON
    newer, plain = _quality(ranges, GRAPHQL_RESPONSE), _quality(ranges, JSON)
    named = any(item.name == GRAPHQL_RESPONSE for item in ranges)
    if newer > plain or (newer == plain > 0 and named):
        return GRAPHQL_RESPONSE
    return JSON if plain > 0 else None


@lru_cache(_MOST)
def wants_page(header: str | None) -> bool:
    """Whether a browser asks for a page: it names text/html and wants it at least as much as JSON."""
    ranges = _parse_accept(header)
    if not any(item.name == HTML for item in ranges):
        return False
    page = _quality(ranges, HTML)
    return page > 0 and page >= max(_quality(ranges, JSON), _quality(ranges, GRAPHQL_RESPONSE))


@lru_cache(_MOST)
def is_json(content_type: str | None) -> bool:
    """Whether a body is `application/json` in UTF-8, the only kind that is read."""
    media = parse_media(content_type or "")
    if media is None or media.name != JSON:
        return False
    return all(name != "charset" or value.lower() in _UTF_8 for name, value in media.parameters)
