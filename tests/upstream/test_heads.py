"""Heads that are not strict: each is read as RFC 9112 tells a client to, and its status is never lost."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.call import CallContext
from app.errors import CONNECTION_LOST
from app.upstream.chunks import ChunkReader
from app.upstream.failures import ExchangeError
from app.upstream.heads import HeadReader, _end_of
from app.upstream.messages import BackendRequest
from app.upstream.upstream import Upstream
from tests.upstream.bad_server import BadServer, says

PUT = BackendRequest("PUT", "/x", body=b"{}")
BODY = b'{"a":1}'
LINE = "HTTP/1.1 {} OK\r\n"
# What stands behind the status line, the body as sent, whether the connection is kept.
ODD = {
    "strict": (b"content-length: 7\r\n\r\n", BODY, True),
    "a folded line": (b"x-folded: a\r\n b\r\ncontent-length: 7\r\n\r\n", BODY, True),
    "a line folded by a tab": (b"x-folded: a\r\n\t  b\r\ncontent-length: 7\r\n\r\n", BODY, True),
    "a folded content-length": (b"content-length:\r\n 7\r\n\r\n", BODY, True),
    "a fold before any header": (b" folded\r\ncontent-length: 7\r\n\r\n", BODY, True),
    "one content-length twice": (b"content-length: 7\r\nContent-Length: 7\r\n\r\n", BODY, True),
    "one content-length twice in a line": (b"content-length: 7, 7\r\n\r\n", BODY, True),
    "both framings": (b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", b"7\r\n" + BODY + b"\r\n0\r\n\r\n", False),
    "both framings, the other way": (
        b"transfer-encoding: Chunked\r\ncontent-length: 9\r\n\r\n", b"7\r\n" + BODY + b"\r\n0\r\n\r\n", False,
    ),
    "LF alone": (b"content-length: 7\nx: y\n\n", BODY, True),
    "LF alone at the end": (b"content-length: 7\r\n\n", BODY, True),
    "LF alone in chunks": (b"transfer-encoding: chunked\n\n", b"7\n" + BODY + b"\r\n0\r\n\r\n", True),
    "a space before the colon": (b"content-length : 7\r\n\r\n", BODY, True),
    "a line without a colon": (b"nonsense\r\ncontent-length: 7\r\n\r\n", BODY, False),
    "a name that is none": (b"x y: z\r\ncontent-length: 7\r\n\r\n", BODY, False),
    "a control character": (b"x: a\x01b\r\ncontent-length: 7\r\n\r\n", BODY, True),
    "LF alone in trailers": (b"transfer-encoding: chunked\n\n", b"007 \n" + BODY + b"\n0\nx: y\n\n", True),
    "trailers": (b"transfer-encoding: chunked\r\n\r\n", b"7\r\n" + BODY + b"\r\n0\r\nx: y\r\n\r\n", True),
    "chunk extensions": (b"transfer-encoding: chunked\r\n\r\n", b"7;a=b\r\n" + BODY + b"\r\n0\r\n\r\n", True),
    "close": (b"connection: close\r\ncontent-length: 7\r\n\r\n", BODY, False),
    "identity": (b"transfer-encoding: identity\r\ncontent-length: 7\r\n\r\n", BODY, True),
}  # fmt: skip


@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
@pytest.mark.parametrize("status", [200, 404, 503])
@pytest.mark.parametrize("case", ODD)
async def test_the_status_and_the_body_are_there(case, status, pieces):
    head, body, keep = ODD[case]
    line = LINE.format(status).encode()
    data = (line.replace(b"\r", b"") if "LF alone" in case else line) + head + body

    async def script(exchange) -> None:
        for piece in [data] if pieces == "whole" else [data[at : at + 1] for at in range(len(data))]:
            await exchange.send(piece)
            await asyncio.sleep(0)

    async with BadServer(script) as server, Upstream("x", server.url) as upstream:
        for _ in range(2):
            response = await upstream.send(PUT, CallContext("r"))
            assert (response.status, response.body, response.complete) == (status, BODY, True)
        if "fold" in case and "x-folded" in response.headers:
            assert response.headers["x-folded"] == "a b"
        assert server.connections == (1 if keep else 2)


@pytest.mark.parametrize("interim", [1, 50, 101, 5000])
async def test_interim_responses_are_passed_over_and_bounded(interim):
    data = b"HTTP/1.1 103 Early Hints\r\n\r\n" * interim + b"HTTP/1.1 204 No Content\r\n\r\n"
    reader = HeadReader()
    if interim <= 100:
        head, rest = reader.feed(data + b"rest")
        assert (head.status, rest) == (204, b"rest")
    else:
        with pytest.raises(ExchangeError) as broken:
            reader.feed(data)
        assert broken.value.row is CONNECTION_LOST


async def test_a_dripping_head_costs_no_more_than_its_size():
    reader = HeadReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nx: ")
    started = time.process_time()
    for _ in range(90_000):
        assert reader.feed(b"a") == (None, b"")
    with pytest.raises(ExchangeError, match="too large") as broken:
        reader.feed(b"a" * 20_000)
    assert broken.value.row is CONNECTION_LOST
    assert reader.status == 200
    assert time.process_time() - started < 20


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_a_head_or_none(data, cut):
    """And the same one however they come."""

    def read(*pieces: bytes):
        reader, rest = HeadReader(), b""
        try:
            for number, piece in enumerate(pieces):
                head, rest = reader.feed(piece)
                if head is not None:
                    return head, rest + b"".join(pieces[number + 1 :])
        except ExchangeError as broken:
            return broken.row
        return None

    for start in (b"", b"HTTP/1.1 200 OK\r\n"):
        whole = start + data
        assert read(whole) == read(whole[:cut], whole[cut:])


@pytest.mark.parametrize("surplus", [b"\r\n", b"x", b"HTTP/1.1 204 No Content\r\n\r\n"])
async def test_a_surplus_ends_the_connection(surplus):
    script = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}" + surplus)
    async with BadServer(script) as server, Upstream("x", server.url) as upstream:
        for _ in range(3):
            assert (await upstream.send(PUT, CallContext("r"))).body == b"{}"
        assert server.connections == 3


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.sampled_from([b"\r\n", b"\n"]),
    st.lists(st.integers(0, 400)),
)
def test_chunks_are_the_body_however_they_come(pieces, end, cuts):
    data = b"".join(b"%x" % len(piece) + end + piece + end for piece in pieces) + b"0" + end + end
    reader, body, at = ChunkReader(), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        body += b"".join(reader.feed(data[at:cut]))
        at = max(at, cut)
    assert (body, reader.complete, reader.surplus) == (b"".join(pieces), True, False)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"-1\r\n",
        b"0x7\r\n",
        b"1 2\r\n",
        b"1\r\nxy\r\n",
        b"f" * 16 + b"\n",
        b"1;" + b"a" * 20_000,
        b"0\r\n" + b"a: b\r\n" * 50_000,
    ],
)
def test_what_is_no_chunk_is_broken(data):
    with pytest.raises(ExchangeError) as broken:
        list(ChunkReader().feed(data))
    assert broken.value.row is CONNECTION_LOST


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\n\n", b"\r\n\r\n", b"x"])).map(b"".join), st.integers(0, 4))
def test_the_first_empty_line_is_what_a_pattern_finds(text, start):
    found = re.compile(rb"\n\r?\n").search(text, start)
    assert _end_of(text, start) == (None if found is None else found.span())
