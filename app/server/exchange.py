"""The short way: a request and its answer without ASGI's messages, and how many are begun at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Few: libuv takes one new connection in a turn, and a turn of these lasts two milliseconds.
_AT_ONCE = 8


class Answer(Protocol):
    status: int

    def rendered(
        self, request_id: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> tuple[bytes, bool]:
        """The whole message, and whether the connection stays open."""
        ...


class Endpoint(Protocol):
    """Answers the POST requests of `path` whose bodies have at most `most` bytes and are there in `body_seconds`."""

    path: bytes
    most: int
    body_seconds: float
    admission: Admission

    def takes(self, exchange: Exchange) -> bool:
        """Whether a request with these headers needs nothing that stands around the endpoint."""
        ...

    def identify(self, headers: Mapping[str, str]) -> str:
        """The request's id."""
        ...

    def begin(self, exchange: Exchange) -> None:
        """Starts the work; the answer is finished later."""
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


class Exchange:
    """One request of the short way. Among the server's tasks it stands for the task that an ASGI request has.

    `arrived` is the event loop's time. `understood` is what the endpoint made of the headers, for itself.
    """

    __slots__ = (
        "_connection",
        "_endpoint",
        "_identifier",
        "arrived",
        "authorizations",
        "body",
        "disconnected",
        "headers",
        "late",
        "more_body",
        "response_complete",
        "task",
        "understood",
    )

    def __init__(
        self,
        connection: Connection,
        endpoint: Endpoint,
        headers: Mapping[str, str],
        authorizations: Sequence[str],
        arrived: float,
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._identifier: str | None = None
        self.headers = headers
        self.authorizations = authorizations
        self.arrived = arrived
        self.understood: Any = None
        self.body = b""
        self.more_body = True
        self.late = False
        self.disconnected = False
        self.response_complete = False
        self.task: Any = None  # what the endpoint begun for it

    @property
    def identifier(self) -> str:
        if self._identifier is None:
            self._identifier = self._endpoint.identify(self.headers)
        return self._identifier

    def finish(self, answer: Answer | None) -> None:
        """Once: a later answer is dropped."""
        if not self.response_complete:
            self.response_complete = True
            self._connection.ended(self, answer)

    def cancel(self, msg: object = None) -> None:  # noqa: ARG002 - as a task's
        # A task, too, would end in a later turn: the server is counting what it cancels.
        asyncio.get_running_loop().call_soon(self._endpoint.give_up, self)


def headers_of(raw: Sequence[tuple[bytes, bytes]]) -> tuple[dict[str, str], list[str]]:
    """By name, of a repeated one the first; and each `authorization`. `accept` is a list: all of its lines.

    The names are in lower case. https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(headers) == len(raw):
        return headers, [headers["authorization"]] if "authorization" in headers else []
    headers = {}
    authorizations: list[str] = []
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if key not in headers:
            headers[key] = text
        elif key == "accept":
            headers[key] += ", " + text
        if key == "authorization":
            authorizations.append(text)
    return headers, authorizations


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
