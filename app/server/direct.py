"""The short way: a request and its answer without ASGI messages, and how many requests begin at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.server.connection import Connection

# Few: libuv accepts one new connection in a turn, and a turn with these takes two milliseconds.
_AT_ONCE = 8


class Response(Protocol):
    status: int

    def rendered(
        self, request_id: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> tuple[bytes, bool]:
        """Returns the whole message, and whether the connection stays open."""
        ...


class Endpoint(Protocol):
    """Answers POST requests to `path` with bodies of at most `most` bytes that arrive within `body_seconds`.

    `names` are the headers that it reads, as they come and decoded.
    """

    path: bytes
    names: dict[bytes, str]
    most: int
    body_seconds: float
    admission: Admission

    def takes(self, direct: DirectRequest) -> bool:
        """Whether the layers around the endpoint have nothing to do for these headers. Then it sets `identifier`."""
        ...

    def begin(self, direct: DirectRequest) -> None:
        """Starts the work. The answer is finished later."""
        ...

    def overloaded(self, waiting: int) -> bool:
        """Whether there is too much work, counting the requests that wait to begin."""
        ...

    def refuse(self, direct: DirectRequest) -> None:
        """Answers at once that the gateway is overloaded."""
        ...

    def give_up(self, direct: DirectRequest) -> None:
        """Answers a request that is still unanswered when the time to shut down is over."""
        ...


class DirectRequest:
    """One request of the short way. It stands in the server's set of tasks, where an ASGI request has a task.

    `arrived` is the event loop's time. `identifier` is the request's id.
    """

    __slots__ = (
        "_connection",
        "_endpoint",
        "arrived",
        "authorizations",
        "body",
        "disconnected",
        "headers",
        "identifier",
        "late",
        "more_body",
        "response_complete",
        "task",
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
        self.identifier = ""
        self.headers = headers
        self.authorizations = authorizations
        self.arrived = arrived
        self.body = b""
        self.more_body = True
        self.late = False
        self.disconnected = False
        self.response_complete = False
        self.task: Any = None  # the task that the endpoint began

    def finish(self, response: Response | None) -> None:
        """Accepts the first answer only; later ones are dropped."""
        if not self.response_complete:
            self.response_complete = True
            self._connection.ended(self, response)

    def cancel(self, msg: object = None) -> None:  # noqa: ARG002 - as a task's
        # A task, too, would end in a later turn. The server is counting what it cancels.
        asyncio.get_running_loop().call_soon(self._endpoint.give_up, self)


def headers_of(lines: Iterable[tuple[bytes, bytes]], names: Mapping[bytes, str]) -> tuple[dict[str, str], list[str]]:
    """Returns the headers in `names`, which are in lower case, and every `authorization`. Others are never decoded.

    Of a repeated header the first line counts; `accept` is a list, whose lines are joined.
    https://www.rfc-editor.org/rfc/rfc9110#section-5.3
    """
    headers: dict[str, str] = {}
    authorizations: list[str] = []
    for name, value in lines:
        if name not in names:
            continue
        key, text = names[name], value.decode("latin-1")
        if key not in headers:
            headers[key] = text
        elif key == "accept":
            headers[key] += ", " + text
        if key == "authorization":
            authorizations.append(text)
    return headers, authorizations


class Admission:
    """Begins at most `at_once` requests in each turn of the event loop. The others wait in order, and cost nothing yet.

    Backends' answers are therefore handled before more requests begin. Under overload the gateway has no more
    operations under way than the backends can serve, and each costs no more than it costs alone. The endpoint decides
    how many may wait.
    """

    def __init__(self, endpoint: Endpoint, at_once: int = _AT_ONCE) -> None:
        self._endpoint = endpoint
        self._at_once = at_once
        self._begun = 0
        self._waiting: deque[DirectRequest] = deque()

    def offer(self, direct: DirectRequest) -> None:
        if self._endpoint.overloaded(len(self._waiting)):
            self._endpoint.refuse(direct)
        elif self._begun < self._at_once and not self._waiting:
            self._begin(direct)
        else:
            self._waiting.append(direct)

    def _begin(self, direct: DirectRequest) -> None:
        self._begun += 1
        if self._begun == 1:
            asyncio.get_running_loop().call_soon(self._turn)
        self._endpoint.begin(direct)

    def _turn(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._at_once:
            direct = self._waiting.popleft()
            if direct.disconnected:
                direct.finish(None)  # nothing is begun for a client that has gone
            elif not direct.response_complete:
                self._begin(direct)
