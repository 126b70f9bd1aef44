"""A name with several addresses: each is tried a moment after the one before, and what worked is tried first."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from app.errors import NOT_CONNECTED
from app.upstream.failures import ExchangeError
from app.upstream.pool import Pool
from app.upstream.settings import Limits
from tests.upstream import faults
from tests.upstream.bad_server import BadServer, says, status, unused_port

PATIENT = Limits(connect_seconds=900.0)


def at(port: int, host: str = "127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockaddr = (host, port, 0, 0) if ":" in host else (host, port)
    return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", sockaddr)


class Names:
    """Resolves every name to `addresses`, and counts."""

    def __init__(self, *addresses) -> None:
        self.addresses = addresses
        self.asked = 0

    async def __call__(self, *_name: object):
        self.asked += 1
        return list(self.addresses)


async def port_of(connection) -> int:
    return connection._transport.get_extra_info("peername")[1]


@contextlib.asynccontextmanager
async def silent():
    """An address where a SYN gets no answer."""
    async with faults.black_hole() as url:
        yield int(url.rpartition(":")[2])


async def test_a_silent_first_address_costs_a_moment_once():
    async with BadServer(status(204)) as server, silent() as dead:
        pool = Pool("name", 80, None, PATIENT, Names(at(dead), at(server.port)))
        loop = asyncio.get_running_loop()
        started = loop.time()
        first = await pool.take()
        assert 0.24 < loop.time() - started < 400
        assert await port_of(first) == server.port
        started = loop.time()
        others = [await pool.take() for _ in range(5)]
        # Less than one more wait, however many connections follow.
        assert {await port_of(other) for other in others} == {server.port}
        for connection in [first, *others]:
            pool.discard(connection)


@pytest.mark.parametrize("works", [0, 1, 2, 3])
@pytest.mark.parametrize("others", ["silent", "refused"])
async def test_whichever_address_works_is_found_and_remembered(works, others):
    async with BadServer(status(204)) as server, silent() as dead:
        broken = dead if others == "silent" else unused_port()
        addresses = [at(broken)] * 4
        addresses[works] = at(server.port)
        pool = Pool("name", 80, None, PATIENT, Names(*addresses))
        for _ in range(3):
            connection = await pool.take()
            assert await port_of(connection) == server.port
            pool.discard(connection)
        assert pool._worked == ("127.0.0.1", server.port)


async def test_families_take_turns():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        port = listener.getsockname()[1]
        async with silent() as dead:
            pool = Pool("name", 80, None, PATIENT, Names(at(dead), at(dead), at(dead), at(port, "::1")))
            connection = await pool.take()
            assert connection._transport.get_extra_info("peername")[:2] == ("::1", port)
            pool.discard(connection)


async def test_an_address_that_worked_and_died_gives_way():
    async with BadServer(status(204)) as other:
        async with BadServer(status(204)) as server:
            pool = Pool("name", 80, None, PATIENT, Names(at(other.port), at(server.port)))
            pool._worked = ("127.0.0.1", server.port)
            connection = await pool.take()
            assert await port_of(connection) == server.port
            pool.discard(connection)
        connection = await pool.take()
        assert await port_of(connection) == other.port
        pool.discard(connection)


async def test_an_address_whose_tls_fails_is_tried_last(tmp_path):
    server_tls, client_tls = faults.certificate(tmp_path)
    async with BadServer(says(b"no TLS"), raw=True) as bad, BadServer(status(204), tls=server_tls) as good:
        pool = Pool("127.0.0.1", 443, client_tls, PATIENT, Names(at(bad.port), at(good.port)))
        with pytest.raises(ExchangeError) as broken:
            await pool.take()
        assert broken.value.row is NOT_CONNECTED
        connection = await pool.take()
        assert await port_of(connection) == good.port
        pool.discard(connection)


@pytest.mark.parametrize("kind", ["silent", "refused"])
async def test_no_address_that_works_is_a_failure_to_connect(kind):
    async with silent() as dead:
        broken = dead if kind == "silent" else unused_port()
        limits = Limits(connect_seconds=0.3)
        pool = Pool("name", 80, None, limits, Names(at(broken), at(broken)))
        with pytest.raises(ExchangeError) as raised:
            await pool.take()
        assert raised.value.row is NOT_CONNECTED
        assert pool._count == 0


async def test_a_short_time_to_connect_still_reaches_the_second_address():
    async with BadServer(status(204)) as server, silent() as dead:
        pool = Pool("name", 80, None, Limits(connect_seconds=0.2), Names(at(dead), at(server.port)))
        for _ in range(20):  # on a machine that stands still the time may be over
            with contextlib.suppress(ExchangeError):
                connection = await pool.take()
                break
        assert await port_of(connection) == server.port
        pool.discard(connection)
