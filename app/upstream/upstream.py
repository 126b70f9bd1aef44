"""One remote service: sends a request once, and says truthfully how that broke."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx

from app.errors import (
    ANSWER_TIMED_OUT,
    ANSWER_TOO_LARGE,
    ANSWER_UNREADABLE,
    CONNECTION_LOST,
    DEADLINE_BEFORE_SENDING,
    INTERNAL,
    NO_FREE_CONNECTION,
    NOT_CONNECTED,
    BackendAnswer,
    DocumentedError,
    GatewayError,
)
from app.upstream.exchange import Answer, Request

if TYPE_CHECKING:
    from types import TracebackType

    from app.call import Call

log = logging.getLogger(__name__)

# httpx's failures, most specific first. With httpx's own transport a failure to connect, or to get a connection from
# the pool, means that no byte of the request left; every other one may come after bytes did.
FAILURES: tuple[tuple[type[Exception], DocumentedError], ...] = (
    (httpx.PoolTimeout, NO_FREE_CONNECTION),
    (httpx.ConnectTimeout, NOT_CONNECTED),
    (httpx.ConnectError, NOT_CONNECTED),
    (httpx.UnsupportedProtocol, NOT_CONNECTED),
    (httpx.ProxyError, NOT_CONNECTED),
    (httpx.TimeoutException, ANSWER_TIMED_OUT),
    (httpx.DecodingError, ANSWER_UNREADABLE),
    (httpx.TransportError, CONNECTION_LOST),
    (httpx.TooManyRedirects, ANSWER_UNREADABLE),
    (httpx.RequestError, CONNECTION_LOST),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds and sizes that hold for every call to one service."""

    connect_timeout: float = 5.0
    timeout: float = 30.0
    pool_timeout: float = 5.0
    max_connections: int = 100
    max_answer_bytes: int = 2 * 1024 * 1024


class Upstream:
    """A remote service under one base URL. Use as an async context manager, or `aclose` it."""

    def __init__(
        self, name: str, base_url: str, limits: Limits | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.limits = limits or Limits()
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(
                self.limits.timeout, connect=self.limits.connect_timeout, pool=self.limits.pool_timeout
            ),
            limits=httpx.Limits(
                max_connections=self.limits.max_connections, max_keepalive_connections=self.limits.max_connections
            ),
            follow_redirects=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def send(self, request: Request, call: Call) -> Answer:
        """The answer, whatever its status. Raises GatewayError, whose outcome is what the failure proves."""
        try:
            return await self._exchange(request, call)
        except httpx.HTTPError as error:
            row = next((row for kind, row in FAILURES if isinstance(error, kind)), INTERNAL)
            raise self._failed(row, error) from error
        except httpx.InvalidURL as error:
            raise self._failed(NOT_CONNECTED, error) from error

    async def _exchange(self, request: Request, call: Call) -> Answer:
        remaining = self.limits.timeout
        if call.deadline is not None:
            remaining = min(remaining, call.deadline - asyncio.get_running_loop().time())
            if remaining <= 0:
                raise GatewayError(DEADLINE_BEFORE_SENDING, backend=BackendAnswer(self.name))
        outgoing = self._client.build_request(
            request.method,
            self.base_url + request.path,
            params=list(request.query) or None,
            headers={**request.headers, "x-request-id": call.request_id, **call.trace_headers},
            content=request.body,
        )
        answer = await self._client.send(outgoing, stream=True)
        try:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > self.limits.max_answer_bytes:
                    raise GatewayError(ANSWER_TOO_LARGE, backend=BackendAnswer(self.name, answer.status_code))
        finally:
            await answer.aclose()
        return Answer(answer.status_code, {key.lower(): value for key, value in answer.headers.items()}, bytes(body))

    def _failed(self, row: DocumentedError, error: Exception) -> GatewayError:
        return GatewayError(row, backend=BackendAnswer(self.name), detail=f"{type(error).__name__}: {error}")
