"""ServiceStack's JSV text format, both ways. Its one quirk of BokaMera is a parameter.

https://docs.servicestack.net/jsv-format. White space is significant, quotes are doubled, and there is no null: a null
member is left out, an empty value reads as None. Every scalar is text; the reader's caller knows its type.
"""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from app.json_codec import decimal_of, plain_decimal

# No customer is nested deeper. The bound keeps a hostile reply from exhausting the stack.
MAX_DEPTH = 64

# The writer quotes these, see `StringExtensions.EncodeJsv`.
_SPECIAL = re.compile(r'[":,{}\[\]\r\n]')
# The reader accepts these as unquoted text: a date's colons are written bare, structural characters are not.
_BARE_IN_MAP = re.compile(r"[^,}]*")
_BARE_IN_LIST = re.compile(r"[^,\]]*")
_NOT_BARE = re.compile(r'["{}\[\]\r\n]')
_BARE_KEY = re.compile(r'[^":,{}\[\]]*')
_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"')
_SPACE = re.compile(r"[ \t\r\n]*")
_BEGINS_JSON = re.compile(r'[ \t\r\n]*\{[ \t\r\n]*"')


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_json = json.JSONDecoder(parse_float=decimal_of, parse_constant=_no_constant)


class JsvError(ValueError):
    """Not JSV; `str()` names the position."""


def encode(value: Any, *, json_members: Collection[str] = ()) -> bytes:
    """JSON data as JSV. The items of lists under `json_members` are written as raw JSON, as BokaMera does.

    Raises ValueError for what JSV cannot express: null outside a map, unpaired surrogates.
    """
    return _text(value, json_members).encode()


def _text(value: Any, json_members: Collection[str]) -> str:
    if isinstance(value, Mapping):
        present = ((key, item) for key, item in value.items() if item is not None)
        return "{" + ",".join(f"{_key(key)}:{_member(key, item, json_members)}" for key, item in present) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item, json_members) for item in value) + "]"
    return _scalar(value)


def _member(key: str, item: Any, json_members: Collection[str]) -> str:
    if key in json_members and isinstance(item, list):
        return json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=str)
    return _text(item, json_members)


def _key(key: str) -> str:
    # Readers trim unquoted keys.
    return _quoted(key) if not key or key != key.strip() or _SPECIAL.search(key) else key


def _scalar(value: Any) -> str:
    if value is None:
        raise ValueError("JSV has no null")
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, str):
        return _quoted(value) if not value or _SPECIAL.search(value) else value
    if isinstance(value, decimal.Decimal):
        return str(plain_decimal(value))
    if isinstance(value, int):
        return str(value)
    raise ValueError(f"JSV cannot express a {type(value).__name__}")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def decode(data: bytes, *, json_members: Collection[str] = ()) -> Any:
    """Reads maps, lists, text and None, in time linear to the length. Raises JsvError.

    Lists under `json_members` may hold raw JSON objects (their keys are quoted), which are read as JSON with its types.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise JsvError(f"not UTF-8 at byte {error.start}") from None
    trimmed = text.removeprefix("\ufeff").strip(" \t\r\n")
    if not trimmed.startswith(("{", "[", '"')):
        if _SPECIAL.search(text.replace(":", "")):
            raise JsvError("text with special characters is not quoted")
        return text or None
    reader = _Reader(trimmed, json_members)
    value = reader.value(0, "", _BARE_IN_MAP)
    if reader.at != len(trimmed):
        raise JsvError(f"unexpected text at {reader.at}")
    return value


class _Reader:
    def __init__(self, text: str, json_members: Collection[str]) -> None:
        self.text = text
        self.at = 0
        self._json_members = json_members

    def value(self, depth: int, member: str, bare: re.Pattern[str]) -> Any:
        """Reads the value that begins here; `bare` matches unquoted text in the enclosing map or list."""
        if depth > MAX_DEPTH:
            raise JsvError(f"nested deeper than {MAX_DEPTH} at {self.at}")
        first = self._here()
        if first == "{":
            return self._map(depth)
        if first == "[":
            return self._list(depth, member)
        if first == '"':
            return self._quoted()
        start = self.at
        text = self._take(bare)
        if match := _NOT_BARE.search(text):
            # `Name: {` is no map in JSV. A pretty-printed text would be misread, so that it is refused.
            raise JsvError(f"unquoted {match[0]!r} at {start + match.start()}")
        return text or None

    def _map(self, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        self.at += 1
        self._take(_SPACE)
        for _ in self._items("}"):
            self._take(_SPACE)
            key = self._quoted() if self._here() == '"' else self._take(_BARE_KEY).strip()
            if key in result:
                raise JsvError(f"a member stands twice before {self.at}")
            self._expect(":")
            result[key] = self.value(depth + 1, key, _BARE_IN_MAP)
        return result

    def _list(self, depth: int, member: str) -> list[Any]:
        result: list[Any] = []
        self.at += 1
        for _ in self._items("]"):
            raw = member in self._json_members and _BEGINS_JSON.match(self.text, self.at) is not None
            result.append(self._raw_json() if raw else self.value(depth + 1, "", _BARE_IN_LIST))
            if raw:
                self._take(_SPACE)
        return result

    def _items(self, end: str) -> Iterator[None]:
        """Stops at each item up to `end`, which is read, too."""
        if self._here() != end:
            yield
            while self._here() != end:
                self._expect(",")
                yield
        self.at += 1

    def _raw_json(self) -> Any:
        self._take(_SPACE)
        try:
            value, self.at = _json.raw_decode(self.text, self.at)
        except (ValueError, RecursionError) as error:
            raise JsvError(f"bad JSON in an item that is written as JSON at {self.at}") from error
        return value

    def _quoted(self) -> str:
        match = _QUOTED.match(self.text, self.at)
        if match is None:
            raise JsvError(f"the quote at {self.at} is never closed")
        self.at = match.end()
        return match[1].replace('""', '"')

    def _here(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None, "every pattern matches the empty text"
        self.at = match.end()
        return match[0]

    def _expect(self, character: str) -> None:
        if self._here() != character:
            raise JsvError(f"expected {character!r} at {self.at}")
        self.at += 1
