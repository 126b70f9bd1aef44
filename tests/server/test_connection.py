"""Over real sockets: how large the head of a request may be, and how long a connection waits for one."""

import asyncio
import contextlib
import json

import pytest

from tests.edge.serving import notebook_app, serve
from tests.graphql.asking import UPDATE
from tests.graphql.notebook import FIRST, LocalNotebook
from tests.patience import given_time

MOST = 500
END = b"connection: close\r\n\r\n"
SLOW = json.dumps({"query": UPDATE, "variables": {"input": {"title": "slow"}}}).encode()
SMALL = b'{"query": "{ __typename }"}'


def padded(size: int, *, body: bytes = b"", closing: bool = True) -> bytes:
    """A request whose head is of this size."""
    fields = [b"host: a\r\n", b"content-type: application/json\r\n", b"content-length: %d\r\n" % len(body)]
    fields += [b"connection: close\r\n"] if closing else []
    head = b"POST /graphql HTTP/1.1\r\n" + b"".join(fields) + b"x: "
    return head + b"a" * (size - len(head) - 4) + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def connected(address: str):
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the server has closed the connection."""
    return reader.at_eof() or reader.exception() is not None


async def answer(address: str, *parts: bytes) -> bytes:
    async with connected(address) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        with contextlib.suppress(ConnectionResetError):
            return await reader.read()
    return b""


@pytest.mark.parametrize("body", [SMALL, SMALL + b" " * 2 * MOST], ids=["small body", "body above the limit"])
async def test_a_head_is_refused_just_above_its_limit_and_passes_just_below(body):
    async with serve(notebook_app(), max_head_bytes=MOST) as (address, _):
        assert (await answer(address, padded(MOST, body=body))).startswith(b"HTTP/1.1 200 ")
        above = await answer(address, padded(MOST + 1, body=body))
    assert above.startswith(b"HTTP/1.1 431 ")
    assert above.endswith(b"\r\n\r\nThe request's address and headers are larger than 500 bytes.\n")


@pytest.mark.parametrize(
    "head",
    [b"GET /" + b"a" * MOST * 2, b"GET / HTTP/1.1\r\nx: " + b"a" * MOST, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MOST],
    ids=["address", "one header", "many headers"],
)
async def test_a_head_without_an_end_is_not_kept(head):
    async with serve(notebook_app(), max_head_bytes=MOST) as (address, _):
        assert (await answer(address, head)).startswith(b"HTTP/1.1 431 ")


async def test_a_head_in_pieces_is_counted_as_a_whole():
    async with serve(notebook_app(), max_head_bytes=MOST) as (address, _), connected(address) as (reader, writer):
        writer.write(b"GET /health/live HTTP/1.1\r\nhost: a\r\n")
        for _ in range(MOST):
            writer.write(b"a: b\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_requests_behind_one_another_are_counted_apart():
    large = padded(MOST, body=SMALL + b" " * MOST, closing=False)
    async with serve(notebook_app(), max_head_bytes=MOST) as (address, _):
        answered = await answer(address, large * 5 + padded(MOST, body=SMALL))
    assert answered.count(b"HTTP/1.1 200 ") == 6


@pytest.mark.parametrize("begun", [b"", b"POST /graphql HTTP/1.1\r\nhost: a\r\n"], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_is_not_waited_for(begun):
    async with serve(notebook_app(), head_seconds=0.02) as (address, _):
        assert await answer(address, begun) == b""


async def test_half_a_head_behind_a_request_in_flight_does_not_cost_its_answer():
    request = b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    async def attempt(seconds: float) -> None:
        notebook = LocalNotebook()
        async with (
            serve(notebook_app(notebook=notebook), head_seconds=seconds) as (address, _),
            connected(address) as (reader, writer),
        ):
            writer.write(request % len(SLOW) + SLOW + b"POST /graphql HTTP/1.1\r\n")
            while not notebook.entered.is_set():
                assert not gone(reader)
                await asyncio.sleep(0)
            # One that connects later has already waited too long.
            assert await answer(address, b"") == b""
            notebook.release.set()
            answered = await reader.read()
        if b'{"data":{"updateNote":{"note":{"title":"slow"}}}}' not in answered:
            pytest.fail("a mutation that was begun was not answered")

    await given_time(attempt, 0.02)


async def test_an_answer_that_nobody_takes_is_not_kept():
    asked = b'{"query": "{ note(id: \\"%s\\") { title } }"}' % FIRST.encode()

    async def attempt(seconds: float) -> None:
        notebook = LocalNotebook()
        notebook.notes[FIRST]["title"] = "x" * 20_000_000
        async with (
            serve(notebook_app(notebook=notebook), head_seconds=seconds) as (address, server),
            connected(address) as (reader, writer),
        ):
            writer.write(padded(200, body=asked))
            while not notebook.calls:
                assert not gone(reader)
                await asyncio.sleep(0)
            while server.server_state.connections:
                await asyncio.sleep(0)

    await given_time(attempt, 0.02)


CLOSED = {
    "no body": b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    "another case": b"GET /health/live HTTP/1.1\r\nhost: a\r\nConnection: Close\r\n\r\n",
    "among others": b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: te, close\r\n\r\n",
    "an old version": b"GET /health/live HTTP/1.0\r\nhost: a\r\n\r\n",
    "an offer beside it": b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n",
    "the short way": padded(200, body=SMALL),
    "an empty body": b"POST /health/live HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "chunks": b"POST /graphql HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("case", CLOSED)
async def test_a_connection_that_a_request_ends_is_closed_behind_its_answer(case, pieces):
    """https://www.rfc-editor.org/rfc/rfc9112#section-9.6. Read to its end: no timer has to close it."""
    parts = [bytes([byte]) for byte in CLOSED[case]] if pieces else [CLOSED[case]]
    async with serve(notebook_app()) as (address, _):
        answered = await answer(address, *parts)
    assert answered.startswith(b"HTTP/1.1 ")
    assert b"\r\nconnection: close\r\n" in answered.lower()
