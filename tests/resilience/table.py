"""The faults of the whole gateway's table, with what a client is told of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.upstream import faults
from tests.upstream.bad_server import Script, answer, says, status
from tests.upstream.faults import BOMB, CHUNKED, ERROR, MEBIBYTE, zipped

SMALL = b'{"Id":"b0000000-0000-4000-8000-000000000001","Firstname":"Changed"}'
SHORT_CONNECT = {"GATEWAY_CONNECT_SECONDS": "0.2", "GATEWAY_CONNECT_RETRIES": "1"}
LARGE_BODY = {"GATEWAY_MAX_BODY_BYTES": "40000000"}
HTML = "content-type: text/html"
JSON = "content-type: application/json"


@dataclass
class Fault:
    """`code`, `reason`, `outcome` and `retry` are the error's; `outcome` None stands for a success.

    `reads` counts the read-backs: one after an unknown outcome, none else. `status` is `backend.status`.
    """

    id: str
    put: Script
    code: str
    reason: str
    outcome: str | None = "UNKNOWN"
    retry: dict[str, Any] = field(default_factory=lambda: {"safe": False})
    status: int | None = None
    api: str = "basecone"
    puts: int = 1
    reads: int = 1
    raw: bool = False
    eager: bool = True
    url: str | None = None
    body: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    waits: bool = False  # until the time that a call has is over
    hurried: bool = False  # until the caller's own time is over


def unsent(name: str, put: Script, reason: str = "NOT_CONNECTED", **more: Any) -> Fault:
    shown = {"code": "BACKEND_UNAVAILABLE", "outcome": "NOT_APPLIED", "retry": {"safe": True}}
    return Fault(name, put, **shown, reason=reason, puts=0, reads=0, **more)


def lost(name: str, put: Script, **more: Any) -> Fault:
    return Fault(name, put, "BACKEND_ERROR", "CONNECTION_LOST", **more)


def late(name: str, put: Script, **more: Any) -> Fault:
    return Fault(name, put, "BACKEND_TIMEOUT", "ANSWER_TIMED_OUT", waits=True, **more)


def refused(name: str, put: Script, code: str, reason: str, status: int, **more: Any) -> Fault:
    return Fault(name, put, code, reason, "NOT_APPLIED", status=status, reads=0, **more)


def failed(name: str, put: Script, status: int, reason: str = "BACKEND_FAILED", **more: Any) -> Fault:
    return Fault(name, put, "BACKEND_ERROR", reason, status=status, **more)


def booking(data: bytes) -> Script:
    return status(200, data, JSON)


NOTHING = says(b"")
NOT_HTTP = says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
TLS: dict[str, Any] = {"raw": True, "url": "https"}

UNSENT = [
    unsent("DNS: unknown host", NOTHING, url="http://gateway-tests.invalid"),
    unsent("refused", NOTHING, url="refused"),
    unsent("SYN without an answer", NOTHING, url="black hole", settings=SHORT_CONNECT),
    unsent("plain text where TLS is due", NOT_HTTP, **TLS),
    unsent("closed in the TLS handshake", says(b"", then="close"), **TLS),
    unsent("reset in the TLS handshake", says(b"", then="reset"), **TLS),
    unsent("TLS handshake hangs", faults.hangs_in_tls, settings=SHORT_CONNECT, **TLS),
    unsent("a certificate that nobody trusts", NOTHING, url="untrusted"),
    unsent(
        "the caller's time is over before anything is sent",
        faults.hangs_in_tls,
        "DEADLINE_BEFORE_SENDING",
        settings={"GATEWAY_CONNECT_SECONDS": "900"},
        hurried=True,
        **TLS,
    ),
]
BROKEN = [
    lost("closed without an answer", says(b"", then="close")),
    lost("reset after the request", says(b"", then="reset")),
    lost("reset while the body is sent", faults.reset_mid_send, eager=False, body=16 * MEBIBYTE, settings=LARGE_BODY),
    late("hangs while the body is sent", faults.never_reads, eager=False, body=16 * MEBIBYTE, settings=LARGE_BODY),
    late("hangs after the request", says(b"", then="hang")),
    late("hangs in the headers", says(b"HTTP/1.1 204 No Content\r\nx-a: b", then="hang")),
    late("hangs in the body", says(answer(200, SMALL, length=999), then="hang"), api="bokamera", status=200),
    late("slow drip of a body", faults.drips, api="bokamera", status=200),
    late("slow drip of headers", faults.drips_headers),
    lost("body cut off", says(answer(200, SMALL, length=999), then="close"), api="bokamera", status=200),
    lost("body reset", says(answer(200, SMALL, length=999), then="reset"), api="bokamera", status=200),
    failed("two content-lengths", says(answer(200, SMALL, "content-length: 9999")), 200, "ANSWER_UNREADABLE"),
    failed(
        "content-length too short", says(answer(200, SMALL, JSON, length=9)), 200, "ANSWER_UNREADABLE", api="bokamera"
    ),
    lost("chunks without an end", says(answer(200, b'7\r\n{"a":1}\r\n', CHUNKED), then="close"), status=200),
    failed(
        "endless headers",
        faults.endless(b"HTTP/1.1 204 No Content\r\n", b"x-more: 1\r\n" * 100),
        204,
        "ANSWER_UNREADABLE",
    ),
    failed(
        "one giant header",
        faults.endless(b"HTTP/1.1 204 No Content\r\nx-big: ", b"x" * 65536),
        204,
        "ANSWER_UNREADABLE",
    ),
    lost("garbage in place of HTTP", NOT_HTTP),
    lost("a switch of protocols", says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", then="hang")),
    failed("100 MB", faults.big(200, 100 * MEBIBYTE), 200, "ANSWER_TOO_LARGE"),
    failed("gzip bomb", says(zipped(200, BOMB)), 200, "ANSWER_TOO_LARGE", api="bokamera"),
    failed("gzip that is none", says(zipped(200, b"not gzip")), 200, "ANSWER_UNREADABLE", api="bokamera"),
    failed("NaN", booking(b'{"Firstname":"Changed","Id":NaN}'), 200, "ANSWER_UNREADABLE", api="bokamera"),
    failed("JSON cut off", booking(SMALL[:-1]), 200, "ANSWER_UNREADABLE", api="bokamera"),
    failed("an empty 200", booking(b""), 200, "ANSWER_UNREADABLE", api="bokamera"),
    failed(
        "duplicate keys",
        booking(SMALL[:-1] + b',"Firstname":"Other"}'),
        200,
        "ANSWER_UNREADABLE",
        api="bokamera",
    ),
    failed(
        "a filled and an empty ResponseStatus",
        booking(SMALL[:-1] + b',"ResponseStatus":{"ErrorCode":"Oops"},"ResponseStatus":{}}'),
        200,
        "ANSWER_UNREADABLE",
        api="bokamera",
    ),
    failed("another customer's record", booking(SMALL.replace(b"01", b"03")), 200, "ANSWER_UNREADABLE", api="bokamera"),
    failed(
        "a 200 with a filled ErrorCode",
        booking(SMALL[:-1] + b',"ResponseStatus":{"ErrorCode":"Oops"}}'),
        200,
        "UNEXPECTED_SUCCESS",
        api="bokamera",
    ),
    failed("a 200 of Basecone", status(200, b"{}", JSON), 200, "UNEXPECTED_SUCCESS"),
    failed("a 202 of Basecone", status(202), 202, "UNEXPECTED_SUCCESS"),
    failed("a redirection to itself", status(308, b"", "location: /"), 308, "REDIRECTED"),
    failed("a 304", status(304), 304, "REDIRECTED"),
    failed("HTML 500", status(500, b"<html>", HTML), 500),
    failed("HTML 500 of BokaMera", status(500, b"<html>", HTML), 500, api="bokamera"),
    failed("502", status(502), 502),
    failed("503 without Retry-After", status(503), 503),
    failed("504 cut off", says(answer(504, ERROR, length=99), then="close"), 504),
    failed("status 999", status(999, ERROR), 999),
    Fault("408", status(408), "BACKEND_REJECTED", "BACKEND_REQUEST_TIMEOUT", status=408),
]
REFUSED = [
    refused("429", status(429), "RATE_LIMITED", "RATE_LIMITED", 429, retry={"safe": True}),
    refused(
        "429 with Retry-After",
        status(429, b"", "retry-after: 7"),
        "RATE_LIMITED",
        "RATE_LIMITED",
        429,
        retry={"safe": True, "afterSeconds": 7},
    ),
    refused("409", status(409), "CONFLICT", "UNDOCUMENTED_CONFLICT", 409),
    refused("422", status(422, ERROR), "BAD_USER_INPUT", "UNDOCUMENTED_BAD_REQUEST", 422),
    refused("413 while the body is sent", says(answer(413, ERROR), then="close"), "BACKEND_REJECTED", "UNDOCUMENTED_REJECTION", 413, eager=False),
    refused("a refusal cut off", says(answer(400, ERROR, length=99), then="close"), "BAD_USER_INPUT", "UNDOCUMENTED_BAD_REQUEST", 400),
    refused("100 MB of refusal", faults.big(403, 100 * MEBIBYTE), "FORBIDDEN", "UNDOCUMENTED_FORBIDDEN", 403),
    refused("slow drip of a refusal", faults.drips_a_refusal, "NOT_FOUND", "UNDOCUMENTED_NOT_FOUND", 404, waits=True),
    refused("gzip bomb of a refusal", says(zipped(422, BOMB)), "BAD_USER_INPUT", "UNDOCUMENTED_BAD_REQUEST", 422),
]  # fmt: skip
FINE = [
    *(
        Fault(
            f"a member that cannot be read: {odd}",
            booking(SMALL[:-1] + f",{odd}}}".encode()),
            "",
            "",
            None,
            api="bokamera",
            reads=0,
        )
        for odd in (
            '"Created":""',
            '"Updated":"Thu, 26 Nov 2026 13:00:00 GMT"',
            '"CustomFields":[{"Width":12.5}]',
            '"InvoiceAddress":""',
            '"AccessKeys":{}',
        )
    ),
    Fault("204 with a body", says(b"HTTP/1.1 204 No Content\r\n\r\n{}"), "", "", None, reads=0),
    Fault("204 with a length and a body", says(answer(204, b"{}")), "", "", None, reads=0),
    Fault(
        "content-length of a 204 that is no number",
        says(b"HTTP/1.1 204 No Content\r\ncontent-length: abc\r\n\r\n"),
        "",
        "",
        None,
        reads=0,
    ),
    Fault("1xx before the answer", says(b"HTTP/1.1 102 Processing\r\n\r\n" + answer(204)), "", "", None, reads=0),
]
TABLE = [*UNSENT, *BROKEN, *REFUSED, *FINE]
