"""Runs an ASGI app under uvicorn: one bound socket, an exit code that says how it ended, no log of queries.

A shutdown loses no request: what was connected before is accepted, what was begun is answered, and a connection that
seems idle is given the time in which a request that is already on its way arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator
from itertools import islice
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import multiprocess

from app.edge.connection import Config
from app.edge.direct import DirectConnection

log = logging.getLogger(__name__)

STOPPING = "stopping"  # in a request's `state` once the shutdown has begun
_BACKLOG = 2048  # uvicorn's own
_LINGER_SECONDS = 1.0
_CLOSING_SECONDS = 1.0
_ACCEPTED_AT_ONCE = 64
_NOT_ACCEPTING_SECONDS = 1.0
# Objects that are made and not yet gone: a few requests in flight have more than the 700 of Python's default, so that
# it would look for cycles all the time, and find hardly any. It cost a sixth of a request.
_COLLECTED_AFTER = (10_000, 10, 10)


class ServerError(Exception):
    """The server cannot start; one line."""


class LingeringConnection(DirectConnection):
    """uvicorn by itself would close a connection under a request that has left the client but did not arrive yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        if STOPPING in self.app_state:
            self.shutdown()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if STOPPING in self.app_state and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        self.app_state[STOPPING] = True
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(_LINGER_SECONDS, self._end)
        else:
            super().shutdown()

    def _end(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()


class _Server(uvicorn.Server):
    abandoned = False

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._connecting: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signal again when it is done, which turns an orderly end into a death by signal.
        handled = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, previous in handled.items():
                signal.signal(number, previous)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.started:
            self.lifespan.state[STOPPING] = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        for found in sockets or ():
            found.setblocking(False)
            self._listen(found)

    # Accepting is our own: libuv takes one connection in each turn of the event loop, so that under load, when a turn
    # is long, new ones would wait for seconds while those that are there are served again and again.
    def _listen(self, listening: socket.socket) -> None:
        if not self.should_exit:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            for connection in islice(_accepted(listening), _ACCEPTED_AT_ONCE):
                self._take(connection)
        except OSError as error:
            # No more files, or no memory: the next try would fail as well, and at once.
            log.error("no connection can be accepted: %s", os.strerror(error.errno or 0))  # noqa: TRY400 - no surprise
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            loop.call_later(_NOT_ACCEPTING_SECONDS, self._listen, listening)

    def _take(self, connection: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._connected(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        except OSError:  # it is gone again
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        found: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return found

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        for found in sockets or ():
            loop.remove_reader(found)
            with contextlib.suppress(OSError):
                for connection in _accepted(found):
                    self._take(connection)
        if self._connecting:
            await asyncio.wait(self._connecting)
        grace = self.config.timeout_graceful_shutdown
        assert grace is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + _CLOSING_SECONDS) as time_left:
                await super().shutdown(sockets)
        if time_left.expired():
            self.abandoned = True
            log.error("the time for the shutdown is over: operations are abandoned, their outcome is unknown")


class _Worker(multiprocess.Process):
    @property
    def server(self) -> _Server:
        if self._server is None:
            self._server = _Server(self.config)
        assert isinstance(self._server, _Server)
        return self._server


class _Workers(multiprocess.Multiprocess):
    def terminate_all(self) -> None:
        # Kept open here, it would go on taking connections that no worker is there for.
        for found in self.sockets:
            found.close()
        super().terminate_all()


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in the kernel. Raises OSError where one cannot be had."""
    while True:
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        connection.setblocking(False)
        yield connection


def settle() -> None:
    """What was made by now, schema and modules, lives as long as the process; the garbage collector is spared it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)


def bound_socket(host: str, port: int) -> socket.socket:
    """Raises ServerError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        # From the first line that names the address on, a connection waits for the start rather than be refused.
        found.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        found.close()
        reason = (
            os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else str(error)
        )
        shown = f"{host}:{port}" if port else host
        raise ServerError(f"cannot listen on {shown}: {reason}") from error
    found.set_inheritable(True)
    return found


def address_of(found: socket.socket) -> str:
    host, port = found.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: Any, listening: socket.socket, *, workers: int = 1, grace: float, **options: Any) -> int:
    """Serves until a signal; gives the exit code. With several workers `app` is the import string of a factory."""
    config = Config(
        app,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        # Whole seconds; what is left of the grace is for closing pools and stores.
        timeout_graceful_shutdown=max(1, int(grace - _CLOSING_SECONDS)),
        factory=isinstance(app, str),
        **{"http": LingeringConnection, **options},
    )
    server = _Server(config)
    if workers > 1:
        # uvicorn offers no other way to say what a worker runs.
        multiprocess.Process = _Worker  # type: ignore[misc]
        _Workers(config, [listening]).run()
        return 0
    server.run(sockets=[listening])
    if not server.started:
        return 3
    return 1 if server.abandoned else 0
