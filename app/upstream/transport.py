"""One exchange over an httpx transport: exactly one attempt, an answer in bounded memory, proof of what left.

httpx's client is left out on purpose: it keeps cookies (callers' sessions would mix), follows redirects, reads proxies
and credentials from the environment, and costs more than the transport below it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx
from msgspec import Struct

from app.errors import ANSWER_TIMED_OUT, DEADLINE_BEFORE_SENDING, BackendAnswer, GatewayError
from app.upstream import decoding
from app.upstream.exchange import Answer, Request
from app.upstream.failures import broken_off, failed, malformed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import httpcore

    from app.call import Call
    from app.upstream.limits import Limits

log = logging.getLogger(__name__)

# RFC 9110 section 5.6.2 and 5.5; text beyond ASCII is passed on as the bytes that it came as.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OWN = ((b"accept-encoding", b"identity"), (b"user-agent", b"rest-update-gateway"))
_SENDING = "http11.send_request_headers.started"
_CONNECTED = "connection.connect_tcp.complete"
_NO_CONTENT = 204


is_header_name = _NAME.fullmatch
is_header_value = _VALUE.fullmatch


class Progress(Struct):
    """How far an exchange came. `left` is whether bytes may have left, None where the transport does not tell."""

    left: bool | None
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytearray | None = None
    complete: bool = False
    connecting: httpcore.AsyncNetworkStream | None = None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == _SENDING:
            self.left = True
            self.connecting = None
        elif event == _CONNECTED:
            self.connecting = info["return_value"]

    async def abandon(self) -> None:
        """Close a socket whose TLS handshake was cancelled, which httpcore leaves open."""
        if self.connecting is not None:
            await self.connecting.aclose()


def coding_of(status: int, headers: Mapping[str, str]) -> str:
    """The coding of an answer's body; whatever a 204 says, it has none."""
    return "" if status == _NO_CONTENT else headers.get("content-encoding", "")


@cache
def default_tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class Transport:
    """A connection pool to one service, or whatever stands in for it."""

    def __init__(
        self, name: str, limits: Limits, transport: httpx.AsyncBaseTransport | None, tls: ssl.SSLContext | None
    ) -> None:
        self._name = name
        self._limits = limits
        # Only httpx's own transport reports when it starts to send; of others the failures' types have to do.
        self._reports = transport is None
        self._transport = transport or httpx.AsyncHTTPTransport(
            verify=tls or default_tls(),
            trust_env=False,
            limits=httpx.Limits(
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_connections,
                keepalive_expiry=limits.keepalive,
            ),
        )

    async def aclose(self) -> None:
        await self._transport.aclose()

    def started(self) -> Progress:
        return Progress(False if self._reports else None)

    def prepared(self, base_url: str, request: Request, call: Call) -> httpx.Request:
        """The request as it will be sent. Raises GatewayError if it cannot be."""
        headers = [*_OWN]
        for name, value in request.headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise malformed(self._name, name if _NAME.fullmatch(name) else "with a malformed name")
            headers.append((name.lower().encode("ascii"), value.strip(" \t").encode("latin-1")))
        for name, value in {"x-request-id": call.request_id, **call.trace_headers}.items():
            if _NAME.fullmatch(name) and _VALUE.fullmatch(value):  # decorations: left out rather than fail a write
                headers.append((name.lower().encode("ascii"), value.strip(" \t").encode("latin-1")))
        timeout = {"connect": self._limits.connect_timeout, "pool": self._limits.pool_timeout}
        try:
            return httpx.Request(
                request.method,
                base_url + request.path,
                params=list(request.query) or None,
                headers=headers,
                content=request.body,
                extensions={"timeout": {**timeout, "read": None, "write": None}},  # the call's own end covers these
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise failed(self._name, error, left=False) from error

    async def exchange(self, outgoing: httpx.Request, progress: Progress) -> Answer:
        """One attempt. Raises GatewayError. Where this is cancelled, `progress` says how far it came."""
        if self._reports:
            outgoing.extensions["trace"] = progress.trace
        try:
            response = await self._transport.handle_async_request(outgoing)
        except Exception as error:
            raise self._logged(failed(self._name, error, left=progress.left), error) from error
        except asyncio.CancelledError:
            await progress.abandon()
            raise
        progress.left = True
        progress.status = response.status_code
        progress.headers = {key: value for key, value in response.headers.items() if key != "set-cookie"}
        progress.body = bytearray()
        try:
            await self._read(response, progress, progress.body)
        except Exception as error:
            answer = answered(progress)
            if answer is None:
                raise self._logged(broken_off(self._name, response.status_code, error), error) from error
            log.info("%s answered %d, but its body broke off: %r", self._name, answer.status, error)
            return answer
        return Answer(progress.status, progress.headers, bytes(progress.body))

    async def _read(self, response: httpx.Response, progress: Progress, body: bytearray) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            if response.is_informational:  # 101, a switch of protocols that nobody asked for
                raise decoding.BodyUnreadableError(f"status {response.status_code}")
            coding = coding_of(response.status_code, response.headers)
            await decoding.read(response.stream, coding, self._limits.max_answer_bytes, body)
            progress.complete = True
        finally:
            _end_connection_with_surplus(response)
            await response.aclose()

    def timed_out(self, progress: Progress) -> GatewayError:
        """The error of an exchange that the end of its time cut off before its status was known, or was of use."""
        row = DEADLINE_BEFORE_SENDING if progress.left is False else ANSWER_TIMED_OUT
        return GatewayError(row, backend=BackendAnswer(self._name, progress.status), detail="the call's time was over")

    def _logged(self, error: GatewayError, cause: Exception) -> GatewayError:
        if not isinstance(cause, httpx.HTTPError | decoding.BodyTooLargeError | decoding.BodyUnreadableError):
            log.error("%s: an exchange broke unexpectedly", self._name, exc_info=cause)
        return error


def answered(progress: Progress) -> Answer | None:
    """What is proven all the same where reading broke off: a refusal's or failure's status stands without its body.

    So does any answer that was complete when closing its connection failed or outlasted the call.
    """
    if progress.status is None or progress.headers is None:
        return None
    if not progress.complete and progress.status < 400:  # noqa: PLR2004 - RFC 9110's classes
        return None
    return Answer(progress.status, progress.headers, bytes(progress.body or b""), progress.complete)


def _end_connection_with_surplus(response: httpx.Response) -> None:
    """Make the pool close a connection that holds bytes beyond its answer; they would be read as the next one's.

    A 204 with a body is such a case. httpcore keeps the connection and offers no public way to ask: this looks
    through its private attributes, and a test over real sockets fails when they change.
    """
    found: Any = response.stream
    for attribute in ("_httpcore_stream", "_stream", "_connection", "_h11_state"):
        found = getattr(found, attribute, None)
    if found is not None and found.trailing_data[0]:
        found.send_failed()
