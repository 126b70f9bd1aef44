"""Backends through an outbound proxy: what reaches it, what of its failures has left, and that nobody sees its password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging

import pytest

from app.apis import APIS
from app.bootstrap import limits_of
from app.call import CallContext
from app.config import SettingsError, parse_settings
from app.errors import CONNECTION_LOST, NOT_CONNECTED, GatewayError, Outcome
from app.upstream.messages import BackendRequest
from app.upstream.settings import Limits
from app.upstream.upstream import Upstream
from tests.upstream import faults
from tests.upstream.bad_server import BadServer, says, status, unused_port

CALL = CallContext("r")
PUT = BackendRequest("PUT", "/x", headers={"authorization": "Basic x"}, body=b"{}")
PASSWORD = "s3cret-pass"


async def relays(exchange) -> None:
    """CONNECT: bytes both ways until one side ends."""
    host, _, port = exchange.target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await exchange.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source, sink) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()

    try:
        await asyncio.gather(pump(exchange.reader, writer), pump(reader, exchange.writer))
    finally:
        writer.transport.abort()
        exchange.close()


def through(proxy: BadServer, user: str = "") -> Limits:
    return Limits(proxy_url=proxy.url.replace("//", f"//{user}"), connect_retries=0)


async def test_plain_http_is_asked_of_the_proxy_by_its_whole_address():
    async with BadServer(status(204)) as proxy, Upstream("x", "http://backend.test/v1", through(proxy)) as upstream:
        for _ in range(3):
            assert (await upstream.send(PUT, CALL)).status == 204
    assert {exchange.target for exchange in proxy.requests} == {"http://backend.test/v1/x"}
    assert (proxy.puts, proxy.connections) == (3, 1)


async def test_tls_goes_through_a_tunnel_and_the_proxy_sees_no_credential(tmp_path):
    server_tls, client_tls = faults.certificate(tmp_path)
    async with BadServer(status(204), tls=server_tls) as backend, BadServer(relays) as proxy:
        limits = through(proxy, f"user:{PASSWORD}@")
        async with Upstream("x", backend.url, limits, tls=client_tls) as upstream:
            for _ in range(3):
                assert (await upstream.send(PUT, CALL)).status == 204
    (tunnel,) = proxy.requests
    assert (tunnel.method, tunnel.target) == ("CONNECT", f"127.0.0.1:{backend.port}")
    assert "authorization" not in tunnel.headers
    pair = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
    assert tunnel.headers["proxy-authorization"] == f"Basic {pair}"
    assert backend.puts == 3
    assert all("proxy-authorization" not in exchange.headers for exchange in backend.requests)


UNSENT = {
    "refuses the tunnel": status(403, b"no"),
    "asks who is there": status(407, b"", "proxy-authenticate: Basic"),
    "cannot reach it": status(502),
    "closes": says(b"", then="close"),
    "resets": says(b"", then="reset"),
    "says nonsense": says(b"SSH-2.0\r\n\r\n"),
    "opens a tunnel to nowhere": says(b"HTTP/1.1 200 OK\r\n\r\n", then="close"),
}


@pytest.mark.parametrize("case", UNSENT)
async def test_before_the_tunnel_stands_nothing_has_left(case):
    async with BadServer(UNSENT[case]) as proxy, Upstream("x", "https://backend.test", through(proxy)) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.send(PUT, CALL)
    assert (caught.value.row, caught.value.outcome) == (NOT_CONNECTED, Outcome.NOT_APPLIED)
    assert proxy.puts == 0


async def test_a_proxy_that_is_away_is_not_applied():
    limits = Limits(proxy_url=f"http://127.0.0.1:{unused_port()}", connect_retries=0)
    async with Upstream("x", "http://backend.test", limits) as upstream:
        with pytest.raises(GatewayError) as caught:
            await upstream.send(PUT, CALL)
    assert (caught.value.row, caught.value.outcome) == (NOT_CONNECTED, Outcome.NOT_APPLIED)


async def test_what_is_lost_behind_the_tunnel_is_unknown(tmp_path):
    server_tls, client_tls = faults.certificate(tmp_path)
    async with (
        BadServer(says(b"", then="close"), tls=server_tls) as backend,
        BadServer(relays) as proxy,
        Upstream("x", backend.url, through(proxy), tls=client_tls) as upstream,
    ):
        with pytest.raises(GatewayError) as caught:
            await upstream.send(PUT, CALL)
    assert (caught.value.row, caught.value.outcome, backend.puts) == (CONNECTION_LOST, Outcome.UNKNOWN, 1)


async def test_the_password_is_in_no_log_and_no_error(caplog):
    caplog.set_level(logging.DEBUG)
    async with BadServer(status(407)) as proxy:
        limits = through(proxy, f"user:{PASSWORD}@")
        async with Upstream("x", "https://backend.test", limits) as upstream:
            with pytest.raises(GatewayError) as caught:
                await upstream.send(PUT, CALL)
    error = caught.value
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(("httpcore", "httpx"))]
    shown = repr((ours, error, error.detail, error.extensions, limits, upstream))
    assert PASSWORD not in shown
    assert base64.b64encode(f"user:{PASSWORD}".encode()).decode() not in shown


def test_the_setting_reaches_the_limits_and_its_password_the_redaction():
    settings = parse_settings(APIS, {"GATEWAY_PROXY_URL": f"http://user:{PASSWORD}@proxy.test:3128"})
    assert limits_of(settings).proxy_url.get_secret_value() == f"http://user:{PASSWORD}@proxy.test:3128"
    assert PASSWORD in settings.secrets
    assert PASSWORD not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        *("proxy.test:3128", "socks5://p:1", "http://", "http://p:port", "http://p/path", "http://p:0"),
        *("http://a b:1", "http://pröxy:1", "http://p:1?x=1", "http://p:1#x", "http://<p>:1", "http://u:p w@p:1"),
    ],
)
def test_what_is_no_proxy_stops_the_start(url):
    with pytest.raises(SettingsError, match="GATEWAY_PROXY_URL: is not http"):
        parse_settings(APIS, {"GATEWAY_PROXY_URL": url})
