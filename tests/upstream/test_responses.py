"""What of an undocumented answer may reach a client."""

from __future__ import annotations

import base64
import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.call import CallContext
from app.errors import Outcome
from app.redaction import cleaned
from app.upstream.messages import BackendRequest, BackendResponse, secrets_of
from app.upstream.responses import member, message_of, parsed, text_member, undocumented
from app.upstream.upstream import Upstream

HOSTS = [
    "api.basecone.com",
    "API.Basecone.COM",
    "bokamera.se",
    "api.internal.example.com:8443",
    "api.example.com:8443/path?q=1",
    "*.example.com",
    "db01:5432",
    "db01.local",
    "localhost",
    "localhost:8000",
    "10.0.0.5",
    "10.0.0.5:5432",
    "[::1]:80",
    "::1",
    "2001:db8::1",
    "fe80::1ff:fe23:4567:890a",
    "fe80::1%eth0",
    "::ffff:10.0.0.5",
    "1:2:3:4:5:6:7:8",
    "https://api.basecone.com/v1/x?y=1",
    "jdbc:postgresql://db/x",
    "\\\\fileserver\\share",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("text", ["{}", "Host {} failed.", "at <{}>, port", '"{}"', "x={}; y", "a\n{}\tb"])
def test_no_host_or_url_is_left(text, host):
    result = cleaned(text.format(host))
    assert "[removed]" in result
    assert not any(part in result.lower() for part in ("basecone", "example", "db01", "local", "10.0", "fe80", "::"))


@pytest.mark.parametrize(
    "text",
    [
        "The e-mail is wrong. Two. Three.",
        "At 12:30:45 h, e.g. 3.5 or 1,000.00 of a/b.",
        "Field input.name: must not be empty (status:404)",
        "50% {x} [0] #1 & more...",
        "Größe ist ungültig: prüfen",
        "Basic information is missing; bearer authentication is required.",
        "Look at the list (of codes), at page 3 (above).",
    ],
)
def test_an_ordinary_text_is_left_alone(text):
    assert cleaned(text) == text


GUID = "d0000000-0000-4000-8000-000000000001"
PAIR = base64.b64encode(f"{GUID}:s3cret-key".encode()).decode()
ECHOES = {
    f"The header 'Basic {PAIR}' is malformed.": {"authorization": f"Basic {PAIR}"},
    "The key S3CRET-KEY is not active.": {"authorization": f"basic  {PAIR}"},
    f"Client {GUID.upper()} is not known.": {"authorization": f"Basic {PAIR}"},
    f"The header Basic {PAIR.rstrip('=')} has no padding.": {"authorization": f"Basic {PAIR}"},
    f"The pair {PAIR.replace('=', '%3D')} is none.": {"authorization": f"Basic {PAIR}"},
    f"Client {GUID.replace('-', '')} is not known.": {"authorization": f"Basic {PAIR}"},
    f"The key {{{GUID.upper()}}} is not known.": {"x-api-key": GUID.replace("-", "")},
    f"The key {GUID.replace('-', '').upper()} is not active.": {"x-api-key": GUID},
    "The token s3cret-key-of-1 has expired.": {"authorization": "Bearer s3cret-key-of-1"},
    f"The key {GUID} has expired.": {"x-api-key": GUID},
    "Some other Bearer s3cret-key1 was used.": {},
    f"Some other Basic {PAIR} was used.": {},
    "The token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyZXQta2V5In0.c2VjcmV0 has expired.": {},
    "A signature is s3cret-key_of_mine.": {"authorization": "Custom s3cret-key_of_mine"},
}


@pytest.mark.parametrize(("text", "headers"), ECHOES.items(), ids=range(len(ECHOES)))
async def test_credentials_that_an_answer_repeats_reach_neither_client_nor_log(text, headers, caplog):
    caplog.set_level("DEBUG")
    answers = httpx.MockTransport(lambda _: httpx.Response(400, json={"message": text, "code": text}))
    async with Upstream("x", "https://backend.test", transport=answers) as upstream:
        answer = await upstream.send(
            BackendRequest("GET", "/", headers={"accept": "application/json", **headers}), CallContext("r")
        )
    shown = undocumented("x", answer, code=text).backend
    for part in (shown.message, shown.code, *([caplog.text] if headers else [])):
        assert "[removed]" in part
        shapes = (GUID, GUID.replace("-", ""), PAIR.rstrip("=").lower(), "s3cret", "eyj")
        assert not any(secret in part.lower() for secret in shapes)
    assert not re.search("s3cret|d0000000", repr(answer))


def test_a_short_secret_or_a_header_that_is_none_blanks_no_words():
    assert secrets_of({"accept": "application/json", "x-simulate": "VAT_CODE_INVALID", "x-api-key": "demo"}) == ()
    assert secrets_of({"authorization": "Basic no-base64!"}) == ("no-base64!",)
    assert secrets_of({"x-api-key": "========="}) == ("=========",)


@pytest.mark.parametrize("line", [" ", "\r\n   "])
def test_a_stack_trace_is_no_message(line):
    text = f"The value is bad.{line}at Some.Service.Put(Update request) in /build/src/Service.cs:line 12{line}at Next.Frame()"
    assert cleaned(text) == "The value is bad."


@given(st.text())
def test_a_cleaned_text_is_short_and_has_no_control_characters(text):
    result = cleaned(text)
    assert len(result) <= 500
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in result)
    assert "://" not in result or "://" in text


@pytest.mark.parametrize(
    "text",
    [
        "a-" * 9999,
        " at " * 9999,
        " at a." * 9999,
        "basic " * 9999,
        "eyJa" * 9999,
        "Bearer " + "a" * 9999,
        "a." * 9999,
        "1." * 9999,
        "a:" * 9999,
        ":" * 9999,
        "ab.cd-" * 9999,
        "password " * 9999,
        "token:" * 9999,
        " at x (" * 9999,
        " at x (a:1" * 9999,
        "/srv/" * 9999,
        "c:\\" * 9999,
    ],
)
def test_a_hostile_text_is_only_cut(text):
    assert len(cleaned(text)) <= 500


BODIES = [b"", b"<html>", b"oh", b'{"a":', b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000, b"\x00", b"nul"]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (101, Outcome.UNKNOWN),
        (200, Outcome.UNKNOWN),
        (302, Outcome.UNKNOWN),
        (400, Outcome.NOT_APPLIED),
        (408, Outcome.UNKNOWN),
        (429, Outcome.NOT_APPLIED),
        (499, Outcome.NOT_APPLIED),
        (500, Outcome.UNKNOWN),
    ],
)
def test_any_body_under_any_status_becomes_the_family_of_the_status(status, outcome, body):
    error = undocumented("x", BackendResponse(status, {"retry-after": "3"}, body))
    assert (error.outcome, error.retry_after, error.backend.status) == (outcome, 3, status)
    assert error.backend.message is None
    assert error.retry_safe == (status == 429)


def test_only_a_refusals_own_text_is_passed_on():
    body = b'{"Message":"Wrong at https://x.y.z/a\\u0000 b","title":"no"}'
    assert undocumented("x", BackendResponse(418, {}, body)).backend.message == "Wrong at [removed] b"
    assert undocumented("x", BackendResponse(500, {}, body)).backend.message is None


def test_members_are_found_in_any_casing_and_only_in_objects():
    assert member({"MESSAGE": 1}, "message") == 1
    assert member([], "message") is None
    assert text_member({"a": " "}, "a") is None
    assert message_of({"detail": "d", "title": "t"}) == "t"
    assert parsed(b"1.10") is not None


def test_an_object_with_a_member_twice_is_unreadable():
    """Which of the two was meant cannot be told."""
    assert parsed(b'{"a":1,"A":2,"b":[{"a":1e999},{"a":2}]}') is not None
    for body in (b'{"a":1,"a":1}', b'{"b":[{"a":1,"\\u0061":2}]}'):
        assert parsed(body) is None


@pytest.mark.parametrize(
    "text", ["Server=x;User Id=sa;Password=hunter2", "pwd = hunter2", "x-api-key: hunter2", "token=hunter2"]
)
def test_no_named_credential_is_left(text):
    assert "hunter2" not in cleaned(text)


@pytest.mark.parametrize(
    "text",
    [
        "Password: must be at least 8 characters",
        "The token: expired",
        "api key: missing",
        "Invoice at Acme (Baarn), from 1/2/2026",
        "either/or and /help",
        "Meet at 10 (room 4)",
    ],
)
def test_what_is_only_said_stays(text):
    assert cleaned(text) == text


@pytest.mark.parametrize(
    "trace",
    [
        "at lambda_method(Closure , Object )",
        "at Object.<anonymous> (/srv/main.js:7:3) at Module._compile (node:internal:1)",
        'Traceback (most recent call last): File "/srv/x.py", line 3, in f',
    ],
)
def test_a_stack_trace_of_another_kind_is_no_message_either(trace):
    assert cleaned(f"The value is bad. {trace}") == "The value is bad."


@pytest.mark.parametrize("path", ["/srv/app/main.py", "C:\\inetpub\\x.cs", "/var/log/x"])
def test_no_path_of_a_servers_file_is_left(path):
    assert cleaned(f"Failed in {path} today") == "Failed in [removed] today"


def test_a_byte_order_mark_is_no_part_of_the_json():
    assert parsed(b'\xef\xbb\xbf{"code":"x"}') == {"code": "x"}
