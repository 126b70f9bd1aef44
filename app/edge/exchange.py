"""A GraphQL request and its answer without ASGI's messages between them, and how many are begun at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from app.edge.caller import REQUEST_ID, request_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.edge.answer import Answer

# Few: libuv takes one new connection in a turn, and a turn of these lasts two milliseconds.
_AT_ONCE = 8


class Endpoint(Protocol):
    """Answers the POST requests of `path` whose bodies have at most `most` bytes and are there in `body_seconds`."""

    path: bytes
    most: int
    body_seconds: float
    admission: Admission

    def takes(self, head: Head) -> bool:
        """Whether a request with these headers needs nothing that stands around the endpoint."""
        ...

    def begin(self, exchange: Exchange) -> None:
        """Whose answer is finished later."""
        ...

    def overloaded(self, waiting: int) -> bool:
        """Whether there are too many, with so many that wait to be begun."""
        ...

    def refuse(self, exchange: Exchange) -> None:
        """Answers at once that there are too many."""
        ...

    def give_up(self, exchange: Exchange) -> None:
        """Answers one that is unanswered when the time to shut down is over."""
        ...


class Connection(Protocol):
    def ended(self, exchange: Exchange, answer: Answer | None) -> None:
        """Writes the answer, if there is one and somebody to read it."""
        ...


class _Nobody:
    """In place of the event that wakes an ASGI application: here nobody waits for a message."""

    def set(self) -> None: ...


_NOBODY = _Nobody()


class Head:
    """What a request's headers say. A connection's next request mostly says the same, and is given the same head.

    `headers` are by lower-case name, of a repeated one the first; `authorizations` are all of that name.
    `understood` is what the endpoint made of them, for itself.
    """

    __slots__ = ("authorizations", "headers", "raw", "taken", "understood")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]], endpoint: Endpoint) -> None:
        self.raw = raw
        self.headers, self.authorizations = headers_of(raw)
        self.understood: Any = None
        self.taken = "expect" not in self.headers and endpoint.takes(self)


class Exchange:
    """Stands where uvicorn keeps its request-response cycle and the task that runs it, with what uvicorn asks of both.

    `arrived` is the event loop's time.
    """

    __slots__ = (
        "_connection",
        "_endpoint",
        "_identifier",
        "arrived",
        "body",
        "disconnected",
        "head",
        "keep_alive",
        "late",
        "message_event",
        "more_body",
        "response_complete",
        "task",
    )

    def __init__(
        self,
        connection: Connection,
        endpoint: Endpoint,
        head: Head,
        arrived: float,
        *,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._identifier: str | None = None
        self.head = head
        self.arrived = arrived
        self.keep_alive = keep_alive
        self.body = b""
        self.more_body = True
        self.late = False
        self.disconnected = False
        self.response_complete = False
        self.message_event = _NOBODY
        self.task: Any = None  # what the endpoint begun for it

    @property
    def headers(self) -> Mapping[str, str]:
        return self.head.headers

    @property
    def authorizations(self) -> Sequence[str]:
        return self.head.authorizations

    @property
    def identifier(self) -> str:
        if self._identifier is None:
            self._identifier = request_id(self.headers.get(REQUEST_ID))
        return self._identifier

    def finish(self, answer: Answer | None) -> None:
        """Once: a later answer is dropped."""
        if not self.response_complete:
            self.response_complete = True
            self._connection.ended(self, answer)

    def cancel(self, msg: object = None) -> None:  # noqa: ARG002 - as a task's
        # A task, too, would end in a later turn: the server is counting what it cancels.
        asyncio.get_running_loop().call_soon(self._endpoint.give_up, self)


def headers_of(raw: Sequence[tuple[bytes, bytes]]) -> tuple[Mapping[str, str], Sequence[str]]:
    """By lower-case name, of a repeated one the first; and each `authorization`. `accept` is a list: all of its lines.

    https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    found: dict[str, str] = {}
    authorizations: list[str] = []
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key not in found:
            found[key] = text
        elif key == "accept":
            found[key] += ", " + text
        if key == "authorization":
            authorizations.append(text)
    return found, authorizations


class Admission:
    """Begins at most `at_once` requests in each turn of the event loop; the others wait, in order, having cost nothing.

    So what the backends answered is dealt with before more is begun: under more load than it can bear the gateway has
    no more operations under way than the backends keep, and each costs what it costs alone. How many may wait is the
    endpoint's to say.
    """

    def __init__(self, endpoint: Endpoint, at_once: int = _AT_ONCE) -> None:
        self._endpoint = endpoint
        self._at_once = at_once
        self._begun = 0
        self._waiting: deque[Exchange] = deque()

    def offer(self, exchange: Exchange) -> None:
        if self._endpoint.overloaded(len(self._waiting)):
            self._endpoint.refuse(exchange)
        elif self._begun < self._at_once and not self._waiting:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)

    def _begin(self, exchange: Exchange) -> None:
        self._begun += 1
        if self._begun == 1:
            asyncio.get_running_loop().call_soon(self._turn)
        self._endpoint.begin(exchange)

    def _turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._at_once:
            exchange = self._waiting.popleft()
            if exchange.disconnected:
                exchange.finish(None)  # nothing is begun in the name of one who has gone
            elif not exchange.response_complete:
                self._begin(exchange)
