"""Runs an ASGI app under uvicorn: one bound socket, an exit code that says how it ended, no log of queries."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.edge.connection import Config


class ServerError(Exception):
    """The server cannot start; one line."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signal again when it is done, which turns an orderly end into a death by signal.
        handled = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, previous in handled.items():
                signal.signal(number, previous)


def bound_socket(host: str, port: int) -> socket.socket:
    """Raises ServerError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
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
        # Whole seconds; the application's own grace is inside it.
        timeout_graceful_shutdown=max(1, round(grace)),
        factory=isinstance(app, str),
        **options,
    )
    server = _Server(config)
    if workers > 1:
        Multiprocess(config, [listening]).run()
        return 0
    server.run(sockets=[listening])
    return 0 if server.started else 3
