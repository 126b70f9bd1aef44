"""Bodies in bounded memory, whatever their coding says."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.decoding import BodyTooLargeError, BodyUnreadableError, read


async def decoded(pieces: list[bytes], coding: str, limit: int = 10_000) -> bytes:
    async def stream():
        for piece in pieces:
            yield piece

    body = bytearray()
    await read(stream(), coding, limit, body)
    return bytes(body)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


CODINGS = [
    ("", bytes),
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("X-GZIP", gzip.compress),
    (" gzip ", lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
]


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@given(body=st.binary(max_size=2000), sizes=st.lists(st.integers(0, 50), max_size=20))
async def test_a_body_is_the_same_however_it_is_coded_and_cut(coding, encode, body, sizes):
    assert await decoded(cut(encode(body), sizes), coding) == body


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@pytest.mark.parametrize("size", [1, 99, 100, 101, 5000])
async def test_the_limit_is_exact(coding, encode, size):
    encoded = encode(bytes(size))
    if size <= 100:
        assert await decoded([encoded], coding, 100) == bytes(size)
    else:
        with pytest.raises(BodyTooLargeError):
            await decoded([encoded], coding, 100)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(data=st.binary(min_size=1, max_size=500))
async def test_no_bytes_raise_anything_else(coding, data):
    with contextlib.suppress(BodyTooLargeError, BodyUnreadableError):
        await decoded([data], coding)


async def test_a_bomb_is_not_expanded():
    bomb = gzip.compress(bytes(50 * 2**20), 9)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLargeError):
            await decoded(cut(bomb, [65536]), "gzip", 2**20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "\u2603"])
async def test_codings_that_were_not_asked_for_are_refused(coding):
    with pytest.raises(BodyUnreadableError):
        await decoded([b"x"], coding)
