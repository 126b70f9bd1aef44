"""What surrounds every answer, whatever its path and status: the request id, the security headers, the last resort."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from app.edge.caller import REQUEST_ID, request_id
from app.errors import INTERNAL, DocumentedError, GatewayError
from app.graphql.refusals import HOST_NOT_ALLOWED, Fault
from app.wire import encode_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

# Set where the route did not: the playground brings a policy of its own.
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


# A probe asks by the address of the machine; there is nothing to be had here.
_ANY_HOST = frozenset({"/health/live", "/health/ready"})


def log_refusal(row: DocumentedError, status: int, request_id: str) -> None:
    """Of a request that became no operation. Nothing that the caller wrote is told: not even the path."""
    told = {"request_id": request_id, "status": str(status), "code": row.code.value, "reason": row.reason}
    log.info("request refused", extra=told)


def error_response(
    row: DocumentedError, status: int, request_id: str, headers: dict[str, str] | None = None
) -> Response:
    """An answer outside GraphQL in the shape of a GraphQL one, and its line in the log."""
    log_refusal(row, status, request_id)
    body = {"errors": [Fault(row, row.text or row.reason).formatted(request_id)]}
    return Response(encode_json(body), status, headers, media_type="application/json; charset=utf-8")


def _surprise(request_id: str) -> Response:
    """What failed is not known, so that neither is what became of a write."""
    surprise = GatewayError(INTERNAL)
    error = {"message": surprise.message, "extensions": surprise.extensions | {"requestId": request_id}}
    return Response(encode_json({"errors": [error]}), 500, media_type="application/json; charset=utf-8")


class Envelope:
    """The outermost layer. An answer that was begun is never replaced."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        identifier = request_id(headers.get(REQUEST_ID))
        scope.setdefault("state", {})["request_id"] = identifier
        begun = False

        async def wrapped(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                answer = MutableHeaders(scope=message)
                answer[REQUEST_ID] = identifier
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        if self._hosts and scope["path"] not in _ANY_HOST and _host(headers) not in self._hosts:
            await error_response(HOST_NOT_ALLOWED, 421, identifier)(scope, receive, wrapped)
            return
        try:
            await self._app(scope, receive, wrapped)
        except asyncio.CancelledError:
            # The server cancels what is left when its time to shut down is over. What was begun goes on by itself, and
            # nobody can say here what becomes of it.
            log.warning("no answer when the time to shut down was over", extra={"request_id": identifier})
            if begun:
                raise
            await _surprise(identifier)(scope, receive, wrapped)
        except Exception:
            log.exception("unexpected failure of %s", scope["path"], extra={"request_id": identifier})
            if begun:
                raise
            await _surprise(identifier)(scope, receive, wrapped)


def _host(headers: Headers) -> str:
    host = headers.get("host", "").lower()
    # The port is not part of the name; an IPv6 address has colons of its own.
    return host if host.endswith("]") else host.rsplit(":", 1)[0]
