"""One stream of bytes, three deliveries: the short way, ASGI, one byte at a time. No difference but in the date."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any

import pytest

from tests.edge.serving import notebook_app, serve
from tests.graphql.notebook import LocalNotebook
from tests.server.speaking import WAYS, connected, in_pieces
from tests.server.streams import streams

# Made anew for each request: the date, and an id that the client did not give.
_NEW = re.compile(rb"\r\ndate: [^\r]*|[0-9a-f]{32}")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _comparable(received: bytes) -> list[Any]:
    """The answers, their headers in any order; whether "100 Continue" was needed is a matter of time."""
    plain = _NEW.sub(b"", received.replace(_CONTINUE, b""))
    parts = re.split(rb"(?=HTTP/1\.1 \d{3} )", plain)
    return [(sorted(part.partition(b"\r\n\r\n")[0].split(b"\r\n")), part.partition(b"\r\n\r\n")[2]) for part in parts]


async def _received(address: str, stream: bytes) -> bytes:
    async with connected(address) as (reader, writer):
        writer.write(stream)
        writer.write_eof()
        return await reader.read()


@pytest.mark.parametrize("requests", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_stream_is_answered_alike_however_it_arrives(requests: int):
    whole, cut, bytewise, over_asgi = (in_pieces(WAYS[way]) for way in ("short way", "short way", "short way", "ASGI"))
    whole.sizes = [1 << 20]
    answers: list[list[Any]] = []
    calls = []
    for kind in (whole, cut, bytewise, over_asgi):
        notebook = LocalNotebook()
        async with serve(notebook_app(notebook=notebook), http=kind, head_seconds=10) as (address, server):
            answers.append([])
            for stream, sizes in streams(7, requests):
                if kind in {cut, over_asgi}:
                    kind.sizes = sizes
                answers[-1].append(_comparable(await _received(address, stream)))
            while server.server_state.connections:
                await asyncio.sleep(0)
            assert server.server_state.tasks == set()
        calls.append(notebook.calls)
    for one, other in itertools.pairwise(answers):
        different = [
            (stream, *pair)
            for (stream, _), *pair in zip(streams(7, requests), one, other, strict=True)
            if pair[0] != pair[1]
        ]
        assert different == []
    assert all(one == other for one, other in itertools.pairwise(calls))
    assert len(calls[0]) > requests / 50
