"""HTTP/1.1 connections of our own (`pool.py` holds those to one origin). Knows nothing of what an answer means.

Own code on the fast path: httpx's transport was two thirds of what a forwarded update cost. asyncio connects, sends
and does TLS; llhttp (by httptools, the parser that uvicorn uses, too) reads. No redirects, cookies, proxies or HTTP/2.
Raises httpx's exceptions, so that one table (`failures.py`) judges both engines: only a ConnectError, ConnectTimeout or
PoolTimeout comes before a byte of the request is written.
"""

from __future__ import annotations

import asyncio
import math
import select
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools
import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from app.upstream.pool import Pool
    from app.upstream.transport import Progress

# As httpcore: a head, or what stands between two pieces of a body, of this size is an attack.
_MAX_OVERHEAD = 100 * 1024
_HELD = 256 * 1024
_REMEMBERED = 2048
_LEAST_STATUS = 100
_LEAST_FINAL_STATUS = 200
_LEAST_REFUSAL = 400
_DRAIN_SECONDS = 5.0


class _Remembered:
    """One whole answer and what the parser made of it: it is not asked again about the same bytes.

    Most answers of a service are alike to the byte for as long as their date is, and a connection is between two
    messages when one begins.
    """

    __slots__ = ("data", "headers", "pieces", "status")

    def __init__(self, data: bytes, status: int, headers: Mapping[str, str], pieces: tuple[bytes, ...]) -> None:
        self.data = data
        self.status = status
        self.headers = headers
        self.pieces = pieces


class Connection(asyncio.Protocol):
    """One connection: one exchange at a time. Between exchanges it is idle, and anything that arrives breaks it."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._end = 0.0
        self._watched_until = math.inf
        self._watch: asyncio.TimerHandle | None = None
        self._progress: Progress | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._overhead = 0
        self._headers: dict[str, str] = {}
        self._interim = False
        self._paused = False
        self._keep = False
        self._untouched = False
        self._remembered: _Remembered | None = None
        self.complete = False
        self.lost = False
        self.idle_since = 0.0

    # What the pool and the transport ask of it.

    def usable(self, now: float, keepalive: float) -> bool:
        """Whether nothing speaks against sending: not old, not closed, and nothing waits to be read."""
        return (
            not self.lost
            and not self._transport.is_closing()
            and now - self.idle_since < keepalive
            and not self._poll.poll(0)
        )

    def send(self, data: bytes, progress: Progress) -> None:
        self._progress = progress
        self._error = None
        self._headers = {}
        self._overhead = 0
        self._interim = self._keep = self.complete = False
        self._untouched = progress.left = True
        try:
            self._transport.write(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, some of it may have left
            self._fail(httpx.WriteError(str(error) or type(error).__name__))

    def begin(self, data: bytes, progress: Progress, end: float) -> asyncio.Future[None]:
        """Sends; done when something came, or broke, or at the event loop's time `end`."""
        self.send(data, progress)
        self._end = end
        if end < self._watched_until:
            self._watch_until(end)
        waiter = self._waiter = self._loop.create_future()
        if self._error is not None:
            self._wake()
        return waiter

    def _watch_until(self, end: float) -> None:
        """One timer for a connection, not one for each exchange: it looks again when the time could be over."""
        if self._watch is not None:
            self._watch.cancel()
        self._watched_until = end
        self._watch = self._loop.call_at(end, self._look)

    def _look(self) -> None:
        self._watch = None
        self._watched_until = math.inf
        if self._progress is None or self._waiter is None:
            return
        if self._end > self._loop.time():
            self._watch_until(self._end)
        else:
            self._wake()

    async def answered(self) -> None:
        """Until the status is known; for a short answer, all of it. Raises an httpx exception."""
        assert self._progress is not None
        while self._progress.status is None and self._error is None:
            await self._changed()
        if self._progress.status is None:
            assert self._error is not None
            raise self._error

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it was sent. Raises an httpx exception where it breaks off."""
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                yield piece
            if self.complete:
                return
            if self._error is not None:
                raise self._error
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            await self._changed()

    def whole(self, most: int) -> bytes | None:
        """The body, where all of it is there and it has at most so many bytes."""
        if not self.complete or self._held > most:
            return None
        found = b"".join(self._pieces) if self._pieces else b""
        self._pieces.clear()
        self._held = 0
        return found

    def ended(self) -> bool:
        """Ends the exchange; whether the connection can be used again."""
        reusable = self.complete and self._keep and not self.lost and not self._transport.is_closing()
        # An answer before the request's end: the rest of the request would stand before the next one.
        reusable = reusable and not self._transport.get_write_buffer_size() and not self._pieces
        self._progress = None
        self.idle_since = self._loop.time()
        return reusable

    def abort(self) -> None:
        self._progress = None
        self._transport.abort()

    def close(self) -> None:
        """What is left of a request that was answered before its end is still sent, for a while."""
        if self.complete and self._transport.get_write_buffer_size():
            self._loop.call_later(_DRAIN_SECONDS, self._transport.abort)
            self._transport.close()
        else:
            self._transport.abort()

    async def _changed(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
            self._waiter = None

    def _fail(self, error: Exception) -> None:
        if self._error is None and not self.complete:
            self._error = error
        self._keep = False

    # What asyncio tells it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._progress is None:
            # Nobody asked: it would be read as the answer to the next request.
            self._transport.abort()
            return
        if self._error is not None:
            return
        first, self._untouched = self._untouched, False
        if first and self._remembered is not None and data == self._remembered.data:
            self._answer_again(self._progress, self._remembered)
            return
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("the service switched protocols unasked"))
        except httptools.HttpParserError as error:
            self._fail(httpx.RemoteProtocolError(str(error)))
        if self._overhead > _MAX_OVERHEAD and not self.complete:
            self._fail(httpx.RemoteProtocolError("the head or the framing of the answer is too large"))
        if self._held > _HELD and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()
        if first and self.complete and self._keep and len(data) <= _REMEMBERED:
            self._remember(data, self._progress)
        self._wake()

    def _remember(self, data: bytes, progress: Progress) -> None:
        # A record is held no longer than its answer; a refusal's text is no record.
        if (
            progress.headers is not None
            and progress.status is not None
            and (not self._pieces or progress.status >= _LEAST_REFUSAL)
        ):
            self._remembered = _Remembered(data, progress.status, progress.headers, tuple(self._pieces))

    def _answer_again(self, progress: Progress, found: _Remembered) -> None:
        progress.headers = found.headers
        progress.status = found.status
        self._pieces.extend(found.pieces)
        self._held += sum(map(len, found.pieces))
        self.complete = self._keep = True
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._progress is None:
            self.pool.forget(self)
            return
        if not self.complete:
            if error is None and self._ends_by_closing():
                self.complete = True
            elif error is None:
                self._fail(httpx.RemoteProtocolError("the connection was closed before the end of the answer"))
            else:
                self._fail(httpx.ReadError(str(error) or type(error).__name__))
        self._wake()

    def _ends_by_closing(self) -> bool:
        assert self._progress is not None
        return (
            self._progress.status is not None
            and self._error is None
            and "content-length" not in self._headers
            and "transfer-encoding" not in self._headers
        )

    # What the parser tells it.

    def on_message_begin(self) -> None:
        self._keep = False  # before the end of an answer this says nothing, after it, that there is a surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.complete:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        assert self._progress is not None
        status = self._parser.get_status_code()
        if status < _LEAST_STATUS:
            self._fail(httpx.RemoteProtocolError(f"status {status}"))
            return
        self._overhead = 0
        self._interim = status < _LEAST_FINAL_STATUS
        if not self._interim and self._error is None:
            self._progress.headers = {key: text for key, text in self._headers.items() if key != "set-cookie"}
            self._progress.status = status

    def on_body(self, piece: bytes) -> None:
        if self.complete or self._error is not None:
            return
        self._overhead = 0
        self._held += len(piece)
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if self._interim:
            self._interim = False
            self._headers = {}
        elif self._error is None:
            self.complete = True
            self._keep = self._parser.should_keep_alive()
