"""What stands in for the network behind an `Upstream`: an httpx transport, which a function or an ASGI app answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from app.call import CallContext
from app.errors import ANSWER_TIMED_OUT, CONNECTION_LOST, NO_FREE_CONNECTION, NOT_CONNECTED
from app.upstream.decoding import decoded
from app.upstream.failures import ExchangeError, OutOfTimeError, failed
from app.upstream.heads import header_lines, optional_lines
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.settings import Limits

UNSENT = (NO_FREE_CONNECTION, NOT_CONNECTED)
ROWS = {
    httpx.PoolTimeout: NO_FREE_CONNECTION,
    httpx.ConnectTimeout: NOT_CONNECTED,
    httpx.ConnectError: NOT_CONNECTED,
    httpx.TimeoutException: ANSWER_TIMED_OUT,
    httpx.HTTPError: CONNECTION_LOST,
    OSError: CONNECTION_LOST,
}


def over(transport: httpx.AsyncBaseTransport) -> Callable[..., Any]:
    """For `transport` of an Upstream, and for `transports` of a composition."""
    return lambda name, base_url, limits, _tls: _Standin(transport, name, base_url, limits)


def each_over(transports: Mapping[str, httpx.AsyncBaseTransport]) -> dict[str, Callable[..., Any]]:
    return {name: over(transport) for name, transport in transports.items()}


class _Standin:
    def __init__(self, transport: httpx.AsyncBaseTransport, name: str, base_url: str, limits: Limits) -> None:
        self.transport, self.name, self.base_url, self.limits = transport, name, base_url, limits

    async def aclose(self) -> None:
        await self.transport.aclose()

    def attempt(self, request: BackendRequest, call: CallContext) -> _Attempt:
        lines = header_lines(self.name, tuple(request.headers.items())) + optional_lines(call)
        pairs = [line.partition(": ") for line in lines.split("\r\n")[:-1]]
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, _, value in pairs]
        headers += [(b"accept-encoding", b"identity"), (b"user-agent", b"rest-update-gateway")]
        url, query = self.base_url + request.path, list(request.query) or None
        outgoing = httpx.Request(request.method, url, params=query, headers=headers, content=request.body)
        return _Attempt(self, outgoing)


class _Attempt:
    """In a task of its own, so that a waiting caller may leave and another may come."""

    left = None  # nobody knows before it fails

    def __init__(self, standin: _Standin, outgoing: httpx.Request) -> None:
        self.standin, self.outgoing = standin, outgoing
        self.task: asyncio.Task[BackendResponse] | None = None

    async def run(self, end: float) -> BackendResponse:
        name = self.standin.name
        self.task = self.task or asyncio.create_task(self.exchange())
        await asyncio.wait({self.task}, timeout=max(0.0, end - asyncio.get_running_loop().time()))
        task = self.task
        if not task.done():
            self.abandon()
            raise OutOfTimeError(name)
        try:
            return task.result()
        except Exception as error:
            self.task = None
            row = next((row for kind, row in ROWS.items() if isinstance(error, kind)), None)
            broken = error if row is None else ExchangeError(row, f"{type(error).__name__}: {error}")
            raise failed(name, broken, left=row not in UNSENT) from error

    async def exchange(self) -> BackendResponse:
        response = await self.standin.transport.handle_async_request(self.outgoing)
        try:
            body = b"".join([piece async for piece in response.stream])
        finally:
            await response.aclose()
        headers = {name: value for name, value in response.headers.items() if name != "set-cookie"}
        coding = "" if response.status_code == 204 else headers.get("content-encoding", "")
        body = decoded(body, coding, self.standin.limits.max_answer_bytes)
        return BackendResponse(response.status_code, headers, body)

    def release(self, *, reuse: bool) -> None:
        pass

    def abandon(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None
