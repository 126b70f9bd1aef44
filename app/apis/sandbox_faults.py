"""Transport faults of the sandbox, asked for by `x-simulate`: what no documented row can show. Knows no vendor."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "sandbox.transport"
_JSON = "application/json"
_BODY = b'{"unexpected": "body"}'
_HTML = b"<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection in reach of the routes: a reset needs it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class _Reset(Response):
    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        transport = (scope.get("extensions") or {}).get(TRANSPORT, {}).get("transport")
        if transport is None:
            raise ConnectionResetError("simulated")
        # Linger for no time: the kernel answers with RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class _Silence(Response):
    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


class _CutOff(Response):
    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        body = b'{"message": "cut o'
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body) * 4).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        transport = (scope.get("extensions") or {}).get(TRANSPORT, {}).get("transport")
        if transport is None:
            raise ConnectionResetError("simulated")
        transport.close()


_FAULTS: dict[str, Callable[[], Response]] = {
    "timeout": _Silence,
    "reset": _Reset,
    "cut-off": _CutOff,
    "html-500": lambda: Response(_HTML, 500, media_type="text/html"),
    "204-with-body": lambda: Response(_BODY, 204, {"content-type": _JSON, "content-length": str(len(_BODY))}),
    "429": lambda: Response(b"", 429, {"retry-after": "1"}),
}


def is_fault(reason: str) -> bool:
    """Whether `x-simulate` with this value asks for a transport fault; in any case."""
    return reason.casefold() in _FAULTS


def fault_of(request: Request) -> Response | None:
    """The fault that a request asks for, None where it asks for none."""
    fault = _FAULTS.get(request.headers.get("x-simulate", "").casefold())
    return None if fault is None else fault()
