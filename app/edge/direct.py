"""uvicorn's connection, with a short way for GraphQL: from its parser to the endpoint and back to its socket.

A POST to the endpoint's address whose body is not large is handed over when all of it is there. Everything else
(another address or method, a chunked or large body, `Expect`, a request behind one that is still answered, a host name
that is not ours) goes through ASGI and its layers, as does everything where the application
offers no endpoint. Both ways give the same answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.edge.connection import BoundedConnection
from app.edge.exchange import Exchange, Head
from app.edge.repeated import RepeatedHead

if TYPE_CHECKING:
    import asyncio

    from app.edge.answer import Answer
    from app.edge.exchange import Endpoint

_LENGTH = b"content-length"
_MOST_DIGITS = 9


class DirectConnection(BoundedConnection):
    """`application.direct`, where there is one, is the endpoint."""

    def __init__(self, config: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(config, *arguments, **named)
        self._endpoint: Endpoint | None = None if self.root_path else getattr(self.app, "direct", None)
        self._head: Head | None = None
        self._length: bytes | None = None
        self._exchange: Exchange | None = None
        self._late: asyncio.TimerHandle | None = None
        self._seen_before = False
        # Set only while the parser stands between two messages.
        self._repeated: RepeatedHead | None = None

    def data_received(self, data: bytes) -> None:
        if self._repeated is not None and self.repeats(data):
            return
        self._repeated = None
        self._seen_before = False
        between = not (self.in_head or self.in_body)
        super().data_received(data)
        if self._endpoint is None:
            return
        if self._exchange is not None:
            if self._late is None:
                self._late = self.loop.call_later(self._endpoint.body_seconds, self._too_late, self._exchange)
        elif self._seen_before and between and self._head is not None and self._length is not None:
            self._repeated = RepeatedHead.of(data, self._length, self._head)

    def repeats(self, data: bytes) -> bool:
        """Whether this is one whole request with the head of the one before it; it is taken then."""
        repeated, endpoint, cycle = self._repeated, self._endpoint, self.cycle
        if repeated is None or endpoint is None or cycle is None or not cycle.response_complete:
            return False
        if self.flow.write_paused or self._deaf or self._too_large:
            return False
        body = repeated.body_of(data, endpoint.most)
        if body is None:
            return False
        self._unset_keepalive_if_required()
        self.idle_since = None
        arrived = self._waiting_since = self.loop.time()
        exchange = Exchange(self, endpoint, repeated.head, arrived, keep_alive=True)
        exchange.body = body
        exchange.more_body = False
        self.cycle = self.in_turn = exchange  # type: ignore[assignment]  # stands for one
        self.tasks.add(exchange)  # type: ignore[arg-type]  # stands for one, too
        endpoint.admission.offer(exchange)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None:
            self.tasks.discard(self._exchange)
            self._body_ended(self._exchange)
        super().connection_lost(exc)
        # An exchange holds its connection: a circle that only the garbage collector's rarest run would find.
        self.cycle = None  # type: ignore[assignment]

    # What the parser tells it.

    def on_message_begin(self) -> None:
        if self._endpoint is None:
            super().on_message_begin()
            return
        self.begin_head()
        self.url = b""
        self.headers = []
        self._length = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._endpoint is None or not self.in_head:
            super().on_header(name, value)
        elif len(name) == len(_LENGTH) and name.lower() == _LENGTH:
            self._length = value
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._endpoint is None:
            super().on_headers_complete()
            return
        exchange = self._taken(self._endpoint)
        if exchange is None:
            self._as_asgi()
            return
        self.end_head()
        self.cycle = self.in_turn = exchange  # type: ignore[assignment]  # stands for one
        self._exchange = exchange
        self.tasks.add(exchange)  # type: ignore[arg-type]  # stands for one, too

    def _taken(self, endpoint: Endpoint) -> Exchange | None:
        length, parser = self._length, self.parser
        if (
            self.url != endpoint.path
            or length is None
            or len(length) > _MOST_DIGITS
            or int(length) > endpoint.most
            or not (self.cycle is None or self.cycle.response_complete)
            or self.flow.write_paused
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or parser.should_upgrade()
        ):
            return None
        head = self._head
        keep_alive = parser.should_keep_alive()
        again = head is not None and head.raw == self.headers
        if head is None or not again:
            head = self._head = Head(self.headers, endpoint)
        if not head.taken:
            return None
        self._seen_before = again and keep_alive
        return Exchange(self, endpoint, head, self._waiting_since, keep_alive=keep_alive)

    def _as_asgi(self) -> None:
        """All that uvicorn would have done by now, and what it does next."""
        url, headers = self.url, self.headers
        super(BoundedConnection, self).on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        if self._length is not None:
            super().on_header(_LENGTH, self._length)
            self._length = None
        super().on_headers_complete()

    def size_of_head(self) -> int:
        size = super().size_of_head()
        return size if self._length is None else size + len(_LENGTH) + len(self._length) + len(b": \r\n")

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_body(body)
        else:
            exchange.body = exchange.body + body if exchange.body else body

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        self.in_body = False
        self._body_ended(exchange)
        assert self._endpoint is not None
        self._endpoint.admission.offer(exchange)

    # What becomes of an exchange.

    def _body_ended(self, exchange: Exchange) -> None:
        exchange.more_body = False
        self._exchange = None
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self, exchange: Exchange) -> None:
        if self._exchange is exchange:
            self._body_ended(exchange)
            exchange.late = True
            assert self._endpoint is not None
            self._endpoint.admission.offer(exchange)

    def ended(self, exchange: Exchange, answer: Answer | None) -> None:
        self.tasks.discard(exchange)
        self.server_state.total_requests += 1
        if exchange.disconnected or self.transport.is_closing():
            return
        if answer is None:
            self.transport.close()
            return
        default = self.server_state.default_headers
        line = STATUS_LINE[answer.status]
        message, stays = answer.rendered(exchange.identifier, line, default, keep_alive=exchange.keep_alive)
        self.transport.write(message)
        if not stays:
            self.transport.close()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.idle_since = self.loop.time()
