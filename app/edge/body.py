"""Decodes JSON, and names the place of a value that is refused."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from app.graphql.request_errors import JSON_MALFORMED, REQUEST_MALFORMED, RequestError, request_error
from app.json_codec import JsonNumber

# A fraction keeps the digits it was written with.
_decoder = msgspec.json.Decoder(float_hook=JsonNumber.of)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_POSITION = re.compile(r"\(byte ([0-9]+)\)")
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,63}")
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"|[\[\]{},]')
_MAX_TOKENS = 50_000  # behind more tokens than these the value that is nested too deeply is not named
_MAX_DEPTH = 1000  # beyond what any reader takes
_UNREADABLE = object()  # stands for a number that Python cannot read

Place = tuple[str | int, ...]


def decode(body: bytes | str, *, parameter: str | None = None) -> Any:
    """Decodes the JSON of a body, or of a query parameter. Raises RequestError."""
    if isinstance(body, bytes) and body.startswith(_BYTE_ORDER_MARK):
        body = body[len(_BYTE_ORDER_MARK) :]
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise _refusal(
            body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body, error, parameter
        ) from None


def _refusal(body: bytes, error: Exception, parameter: str | None) -> RequestError:
    what = "The request body" if parameter is None else f"The parameter {parameter}"
    not_json = JSON_MALFORMED if parameter is None else REQUEST_MALFORMED
    above: Place = () if parameter is None else (parameter,)
    if isinstance(error, UnicodeError):
        return request_error(not_json, f"{what} is not UTF-8.")
    if isinstance(error, RecursionError):
        return request_error(REQUEST_MALFORMED, f"{_written(above + _deepest(body), what)} is nested too deeply.")
    try:
        # NaN and Infinity are no JSON: int refuses their names.
        content = json.loads(body.decode(), parse_int=_integer, parse_constant=int)
    except (ValueError, RecursionError):
        position = _POSITION.search(str(error))
        return request_error(
            not_json, f"{what} is not JSON" + (f"; the fault is near byte {position[1]}." if position else ".")
        )
    place, problem = next(_problems(content, above), (above, "cannot be read"))
    return request_error(REQUEST_MALFORMED, f"{_written(place, what)} {problem}.")


def _integer(digits: str) -> Any:
    try:
        return int(digits)
    except ValueError:  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        return _UNREADABLE


def _problems(content: Any, above: Place) -> Iterator[tuple[Place, str]]:
    """The places of JSON that msgspec refuses: half a surrogate pair, and numbers of thousands of digits."""
    pending: list[tuple[Place, Any]] = [(above, content)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str) and not _is_whole(value):
            yield place, "has half of a character, an unpaired surrogate"
        elif value is _UNREADABLE:
            yield place, "is a number of too many digits"
        elif isinstance(value, dict):
            if not all(map(_is_whole, value)):
                yield place, "has a member whose name has half of a character, an unpaired surrogate"
            pending += [((*place, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            pending += [((*place, index), item) for index, item in enumerate(value)]


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _deepest(body: bytes) -> Place:
    """The place of the value that is nested too deeply: the last name before its depth is only that of lists."""
    names: list[str] = []
    last = b""
    for count, token in enumerate(_TOKEN.finditer(body)):
        if count == _MAX_TOKENS or len(names) > _MAX_DEPTH:
            break
        if token[1] is not None:
            last = token[1]
            continue
        if token[0] in b"[{":
            names.append(last.decode("utf-8", "replace"))
        elif token[0] in b"]}" and names:
            names.pop()
        if token[0] != b",":
            last = b""
    # The first name is that of the body, which has none.
    place = names[1:]
    return tuple(place[: next((index for index, name in enumerate(place) if not name), len(place))][:8])


def _written(place: Place, what: str) -> str:
    """Writes a place as `variables.input.tags[0]`. Names that are no GraphQL names are not repeated."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part if _NAME.fullmatch(part) else '…'}"
    return text.lstrip(".")[:500] or what
