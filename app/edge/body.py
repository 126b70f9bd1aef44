"""Decodes a body to JSON: content coding, byte order mark, and the place of a value that is refused."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from app.graphql.request_errors import (
    BODY_TOO_LARGE,
    JSON_MALFORMED,
    REQUEST_MALFORMED,
    UNSUPPORTED_CONTENT_ENCODING,
    RequestError,
    request_error,
)
from app.json_codec import JsonNumber

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.errors import DocumentedError

# A fraction keeps the digits it was written with.
_decoder = msgspec.json.Decoder(float_hook=JsonNumber.of)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_POSITION = re.compile(r"\(byte ([0-9]+)\)")
_GZIP = frozenset({"gzip", "x-gzip"})  # https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
_GZIP_MEMBERS = 16
# JSON shrinks to a twentieth, a list of like items to a hundredth. gzip itself reaches 1,032.
_GZIP_RATIO = 200
_ALWAYS = 65_536  # decompressed bytes that are accepted whatever their ratio
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,63}")
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*+)"|[\[\]{},]')
_MAX_TOKENS = 50_000  # behind more tokens than these the value that is nested too deeply is not named

Place = tuple[str | int, ...]


class _Unreadable:
    """Stands for a number that Python cannot read."""


_UNREADABLE = _Unreadable()


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
    not_json: DocumentedError = JSON_MALFORMED if parameter is None else REQUEST_MALFORMED
    above: Place = () if parameter is None else (parameter,)
    if isinstance(error, UnicodeError):
        return request_error(not_json, f"{what} is not UTF-8.")
    if isinstance(error, RecursionError):
        return request_error(REQUEST_MALFORMED, f"{_written(above + _deepest(body), what)} is nested too deeply.")
    try:
        content = json.loads(body.decode(), parse_int=_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        position = _POSITION.search(str(error))
        return request_error(
            not_json, f"{what} is not JSON" + (f"; the fault is near byte {position[1]}." if position else ".")
        )
    place, problem = next(_problems(content), ((), "cannot be read"))
    return request_error(REQUEST_MALFORMED, f"{_written(above + place, what)} {problem}.")


def _integer(digits: str) -> int | _Unreadable:
    try:
        return int(digits)
    except ValueError:  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        return _UNREADABLE


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _problems(content: Any) -> Iterator[tuple[Place, str]]:
    """The places of JSON that msgspec refuses: half a surrogate pair, and numbers of thousands of digits."""
    pending: list[tuple[Place, Any]] = [((), content)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str):
            if not _is_whole(value):
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
        sign = token[0]
        if count == _MAX_TOKENS or len(names) > 1000:  # noqa: PLR2004 - beyond what any reader takes
            break
        if token[1] is not None:
            last = token[1]
        elif sign in b"[{":
            names.append(last.decode("utf-8", "replace"))
            last = b""
        elif sign in b"]}":
            last = b""
            if names:
                names.pop()
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


def decompressed(body: bytes, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """Undoes the body's content coding, which `check_coding` has accepted. Raises RequestError."""
    if not _codings(headers):
        return body
    most = min(max_bytes, max(_ALWAYS, len(body) * _GZIP_RATIO))
    content = bytearray()
    for _ in range(_GZIP_MEMBERS):
        member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content += member.decompress(body, most + 1 - len(content))
        except zlib.error:
            raise request_error(
                REQUEST_MALFORMED, "The request body is not gzip, as its Content-Encoding says."
            ) from None
        if len(content) > most:
            if most < max_bytes:
                raise request_error(BODY_TOO_LARGE, f"The request body is compressed to less than 1/{_GZIP_RATIO}.")
            raise request_error(BODY_TOO_LARGE, f"The request body is larger than {max_bytes} bytes.")
        if not member.eof:
            raise request_error(REQUEST_MALFORMED, "The compressed request body is not complete.")
        body = member.unused_data
        if not body:
            return bytes(content)
    raise request_error(REQUEST_MALFORMED, f"The compressed request body has more than {_GZIP_MEMBERS} parts.")


def _codings(headers: Mapping[str, str]) -> list[str]:
    """The body's codings without `identity`: https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding."""
    if "content-encoding" not in headers:
        return []
    codings = (coding.strip().lower() for coding in headers["content-encoding"].split(","))
    return [coding for coding in codings if coding not in {"", "identity"}]


def check_coding(headers: Mapping[str, str]) -> None:
    """Refuses a coding before the body is read. Raises RequestError."""
    codings = _codings(headers)
    if codings and (len(codings) > 1 or codings[0] not in _GZIP):
        raise request_error(UNSUPPORTED_CONTENT_ENCODING, accept_encoding="gzip")
