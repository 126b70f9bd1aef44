"""The fault table: every way an exchange can break, made on real sockets, and what is said about the write."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import ssl
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from app import errors
from app.call import CallContext
from app.errors import Code, GatewayError, Outcome
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.responses import undocumented
from app.upstream.settings import Limits
from app.upstream.upstream import Upstream
from tests.patience import given_time
from tests.upstream import faults
from tests.upstream.bad_server import BadServer, answer, says, unused_port
from tests.upstream.faults import BOMB, CHUNKED, ERROR, GZIPPED, MEBIBYTE, zipped

PATIENT = Limits(backend_seconds=60.0, connect_retries=0, max_answer_bytes=MEBIBYTE)
SHORT = Limits(connect_retries=0)  # its time-out is set by the test
SHORT_CONNECT = Limits(backend_seconds=20.0, connect_seconds=0.2, connect_retries=1, backoff=0.001)
SMALL = b'{"a":1}'
BIG = b"x" * (16 * MEBIBYTE)


@dataclass
class Fault:
    """`expected` is the row of the error, the error that an undocumented answer becomes included; or a status."""

    id: str
    server: Any
    expected: errors.DocumentedError | int
    puts: int = 1
    limits: Limits = PATIENT
    raw: bool = False
    eager: bool = True
    body: bytes = SMALL
    complete: bool = True
    url: str | None = None


NOT_HTTP = says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
UNSENT = [
    Fault("refused", None, errors.NOT_CONNECTED, 0),
    Fault("refused, with retries", None, errors.NOT_CONNECTED, 0, SHORT_CONNECT),
    Fault("unknown host", None, errors.NOT_CONNECTED, 0, url="http://gateway-tests.invalid"),
    Fault("a host name that cannot be one", None, errors.INTERNAL, 0, url="http://\u2603.invalid"),
    Fault("a scheme that is none of HTTP", None, errors.INTERNAL, 0, url="gopher://127.0.0.1"),
    Fault("plain text where TLS is due", NOT_HTTP, errors.NOT_CONNECTED, 0, raw=True, url="https"),
    Fault("closed in the TLS handshake", says(b"", then="close"), errors.NOT_CONNECTED, 0, raw=True, url="https"),
    Fault("reset in the TLS handshake", says(b"", then="reset"), errors.NOT_CONNECTED, 0, raw=True, url="https"),
    Fault("TLS handshake hangs", faults.hangs_in_tls, errors.NOT_CONNECTED, 0, SHORT_CONNECT, raw=True, url="https"),
    Fault(
        "time over in the TLS handshake",
        faults.hangs_in_tls,
        errors.DEADLINE_BEFORE_SENDING,
        0,
        SHORT,
        raw=True,
        url="https",
    ),
]
SENT = [
    Fault("closed without an answer", says(b"", then="close"), errors.CONNECTION_LOST),
    Fault("reset after the request", says(b"", then="reset"), errors.CONNECTION_LOST),
    Fault("reset while the body is sent", faults.reset_mid_send, errors.CONNECTION_LOST, eager=False, body=BIG),
    Fault("never reads the body", faults.never_reads, errors.ANSWER_TIMED_OUT, limits=SHORT, eager=False, body=BIG),
    Fault(
        "refuses while the body is sent",
        says(answer(413, ERROR), then="close"),
        errors.UNDOCUMENTED_REJECTION,
        eager=False,
        body=SMALL,
    ),
    Fault("hangs after the request", says(b"", then="hang"), errors.ANSWER_TIMED_OUT, limits=SHORT),
    Fault(
        "hangs in the headers", says(b"HTTP/1.1 200 OK\r\nx-a: b", then="hang"), errors.ANSWER_TIMED_OUT, limits=SHORT
    ),
    Fault("hangs in the body", says(answer(200, SMALL, length=99), then="hang"), errors.ANSWER_TIMED_OUT, limits=SHORT),
    Fault("slow drip", faults.drips, errors.ANSWER_TIMED_OUT, limits=SHORT),
    Fault(
        "slow drip of a refusal", faults.drips_a_refusal, errors.UNDOCUMENTED_NOT_FOUND, limits=SHORT, complete=False
    ),
    Fault("slow drip of headers", faults.drips_headers, errors.ANSWER_TIMED_OUT, limits=SHORT),
    Fault("body cut off", says(answer(200, SMALL, length=99), then="close"), errors.CONNECTION_LOST),
    Fault("body reset", says(answer(200, SMALL, length=99), then="reset"), errors.CONNECTION_LOST),
    Fault(
        "refusal cut off",
        says(answer(400, ERROR, length=99), then="close"),
        errors.UNDOCUMENTED_BAD_REQUEST,
        complete=False,
    ),
    Fault("failure cut off", says(answer(500, ERROR, length=99), then="close"), errors.BACKEND_FAILED, complete=False),
    Fault("content-length too short", says(answer(200, SMALL, length=2)), 200),
    Fault("204 with a body", says(b"HTTP/1.1 204 No Content\r\n\r\n{}"), 204),
    Fault("204 with a length and a body", says(answer(204, SMALL)), 204),
    Fault(
        "content-length that is no number",
        says(b"HTTP/1.1 200 OK\r\ncontent-length: abc\r\n\r\n"),
        errors.ANSWER_UNREADABLE,
    ),
    Fault("two content-lengths", says(answer(200, SMALL, "content-length: 9999")), errors.ANSWER_UNREADABLE),
    Fault("no length, ended by closing", says(answer(200, SMALL, length=-1), then="close"), 200),
    Fault("chunks cut off", says(answer(200, b'7\r\n{"a"', CHUNKED), then="close"), errors.CONNECTION_LOST),
    Fault(
        "chunks without an end", says(answer(200, b'7\r\n{"a":1}\r\n', CHUNKED), then="close"), errors.CONNECTION_LOST
    ),
    Fault("chunk size that is no number", says(answer(200, b"zz\r\n{}", CHUNKED)), errors.CONNECTION_LOST),
    Fault("endless chunk size", faults.endless(answer(200, b"", CHUNKED), b"0" * 4096), errors.CONNECTION_LOST),
    Fault(
        "endless chunks of one byte",
        faults.endless(answer(200, b"", CHUNKED), b"1\r\nx\r\n" * 9999),
        errors.ANSWER_TOO_LARGE,
    ),
    Fault("endless headers", faults.endless(b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n" * 100), errors.ANSWER_UNREADABLE),
    Fault("giant header", faults.endless(b"HTTP/1.1 200 OK\r\nx-big: ", b"x" * 65536), errors.ANSWER_UNREADABLE),
    Fault("endless status line", faults.endless(b"HTTP/1.1 200 ", b"x" * 65536), errors.CONNECTION_LOST),
    Fault("endless 1xx", faults.endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 99), errors.CONNECTION_LOST),
    Fault("endless headers of 1xx", faults.endless(b"", faults.HINTS), errors.CONNECTION_LOST),
    Fault("1xx, then the answer", says(b"HTTP/1.1 102 Processing\r\n\r\n" + answer(200, SMALL)), 200),
    Fault("1xx, then nothing", says(b"HTTP/1.1 100 Continue\r\n\r\n", then="close"), errors.CONNECTION_LOST),
    Fault("101", says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", then="hang"), errors.CONNECTION_LOST),
    Fault("garbage instead of HTTP", NOT_HTTP, errors.CONNECTION_LOST),
    Fault("HTTP/0.9", says(b"<html></html>", then="close"), errors.CONNECTION_LOST),
    Fault("status 000", says(b"HTTP/1.1 000 Zero\r\n\r\n"), errors.CONNECTION_LOST),
    Fault("status 999", says(answer(999, ERROR)), errors.BACKEND_FAILED),
    Fault("100 MB", faults.big(200, 100 * MEBIBYTE), errors.ANSWER_TOO_LARGE),
    Fault("100 MB of refusal", faults.big(403, 100 * MEBIBYTE), errors.UNDOCUMENTED_FORBIDDEN, complete=False),
    Fault("gzip bomb", says(zipped(200, BOMB)), errors.ANSWER_TOO_LARGE),
    Fault("gzip bomb of a refusal", says(zipped(422, BOMB)), errors.UNDOCUMENTED_BAD_REQUEST, complete=False),
    Fault("gzip that nobody asked for", says(zipped(200, GZIPPED)), 200),
    Fault("gzip of empty members", says(zipped(200, gzip.compress(b"") * 50_000)), errors.ANSWER_TOO_LARGE),
    Fault("gzip in several members", says(zipped(200, GZIPPED + GZIPPED)), 200),
    Fault("bad gzip", says(zipped(200, b"not gzip")), errors.ANSWER_UNREADABLE),
    Fault("gzip cut off", says(zipped(200, GZIPPED[:-9])), errors.ANSWER_UNREADABLE),
    Fault("a coding that nobody asked for", says(zipped(200, b"??", "br")), errors.ANSWER_UNREADABLE),
    Fault("several codings", says(zipped(200, GZIPPED, "gzip, gzip")), errors.ANSWER_UNREADABLE),
    Fault("head cut off", says(b"HTTP/1.1 204 No Content\r\nx-a: b", then="close"), errors.ANSWER_UNREADABLE),
    Fault("head reset", says(b"HTTP/1.1 200 OK\r\nx-a: b\r\n", then="reset"), errors.ANSWER_UNREADABLE),
    Fault(
        "head of a refusal cut off",
        says(b"HTTP/1.1 404 Not Found\r\nx-a: b", then="close"),
        errors.UNDOCUMENTED_NOT_FOUND,
        complete=False,
    ),
    Fault("status line cut off", says(b"HTTP/1.1 204 No", then="close"), errors.CONNECTION_LOST),
    Fault(
        "endless headers of a refusal",
        faults.endless(b"HTTP/1.1 400 Bad Request\r\n", b"x-more: 1\r\n" * 100),
        errors.UNDOCUMENTED_BAD_REQUEST,
        complete=False,
    ),
    Fault(
        "two content-lengths of a refusal",
        says(answer(422, ERROR, "content-length: 9999")),
        errors.UNDOCUMENTED_BAD_REQUEST,
        complete=False,
    ),
    Fault(
        "a transfer coding that nobody asked for",
        says(answer(200, b"x", "transfer-encoding: gzip, chunked")),
        errors.ANSWER_UNREADABLE,
    ),
    Fault("redirect to another host", says(answer(307, b"", "location: http://127.0.0.2:1/x")), errors.REDIRECTED),
    Fault("redirect to itself", says(answer(308, b"", "location: /")), errors.REDIRECTED),
    Fault("request time-out at the backend", says(answer(408)), errors.BACKEND_REQUEST_TIMEOUT),
    Fault("HTML instead of JSON", says(answer(502, b"<html>", "content-type: text/html")), errors.BACKEND_FAILED),
]


@contextlib.asynccontextmanager
async def address(fault: Fault):
    if fault.server is None:
        yield fault.url or f"http://127.0.0.1:{unused_port()}", None
        return
    async with BadServer(fault.server, raw=fault.raw, eager=fault.eager) as server:
        yield server.url.replace("http", "https") if fault.url == "https" else server.url, server


async def put(upstream: Upstream, body: bytes = SMALL, **call: Any) -> BackendResponse | GatewayError:
    request = BackendRequest("PUT", "/x", headers={"authorization": "Bearer x"}, body=body)
    try:
        return await upstream.send(request, CallContext("request-1", **call))
    except GatewayError as error:
        return error


def judged(result: BackendResponse | GatewayError, expected: errors.DocumentedError | int) -> GatewayError | int:
    if isinstance(result, GatewayError):
        return result
    return result.status if isinstance(expected, int) else undocumented("x", result)


def as_met_here(fault: Fault) -> Fault:
    """The other transport's table puts a function of its own here."""
    return fault


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("fault", UNSENT + SENT, ids=lambda fault: fault.id)
def test_each_fault_is_told_truthfully(fault: Fault, loop: str):
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        fault = as_met_here(fault)
        if fault.limits is SHORT:
            runner.run(
                given_time(
                    lambda seconds: make_and_judge(fault, SHORT.model_copy(update={"backend_seconds": seconds})), 0.4
                )
            )
        else:
            runner.run(make_and_judge(fault, fault.limits))


async def make_and_judge(fault: Fault, limits: Limits) -> None:
    async with address(fault) as (url, server), Upstream("x", url, limits) as upstream:
        result = await put(upstream, fault.body)
    said = judged(result, fault.expected)
    puts = server.puts if server else 0
    if puts and isinstance(result, GatewayError) and result.outcome is Outcome.NOT_APPLIED:
        pytest.fail("A PUT that left and was not answered was said not to be applied.")
    assert fault.puts == puts
    if isinstance(fault.expected, int):
        assert fault.expected == said
        return
    assert isinstance(said, GatewayError)
    assert fault.expected == said.row
    assert said.backend.name == "x"
    if fault in UNSENT:
        assert Outcome.NOT_APPLIED is said.outcome
    else:
        assert fault.expected.outcome is said.outcome
    if isinstance(result, BackendResponse):
        assert fault.complete == result.complete
    if said.outcome is Outcome.UNKNOWN:
        assert not said.retry_safe


def test_the_table_is_large_enough_and_each_fault_has_a_name_of_its_own():
    assert 50 <= len(UNSENT + SENT) == len({fault.id for fault in UNSENT + SENT})


async def test_a_connect_into_a_black_hole_is_not_applied():
    async with faults.black_hole() as url, Upstream("x", url, SHORT_CONNECT) as upstream:
        error = await put(upstream)
    assert (error.row, error.outcome) == (errors.NOT_CONNECTED, Outcome.NOT_APPLIED)
    assert re.search("connecting took too long|ConnectTimeout", error.detail)


async def test_an_untrusted_certificate_is_not_applied(tmp_path):
    server_tls, _ = faults.certificate(tmp_path)
    async with BadServer(says(answer(204)), tls=server_tls) as server, Upstream("x", server.url, PATIENT) as upstream:
        error = await put(upstream)
    assert (error.row, error.outcome, server.puts) == (errors.NOT_CONNECTED, Outcome.NOT_APPLIED, 0)
    assert "CERTIFICATE_VERIFY_FAILED" in error.detail


async def test_a_certificate_of_another_name_is_not_applied(tmp_path):
    server_tls, client_tls = faults.certificate(tmp_path)
    async with BadServer(says(answer(204)), tls=server_tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with Upstream("x", url, PATIENT, tls=client_tls) as upstream:
            error = await put(upstream)
    assert (error.row, error.outcome, server.puts) == (errors.NOT_CONNECTED, Outcome.NOT_APPLIED, 0)


async def test_a_reset_over_tls_is_unknown(tmp_path):
    server_tls, client_tls = faults.certificate(tmp_path)
    async with (
        BadServer(says(b"", then="close"), tls=server_tls) as server,
        Upstream("x", server.url, PATIENT, tls=client_tls) as upstream,
    ):
        error = await put(upstream)
    assert (error.row, error.outcome, server.puts) == (errors.CONNECTION_LOST, Outcome.UNKNOWN, 1)


async def test_no_tls_version_in_common_is_not_applied(tmp_path):
    server_tls, client_tls = faults.certificate(tmp_path)
    server_tls.maximum_version = ssl.TLSVersion.TLSv1_2
    client_tls.minimum_version = ssl.TLSVersion.TLSv1_3
    async with (
        BadServer(says(answer(204)), tls=server_tls) as server,
        Upstream("x", server.url, PATIENT, tls=client_tls) as upstream,
    ):
        error = await put(upstream)
    assert (error.row, error.outcome, server.puts) == (errors.NOT_CONNECTED, Outcome.NOT_APPLIED, 0)


def test_codes_follow_the_contract():
    codes = {errors.NOT_CONNECTED: Code.BACKEND_UNAVAILABLE, errors.CONNECTION_LOST: Code.BACKEND_ERROR}
    codes |= {errors.ANSWER_TIMED_OUT: Code.BACKEND_TIMEOUT, errors.NO_FREE_CONNECTION: Code.BACKEND_UNAVAILABLE}
    assert all(row.code is code for row, code in codes.items())
