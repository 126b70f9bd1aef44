"""GraphQL without ASGI: the same answers as with it, and what may happen to a request on the way. Over real sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.edge.auth.authenticator import Authenticator, Caller
from app.edge.settings import EdgeSettings
from app.server.connection import Connection as Direct
from app.server.direct import Endpoint, EndpointRequest
from tests.edge.serving import notebook_app, serve
from tests.graphql.asking import UPDATE
from tests.graphql.notebook import FIRST, LocalNotebook
from tests.patience import given_time
from tests.server.test_connection import connected

QUERY = json.dumps({"query": f'{{ note(id: "{FIRST}") {{ title }} }}'}).encode()
SLOW = json.dumps({"query": UPDATE, "variables": {"input": {"title": "slow"}}}).encode()
JSON = ("content-type: application/json",)


def body_of(title: str) -> bytes:
    return json.dumps({"query": UPDATE, "variables": {"input": {"title": title}}}).encode()


@dataclass
class Case:
    """`direct` is whether it goes the short way where there is one."""

    id: str
    body: bytes = QUERY
    headers: tuple[str, ...] = JSON
    line: str = "POST /graphql HTTP/1.1"
    direct: bool = True
    settings: EdgeSettings = field(default_factory=EdgeSettings)
    length: bool = True
    host: str = "a"

    def request(self) -> bytes:
        length = [f"Content-Length: {len(self.body)}"] if self.length else []
        head = [self.line, f"Host: {self.host}", "X-Request-Id: same", *self.headers, *length, "", ""]
        return "\r\n".join(head).encode("latin-1") + self.body


CASES = [
    Case("a query"),
    Case("a mutation", body_of("New")),
    Case("a refused mutation", body_of("taken")),
    Case("two faults", body_of("both")),
    Case("a bug", body_of("bug")),
    Case("a null where none may be", json.dumps({"query": f'{{ note(id: "{FIRST}") {{ promised }} }}'}).encode()),
    Case("the newer media type", headers=(*JSON, "accept: application/graphql-response+json")),
    Case("the newer media type, refused", b"{", (*JSON, "accept: application/graphql-response+json")),
    Case("accept in two lines", headers=(*JSON, "accept: text/html", "accept: application/json")),
    Case("no acceptable type", headers=(*JSON, "accept: text/html")),
    Case("no JSON", b'{"query'),
    Case("no UTF-8", b'{"query": "\xff"}'),
    Case("an empty body", b""),
    Case("no query", b"{}"),
    Case("an array", b"[]"),
    Case("a batch", b"[" + QUERY + b"," + QUERY + b"]", settings=EdgeSettings(max_batch=2)),
    Case("no content type", headers=()),
    Case("another content type", headers=("content-type: text/plain",)),
    Case("a compressed body", headers=(*JSON, "content-encoding: gzip")),
    Case("identity is no compression", headers=(*JSON, "content-encoding: identity")),
    Case("a document that is refused", b'{"query": "{ nothing }"}'),
    Case("a variable that is refused", json.dumps({"query": UPDATE, "variables": {"input": {"title": 7}}}).encode()),
    Case("an unknown simulation", headers=(*JSON, "x-simulate: NOTHING")),
    Case("a simulation", headers=(*JSON, "x-simulate: TITLE_TAKEN")),
    Case("no time-out", headers=(*JSON, "x-request-timeout: soon")),
    Case("a time-out", headers=(*JSON, "x-request-timeout: 5000")),
    Case("the last request", headers=(*JSON, "connection: close")),
    Case("too many operations", settings=EdgeSettings().model_copy(update={"max_operations": 0})),
    Case("too many operations, and no acceptable type", headers=(*JSON, "accept: a/b"), settings=EdgeSettings().model_copy(update={"max_operations": 0})),
    Case("HTTP/1.0", line="POST /graphql HTTP/1.0", direct=False),
    Case("a body in chunks", b"%x\r\n%b\r\n0\r\n\r\n" % (len(QUERY), QUERY), (*JSON, "transfer-encoding: chunked"), length=False, direct=False),
    Case("a large body", QUERY + b" " * 70_000, direct=False),
    Case("a larger body than may be", QUERY, settings=EdgeSettings(max_body_bytes=10), direct=False),
    Case("another method", b"", line="PUT /graphql HTTP/1.1", direct=False),
    Case("another path", b"", line="POST /graphql/ HTTP/1.1", direct=False),
    Case("a query string", line="POST /graphql?a=b HTTP/1.1", direct=False),
    Case("an upgrade", headers=(*JSON, "connection: upgrade", "upgrade: h2c")),
    Case("another origin where none was named", headers=(*JSON, "origin: https://page.test")),
    Case("another origin", headers=(*JSON, "origin: https://page.test"), settings=EdgeSettings(cors_origins=("https://page.test",)), direct=False),
    Case("a host that is ours", host="ours.test:80", settings=EdgeSettings(allowed_hosts=("ours.test",))),
    Case("a host that is not ours", host="evil.test", settings=EdgeSettings(allowed_hosts=("ours.test",)), direct=False),
    Case("the router", json.dumps({"query": "{ _service { sdl } }"}).encode(), (*JSON, "router-authorization: s"), settings=EdgeSettings(router_secret="s")),
    Case("not the router", json.dumps({"query": "{ _service { sdl } }"}).encode(), settings=EdgeSettings(router_secret="s")),
]  # fmt: skip


class LongWay(Direct):
    """Everything goes over ASGI."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._endpoint = None


def counting() -> tuple[type[Direct], list[bool]]:
    """A connection that says of each request whether it went the short way."""
    ways: list[bool] = []

    class Counting(Direct):
        def _route(self) -> None:
            super()._route()
            ways.append(isinstance(self._request, EndpointRequest))

    return Counting, ways


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert length is not None
    return head + await reader.readexactly(int(length[1]))


def parts_of(answer: bytes) -> tuple[bytes, set[bytes], bytes]:
    """Status, headers in any order but the date, body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    named = [line for line in lines if not line.startswith(b"date: ")]
    assert len(named) == len(set(named)) == len(lines) - 1
    return status, set(named), body


# By the case that brings them first.
SETTINGS = {repr(case.settings): case for case in reversed(CASES)}


@pytest.mark.parametrize(
    "settings", [case.settings for case in SETTINGS.values()], ids=[case.id for case in SETTINGS.values()]
)
async def test_both_ways_give_the_same_answer(settings: EdgeSettings):
    cases = [case for case in CASES if case.settings == settings]
    told: dict[str, list[Any]] = {case.id: [] for case in cases}
    kind, ways = counting()
    for http in (LongWay, kind):
        app = notebook_app(settings)
        async with serve(app, http=http) as (address, server):
            for case in cases:
                async with connected(address) as (reader, writer):
                    writer.write(case.request())
                    answer = parts_of(await one_answer(reader))
                    told[case.id].append(answer)
                    if b"connection: close" in answer[1]:
                        assert await reader.read() == b""
                assert app.state.in_flight == set()
                assert server.server_state.tasks == set()
    assert {name: answers for name, answers in told.items() if answers[0] != answers[1]} == {}
    assert dict(zip(told, ways, strict=True)) == {case.id: case.direct for case in cases}


async def test_a_request_in_pieces_and_others_behind_it_are_answered_in_order():
    kind, ways = counting()
    request = Case("", body_of("slow")).request()
    behind = Case("", headers=(*JSON, "x-request-id: second")).request().replace(b"X-Request-Id: same\r\n", b"")
    notebook = LocalNotebook()
    app = notebook_app(notebook=notebook)
    async with serve(app, http=kind) as (address, server), connected(address) as (reader, writer):
        for cut in (request[:30], request[30:-40], request[-40:]):
            writer.write(cut)
            await writer.drain()
            await asyncio.sleep(0)
        await notebook.entered.wait()
        writer.write(behind + behind)
        (connection,) = server.server_state.connections
        while len(connection._pending) < 2 * len(behind):
            await asyncio.sleep(0)
        notebook.release.set()
        answers = [await one_answer(reader) for _ in range(3)]
        writer.write(behind)
        answers.append(await one_answer(reader))
    assert [b'"updateNote"' in answer for answer in answers] == [True, False, False, False]
    assert [b"x-request-id: second" in answer for answer in answers] == [False, True, True, True]
    assert ways == [True] * 4


async def test_a_body_that_is_on_its_way_when_the_time_to_shut_down_is_over_is_answered():
    async with serve(notebook_app(), timeout_graceful_shutdown=0) as (address, server), connected(address) as streams:
        reader, writer = streams
        writer.write(Case("").request()[:-5])
        while not server.server_state.tasks:
            await asyncio.sleep(0)
        server.should_exit = True
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"BODY_TOO_SLOW" in answer


@pytest.mark.parametrize("http", [LongWay, Direct])
@pytest.mark.parametrize("behind", [b"NO HTTP\r\n\r\n", b"GET /" + b"a" * 2000], ids=["no request", "too large a head"])
async def test_what_is_wrong_behind_a_request_in_flight_has_an_answer_of_its_own(http, behind: bytes):
    notebook = LocalNotebook()
    app = notebook_app(notebook=notebook)
    async with serve(app, http=http, max_head_bytes=1000) as (address, _), connected(address) as (reader, writer):
        writer.write(Case("", SLOW).request())
        await notebook.entered.wait()
        writer.write(behind)
        await writer.drain()
        # The server has seen it once a later connection is answered.
        async with connected(address) as (other, asking):
            asking.write(Case("").request())
            await one_answer(other)
        notebook.release.set()
        status, _, body = parts_of(await one_answer(reader))
        then = await reader.read()
    assert (status, body) == (b"HTTP/1.1 200 OK", b'{"data":{"updateNote":{"note":{"title":"slow"}}}}')
    assert then.startswith(b"HTTP/1.1 4")


async def test_after_the_time_to_shut_down_nothing_more_is_begun():
    """Who was still being asked for a token's owner when that time was over has been told that the outcome is unknown."""
    entered, release = asyncio.Event(), asyncio.Event()

    class Checker:
        async def find(self, token: str) -> Caller | None:
            entered.set()
            await release.wait()
            return Caller(token)

    notebook = LocalNotebook()
    app = notebook_app(notebook=notebook, authenticator=Authenticator([Checker()]))
    async with serve(app, timeout_graceful_shutdown=0) as (address, server), connected(address) as (reader, writer):
        writer.write(Case("", body_of("late"), (*JSON, "authorization: Bearer x")).request())
        await entered.wait()
        server.should_exit = True
        status, _, body = parts_of(await reader.read())
        release.set()
    assert status == b"HTTP/1.1 500 Internal Server Error"
    assert b'"outcome":"UNKNOWN"' in body
    assert app.state.in_flight == set()
    assert notebook.calls == []


async def test_who_goes_away_with_half_a_body_leaves_nothing_behind():
    async with serve(notebook_app()) as (address, server):
        async with connected(address) as (_, writer):
            writer.write(Case("").request()[:-5])
            while not server.server_state.tasks:
                await asyncio.sleep(0)
            writer.transport.abort()
        while server.server_state.connections:
            await asyncio.sleep(0)
        assert server.server_state.tasks == set()


async def test_a_connection_on_which_nothing_more_is_asked_is_closed():

    async def attempt(seconds: float) -> None:
        options: dict[str, Any] = {"keep_alive_seconds": 1.5 * seconds, "head_seconds": seconds}
        async with serve(notebook_app(), **options) as (address, _), connected(address) as (reader, writer):
            writer.write(Case("").request())
            try:
                answer = await one_answer(reader)
            except (ConnectionResetError, asyncio.IncompleteReadError) as error:
                raise AssertionError from error
            assert b'"title":"First"' in answer
            assert await reader.read() == b""

    await given_time(attempt, 0.02)


@pytest.mark.parametrize("http", [LongWay, Direct])
async def test_a_closed_connection_is_freed_without_the_garbage_collector(http):
    """Else a busy server keeps thousands of closed ones until the collector's rarest run."""
    gc.collect()
    gc.disable()
    try:
        async with serve(notebook_app(), http=http) as (address, server):
            async with connected(address) as (reader, writer):
                writer.write(Case("").request())
                await one_answer(reader)
                (found,) = server.server_state.connections
                gone = weakref.ref(found)
                del found
            # The loop itself lets go of it within a few of its rounds.
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not server.server_state.connections
            assert gone() is None
    finally:
        gc.enable()


class Remembering(Endpoint):
    """Remembers what was begun."""

    path, names, most, body_seconds = b"/", {}, 1, 1.0

    def __init__(self, room: int = 1000) -> None:
        super().__init__(at_once=3)
        self.room = room
        self.begun: list[Any] = []

    def takes(self, exchange: Any) -> bool:
        return exchange is not None

    def begin(self, exchange: Any) -> None:
        self.begun.append(exchange)

    def refusal(self, exchange: Any, waiting: int) -> Any:  # noqa: ARG002
        return "overloaded" if waiting >= self.room else None

    def abandoned(self, exchange: Any) -> Any: ...


class Connection:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def ended(self, exchange: Any, answer: Any) -> None:
        self.told.append((exchange, answer))


def offered(endpoint: Remembering, connection: Connection, number: int) -> list[EndpointRequest]:
    found = [EndpointRequest(connection, endpoint, {}, set(), 0.0) for _ in range(number)]
    for exchange in found:
        endpoint.offer(exchange)
    return found


async def test_so_many_are_begun_in_a_turn_of_the_loop_and_the_others_in_their_order():
    endpoint = Remembering()
    exchanges = offered(endpoint, Connection(), 8)
    for count in (3, 6, 8, 8):
        assert endpoint.begun == exchanges[:count]
        await asyncio.sleep(0)
    # Once nobody waits, the next ones are begun at once.
    more = offered(endpoint, Connection(), 2)
    assert endpoint.begun == exchanges + more


async def test_in_the_name_of_one_who_has_gone_nothing_is_begun():
    endpoint, connection = Remembering(), Connection()
    exchanges = offered(endpoint, connection, 6)
    exchanges[3].disconnected = True
    exchanges[4].response_complete = True
    await asyncio.sleep(0)
    assert endpoint.begun == [*exchanges[:3], exchanges[5]]
    assert connection.told == [(exchanges[3], None)]


async def test_beyond_the_room_for_waiting_ones_are_refused_at_once():
    endpoint = Remembering(room=2)
    connection = Connection()
    exchanges = offered(endpoint, connection, 7)
    assert connection.told == [(exchange, "overloaded") for exchange in exchanges[5:]]
    await asyncio.sleep(0)
    assert endpoint.begun == exchanges[:5]
