"""An answer of the GraphQL endpoint: its status, bytes and headers, sent over ASGI or written at once.

Its status goes by the release of GraphQL over HTTP that the gateway follows:

| answer | reference audit (default) | 2026-09 |
|---|---|---|
| data, no errors | 200 | 200 |
| data and errors | 200 | 294 |
| not JSON, or a document that cannot be parsed | 400 | 400 |
| any other request error of GraphQL | 400 | 422 |
| the last two as `application/json` | a well-formed request 200 | the same as above |

https://graphql.github.io/graphql-over-http/draft/#sec-Status-Codes
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from app.edge.envelope import SECURITY_HEADERS
from app.edge.negotiation import JSON
from app.edge.settings import Release
from app.errors import Code, DocumentedError
from app.graphql.request_errors import REQUEST_MALFORMED, WELL_FORMED
from app.json_codec import encode_json

# Statuses whose answer is still GraphQL's and has the negotiated media type.
GRAPHQL_STATUSES = frozenset({200, 294, 400, 401, 403, 422})
PARTIAL = 294  # RFC 9110's registry has no name for it
_CLOSE = (b"connection", b"close")


def status_of_request_error(release: Release | None, row: DocumentedError, media: str) -> int:
    status = row.http_status or 400
    if release is None:
        return 200 if media == JSON and row.code in WELL_FORMED else status
    parsed = row is REQUEST_MALFORMED or (row.code in WELL_FORMED and row.code is not Code.GRAPHQL_PARSE_FAILED)
    return 422 if status == 400 and parsed else status  # noqa: PLR2004 - the one that is divided


def _labels(media: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-type", b"%b; charset=utf-8" % media.encode("ascii")), (b"vary", b"Accept"))


class GraphQLResponse:
    """Also an ASGI application. `headers` are this answer's own, beyond those that every answer has."""

    __slots__ = ("body", "headers", "media", "status")

    def __init__(self, body: Any, media: str, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.body = encode_json(body)
        self.media = media
        self.status = status
        # Their names are written in lower case.
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()] if headers else []

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        named = [(b"content-length", b"%d" % len(self.body)), *_labels(self.media), *self.headers]
        await send({"type": "http.response.start", "status": self.status, "headers": named})
        await send({"type": "http.response.body", "body": self.body})

    def rendered(
        self, request_id: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> tuple[bytes, bool]:
        """Returns the whole message with the envelope's headers, and whether the connection stays open."""
        head = _head(self.media, status_line, default)
        more = self.headers
        if _CLOSE in more:
            keep_alive = False
        elif not keep_alive:
            more = [*more, _CLOSE]
        lines = b"".join(b"%b: %b\r\n" % item for item in more) if more else b""
        parts = (head, len(self.body), request_id.encode(), lines, self.body)
        return b"%bcontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b" % parts, keep_alive


_SECURITY = b"".join(f"{name}: {value}\r\n".encode() for name, value in SECURITY_HEADERS.items())
_heads: dict[tuple[str, bytes], tuple[Sequence[tuple[bytes, bytes]], bytes]] = {}


def _head(media: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The header lines that many answers share. uvicorn builds a new `default` for each second and changes none."""
    former, head = _heads.get((media, status_line), (None, b""))
    if former is not default:
        head = status_line + b"".join(b"%b: %b\r\n" % item for item in (*default, *_labels(media))) + _SECURITY
        _heads[media, status_line] = default, head
    return head
