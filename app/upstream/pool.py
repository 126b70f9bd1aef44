"""The connections to one origin: taken, given back, waited for. Raises httpx's exceptions before anything is sent."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING

import httpx

from app.upstream.connection import Connection

if TYPE_CHECKING:
    from app.upstream.limits import Limits


class Pool:
    """The connections to one origin: the last used first, and those who wait for one in the order they came."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, limits: Limits) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits
        self._idle: list[Connection] = []
        self._count = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    def idle(self, now: float) -> Connection | None:
        """One that can be sent over at once."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(now, self._limits.keepalive):
                return connection
            self._drop(connection)
        return None

    async def take(self) -> Connection:
        """A connection that is ready to send. Raises an httpx exception, before anything was sent."""
        connection = self.idle(asyncio.get_running_loop().time())
        if connection is not None:
            return connection
        if self._count < self._limits.max_connections:
            self._count += 1
            return await self._connected()
        handed = await self._handed()
        if handed is not None:
            # It may have been closed, or have got what nobody asked for, since it was handed over.
            if handed.usable(asyncio.get_running_loop().time(), self._limits.keepalive):
                return handed
            handed.abort()
        return await self._connected()

    async def _handed(self) -> Connection | None:
        """The next connection that becomes free, or None for the room to open one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._limits.pool_timeout):
                return await waiter
        except BaseException as error:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())
            if isinstance(error, TimeoutError):
                raise httpx.PoolTimeout("no connection became free") from error
            raise

    async def _connected(self) -> Connection:
        try:
            return await self._connect()
        except BaseException:
            self._room()
            raise

    async def _connect(self) -> Connection:
        name = self._host if self._tls is not None else None
        seconds = self._limits.connect_timeout * (2 if self._tls is not None else 1)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(self), self._host, self._port, ssl=self._tls, server_hostname=name
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("connecting took too long") from error
        except (OSError, ssl.SSLError, EOFError) as error:
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        return connection

    def give_back(self, connection: Connection) -> None:
        if connection.ended():
            self._pass_on(connection)
        else:
            connection.close()
            self._room()

    def discard(self, connection: Connection) -> None:
        self._drop(connection)

    def forget(self, connection: Connection) -> None:
        """An idle connection that the service closed."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._room()

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._room()

    def _room(self) -> None:
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
