"""What a stranger may send: no byte of a body is a request, every connection ends, an answer reaches its reader."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from typing import Any

import pytest

from app.apis import APIS
from app.bootstrap import create_sandbox
from app.config import parse_settings
from app.edge.settings import EdgeSettings
from tests.edge.serving import notebook_app, serve
from tests.graphql.notebook import FIRST, LocalNotebook
from tests.patience import given_time
from tests.server.speaking import WAYS, answers_of, connected, get, in_pieces, post, spoken, update

pytestmark = [pytest.mark.both_loops, pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)]

OFFERS = {
    "h2c": (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "websocket": (b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-key: eA==", b"sec-websocket-version: 13"),
    "TLS": (b"Upgrade: TLS/1.0", b"Connection: Upgrade"),
    "several": (b"UPGRADE: foo/2, h2c", b"upgrade: bar", b"connection: keep-alive", b"connection: upgrade"),
}  # fmt: skip
DONE = b'{"data":{"updateNote":{"note":{"title":"new"}}}}'


FRAMED = [(offer, in_chunks) for offer in ((), *OFFERS.values()) for in_chunks in (False, True)]


async def test_an_offer_of_another_protocol_is_ignored(way):
    pieces = in_pieces(way)
    async with serve(notebook_app(), http=pieces) as (address, _):
        for offer, in_chunks in FRAMED:
            request = post(update("new"), *offer, in_chunks=in_chunks)
            body = request.index(b"\r\n\r\n") + 4
            for sizes in ([10_000], [1], [body, 10_000], [body - 1, 10_000], [body + 1, 10_000], [7]):
                pieces.sizes = sizes
                # A further one on the same connection, too.
                assert answers_of(await spoken(address, request, request)) == [(200, DONE), (200, DONE)]


async def test_a_body_is_never_a_request(way):
    notebook, pieces = LocalNotebook(), in_pieces(way)
    async with serve(notebook_app(notebook=notebook), http=pieces) as (address, _):
        for offer, in_chunks in FRAMED:
            request = post(post(update("stolen")), *offer, target=b"/health/ready", in_chunks=in_chunks)
            body = request.index(b"\r\n\r\n") + 4
            for sizes in ([10_000], [1], [body, 10_000], [body - 2, 10_000]):
                pieces.sizes = sizes
                assert [status for status, _ in answers_of(await spoken(address, request))] == [405]
    assert notebook.calls == []


async def test_behind_connect_there_is_no_request(way):
    notebook = LocalNotebook()
    async with serve(notebook_app(notebook=notebook), http=way) as (address, _):
        for framing in (b"", b"content-length: 400\r\n", b"transfer-encoding: chunked\r\n"):
            request = b"CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n" + framing + b"\r\n"
            answers = answers_of(await spoken(address, request, post(update("stolen"))))
            assert [status for status, _ in answers] == [501]
    assert notebook.calls == []


async def test_the_sandbox_ignores_an_offer_too(way, tmp_path):
    settings = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"})
    hidden = b"PUT /v1/customers/c0000000-0000-4000-8000-000000000001 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    async with serve(create_sandbox(settings), http=way) as (address, _):
        for in_chunks in (False, True):
            request = post(hidden, *OFFERS["h2c"], target=b"/v1/nothing", in_chunks=in_chunks)
            for cut in (len(request), request.index(b"\r\n\r\n") + 4):
                answers = answers_of(await spoken(address, request[:cut], request[cut:]))
                assert [status for status, _ in answers] == [404]


BROKEN = {
    "no request": b"NO HTTP\r\n\r\n",
    "a broken chunk": post(b"", in_chunks=True)[:-5] + b"zz\r\n\r\n",
    "a chunk without its end": post(b"", in_chunks=True)[:-5] + b"1\r\nabc\r\n\r\n",
    "two lengths": get(b"/", b"content-length: 1", b"content-length: 2"),
    "two hosts": get(b"/", b"host: b"),
    "a zero byte": get(b"/", b"x: \0"),
    "an offer and another coding": get(b"/", *OFFERS["h2c"], b"transfer-encoding: x"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


async def test_what_is_broken_is_not_the_answer_to_the_mutation_before_it(way):
    notebook = LocalNotebook()
    request = post(update("slow"))
    async with serve(notebook_app(notebook=notebook), http=way) as (address, _):
        for together, broken in itertools.product((True, False), BROKEN.values()):
            notebook.entered.clear()
            notebook.release.clear()
            async with connected(address) as (reader, writer):
                writer.write(request + broken if together else request)
                await notebook.entered.wait()
                if not together:
                    writer.write(broken)
                    await spoken(address, get())  # the server has seen it once a later one is answered
                notebook.release.set()
                answers = answers_of(await reader.read())
            assert answers[0] == (200, DONE.replace(b"new", b"slow"))
            assert [status for status, _ in answers[1:]] == [400]


BEFORE = {"nothing": b"", "the short way": post(update("new")), "ASGI": get()}
LEFT = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "empty lines": b"\n\r\n\r\n",
    "a byte": b"G",
    "half a head": get()[:-2],
    "half a body": post(b"{}", target=b"/health/ready")[:-1],
    "half a chunk": post(b"{}", target=b"/health/ready", in_chunks=True)[:-6],
    "half a body for GraphQL": post(update("x"))[:-1],
    "half a large body for GraphQL": post(update("x") + b" " * 100_000)[:-1],
    "two of them": get() + b"\r\nG",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
async def test_whatever_is_left_unfinished_the_connection_ends(way, before: bytes):

    async def ended(address: str, left: bytes) -> None:
        async with connected(address) as (reader, writer):
            if before:
                writer.write(before)
                try:
                    await reader.readuntil(b"\r\n\r\n")
                except (ConnectionResetError, asyncio.IncompleteReadError) as error:
                    raise AssertionError from error
            writer.write(left)
            with contextlib.suppress(ConnectionResetError):
                await reader.read()

    async def all_ended(seconds: float) -> None:
        waits = dict.fromkeys(("head_seconds", "body_seconds", "keep_alive_seconds"), seconds)
        app = notebook_app(EdgeSettings(body_seconds=seconds))
        async with serve(app, http=way, **waits) as (address, server):
            await asyncio.gather(*(ended(address, left) for left in LEFT.values()))
            while server.server_state.connections:
                await asyncio.sleep(0)

    await given_time(all_ended, 0.05)


async def test_drops_do_not_keep_a_connection(way):
    """Empty lines, and a head that comes byte by byte: each is a byte, and none of them is time."""
    async with serve(notebook_app(), http=way, head_seconds=0.1, keep_alive_seconds=0.1) as (address, _):
        for drop in (b"\r\n", b"x"):
            async with connected(address) as (reader, writer):
                writer.write(get() if drop == b"\r\n" else b"GET / HTTP/1.1\r\n")
                ended = asyncio.create_task(reader.read())
                while not ended.done():
                    writer.write(drop)
                    await asyncio.sleep(0.01)
                # A drop behind the end is answered with a reset, which can come before the end is read.
                assert ended.exception() is None or isinstance(ended.exception(), ConnectionResetError)


async def test_the_log_says_once_that_connections_were_closed(way, caplog):
    caplog.set_level(logging.INFO)

    async def attempt(seconds: float) -> None:
        caplog.clear()
        options: Any = {"http": way, "head_seconds": seconds}
        async with serve(notebook_app(), **options) as (address, _), contextlib.AsyncExitStack() as stack:
            readers = []
            for _ in range(30):
                reader, writer = await stack.enter_async_context(connected(address))
                writer.write(b"G")
                readers.append(reader)
            for reader in readers:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
        lines = [record.message for record in caplog.records if record.name == "app.server.summary"]
        assert lines == ["closed a connection whose request did not come in time"]

    await given_time(attempt, 0.2)


async def test_who_half_closes_is_answered(way):
    notebook = LocalNotebook()
    async with serve(notebook_app(notebook=notebook), http=way) as (address, _), connected(address) as (reader, writer):
        writer.write(post(update("slow")) + get() + post(update("new")))
        writer.write_eof()
        await notebook.entered.wait()
        notebook.release.set()
        answers = answers_of(await reader.read())
    assert answers == [(200, DONE.replace(b"new", b"slow")), (200, b'{"status":"live"}'), (200, DONE)]


async def test_half_a_request_before_the_end_is_none(way):
    notebook = LocalNotebook()
    async with serve(notebook_app(notebook=notebook), http=way) as (address, server):
        for left in (b"", b"GET", post(b"{}")[:-1], post(b"{}", in_chunks=True)[:-1]):
            assert await spoken(address, left) == b""
            assert answers_of(await spoken(address, get() + left)) == [(200, b'{"status":"live"}')]
        while server.server_state.connections or server.server_state.tasks:
            await asyncio.sleep(0)
    assert notebook.calls == []


def everything_first(address: str, request: bytes) -> bytes:
    """As clients do that read only when all is sent."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=600) as client:
        client.sendall(request)
        received = b""
        while data := client.recv(65_536):
            received += data
    return received


LARGE = b"x" * 8_000_000
REFUSED = {
    "a large body": (413, post(LARGE)),
    "a large body in chunks": (413, post(LARGE[:2_000_000], in_chunks=True)),
    "a large head": (431, get(b"/", b"x: " + LARGE)),
    "another path": (404, post(LARGE, target=b"/nothing")),
    "another method": (405, post(LARGE, target=b"/health/ready")),
    "no request": (400, b"NO HTTP\r\n\r\n" + LARGE),
    "two hosts": (400, post(LARGE, b"host: b")),
}


async def test_a_refusal_reaches_who_sends_everything_first(way):
    async with serve(notebook_app(), http=way) as (address, _):
        received = {
            name: answers_of(await asyncio.to_thread(everything_first, address, request))[0][0]
            for name, (_, request) in REFUSED.items()
        }
    assert received == {name: status for name, (status, _) in REFUSED.items()}


async def test_what_is_pipelined_waits_in_the_kernel(way):
    """A client that only sends: the server holds one read of it, and goes on once its answers are read."""
    notebook = LocalNotebook()
    async with serve(notebook_app(notebook=notebook), http=way) as (address, server), connected(address) as streams:
        reader, writer = streams
        requests = 1_500
        writer.write(post(update("slow")) + get(b"/health/live", b"x: " + b"a" * 500) * requests)
        await notebook.entered.wait()
        (connection,) = server.server_state.connections
        while not connection._paused:
            await asyncio.sleep(0)
        assert 0 < len(connection._pending) < 600_000
        notebook.release.set()
        for _ in range(requests):
            await reader.readuntil(b'{"status":"live"}')
            assert len(connection._pending) < 600_000
    assert notebook.notes[FIRST]["title"] == "slow"


async def large_answer(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"50000")]})
    await send({"type": "http.response.body", "body": b"x" * 50_000})


async def test_who_reads_no_answers_is_not_answered_without_end(way):
    options: Any = {"http": way, "head_seconds": 0.3, "lifespan": "off"}
    async with serve(large_answer, **options) as (address, server), connected(address) as (_, writer):
        writer.write(get() * 10_000)
        while not server.server_state.connections:
            await asyncio.sleep(0)
        (connection,) = server.server_state.connections
        while server.server_state.connections:
            assert len(connection._pending) + connection.transport.get_write_buffer_size() < 1_000_000
            await asyncio.sleep(0)


HEADS = {
    "no host": (400, b"GET /health/live HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET /health/live HTTP/1.1\r\nHost: a\r\nHOST: a\r\n\r\n"),
    "a host that is none": (400, b"GET /health/live HTTP/1.1\r\nhost: a b\r\n\r\n"),
    "two hosts in one": (400, b"GET /health/live HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    "an empty host": (200, b"GET /health/live HTTP/1.1\r\nhost:\r\n\r\n"),
    "an address": (200, b"GET /health/live HTTP/1.1\r\nhost: [::1]:80\r\n\r\n"),
    "an empty port": (200, b"GET /health/live HTTP/1.1\r\nhost: a:\r\n\r\n"),
    "a port that is none": (400, b"GET /health/live HTTP/1.1\r\nhost: a:b\r\n\r\n"),
    "two ports": (400, b"GET /health/live HTTP/1.1\r\nhost: a:1:2\r\n\r\n"),
    "an address without its end": (400, b"GET /health/live HTTP/1.1\r\nhost: [::1\r\n\r\n"),
    "HTTP/1.0 without one": (200, b"GET /health/live HTTP/1.0\r\n\r\n"),
    "HTTP/1.0 with two": (400, b"GET /health/live HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"),
    "HTTP/0.9": (505, b"GET /health/live\r\n\r\n"),
    "HTTP/2": (505, b"GET /health/live HTTP/2.0\r\nhost: a\r\n\r\n"),
    "RTSP": (400, b"POST /graphql RTSP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"),
    "RTSP's own": (400, b"DESCRIBE /health/live RTSP/1.0\r\nhost: a\r\n\r\n"),
    "ICE": (400, b"SOURCE /health/live ICE/1.0\r\nhost: a\r\n\r\n"),
    "HTTP/2's preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "the whole address": (200, b"GET http://a/health/live HTTP/1.1\r\nhost: b\r\n\r\n"),
    "no path": (404, b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
    "no address": (400, b"GET x HTTP/1.1\r\nhost: a\r\n\r\n"),
    "another coding": (501, get(b"/health/live", b"transfer-encoding: gzip, chunked")),
    "two codings": (400, get(b"/health/live", b"transfer-encoding: chunked", b"transfer-encoding: chunked")),
    "a coding and a length": (400, get(b"/health/live", b"transfer-encoding: chunked", b"content-length: 1")),
    "a signed length": (400, get(b"/health/live", b"content-length: +1")),
    "a line in two": (400, b"GET /health/live HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n"),
    "bare line ends": (400, b"GET /health/live HTTP/1.1\nhost: a\n\n"),
    "a space in front of the colon": (400, get(b"/health/live", b"x : y")),
}  # fmt: skip


async def test_heads(way):
    async with serve(notebook_app(), http=way) as (address, _):
        received = {name: answers_of(await spoken(address, head)) for name, (_, head) in HEADS.items()}
    assert {name: [status for status, _ in answers] for name, answers in received.items()} == {
        name: [status] for name, (status, _) in HEADS.items()
    }


async def test_a_trailer_field_is_no_header(way):
    body = b"2\r\n{}\r\n0\r\ncontent-type: text/plain\r\nhost: b\r\n\r\n"
    async with serve(notebook_app(), http=way) as (address, _):
        request = post(b"", in_chunks=True)[:-5] + body
        answers = answers_of(await spoken(address, request + get()))
    assert [status for status, _ in answers] == [400, 200]
    assert b"The request has no query." in answers[0][1]


AROUND_CHUNKS = {
    "a trailer field without an end": b"2\r\n{}\r\n0\r\nx: " + b"a" * 500_000,
    "trailer fields without an end": b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 80_000,
    "an extension without an end": b"2;" + b"a" * 500_000,
    "a size without an end": b"0" * 500_000,
}


@pytest.mark.parametrize("around", AROUND_CHUNKS)
async def test_what_is_around_chunks_is_bounded_as_a_head_is(way, around: str):
    async with serve(notebook_app(), http=way) as (address, _):
        answers = answers_of(await spoken(address, post(b"", in_chunks=True)[:-5] + AROUND_CHUNKS[around]))
    assert [status for status, _ in answers] == [431]
