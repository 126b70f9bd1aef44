"""Turns the bytes of an HTTP request into well-formed GraphQL requests, or refuses them and says what is wrong.

A value of its JSON that is refused is named by its place.
"""

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from starlette.datastructures import QueryParams

from app.edge.caller import PREFLIGHT_HEADERS
from app.edge.negotiation import is_json
from app.edge.settings import EdgeSettings
from app.graphql.execution import GraphQLRequest
from app.graphql.request_errors import (
    BATCH_NOT_ALLOWED,
    BATCH_TOO_LARGE,
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    JSON_MALFORMED,
    PREFLIGHT_REQUIRED,
    REQUEST_MALFORMED,
    UNSUPPORTED_CONTENT_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    RequestError,
    request_error,
)
from app.graphql.tracing import TRACE_HEADER, asks_for_trace
from app.json_codec import JsonNumber

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MAPS = frozenset({"variables", "extensions"})
_NO_CODING = frozenset({"", "identity"})
_GZIP = frozenset({"gzip", "x-gzip"})  # https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
_GZIP_MEMBERS = 16
# JSON shrinks to a twentieth, a list of like items to a hundredth. gzip itself reaches 1,032.
_GZIP_RATIO = 200
_ALWAYS = 65_536  # decompressed bytes that are accepted whatever their ratio
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
Body = AsyncIterable[bytes] | bytes | None  # bytes have arrived and are not too large; None did not come in time


def from_query(parameters: QueryParams, headers: Mapping[str, str], settings: EdgeSettings) -> GraphQLRequest:
    """Reads the request of a GET. Raises RequestError."""
    content_type = headers.get("content-type")
    if content_type is not None and not is_json(content_type):
        raise request_error(
            UNSUPPORTED_MEDIA_TYPE, "A GET request has no body; a Content-Type other than application/json is refused."
        )
    # In development a plain GET query is answered, as the reference audit demands; such a query writes nothing.
    if settings.production and content_type is None and headers.keys().isdisjoint(PREFLIGHT_HEADERS):
        raise request_error(PREFLIGHT_REQUIRED)
    members: dict[str, Any] = {}
    for name in ("query", "operationName", "variables", "extensions", "documentId"):
        values = parameters.getlist(name)
        if len(values) > 1:
            raise request_error(REQUEST_MALFORMED, f"The parameter {name} is given more than once.")
        if values and (values[0] or name == "query"):
            members[name] = decode(values[0].removeprefix("\ufeff"), parameter=name) if name in _MAPS else values[0]
    return _request(members, headers, read_only=True)


async def from_body(
    body: Body, headers: Mapping[str, str], settings: EdgeSettings
) -> GraphQLRequest | list[GraphQLRequest]:
    """Reads the request of a POST, or a list for a batch. Raises RequestError, or ClientDisconnect."""
    if not is_json(headers.get("content-type")):
        raise request_error(UNSUPPORTED_MEDIA_TYPE)
    compressed = "content-encoding" in headers and _is_compressed(headers["content-encoding"])
    if body is None:
        raise _too_slow()
    if not isinstance(body, bytes):
        body = await _read(body, headers, settings)
    if compressed:
        body = _decompressed(body, settings)
    content = decode(body)
    if not isinstance(content, list):
        return _request(content, headers)
    if not settings.max_batch:
        raise request_error(BATCH_NOT_ALLOWED)
    if not content:
        raise request_error(REQUEST_MALFORMED, "The batch is empty.")
    if len(content) > settings.max_batch:
        raise request_error(BATCH_TOO_LARGE, f"At most {settings.max_batch} operations are answered in one request.")
    return [_request(item, headers) for item in content]


async def _read(stream: AsyncIterable[bytes], headers: Mapping[str, str], settings: EdgeSettings) -> bytes:
    announced = headers.get("content-length", "0").strip()
    if not announced.isdecimal() or int(announced) > settings.max_body_bytes:
        raise _too_large(settings, connection="close")
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in stream:
                body += chunk
                if len(body) > settings.max_body_bytes:
                    raise _too_large(settings, connection="close")
    except (TimeoutError, asyncio.CancelledError):  # CancelledError when the time to shut down is over
        raise _too_slow() from None
    return bytes(body)


def _too_slow() -> RequestError:
    return request_error(BODY_TOO_SLOW, connection="close")


def _too_large(settings: EdgeSettings, **headers: str) -> RequestError:
    return request_error(BODY_TOO_LARGE, f"The request body is larger than {settings.max_body_bytes} bytes.", **headers)


def _is_compressed(header: str) -> bool:
    """Refuses a coding before the body is read: https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding."""
    codings = [coding for part in header.split(",") if (coding := part.strip().lower()) not in _NO_CODING]
    if codings and (len(codings) > 1 or codings[0] not in _GZIP):
        raise request_error(UNSUPPORTED_CONTENT_ENCODING, accept_encoding="gzip")
    return bool(codings)


def _decompressed(body: bytes, settings: EdgeSettings) -> bytes:
    most = min(settings.max_body_bytes, max(_ALWAYS, len(body) * _GZIP_RATIO))
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
            if most < settings.max_body_bytes:
                raise request_error(BODY_TOO_LARGE, f"The request body is compressed to less than 1/{_GZIP_RATIO}.")
            raise _too_large(settings)
        if not member.eof:
            raise request_error(REQUEST_MALFORMED, "The compressed request body is not complete.")
        body = member.unused_data
        if not body:
            return bytes(content)
    raise request_error(REQUEST_MALFORMED, f"The compressed request body has more than {_GZIP_MEMBERS} parts.")


def _request(content: Any, headers: Mapping[str, str], *, read_only: bool = False) -> GraphQLRequest:
    if type(content) is not dict:
        raise request_error(REQUEST_MALFORMED, "A GraphQL request is a JSON object with the member query.")
    query = _member(content, "query", str, "a string")
    document_id = _member(content, "documentId", str, "a string")
    extensions = _member(content, "extensions", dict, "an object") or _NOTHING
    if query is None and document_id is None and extensions.get("persistedQuery") is None:
        raise request_error(REQUEST_MALFORMED, "The request has no query.")
    return GraphQLRequest(
        query,
        _member(content, "variables", dict, "an object") or _NOTHING,
        _member(content, "operationName", str, "a string"),
        extensions,
        document_id,
        read_only,
        asks_for_trace(headers.get(TRACE_HEADER)),
    )


def _member(content: dict[str, Any], name: str, kind: type, expected: str) -> Any:
    value = content.get(name)
    if kind is dict and value == []:
        return None  # PHP writes an empty map so
    if value is not None and type(value) is not kind:
        raise request_error(REQUEST_MALFORMED, f"The member {name} is not {expected}.")
    return value


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
