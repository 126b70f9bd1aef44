"""Heads that come again on a connection: taken without the parser, and answered as if it had read them."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.edge.connection import BoundedConnection
from app.edge.direct import DirectConnection
from app.edge.repeated import RepeatedHead
from app.server import STOPPING, LingeringConnection
from tests.edge.serving import notebook_app, serve
from tests.edge.test_connection import connected
from tests.edge.test_direct import QUERY, Case, body_of, one_answer
from tests.graphql.notebook import LocalNotebook

HEAD: Any = SimpleNamespace()
BEFORE, AFTER = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: ", b"\r\nAccept: */*\r\n\r\n"


def message(digits: bytes, body: bytes) -> bytes:
    return BEFORE + digits + AFTER + body


LEARNT = RepeatedHead.of(message(b"3", b"abc"), b"3", HEAD)


@given(st.binary(max_size=40))
def test_the_body_of_a_message_with_the_same_head_is_found(body: bytes):
    assert LEARNT is not None
    assert LEARNT.head is HEAD
    assert LEARNT.body_of(message(b"%d" % len(body), body), 1000) == body


@pytest.mark.parametrize(
    "other",
    [
        message(b"4", b"abc"),
        message(b"2", b"abc"),
        message(b"3", b"abc") + message(b"3", b"abc"),
        message(b"+3", b"abc"),
        message(b"3 ", b"abc"),
        message(b"", b""),
        message(b"3,3", b"abc"),
        message(b"\xb3", b"abc"),
        message(b"0000000003", b"abc"),
        message(b"3", b"abc")[1:],
        message(b"3", b"abc")[:-4],
        message(b"3", b"abc").replace(b"*/*", b"a/*"),
        message(b"3", b"abc").replace(b"Host: a", b"Host: b"),
        message(b"3", b"abc").replace(AFTER, b"\r\nContent-Length: 3" + AFTER),
        message(b"11", b"x" * 11),
        BEFORE,
        b"",
    ],
)
def test_any_other_message_is_left_to_the_parser(other: bytes):
    assert LEARNT is not None
    assert LEARNT.body_of(other, 10) is None


@pytest.mark.parametrize(
    ("whole", "length"),
    [
        (message(b"3", b"abcd"), b"3"),
        (message(b"3", b"ab"), b"3"),
        (message(b"3", b"abc"), b"2"),
        (message(b"3", b"abc").replace(b"\r\n", b"\n"), b"3"),
        (b"POST / HTTP/1.1\r\na: b\r\n\r\nabc", b"3"),
        (b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc", b"3"),
        (b"POST / HTTP/1.1\r\ncontent-length:\t\x0b3\r\n\r\nabc", b"3"),
        (b"", b"0"),
    ],
)
def test_from_a_message_that_is_not_plainly_what_the_parser_made_of_it_nothing_is_learnt(whole: bytes, length: bytes):
    assert RepeatedHead.of(whole, length, HEAD) is None


def counting(kind: type[DirectConnection] = DirectConnection) -> tuple[type[DirectConnection], list[bool]]:
    """A connection that says of each piece that arrives whether it was taken without the parser."""
    taken: list[bool] = []

    class Counting(kind):  # type: ignore[misc,valid-type]
        def repeats(self, data: bytes) -> bool:
            taken.append(super().repeats(data))
            return taken[-1]

    return Counting, taken


REQUESTS = [
    Case("", headers=("content-type: application/json",)),
    Case("", body_of("New"), ("content-type: application/json",)),
    Case("", QUERY.replace(b"{", b"\r\n\r\n{", 1), ("content-type: application/json",)),
    Case("", b"", ("content-type: application/json",)),
    Case("", b"{", ("content-type: application/json",)),
    Case("", headers=("content-type: application/json", "accept: application/graphql-response+json")),
    Case("", headers=("content-type: application/json", "accept: text/html")),
    Case("", headers=("Content-Type: application/json; charset=utf-8", "x-simulate: TITLE_TAKEN")),
    Case("", b"", line="GET /health/live HTTP/1.1", length=False),
    Case("", b"", line="POST /nothing HTTP/1.1"),
]


def conversation(chance: random.Random) -> list[list[bytes]]:
    """Requests, mostly as the one before; each in one piece, or in two, or together with the next one."""
    found: list[list[bytes]] = []
    request = chance.choice(REQUESTS)
    for _ in range(12):
        if chance.random() < 0.3:
            request = chance.choice(REQUESTS)
        sent = request.request()
        how = chance.random()
        if how < 0.2:
            cut = chance.randrange(1, len(sent))
            found.append([sent[:cut], sent[cut:]])
        elif how < 0.3:
            found.append([sent + sent])
        else:
            found.append([sent])
    return found


async def answers(address: str, pieces: list[list[bytes]]) -> list[Any]:
    told = []
    async with connected(address) as (reader, writer):
        for sent in pieces:
            for piece in sent:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            for _ in range(b"".join(sent).count(b" HTTP/1.1\r\n")):
                head, _, body = (await one_answer(reader)).partition(b"\r\n\r\n")
                status, *lines = head.split(b"\r\n")
                told.append((status, sorted(line for line in lines if not line.startswith(b"date: ")), body))
    return told


async def test_whatever_comes_on_a_connection_is_answered_as_without_it():
    kind, taken = counting()
    chance = random.Random(7)
    spoken = [conversation(chance) for _ in range(60)]
    told = []
    for http in (BoundedConnection, kind):
        async with serve(notebook_app(), http=http) as (address, server):
            told.append([await answers(address, pieces) for pieces in spoken])
            assert server.server_state.tasks == set()
    assert told[0] == told[1]
    assert True in taken
    assert False in taken


async def test_from_the_third_time_on_a_head_is_taken_without_the_parser():
    kind, taken = counting()
    async with serve(notebook_app(), http=kind) as (address, _), connected(address) as (reader, writer):
        for title in ("a", "longer", "b" * 200, "c"):
            writer.write(Case("", body_of(title)).request())
            assert b'"title":"' + title.encode() in await one_answer(reader)
    assert taken == [True, True]


async def test_a_request_behind_one_that_is_not_answered_is_left_to_the_parser():
    kind, taken = counting()
    notebook = LocalNotebook()
    app = notebook_app(notebook=notebook)
    async with serve(app, http=kind) as (address, server), connected(address) as (reader, writer):
        for _ in range(3):
            writer.write(Case("").request())
            await one_answer(reader)
        writer.write(Case("", body_of("slow")).request())
        await notebook.entered.wait()
        writer.write(Case("").request())
        (connection,) = server.server_state.connections
        while not connection.pipeline:
            await asyncio.sleep(0)
        notebook.release.set()
        assert b"slow" in await one_answer(reader)
        assert b'{"note":{"title":' in await one_answer(reader)
    assert taken == [True, True, False]


async def test_once_the_shutdown_has_begun_an_answer_says_that_it_is_the_last():
    kind, taken = counting(LingeringConnection)
    async with serve(notebook_app(), http=kind) as (address, server), connected(address) as (reader, writer):
        for _ in range(3):
            writer.write(Case("").request())
            await one_answer(reader)
        (connection,) = server.server_state.connections
        connection.app_state[STOPPING] = True
        writer.write(Case("").request())
        assert b"connection: close" in (await one_answer(reader)).lower()
    assert taken == [True, False]


async def test_nothing_is_written_to_a_caller_who_has_gone_before_what_stands_behind(caplog):
    """uvicorn itself tells only the last of the requests that were read that its caller has gone."""
    notebook = LocalNotebook()
    app = notebook_app(notebook=notebook)
    async with serve(app, http=BoundedConnection) as (address, server), connected(address) as (_, writer):
        writer.write(Case("", body_of("slow")).request())
        await notebook.entered.wait()
        writer.write(Case("").request() * 2)
        (connection,) = server.server_state.connections
        while len(connection.pipeline) < 2:
            await asyncio.sleep(0)
        connection.flow.resume_reading()
        writer.transport.abort()
        while server.server_state.connections:
            await asyncio.sleep(0)
        behind = list(connection.pipeline)
        notebook.release.set()
        while server.server_state.tasks:
            await asyncio.sleep(0)
    assert behind == []
    assert caplog.records == []
