"""The connections to one origin: lends them, takes them back, lets calls wait for them.

Fails before anything is sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import aiohappyeyeballs

from app.errors import NO_FREE_CONNECTION, NOT_CONNECTED
from app.upstream.connection import Connection
from app.upstream.failures import ExchangeError
from app.upstream.settings import Limits

_NEXT_ADDRESS_SECONDS = 0.25  # RFC 8305 section 5
_ADDRESSES_IN_TIME = 8  # addresses that are tried within a shorter connect time-out


class Pool:
    """The connections to one origin. The last used is lent first; waiting calls are served in their order."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        limits: Limits,
        resolve: Callable[[str, int], Awaitable[Any]] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits
        self._resolve = resolve or _addresses
        self._worked: Any = None
        self._failed: Any = None
        self._idle: list[Connection] = []
        self._count = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def idle(self, now: float) -> Connection | None:
        """An idle connection that can be used at once."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(now, self._limits.keepalive):
                return connection
            self.discard(connection)
        return None

    async def take(self) -> Connection:
        """A connection that is ready to send. Raises ExchangeError, before anything was sent."""
        connection = self.idle(asyncio.get_running_loop().time())
        if connection is not None:
            return connection
        if self._count < self._limits.max_connections:
            self._count += 1
            return await self._connected()
        handed = await self._handed()
        if handed is not None:
            # Since it was handed over, it may have been closed, or have received bytes that nobody asked for.
            if handed.usable(asyncio.get_running_loop().time(), self._limits.keepalive):
                return handed
            handed.abort()
        return await self._connected()

    async def _handed(self) -> Connection | None:
        """The next connection that becomes free, or None when there is room to open one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._limits.pool_seconds):
                return await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())
            if isinstance(error, TimeoutError):
                raise ExchangeError(NO_FREE_CONNECTION, "no connection became free") from error
            raise

    async def _connected(self) -> Connection:
        seconds = self._limits.connect_seconds * (2 if self._tls is not None else 1)
        try:
            async with asyncio.timeout(seconds):
                return await self._connect_anywhere()
        except BaseException as error:
            self._make_room()
            if isinstance(error, TimeoutError):
                raise ExchangeError(NOT_CONNECTED, "connecting took too long") from error
            if isinstance(error, OSError | RuntimeError | EOFError):  # RuntimeError: uvloop's, of a socket
                raise ExchangeError(NOT_CONNECTED, str(error) or type(error).__name__) from error
            raise

    async def _connect_anywhere(self) -> Connection:
        """Connects to the address that worked last, a moment later also to the next one, and so on (RFC 8305)."""
        addresses = list(await self._resolve(self._host, self._port))
        addresses.sort(key=lambda address: (address[4] != self._worked, address[4] == self._failed))
        delay = min(_NEXT_ADDRESS_SECONDS, self._limits.connect_seconds / _ADDRESSES_IN_TIME)
        connected = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=delay)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address = connected.getpeername()
            self._worked, self._failed = None, address  # until TLS has worked, too
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self.forget),
                sock=connected,
                ssl=self._tls,
                server_hostname=self._host if self._tls is not None else None,
            )
        except BaseException:
            connected.close()
            raise
        self._worked, self._failed = address, None
        return connection

    def release(self, connection: Connection, *, reuse: bool) -> None:
        """Ends an exchange.

        Without `reuse` all idle connections are closed, too: their next bytes may be just as wrong.
        """
        if reuse and connection.finished():
            self._pass_on(connection)
            return
        connection.close()
        self._make_room()
        if not reuse:
            for idle in self._idle.copy():
                self.forget(idle)
                idle.abort()

    def discard(self, connection: Connection) -> None:
        connection.abort()
        self._make_room()

    def forget(self, connection: Connection) -> None:
        """Removes an idle connection that the service closed."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._make_room()

    def _make_room(self) -> None:
        self._count -= 1
        if self._waiting and self._count < self._limits.max_connections:
            self._count += 1
            self._pass_on(None)

    def _pass_on(self, connection: Connection | None) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if connection is None:
            self._count -= 1
        else:
            self._idle.append(connection)

    def close(self) -> None:
        for connection in self._idle:
            connection.abort()
        self._count -= len(self._idle)
        self._idle.clear()


async def _addresses(host: str, port: int) -> Any:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
