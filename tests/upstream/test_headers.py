"""What a request carries, and what it never does: cookies, the environment's credentials, smuggled lines."""

from __future__ import annotations

import logging

import pytest

from app import errors
from app.call import CallContext
from app.errors import GatewayError, Outcome
from app.upstream.messages import BackendRequest
from app.upstream.upstream import Upstream
from tests.upstream.bad_server import BadServer, in_turn, says, status, unused_port

PUT = BackendRequest("PUT", "/x", body=b"{}")
CALL = CallContext("request-1")


async def error_of(upstream: Upstream, request: BackendRequest = PUT, call: CallContext = CALL) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await upstream.send(request, call)
    return caught.value


async def test_no_cookie_is_kept_or_shown():
    scripts = in_turn(status(204, b"", "set-cookie: session=secret; Path=/"), status(204))
    async with BadServer(scripts) as server, Upstream("x", server.url) as upstream:
        first = await upstream.send(PUT, CALL)
        await upstream.send(PUT, CALL)
    assert "set-cookie" not in first.headers
    assert ["cookie" in exchange.headers for exchange in server.requests] == [False, False]


async def test_the_environment_says_nothing_about_proxies_or_credentials(monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with BadServer(status(204)) as server, Upstream("x", server.url) as upstream:
        assert (await upstream.send(PUT, CALL)).status == 204
    assert "authorization" not in server.requests[0].headers


async def test_headers_and_query_reach_the_service_as_given():
    async with BadServer(status(204)) as server, Upstream("x", f"{server.url}/v1/") as upstream:
        request = BackendRequest(
            "PUT", "/c/%C3%A9", (("a", "1 2"), ("b", "x&y")), {"Authorization": " Basic eA== ", "x-key": "é"}, b"{}"
        )
        await upstream.send(request, CallContext("request-7", trace_headers={"traceparent": "00-1", "bad": "a\r\nb"}))
    seen = server.requests[0]
    assert seen.target.replace("+", "%20") == "/v1/c/%C3%A9?a=1%202&b=x%26y"
    assert (seen.headers["authorization"], seen.headers["x-key"]) == ("Basic eA==", "é")
    assert (seen.headers["x-request-id"], seen.headers["traceparent"]) == ("request-7", "00-1")
    assert seen.headers["accept-encoding"] == "identity"
    assert "bad" not in seen.headers


@pytest.mark.parametrize(
    "value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b", "a\x7fb", "Basic \u0141", "snow\u2603", "a\u2028b"]
)
@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
async def test_a_credential_that_is_no_header_is_refused_unsent(name, value):
    async with BadServer(status(204)) as server, Upstream("x", server.url) as upstream:
        error = await error_of(upstream, BackendRequest("PUT", "/x", headers={name: value}, body=b"{}"))
    assert (error.row, error.outcome, server.connections) == (errors.CREDENTIALS_MALFORMED, Outcome.NOT_APPLIED, 0)
    assert value not in f"{error!r} {error.message} {error.detail} {error.extensions}"


async def test_a_header_name_cannot_smuggle_either():
    async with BadServer(status(204)) as server, Upstream("x", server.url) as upstream:
        error = await error_of(upstream, BackendRequest("PUT", "/x", headers={"a: b\r\nc": "d"}, body=b"{}"))
    assert (error.row, server.connections) == (errors.CREDENTIALS_MALFORMED, 0)


async def test_no_credential_is_logged_or_shown(caplog):
    caplog.set_level(logging.DEBUG)
    scripts = in_turn(status(500, b"oh"), says(b"", then="reset"))
    request = BackendRequest(
        "PUT", "/x", headers={"authorization": "Basic s3cret", "x-api-key": "s3cret"}, body=b"s3cret"
    )
    call = CallContext("r", credentials={"x": {"authorization": "s3cret"}}, trace_headers={"a": "s3cret"})
    async with BadServer(scripts) as server, Upstream("x", server.url) as upstream:
        await upstream.send(request, call)
        error = await error_of(upstream, request, call)
    assert server.puts == 2
    shown = caplog.text + repr((request, call, error, upstream, error.detail, error.extensions))
    assert "s3cret" not in shown
