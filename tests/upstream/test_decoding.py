"""Bodies in bounded memory, whatever their coding says."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import errors
from app.upstream.decoding import decoded
from app.upstream.failures import ExchangeError


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


@contextlib.contextmanager
def broken(row):
    with pytest.raises(ExchangeError) as raised:
        yield
    assert raised.value.row is row


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@given(body=st.binary(max_size=2000))
def test_a_body_is_the_same_however_it_is_coded(coding, encode, body):
    assert decoded(encode(body), coding, 10_000) == body


@pytest.mark.parametrize(
    ("members", "outcome"), [(1, b""), (99, b""), (100, errors.ANSWER_TOO_LARGE), (90_000, errors.ANSWER_TOO_LARGE)]
)
def test_empty_members_are_bounded(members, outcome):
    """Each costs a copy of what follows it: a megabyte of them was minutes."""
    body = gzip.compress(b"") * members
    if outcome == b"":
        assert decoded(body, "gzip", 10_000) == b""
    else:
        with broken(outcome):
            decoded(body, "gzip", 10_000)


@pytest.mark.parametrize(("coding", "encode"), CODINGS)
@pytest.mark.parametrize("size", [1, 99, 100, 101, 5000])
def test_the_limit_is_exact(coding, encode, size):
    encoded = encode(bytes(size))
    if size <= 100:
        assert decoded(encoded, coding, 100) == bytes(size)
    else:
        with broken(errors.ANSWER_TOO_LARGE):
            decoded(encoded, coding, 100)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(data=st.binary(min_size=1, max_size=500))
def test_no_bytes_raise_anything_else(coding, data):
    with contextlib.suppress(ExchangeError):
        decoded(data, coding, 10_000)


def test_a_bomb_is_not_expanded():
    bomb = gzip.compress(bytes(50 * 2**20), 9)
    tracemalloc.start()
    try:
        with broken(errors.ANSWER_TOO_LARGE):
            decoded(bomb, "gzip", 2**20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "\u2603"])
def test_codings_that_were_not_asked_for_are_refused(coding):
    with broken(errors.ANSWER_UNREADABLE):
        decoded(b"x", coding, 10_000)
