"""What a request is, by three parsers: ours, h11 and zttp, on the same streams of bytes.

Each may refuse what another one takes, and the table says by which sentence. None may find another request in the bytes.
"""

from __future__ import annotations

from typing import Any

import h11
import pytest
import zttp

from app.server.parser import RefusedError, RequestParser
from tests.server.speaking import get, post
from tests.server.streams import streams

Requests = list[tuple[bytes, bytes, bytes]]
OK = ((b"content-length", b"0"),)


def by_ours(stream: bytes) -> Requests:
    parser, requests, at = RequestParser(65_536), [], 0
    while at < len(stream):
        if stream[at] in b"\r\n":  # the connection's part
            at += 1
            continue
        parser.reset()
        try:
            while at < len(stream) and not parser.whole:
                at = parser.feed(stream, at)
        except RefusedError:
            break
        if not parser.whole:
            break
        requests.append((parser.method, parser.url, b"".join(parser.body)))
        if not parser.keep_alive:
            break
    return requests


def by_h11(stream: bytes) -> Requests:
    parser, requests, body = h11.Connection(h11.SERVER), [], b""
    parser.receive_data(stream)
    request: Any = None
    try:
        while (event := parser.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                requests.append((request.method, request.target, body))
                parser.send(h11.Response(status_code=404, headers=OK))
                parser.send(h11.EndOfMessage())
                parser.start_next_cycle()
    except h11.ProtocolError:  # also where it is the last one
        pass
    return requests


def by_zttp(stream: bytes) -> Requests:
    parser, requests, body = zttp.Connection(zttp.SERVER), [], b""
    request: Any = None
    try:
        parser.receive_data(stream)
        while (event := parser.next_event()) is not zttp.NEED_DATA:
            if isinstance(event, zttp.Request):
                request, body = event, b""
            elif isinstance(event, zttp.Data):
                body += event.data
            if isinstance(event, zttp.EndOfMessage) or (event is request and request.end_stream):
                requests.append((request.method, request.target, body))
                parser.send_response(404, list(OK))
                parser.end_message()
                parser.start_next_cycle()
    except zttp.ProtocolError:
        pass
    return requests


@pytest.mark.parametrize("requests", [1500, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("referee", [by_h11, by_zttp])
def test_no_parser_finds_another_request_in_the_bytes(referee, requests: int):
    alike = more = 0
    for stream, _ in streams(11, requests):
        ours, theirs = by_ours(stream), referee(stream)
        common = min(len(ours), len(theirs))
        assert ours[:common] == theirs[:common], stream
        alike += len(ours) == len(theirs)
        more += common
    assert alike > requests / 8
    assert more > requests / 4


TARGET = b"/health/live"
# What a request is for us, h11, zttp: how many requests each finds; and the sentence that we follow.
DIFFERENT = {
    "RFC 9112 2.2: a server SHOULD ignore at least one empty line received prior to the request-line": (
        b"\r\n" + get(), (1, 0, 0)),
    "RFC 9112 2.2: a sender MUST NOT generate a bare CR; a recipient MAY recognize a single LF as a line terminator": (
        get().replace(b"\r\n", b"\n"), (0, 1, 0)),
    "RFC 9112 5.2: a server that receives an obs-fold MUST either reject the message, or replace it": (
        get(TARGET, b"x: a\r\n b"), (0, 1, 0)),
    "RFC 9110 2.5: a server can send 505 to a request of a major version that it does not speak": (
        get().replace(b"1.1", b"2.0"), (0, 1, 0)),
    "RFC 9110 9.1: a method that is unrecognized is answered with 501": (
        get().replace(b"GET", b"FETCH"), (0, 1, 1)),
    "RFC 9110 8.6: a recipient of several equal lengths MUST either reject the message, or take them as one": (
        post(b"{}", b"content-length: 2"), (0, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "found"), DIFFERENT.values(), ids=[name.split(":")[0] for name in DIFFERENT])
def test_where_they_differ_the_sentence_says_why(stream: bytes, found: tuple[int, int, int]):
    assert tuple(len(parser(stream)) for parser in (by_ours, by_h11, by_zttp)) == found
