"""Surrounds every answer, whatever its path and status: request id, security headers, and the answer of last resort."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.edge.caller import REQUEST_ID, request_id
from app.errors import INTERNAL, DocumentedError, GatewayError
from app.graphql.request_errors import HOST_NOT_ALLOWED, ErrorEntry
from app.json_codec import encode_json
from app.server.direct import headers_of
from app.telemetry.lines import Line, tell

log = logging.getLogger(__name__)

# Set where the route did not set it: the playground has a policy of its own.
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
_READ = {REQUEST_ID.encode(): REQUEST_ID, b"host": "host"}
# A probe uses the machine's address. Nothing secret is served here.
_ANY_HOST = frozenset({"/health/live", "/health/ready"})


def log_request_error(row: DocumentedError, status: int, request_id: str, detail: str | None = None) -> None:
    """Logs a request that became no operation. Nothing that the caller wrote is logged, not even the path."""
    line = Line(request_id=request_id, status=str(status), code=row.code.value, reason=row.reason, detail=detail)
    tell(log, logging.INFO, "request refused", line)


def error_response(
    row: DocumentedError,
    status: int,
    request_id: str,
    headers: Mapping[str, str] | None = None,
    detail: str | None = None,
) -> Response:
    """An answer outside GraphQL in the shape of a GraphQL one. It is logged, too."""
    log_request_error(row, status, request_id, detail)
    return _in_json({"errors": [ErrorEntry(row, row.text or row.reason).formatted(request_id)]}, status, headers)


def _in_json(body: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(body), status, headers, media_type="application/json; charset=utf-8")


def surprise(request_id: str) -> dict[str, Any]:
    """The body for an unexpected failure: the outcome of a write is unknown, too."""
    unknown = GatewayError(INTERNAL)
    error = {"message": unknown.message, "extensions": unknown.extensions | {"requestId": request_id}}
    return {"errors": [error]}


def log_abandoned(request_id: str) -> None:
    """Logs what the server cancels when its time to shut down is over.

    A write that was begun goes on by itself, and its outcome is unknown here.
    """
    log.warning("no answer when the time to shut down was over", extra={"request_id": request_id})


class Envelope:
    """The outermost layer. An answer that was begun is never replaced."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read, _ = headers_of(scope["headers"], _READ)
        identifier = request_id(read.get(REQUEST_ID))
        scope.setdefault("state", {})["request_id"] = identifier
        begun = False

        async def wrapped(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = identifier
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if self._hosts and scope["path"] not in _ANY_HOST and host_name(read.get("host", "")) not in self._hosts:
            await error_response(HOST_NOT_ALLOWED, 421, identifier)(scope, receive, wrapped)
            return
        try:
            await self._app(scope, receive, wrapped)
        except (asyncio.CancelledError, Exception) as error:
            if isinstance(error, asyncio.CancelledError):
                log_abandoned(identifier)
            else:
                log.exception("unexpected failure of %s", scope["path"], extra={"request_id": identifier})
            if begun:
                raise
            await _in_json(surprise(identifier), 500)(scope, receive, wrapped)


def host_name(host: str) -> str:
    host = host.lower()
    # The port is not part of the name. An IPv6 address contains colons.
    return host if host.endswith("]") else host.rsplit(":", 1)[0]
