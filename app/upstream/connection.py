"""One HTTP/1.1 connection to a backend: writes a request and reads its response. Knows no pool and no retry.

asyncio connects, sends and does TLS; `heads.py` and `chunks.py` read.

    idle -> send() -> head -> body -> complete -> finished() -> idle, or closed
                       any of them -> error    -> abort()
"""

from __future__ import annotations

import asyncio
import math
import select
from collections.abc import Callable, Mapping
from typing import cast

from app.errors import ANSWER_TOO_LARGE, ANSWER_UNREADABLE, CONNECTION_LOST
from app.upstream.chunks import ChunkReader
from app.upstream.failures import ExchangeError
from app.upstream.heads import Head, HeadReader

_MAX_PIECES = 65_536
_LEAST_REFUSAL = 400
_TOO_LARGE = "the body is larger than the limit, or in too many pieces"
_DRAIN_SECONDS = 5.0


class Connection(asyncio.Protocol):
    """Carries one request at a time. Bytes that arrive while it is idle end it: no request asked for them."""

    def __init__(self, forget: Callable[[Connection], None]) -> None:
        self._forget = forget  # called when an idle connection ends
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", None)
        self._poll = select.poll()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._end, self._watched = 0.0, math.inf
        self._heads = HeadReader()
        self._chunks: ChunkReader | None = None
        self._left: int | None = None
        self._limit = 0
        self._size = 0
        self._busy = self._keep = False
        self.lost = False
        self.idle_since = 0.0
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.pieces: list[bytes] = []
        self.complete = False
        self.error: Exception | None = None

    def usable(self, now: float, keepalive: float) -> bool:
        """Whether a request may be sent: the connection is not old, not closed, and has no unread bytes."""
        return (
            not self.lost
            and not self._transport.is_closing()
            and now - self.idle_since < keepalive
            and not self._poll.poll(0)
        )

    def send(self, data: bytes, limit: int) -> None:
        """Sends the request: from here on bytes may have left. `limit` is the most bytes of the response's body."""
        self._heads = HeadReader()
        self._chunks = self._left = self.status = self.error = None
        self.headers, self.pieces = {}, []
        self._limit, self._size = limit, 0
        self._busy = self._keep = True
        self.complete = False
        try:
            self._transport.write(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, some of it may have left
            self._fail(_lost(error))

    async def ended(self, end: float) -> None:
        """Waits until the response is complete or broken, or until the event loop's time `end`. May be called again."""
        if self.complete or self.error is not None:
            return
        self._end = end
        if end < self._watched:
            self._watch(end)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _watch(self, end: float) -> None:
        """Sets the connection's one timer, which is set anew only when a call's time could be over."""
        if self._timer is not None:
            self._timer.cancel()
        self._watched = end
        self._timer = self._loop.call_at(end, self._look)

    def _look(self) -> None:
        self._timer, self._watched = None, math.inf
        if self._waiter is not None and self._end > self._loop.time():
            self._watch(self._end)
        else:
            self._wake()

    def take_status(self) -> None:
        """Takes the status of a refusal or failure whose head did not arrive whole from its first line."""
        if self.status is None and (self._heads.status or 0) >= _LEAST_REFUSAL:
            self.status = self._heads.status

    def finished(self) -> bool:
        """Ends the exchange. Returns whether the connection can carry another one."""
        reusable = self.complete and self._keep and not self.lost and not self._transport.is_closing()
        self._busy = False
        self.idle_since = self._loop.time()
        # The response came before the request's end: the rest of the request would stand before the next one.
        return reusable and not self._transport.get_write_buffer_size()

    def abort(self) -> None:
        self._busy = False
        self._transport.abort()

    def close(self) -> None:
        """Closes the connection. The rest of a request that was answered early is still sent, for a while."""
        self._busy = False
        if self.complete and self._transport.get_write_buffer_size():
            self._loop.call_later(_DRAIN_SECONDS, self._transport.abort)
            self._transport.close()
        else:
            self._transport.abort()

    def _wake_at_the_end(self) -> None:
        if self.complete or self.error is not None:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._keep = False
        if self.complete or self.error is not None:
            return
        if self.status is None and self._heads.status is not None:  # there is an answer, although it cannot be used
            self.status, error = self._heads.status, ExchangeError(ANSWER_UNREADABLE, f"the head broke off: {error}")
        self.error = error

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self._transport.abort()
            return
        if self.complete or self.error is not None:
            self._keep = False  # a surplus
            return
        if self.status is None:
            try:
                head, data = self._heads.feed(data)
            except ExchangeError as error:
                self._fail(error)
            else:
                if head is not None:
                    self._begin_body(head)
        if self.status is not None and self.error is None and (data or self._left == 0):
            self._body(data)
        self._wake_at_the_end()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
        if not self._busy:
            self._forget(self)
            return
        if not self.complete and error is None and self._ends_by_closing():
            self.complete = True
        elif error is None:
            self._fail(ExchangeError(CONNECTION_LOST, "the connection was closed before the end of the response"))
        else:
            self._fail(_lost(error))
        self._wake()

    def _ends_by_closing(self) -> bool:
        return self.status is not None and self.error is None and self._left is None and self._chunks is None

    # Reading the body.

    def _begin_body(self, head: Head) -> None:
        self.status, self.headers, self._keep = head.status, head.headers, head.keep
        self._left = head.length
        if head.length is not None and head.length > self._limit:
            self._fail(ExchangeError(ANSWER_TOO_LARGE, _TOO_LARGE))
        elif head.chunked:
            self._chunks = ChunkReader()

    def _body(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                for piece in self._chunks.feed(data):
                    self._keep_piece(piece)
                    if self.error is not None:
                        return
            except ExchangeError as error:
                self._fail(error)
                return
            self.complete = self._chunks.complete
            self._keep = self._keep and not self._chunks.surplus
        elif self._left is None:
            self._keep_piece(data)
        else:
            self._keep = self._keep and len(data) <= self._left
            if data := data[: self._left]:
                self._keep_piece(data)
            self._left -= len(data)
            self.complete = self._left == 0

    def _keep_piece(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit or len(self.pieces) >= _MAX_PIECES:
            self._fail(ExchangeError(ANSWER_TOO_LARGE, _TOO_LARGE))
        else:
            self.pieces.append(piece)


def _lost(error: Exception) -> ExchangeError:
    return ExchangeError(CONNECTION_LOST, str(error) or type(error).__name__)
