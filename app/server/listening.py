"""The listening socket: bound before anything else starts, emptied when the server ends."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

_BACKLOG = 2048  # uvicorn's own


class ServerError(Exception):
    """The server cannot start. The text is one line."""


def bound_socket(host: str, port: int) -> socket.socket:
    """Raises ServerError where the address cannot be bound."""
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
        reason = (
            os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else str(error)
        )
        shown = f"{host}:{port}" if port else host
        raise ServerError(f"cannot listen on {shown}: {reason}") from error
    listening.set_inheritable(True)
    return listening


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def queued_connections(listening: socket.socket) -> Iterator[socket.socket]:
    """The connections that wait in the kernel. It would reset them when the socket is closed."""
    listening.setblocking(False)
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            connection.setblocking(False)
            yield connection
