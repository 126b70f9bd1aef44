"""What a connection may cost, in bytes and seconds, beyond uvicorn's own configuration."""

from __future__ import annotations

from typing import Any

import uvicorn

from app.server.connection import Connection
from app.server.summary import Summary

MAX_HEAD_BYTES = 65_536
HEAD_SECONDS = 30.0
# Longer than the usual balancers and routers keep an idle connection, so that they close it first. Otherwise a mutation
# could be sent into a connection that the server is closing, and its outcome would be unknown.
KEEP_ALIVE_SECONDS = 75.0


class Config(uvicorn.Config):
    """`body_seconds` and `answer_seconds` are a last resort: an application's own limits have to be shorter.

    `ending` is set once the server accepts no more connections.
    """

    def __init__(
        self,
        app: Any,
        *,
        max_head_bytes: int = MAX_HEAD_BYTES,
        head_seconds: float = HEAD_SECONDS,
        body_seconds: float = 60.0,
        answer_seconds: float = 600.0,
        keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
        shutdown_delay_seconds: float = 0.0,
        **options: Any,
    ) -> None:
        # No web sockets: uvicorn would accept them wherever a library for them is installed. No proxy headers: nothing
        # here needs the client's address or scheme.
        defaults = {"http": Connection, "ws": "none", "proxy_headers": False, "log_config": None, "lifespan": "on"}
        super().__init__(app, **{**defaults, **options})
        self.max_head_bytes = max_head_bytes
        self.head_seconds = head_seconds
        self.body_seconds = body_seconds
        self.answer_seconds = answer_seconds
        self.keep_alive_seconds = keep_alive_seconds
        self.shutdown_delay_seconds = shutdown_delay_seconds
        self.summary = Summary()
        self.ending = False
