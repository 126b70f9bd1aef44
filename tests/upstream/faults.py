"""The faults of the table: each is made for real, on sockets of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import ipaddress
import socket
import ssl
import zlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.upstream.bad_server import BadServer, answer, in_turn, says, unused_port

MEBIBYTE = 2**20
BOMB = gzip.compress(bytes(100 * MEBIBYTE), 1)
ERROR = b'{"code":"some_code","message":"Refused."}'


def certificate(directory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for 127.0.0.1, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bad server")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    path = directory / "bad-server.pem"
    path.write_bytes(private + public)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cadata=public.decode())


@contextlib.asynccontextmanager
async def black_hole():
    """An address whose queue of connections is full, so that a further SYN gets no answer."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def reset_mid_send(exchange) -> None:
    await exchange.reader.readexactly(1000)
    exchange.reset()


async def never_reads(exchange) -> None:
    exchange.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    exchange.writer.transport.pause_reading()
    await asyncio.Event().wait()


async def drips(exchange) -> None:
    await exchange.send(answer(200, length=10_000))
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.01)


async def drips_a_refusal(exchange) -> None:
    await exchange.send(answer(404, length=10_000))
    while True:
        await exchange.send(b"x")
        await asyncio.sleep(0.01)


async def drips_headers(exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.send(b"x-more: 1\r\n")
        await asyncio.sleep(0.01)


def endless(start: bytes, more: bytes):
    async def script(exchange) -> None:
        await exchange.send(start)
        while True:
            await exchange.send(more)

    return script


def big(code: int, size: int):
    async def script(exchange) -> None:
        await exchange.send(answer(code, length=size))
        for _ in range(size // MEBIBYTE):
            await exchange.send(bytes(MEBIBYTE))

    return script


async def dies_between(exchange) -> None:
    """Answers the first request, and resets the connection once the second one has come."""
    await exchange.send(answer(204))
    if exchange.number > 1:
        exchange.reset()


async def hangs_in_tls(exchange) -> None:
    await exchange.hang()


def zipped(code: int, body: bytes, coding: str = "gzip") -> bytes:
    return answer(code, body, f"content-encoding: {coding}", "content-type: application/json")


HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: " + b"x" * 5000 + b"\r\n\r\n"
CHUNKED = "transfer-encoding: chunked"
GZIPPED = gzip.compress(b'{"a":1}' * 100)
DEFLATED = zlib.compress(ERROR)

__all__ = ["BadServer", "in_turn", "says", "unused_port"]
