"""What a connection may cost: the size of a request's head, the time it may take, an answer that nobody reads.

uvicorn by itself keeps a head of any size, and waits for ever for a head and for a reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

MAX_HEAD_BYTES = 65_536
HEAD_SECONDS = 30.0
# Longer than the usual balancers and routers keep an idle connection, so that they are the ones to close it: else a
# mutation is sent into a connection that is just closing, and nobody knows what became of it.
_KEEP_ALIVE_SECONDS = 75
# What a refused sender still sends is read for so long: a closed socket would answer it with a reset, which can reach
# the sender before the answer does.
_DRAIN_SECONDS = 2.0


class Config(uvicorn.Config):
    """uvicorn's, with the bounds of a head. Pickled for each worker."""

    def __init__(
        self, app: Any, *, max_head_bytes: int = MAX_HEAD_BYTES, head_seconds: float = HEAD_SECONDS, **options: Any
    ) -> None:
        # No web sockets: where a library for them happens to be installed, uvicorn would accept them.
        super().__init__(
            app,
            **{
                "http": BoundedConnection,
                "ws": "none",
                # Nothing here asks for the client's address or scheme.
                "proxy_headers": False,
                "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
                **options,
            },
        )
        self.max_head_bytes = max_head_bytes
        self.head_seconds = head_seconds


class _HeadTooLargeError(Exception):
    """Ends the parsing; never leaves this file."""


class BoundedConnection(HttpToolsProtocol):
    """A head that grows too large is 431; one that does not come, or an answer not taken, is a closed connection."""

    config: Config

    def __init__(self, config: Config, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self.in_head = False
        self.in_body = False
        self._begun = False
        self._head_size = 0
        self._chunk = 0
        self._fresh = True
        self._too_large = False
        self._deaf = False
        self._waiting_since = 0.0
        self._untaken = 0
        self._watch: asyncio.TimerHandle | None = None
        # The request that is answered now. uvicorn's `cycle` is the last that was read, which may stand behind it.
        self.in_turn: Any = None
        # Since when nothing is asked, where uvicorn's own timer does not watch over that.
        self.idle_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._watch = self.loop.call_later(self.config.head_seconds, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        # Nothing more is begun in the name of one who has gone, and nothing is written to him.
        self.pipeline.clear()
        if self.in_turn is not None and not self.in_turn.response_complete:
            self.in_turn.disconnected = True
            self.in_turn.message_event.set()
        super().connection_lost(exc)
        self.in_turn = None

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.in_turn = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._too_large or self._deaf:
            return
        self._chunk = len(data)
        self._fresh = not self.in_body
        super().data_received(data)
        if self.in_head and not self.transport.is_closing():
            self._head_size += self._chunk
            if self._head_size > self.config.max_head_bytes:
                self._too_large = True
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.begin_head()

    def begin_head(self) -> None:
        # Where in a chunk a head begins is not told; behind another request's body that chunk is not counted.
        self._head_size = 0 if self._fresh else -self._chunk
        self._fresh = False
        self.in_head = self._begun = True
        self.idle_since = None
        self._waiting_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self.end_head()
        super().on_headers_complete()

    def end_head(self) -> None:
        self.in_head = self._fresh = False
        most = self.config.max_head_bytes
        # The chunk may hold the body's beginning, too: only where it could be too much is it looked at closely.
        if self._head_size + self._chunk > most and self.size_of_head() > most:
            self._too_large = True
            raise _HeadTooLargeError
        self.in_body = True

    def on_message_complete(self) -> None:
        self.in_body = False
        super().on_message_complete()

    def size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            # Now, it would be read as the answer to the request that is in flight. That one is the last.
            self._deaf = True
            self.cycle.keep_alive = False
            return
        if not self._too_large:
            super().send_400_response(msg)
            return
        text = f"The request's address and headers are larger than {self.config.max_head_bytes} bytes.\n".encode()
        lines = (
            b"HTTP/1.1 431 Request Header Fields Too Large",
            b"content-type: text/plain; charset=utf-8",
            b"content-length: %d" % len(text),
            b"connection: close",
            b"",
            text,
        )
        self.transport.write(b"\r\n".join(lines))
        self.transport.write_eof()
        self.loop.call_later(_DRAIN_SECONDS, self.transport.close)

    def _look(self) -> None:
        """One timer for a connection, not one for each request: it looks again when the time could be over."""
        seconds = self.config.head_seconds
        untaken, before = self.transport.get_write_buffer_size(), self._untaken
        self._untaken = untaken
        if untaken and untaken == before:
            self.transport.abort()
            return
        now = self.loop.time()
        busy = self.cycle is not None and not self.cycle.response_complete
        left = seconds
        if not busy and (self.in_head or not self._begun):
            left = self._waiting_since + seconds - now
        elif not busy and self.idle_since is not None:
            left = min(seconds, self.idle_since + self.timeout_keep_alive - now)
        if left <= 0:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(left, self._look)
