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
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from app.edge.connection import Config
from app.edge.direct import DirectConnection

log = logging.getLogger(__name__)

STOPPING = "stopping"  # in a request's `state` once the shutdown has begun
_BACKLOG = 2048  # uvicorn's own
_LINGER_SECONDS = 1.0
_CLOSING_SECONDS = 1.0
_LAST_SECONDS = 1.0  # after these the process ends, whatever hangs
_ABANDONED = 1  # exit code: the outcome of an operation is unknown
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

    def repeats(self, data: bytes) -> bool:
        return STOPPING not in self.app_state and super().repeats(data)

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

    def _protocol(self) -> asyncio.Protocol:
        found: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return found

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        queued = [connection for found in sockets or () for connection in _accepted(found)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in queued:
            with contextlib.suppress(OSError):  # it is gone again
                await loop.connect_accepted_socket(self._protocol, connection)
        grace = self.config.timeout_graceful_shutdown
        assert grace is not None
        last = threading.Timer(grace + _CLOSING_SECONDS + _LAST_SECONDS, _end)
        last.daemon = True
        last.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + _CLOSING_SECONDS) as time_left:
                await super().shutdown(sockets)
        if time_left.expired():
            self.abandoned = True
            log.error("the time for the shutdown is over: operations are abandoned, their outcome is unknown")
        elif self.force_exit and self.server_state.tasks:
            self.abandoned = True
            log.error("told to stop at once: operations are abandoned, their outcome is unknown")


def _end() -> None:
    """A thread that waits for a store, or for a host's address, cannot be told to stop; Python would wait for it."""
    log.error("something hangs that was to end with the shutdown: the process ends without it")
    logging.shutdown()
    os._exit(_ABANDONED)


class _Worker(multiprocess.Process):
    def target(self, sockets: list[socket.socket] | None = None) -> None:
        super().target(sockets)
        if self.server.abandoned:
            sys.exit(_ABANDONED)

    @property
    def server(self) -> _Server:
        if self._server is None:
            self._server = _Server(self.config)
        assert isinstance(self._server, _Server)
        return self._server


class _Workers(multiprocess.Multiprocess):
    """uvicorn's, but that a worker which cannot start ends the others only where none has ever served.

    Later, it is the store or a service that is away: the other workers go on, and it is tried again.
    """

    served = False
    exit_code = 0

    def keep_subprocess_alive(self) -> None:
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                self.served = self.served or process.is_ready()
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE and not self.served:
                self.exit_code = STARTUP_FAILURE
                self.should_exit.set()
                return
            log.error("worker %s ended with exit code %s, another one takes its place", process.pid, process.exitcode)
            replacement = multiprocess.Process(self.config, self.sockets)
            replacement.start()
            self.processes[index] = replacement

    def join_all(self) -> None:
        super().join_all()
        if any(process.exitcode == _ABANDONED for process in self.processes):
            self.exit_code = _ABANDONED

    def terminate_all(self) -> None:
        # Kept open here, it would go on taking connections that no worker is there for.
        for found in self.sockets:
            found.close()
        super().terminate_all()


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in the kernel, which resets them when the socket is closed."""
    listening.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
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
        supervisor = _Workers(config, [listening])
        supervisor.run()
        return supervisor.exit_code
    server.run(sockets=[listening])
    if not server.started:
        return STARTUP_FAILURE
    return _ABANDONED if server.abandoned else 0
