"""One HTTP/1.1 connection under uvicorn's server: from its bytes to an endpoint or an ASGI application, and back.

It handles one request at a time. The parser gets no byte beyond the current request. What a client sends before its
answer is complete waits in a buffer of one read, and then in the kernel.

state      what there is                         its time                        what may happen
---------  ------------------------------------  ------------------------------  ---------------------------------------
idle       no byte of a request                  `keep_alive_seconds`, at first  a byte: head
                                                 `head_seconds`; then closing
head       a part of a head                      `head_seconds`, then closing    its end: body; not taken: draining
body       a head, a part of its body            the endpoint's, then waiting;   its end: waiting; not taken: draining;
                                                 ASGI: `body_seconds`, closing   an answer: answering
waiting    a request, its answer not whole       `answer_seconds`, then cut      its answer: answering
answering  a whole answer, not all taken         `head_seconds` in which little  its end: idle, closing; draining where
                                                 is taken, then cut              more bytes are to come
draining   the last answer, taken or not; what   `head_seconds`, and `_QUIET_    bytes are dropped
           still comes                           SECONDS` of silence; closing
closing    bytes that the client has to take     `head_seconds`, then cut        nothing

When the client ends its side, the connection is closed; a request that arrived whole is answered first.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any

from uvicorn.server import ServerState

from app.server.asgi import STATUS_LINES, AsgiRequest, scope_of
from app.server.direct import Endpoint, EndpointRequest, Response, headers_of
from app.server.parser import RefusedError, RequestParser

if TYPE_CHECKING:
    from app.server.serving import Config

IDLE, HEAD, BODY, WAITING, ANSWERING, DRAINING, CLOSING = range(7)
CONNECTION = "gateway.connection"  # the scope's extension: functions that end the connection as a fault would

# A request that left its client before the shutdown began has this long to arrive.
_LINGER_SECONDS = 1.0
# What a refused sender still sends is read for this long. A closed socket would answer it with a reset, which can reach
# the sender before the answer does.
_QUIET_SECONDS = 2.0
_LEAST_RATE = 512  # bytes a second that the reader of an answer has to take
_OVER = {
    IDLE: (logging.INFO, "closed a connection on which nothing more was asked"),
    HEAD: (logging.WARNING, "closed a connection whose request did not come in time"),
    BODY: (logging.WARNING, "closed a connection whose request body did not come in time"),
    WAITING: (logging.ERROR, "closed a connection whose request had no answer in time"),
    ANSWERING: (logging.WARNING, "closed a connection whose answer was not taken in time"),
    CLOSING: (logging.WARNING, "closed a connection whose last answer was not taken in time"),
}


class Connection(asyncio.Protocol):
    """`application.direct`, if there is one, is the endpoint of the short way."""

    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._app: Any = config.loaded_app
        self._endpoint: Endpoint | None = getattr(self._app, "direct", None)
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self.state = IDLE
        self.keep_alive = True  # whether the connection outlives the current request
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._armed = 0.0
        self._parser = RequestParser(config.max_head_bytes)
        self._pending = b""  # bytes that arrived before the answer and have to wait for it
        self._paused = False
        self._half_closed = False
        self._full = False  # the client has too much to read
        self._untaken = 0  # bytes that it had to read when that was last looked at
        self._request: EndpointRequest | AsgiRequest | None = None

    # From the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as asyncio calls it
        self.transport = transport
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # uvicorn knows its own
        self._enter(IDLE, self._config.head_seconds)
        if self._config.ending:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._server_state.connections.discard(self)
        self.state = CLOSING
        self._forget_request()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._parser.close()
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        state = self.state
        if self._pending or (state in {WAITING, ANSWERING} and self._parser.whole):
            self._pending += data
            self.pause()
        elif state <= BODY:
            self._read(data)
        elif state == DRAINING:
            self._until(min(self._loop.time() + _QUIET_SECONDS, self._drain_end))

    def eof_received(self) -> bool:
        """Returns whether the connection stays open: the client may still read."""
        self._half_closed = True
        if self.state == BODY:
            self._forget_request()
        elif self._request is not None:
            self._request.disconnect(half=True)
        return self.state in {WAITING, ANSWERING} or bool(self._pending)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self.state == ANSWERING:
            self._go_on()

    # Time.

    def _enter(self, state: int, seconds: float) -> None:
        self.state = state
        self._until(self._loop.time() + seconds)

    def _until(self, deadline: float) -> None:
        """Sets the one timer of the connection. It looks again when the current state's time could be over."""
        self._deadline = deadline
        if self._timer is None or self._armed > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._armed = deadline
            self._timer = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        now, seconds = self._loop.time(), self._config.head_seconds
        if now < self._deadline:
            self._until(self._deadline)
            return
        untaken = self.transport.get_write_buffer_size()
        if self.state == ANSWERING and untaken <= self._untaken - _LEAST_RATE * seconds:
            self._untaken = untaken
            self._until(now + seconds)
            return
        if self.state == BODY and isinstance(self._request, EndpointRequest):
            self._request.body = None
            self._complete(self._request)
            return
        if self.state in _OVER:
            self._config.summary.add(*_OVER[self.state])
        (self.cut if self.state in {WAITING, ANSWERING, CLOSING} else self._close)()

    def shutdown(self) -> None:
        """Called by the server: the current request, or the one on its way, is the last."""
        if self.state <= HEAD and not self._pending:
            self._until(min(self._deadline, self._loop.time() + _LINGER_SECONDS))
        elif self.state <= WAITING:
            self.keep_alive = False

    # Reading.

    def _read(self, data: bytes) -> None:
        """Feeds the parser what belongs to the current request, and keeps what lies behind its end."""
        before, at, size = self.state, 0, len(data)
        try:
            while at < size and (at == 0 or not self._parser.whole):
                at = self._take(data, at)
        except RefusedError as refusal:
            self._refuse(refusal)
            return
        if self.state in {HEAD, BODY}:
            if self._half_closed:
                self._close()
            elif self.state != before:
                self._enter(self.state, self._config.head_seconds if self.state == HEAD else self._body_seconds)
        elif at < size and self.state <= ANSWERING:
            self._pending = data[at:]
            self.pause()
            if self.state == IDLE:
                # The next request begins in its own turn of the event loop.
                self._loop.call_soon(self._read_pending)

    def _take(self, data: bytes, at: int) -> int:
        parser = self._parser
        if self.state == IDLE:
            if data[at] in b"\r\n":
                # https://www.rfc-editor.org/rfc/rfc9112#section-2.2: empty lines before a request are ignored.
                return len(data) - len(data[at:].lstrip(b"\r\n"))
            parser.reset()
            self.state, self._arrived = HEAD, self._loop.time()
        at = parser.feed(data, at)
        if self.state == HEAD and parser.head:
            self._route()
        body, parser.body = parser.body, []
        if self._request is not None:
            for part in body:
                self._request.feed(part)
            if parser.whole:
                self._complete(self._request)
        return at

    def _complete(self, request: EndpointRequest | AsgiRequest) -> None:
        if self.state == BODY:
            self._enter(WAITING, self._config.answer_seconds)
        request.complete()

    def _read_pending(self) -> None:
        if self.state == IDLE and self._pending:
            data, self._pending = self._pending, b""
            self._read(data)
            if self.state <= BODY and not self._pending:
                self.resume()
            if self.state == IDLE and self._half_closed:
                self._close()

    # Routing a request.

    def _route(self) -> None:
        """Sends the request one of the two ways once its head is there. Raises RefusedError."""
        parser, endpoint = self._parser, self._endpoint
        self.state = BODY
        self.keep_alive = parser.keep_alive and not self._config.ending
        if endpoint is not None and parser.url == endpoint.path and parser.may_go_short(endpoint.most):
            request = EndpointRequest(
                self, endpoint, *headers_of(parser.fields, endpoint.names, parser.headers), self._arrived
            )
            if endpoint.takes(request):
                self._request = request
                self._body_seconds = endpoint.body_seconds
                self._server_state.tasks.add(request)  # type: ignore[arg-type]  # stands for one
                return
        self._body_seconds = self._config.body_seconds
        scope = scope_of(parser, self._config.asgi_version, self._app_state)
        scope["extensions"] = {CONNECTION: {"reset": self.reset, "close": self._close}}
        self._request = AsgiRequest(self, scope)
        task = self._loop.create_task(self._request.run(self._app))
        task.add_done_callback(self._server_state.tasks.discard)
        self._server_state.tasks.add(task)

    def _forget_request(self) -> None:
        """Begins nothing more for a client that has gone, and writes nothing to it."""
        request, self._request = self._request, None
        if request is not None:
            request.disconnect()

    # Writing.

    def ended(self, request: EndpointRequest, response: Response | None) -> None:
        """Writes the answer of the short way."""
        self._server_state.tasks.discard(request)
        if request is not self._request:
            return
        if response is None:
            self.cut()
            return
        line, default = STATUS_LINES[response.status], self.default_headers
        message, self.keep_alive = response.rendered(request.identifier, line, default, keep_alive=self.stays)
        self.answer(message)

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return self._server_state.default_headers

    @property
    def stays(self) -> bool:
        """Whether the connection may outlive an answer that begins now."""
        return self.keep_alive and self._parser.whole

    def answer(self, data: bytes, *, last: bool = True) -> None:
        if not last:
            self.transport.write(data)
            return
        self.state, self._request = ANSWERING, None
        self.transport.write(data)
        self._server_state.total_requests += 1
        if self._full:
            self._untaken = self.transport.get_write_buffer_size()
            self._until(self._loop.time() + self._config.head_seconds)
        else:
            self._go_on()

    def _go_on(self) -> None:
        """Goes on with the next request, or ends, once the client has read the answer."""
        if not self.keep_alive or (self._half_closed and not self._pending):
            nothing_comes = self._half_closed or (self._parser.whole and not self._pending)
            (self._close if nothing_comes else self._drain)()
            return
        self._enter(IDLE, _LINGER_SECONDS if self._config.ending else self._config.keep_alive_seconds)
        if self._pending:
            self._loop.call_soon(self._read_pending)
        else:
            self.resume()

    def _refuse(self, refusal: RefusedError) -> None:
        """Answers bytes that are no request, or none that is accepted. The connection ends with that answer."""
        self._forget_request()
        status, body = refusal.status, f"{refusal}\n".encode()
        self._config.summary.add(logging.WARNING, f"refused a request with {status}: {refusal}")
        lines = [STATUS_LINES[status], *(b"%b: %b\r\n" % item for item in self.default_headers)]
        lines.append(b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body))
        self.transport.write(b"%bconnection: close\r\n\r\n%b" % (b"".join(lines), body))
        self._drain()

    # The end.

    def _drain(self) -> None:
        if self.transport.is_closing():
            return
        self._pending = b""
        self._drain_end = self._loop.time() + self._config.head_seconds
        self._enter(DRAINING, min(_QUIET_SECONDS, self._config.head_seconds))
        self.transport.write_eof()
        self.resume()

    def _close(self) -> None:
        self._forget_request()
        self._enter(CLOSING, self._config.head_seconds)
        self.transport.close()

    def cut(self) -> None:
        """Closes the connection although the answer is not whole."""
        self._forget_request()
        self.state = CLOSING
        self.transport.abort()

    def reset(self) -> None:
        # With a linger time of zero the kernel sends RST instead of FIN.
        tcp_socket = self.transport.get_extra_info("socket")
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()
