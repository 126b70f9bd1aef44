"""Transport faults of the sandbox, requested by `x-simulate`: no documented row can show them. Knows no vendor."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.call import FAULTS

CONNECTION = "gateway.connection"  # the server's extension of a scope: functions that end the connection
_JSON = "application/json"
_BODY = b'{"unexpected": "body"}'
_HTML = b"<!DOCTYPE html><html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"


def _end(scope: Scope, how: str) -> None:
    extension = (scope.get("extensions") or {}).get(CONNECTION)
    if extension is None:
        raise ConnectionResetError("simulated")
    extension[how]()


class _Reset(Response):
    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        _end(scope, "reset")


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
        _end(scope, "close")


_FAULTS: dict[str, Callable[[], Response]] = {
    "timeout": _Silence,
    "reset": _Reset,
    "cut-off": _CutOff,
    "html-500": lambda: Response(_HTML, 500, media_type="text/html"),
    "204-with-body": lambda: Response(_BODY, 204, {"content-type": _JSON, "content-length": str(len(_BODY))}),
    "429": lambda: Response(b"", 429, {"retry-after": "1"}),
}
assert _FAULTS.keys() == FAULTS


def fault_of(request: Request) -> Response | None:
    """The fault that a request asks for; None where it asks for none."""
    fault = _FAULTS.get(request.headers.get("x-simulate", "").casefold())
    return None if fault is None else fault()
