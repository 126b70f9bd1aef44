"""Turns the bytes of an HTTP request into well-formed GraphQL requests, or refuses them and says what is wrong."""

from __future__ import annotations

import asyncio
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from app.edge.body import check_coding, decode, decompressed
from app.edge.caller import PREFLIGHT_HEADERS
from app.edge.negotiation import is_json
from app.graphql.execution import GraphQLRequest
from app.graphql.request_errors import (
    BATCH_NOT_ALLOWED,
    BATCH_TOO_LARGE,
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    PREFLIGHT_REQUIRED,
    REQUEST_MALFORMED,
    UNSUPPORTED_MEDIA_TYPE,
    RequestError,
    request_error,
)
from app.graphql.tracing import TRACE_HEADER, asks_for_trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping

    from starlette.datastructures import QueryParams

    from app.edge.settings import EdgeSettings

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MAPS = frozenset({"variables", "extensions"})


async def from_query(parameters: QueryParams, headers: Mapping[str, str], settings: EdgeSettings) -> GraphQLRequest:
    """Reads the request of a GET. Raises RequestError."""
    content_type = headers.get("content-type")
    if content_type is not None and not is_json(content_type):
        raise request_error(
            UNSUPPORTED_MEDIA_TYPE, "A GET request has no body; a Content-Type other than application/json is refused."
        )
    if settings.demands_preflight and content_type is None and not any(name in headers for name in PREFLIGHT_HEADERS):
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
    stream: AsyncIterable[bytes], headers: Mapping[str, str], settings: EdgeSettings
) -> GraphQLRequest | list[GraphQLRequest]:
    """Reads the request of a POST, or a list for a batch. Raises RequestError, or ClientDisconnect."""
    _check_type(headers)
    return _requests(await _read(stream, headers, settings), headers, settings)


async def from_whole_body(
    body: bytes, headers: Mapping[str, str], settings: EdgeSettings, *, late: bool
) -> GraphQLRequest | list[GraphQLRequest]:
    """Like `from_body`, for a body that has arrived and is not too large, or that did not come in time."""
    _check_type(headers)
    if late:
        raise _too_slow()
    return _requests(body, headers, settings)


def _check_type(headers: Mapping[str, str]) -> None:
    if not is_json(headers.get("content-type")):
        raise request_error(UNSUPPORTED_MEDIA_TYPE)
    check_coding(headers)


def _requests(body: bytes, headers: Mapping[str, str], settings: EdgeSettings) -> GraphQLRequest | list[GraphQLRequest]:
    body = decompressed(body, headers, settings.max_body_bytes)
    content = decode(body)
    commas = body.count(b",")
    if not isinstance(content, list):
        return _request(content, headers, commas)
    if not settings.max_batch:
        raise request_error(BATCH_NOT_ALLOWED)
    if not content:
        raise request_error(REQUEST_MALFORMED, "The batch is empty.")
    if len(content) > settings.max_batch:
        raise request_error(BATCH_TOO_LARGE, f"At most {settings.max_batch} operations are answered in one request.")
    return [_request(item, headers, commas) for item in content]


async def _read(stream: AsyncIterable[bytes], headers: Mapping[str, str], settings: EdgeSettings) -> bytes:
    announced = headers.get("content-length", "0").strip()
    if not announced.isdecimal() or int(announced) > settings.max_body_bytes:
        raise _too_large(settings)
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for chunk in stream:
                body += chunk
                if len(body) > settings.max_body_bytes:
                    raise _too_large(settings)
    except (TimeoutError, asyncio.CancelledError):  # CancelledError when the time to shut down is over
        raise _too_slow() from None
    return bytes(body)


def _too_slow() -> RequestError:
    return request_error(BODY_TOO_SLOW, connection="close")


def _too_large(settings: EdgeSettings) -> RequestError:
    return request_error(
        BODY_TOO_LARGE, f"The request body is larger than {settings.max_body_bytes} bytes.", connection="close"
    )


def _request(
    content: Any, headers: Mapping[str, str], commas: int = sys.maxsize, *, read_only: bool = False
) -> GraphQLRequest:
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
        commas,
    )


def _member(content: dict[str, Any], name: str, kind: type, expected: str) -> Any:
    value = content.get(name)
    if kind is dict and value == []:
        return None  # PHP writes an empty map so
    if value is not None and type(value) is not kind:
        raise request_error(REQUEST_MALFORMED, f"The member {name} is not {expected}.")
    return value
