"""Transport faults of the sandbox, asked for by `x-simulate`: what no documented row can show. Knows no vendor."""

from __future__ import annotations

import socket
import struct

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

TRANSPORT = "sandbox.transport"
FAULTS = ("timeout", "reset", "html-500", "cut-off", "204-with-body", "429")

_HTML = b"<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection in reach of the routes: a reset needs it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class _Reset(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = (scope.get("extensions") or {}).get(TRANSPORT, {}).get("transport")
        if transport is None:
            raise ConnectionResetError("simulated")
        # Linger for no time: the kernel answers with RST instead of FIN.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


class _Silence(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


class _CutOff(Response):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b'{"message": "cut o'
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body) * 4).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        transport = (scope.get("extensions") or {}).get(TRANSPORT, {}).get("transport")
        if transport is None:
            raise ConnectionResetError("simulated")
        transport.close()


def fault_of(request: Request) -> Response | None:
    """The fault that a request asks for, None where it asks for none."""
    match request.headers.get("x-simulate", "").casefold():
        case "timeout":
            return _Silence()
        case "reset":
            return _Reset()
        case "cut-off":
            return _CutOff()
        case "html-500":
            return Response(_HTML, 500, media_type="text/html")
        case "204-with-body":
            return Response(b'{"unexpected": "body"}', 204, {"content-type": "application/json", "content-length": "22"})
        case "429":
            return Response(b"", 429, {"retry-after": "1"})
    return None
