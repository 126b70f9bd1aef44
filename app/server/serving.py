"""Runs an ASGI app under uvicorn's server: its bounds and socket, signals, shutdown, and an exit code.

A shutdown loses no request. Connections that were made before are accepted, requests that were begun are answered, and
an idle connection stays open long enough for a request that is already on its way. This file alone knows uvicorn's
server.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn.config
import uvicorn.server

from app.server.connection import Connection
from app.server.summary import Summary

log = logging.getLogger(__name__)

# In the lifespan's state, and so in a request's, once the server was told to stop: false while requests are accepted.
STOPPING = "stopping"
RELOAD = "reload"  # the function that SIGHUP calls: in the lifespan's state, or in the application's
MAX_HEAD_BYTES = 65_536
HEAD_SECONDS = 30.0
# Longer than the usual balancers and routers keep an idle connection, so that they close it first. Otherwise a mutation
# could be sent into a connection that the server is closing, and its outcome would be unknown.
KEEP_ALIVE_SECONDS = 75.0
ABANDONED = 1  # exit code: the outcome of an operation is unknown
STARTUP_FAILED = 3  # as uvicorn's own
CLOSING_SECONDS = 1.0
_LAST_SECONDS = 1.0  # the process ends after this time, whatever hangs
_NOT_ACCEPTED = "no connection can be accepted: the process has as many open files as it may have"
# Python's default collects after 700 new objects. A few requests in flight hold more, so that it would look for cycles
# all the time and find hardly any. That cost a sixth of a request.
_COLLECTED_AFTER = (10_000, 10, 10)
_BACKLOG = 2048  # uvicorn's own


class ServerError(Exception):
    """The server cannot start. The text is one line."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Binds the address, before anything else starts. Raises ServerError where that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        # Listens already now: once a log line has named the address, a connection waits for the start and is not
        # refused.
        listening.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        listening.close()
        number = getattr(error, "errno", None) or 0
        shown = f"{host}:{port}" if port else host
        raise ServerError(f"cannot listen on {shown}: {os.strerror(number) if number > 0 else error}") from error
    listening.set_inheritable(True)
    return listening


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _queued_connections(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in the kernel. It would reset them when the socket is closed."""
    listening.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection


class Config(uvicorn.config.Config):
    """uvicorn's configuration, and the bounds of a connection in bytes and seconds.

    `body_seconds` and `answer_seconds` are a last resort: an application's own limits have to be shorter. `ending` is
    set once the server accepts no more connections.
    """

    max_head_bytes: int = MAX_HEAD_BYTES
    head_seconds: float = HEAD_SECONDS
    body_seconds: float = 60.0
    answer_seconds: float = 600.0
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    shutdown_delay_seconds: float = 0.0
    ending = False

    def __init__(self, app: Any, **options: Any) -> None:
        for name in Config.__annotations__.keys() & options.keys():
            setattr(self, name, options.pop(name))
        # No web sockets: uvicorn would accept them wherever a library for them is installed. No proxy headers: nothing
        # here needs the client's address or scheme.
        defaults = {"http": Connection, "ws": "none", "proxy_headers": False, "log_config": None, "lifespan": "on"}
        super().__init__(app, access_log=False, server_header=False, **{**defaults, **options})
        self.summary = Summary()


class Server(uvicorn.server.Server):
    """`abandoned`: the time to shut down was over before every operation had ended."""

    config: Config
    abandoned = False
    _delayed = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        self._loop = asyncio.get_running_loop()
        # uvicorn would raise the signal again at its end, and the process would die by that signal.
        handlers = {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit, signal.SIGHUP: self._reload}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # blocked while the worker started
        try:
            yield
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        delay = self.config.shutdown_delay_seconds
        if self.started:
            self.lifespan.state.setdefault(STOPPING, False)
        if sig == signal.SIGTERM and delay and self.started and not self._delayed:
            self._delayed = True
            self._loop.call_soon_threadsafe(self._loop.call_later, delay, super().handle_exit, sig, frame)
            return
        super().handle_exit(sig, frame)
        self.config.ending = self.started

    def _reload(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal's
        if self.started:
            self._loop.call_soon_threadsafe(self._call_reload)

    def _call_reload(self) -> None:
        app_state = getattr(self.config.loaded_app, "state", None)
        reload = self.lifespan.state.get(RELOAD) or getattr(app_state, RELOAD, None)
        if reload is None:
            log.info("SIGHUP: there is nothing to read again")
            return
        try:
            reload()
        except Exception:
            log.exception("SIGHUP: what was to be read again could not be; everything stays as it was")

    async def on_tick(self, counter: int) -> bool:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            # Without a free descriptor libuv drops a connection silently.
            self.config.summary.add(logging.ERROR, _NOT_ACCEPTED)
        return await super().on_tick(counter)

    def _protocol(self) -> asyncio.Protocol:
        connection: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn makes it
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return connection

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.ending = True
        self.lifespan.state[STOPPING] = True
        queued = [connection for listening in sockets or () for connection in _queued_connections(listening)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in queued:
            with contextlib.suppress(OSError):  # the connection is already gone
                await loop.connect_accepted_socket(self._protocol, connection)
        grace = self.config.timeout_graceful_shutdown or 0
        last = threading.Timer(grace + CLOSING_SECONDS + _LAST_SECONDS, _end)
        last.daemon = True
        if sockets is not None:
            last.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace + CLOSING_SECONDS) as time_left:
                await super().shutdown(sockets)
        if time_left.expired():
            self.abandoned = True
            log.error("the time for the shutdown is over: operations are abandoned, their outcome is unknown")
        elif self.force_exit and self.server_state.tasks:
            self.abandoned = True
            log.error("told to stop at once: operations are abandoned, their outcome is unknown")


def _end() -> None:
    """Ends the process without its threads.

    A thread that waits for a store, or for a host's address, cannot be stopped, and Python would wait for it.
    """
    log.error("something hangs that was to end with the shutdown: the process ends without it")
    logging.shutdown()
    os._exit(ABANDONED)


def settle() -> None:
    """Takes what exists by now, schema and modules, out of garbage collection: it lives as long as the process.

    Garbage among it stays, too. To look for that costs more than it is worth.
    """
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    gc.enable()


def configured(app: Any, *, grace: float, **options: Any) -> Config:
    """`app` is an application, or the import string of a factory."""
    return Config(
        app,
        # uvicorn takes whole seconds. The rest of the grace is for closing pools and stores.
        timeout_graceful_shutdown=max(1, int(grace - CLOSING_SECONDS)),
        factory=isinstance(app, str),
        **options,
    )


def run(app: Any, listening: socket.socket, *, grace: float, **options: Any) -> int:
    """Serves in this process until a signal. Returns the exit code."""
    server = Server(configured(app, grace=grace, **options))
    server.run(sockets=[listening])
    if not server.started:
        return STARTUP_FAILED
    return ABANDONED if server.abandoned else 0
