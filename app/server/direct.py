"""The short way: a request to an endpoint and its answer, without ASGI messages."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from app.server.connection import Connection

# Few: libuv accepts one new connection in a turn, and a turn with these takes two milliseconds.
_AT_ONCE = 8
_NONE: AbstractSet[str] = frozenset()


class Response(Protocol):
    status: int

    def rendered(
        self, request_id: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> tuple[bytes, bool]:
        """Returns the whole message, and whether the connection stays open."""
        ...


class EndpointRequest(Struct, eq=False):
    """A request to an endpoint. `connection` is that of the short way; None where the request came over ASGI.

    On the short way it stands in the server's set of tasks, where an ASGI request has a task, and `task` is what the
    endpoint began. `arrived` is the event loop's time. `identifier` is the request's id. `ambiguous` are the headers
    with different values. `body` is None where it did not come in time.
    """

    connection: Connection | None
    endpoint: Endpoint
    headers: Mapping[str, str]
    ambiguous: AbstractSet[str]
    arrived: float
    identifier: str = ""
    body: bytes | None = b""
    more_body: bool = True
    disconnected: bool = False
    response_complete: bool = False
    task: asyncio.Task[None] | None = None

    # Called by the connection.

    def feed(self, data: bytes) -> None:
        self.body = self.body + data if self.body else data

    def complete(self) -> None:
        self.more_body = False
        self.endpoint.offer(self)

    def disconnect(self, *, half: bool = False) -> None:
        if half:
            return
        self.disconnected = True
        if self.more_body:  # the endpoint has not seen it yet
            self.finish(None)

    # Called by the endpoint, and by the server.

    def finish(self, response: Response | None) -> None:
        """Accepts the first answer only; later ones are dropped."""
        if not self.response_complete and self.connection is not None:
            self.response_complete = True
            self.connection.ended(self, response)

    def cancel(self, msg: object = None) -> None:  # noqa: ARG002 - as a task's
        # A task, too, would end in a later turn. The server is counting what it cancels.
        asyncio.get_running_loop().call_soon(self._give_up)

    def _give_up(self) -> None:
        if not self.response_complete:
            self.finish(self.endpoint.abandoned(self))


def headers_of(
    lines: Sequence[tuple[bytes, bytes]], names: Mapping[bytes, str], last: Mapping[bytes, bytes] | None = None
) -> tuple[dict[str, str], AbstractSet[str]]:
    """Returns the headers in `names`, which are in lower case, and which of them have different values.

    Such values are joined to a list: https://www.rfc-editor.org/rfc/rfc9110#section-5.3. For a header that is no list
    they are malformed. Headers that are not named are never decoded. `last` has the last value of each header.
    """
    last = dict(lines) if last is None else last
    if len(last) == len(lines):
        return {names[name]: last[name].rstrip().decode("latin-1") for name in names.keys() & last.keys()}, _NONE
    headers: dict[str, str] = {}
    ambiguous: set[str] = set()
    for name, value in lines:
        if name in names:
            key, text = names[name], value.rstrip().decode("latin-1")
            if key in headers and headers[key] != text:
                ambiguous.add(key)
                text = f"{headers[key]}, {text}"
            headers[key] = text
    return headers, ambiguous


class Endpoint(ABC):
    """Answers POST requests to `path` with bodies of at most `most` bytes that arrive within `body_seconds`.

    `names` are the headers that it reads, as they come and decoded.

    At most `at_once` requests begin in each turn of the event loop. The others wait in order, and cost nothing yet.
    Backends' answers are therefore handled before more requests begin. Under overload the gateway has no more
    operations under way than the backends can serve, and each costs no more than it costs alone.
    """

    path: bytes
    names: Mapping[bytes, str]
    most: int
    body_seconds: float

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._begun = 0
        self._waiting: deque[EndpointRequest] = deque()

    @abstractmethod
    def takes(self, request: EndpointRequest) -> bool:
        """Whether the layers around the endpoint have nothing to do for these headers. Then it sets `identifier`."""

    @abstractmethod
    def begin(self, request: EndpointRequest) -> None:
        """Starts the work. The answer is finished later."""

    @abstractmethod
    def refusal(self, request: EndpointRequest, waiting: int) -> Response | None:
        """The answer where there is too much work, counting the requests that wait to begin."""

    @abstractmethod
    def abandoned(self, request: EndpointRequest) -> Response:
        """The answer to a request that has none when the time to shut down is over."""

    def offer(self, request: EndpointRequest) -> None:
        if (refusal := self.refusal(request, len(self._waiting))) is not None:
            request.finish(refusal)
        elif self._begun < self._at_once and not self._waiting:
            self._begin(request)
        else:
            self._waiting.append(request)

    def _begin(self, request: EndpointRequest) -> None:
        self._begun += 1
        if self._begun == 1:
            asyncio.get_running_loop().call_soon(self._turn)
        self.begin(request)

    def _turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._at_once:
            request = self._waiting.popleft()
            if request.disconnected:
                request.finish(None)  # nothing is begun for a client that has gone
            elif not request.response_complete:
                self._begin(request)
