"""An answer of the GraphQL endpoint: its bytes and headers, sent over ASGI or written at once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.edge.envelope import REQUEST_ID_NAME, SECURITY_HEADERS
from app.json_codec import encode_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.types import Receive, Scope, Send

_CONNECTION = b"connection"
_CLOSE = b"close"


@lru_cache(256)
def _labels(media: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-type", b"%b; charset=utf-8" % media.encode("ascii")), (b"vary", b"Accept"))


class GraphQLResponse:
    """Also an ASGI application. `headers` are this answer's own, beyond those that every answer has."""

    __slots__ = ("body", "headers", "media", "status")

    def __init__(self, body: Any, media: str, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.body = encode_json(body)
        self.media = media
        self.status = status
        self.headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        named = [(b"content-length", b"%d" % len(self.body)), *_labels(self.media), *self._more()]
        await send({"type": "http.response.start", "status": self.status, "headers": named})
        await send({"type": "http.response.body", "body": self.body})

    def _more(self) -> list[tuple[bytes, bytes]]:
        return [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (self.headers or {}).items()
        ]

    def rendered(
        self, request_id: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> tuple[bytes, bool]:
        """Returns the whole message with the envelope's headers, and whether the connection stays open."""
        head = _head(self.media, status_line, default)
        named = (len(self.body), REQUEST_ID_NAME, request_id.encode("latin-1"))
        if keep_alive and not self.headers:
            return b"%bcontent-length: %d\r\n%b: %b\r\n\r\n%b" % (head, *named, self.body), True
        more = self._more()
        if (_CONNECTION, _CLOSE) in more:
            keep_alive = False
        elif not keep_alive:
            more.append((_CONNECTION, _CLOSE))
        lines = b"".join(b"%b: %b\r\n" % item for item in more)
        return b"%bcontent-length: %d\r\n%b: %b\r\n%b\r\n%b" % (head, *named, lines, self.body), keep_alive


_heads: dict[tuple[str, bytes], tuple[Sequence[tuple[bytes, bytes]], bytes]] = {}


def _head(media: str, status_line: bytes, default: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The header lines that many answers share. uvicorn builds a new `default` for each second and changes none."""
    cached = _heads.get((media, status_line))
    if cached is not None and cached[0] is default:
        return cached[1]
    lines = (b"%b: %b\r\n" % item for item in (*default, *_labels(media), *SECURITY_HEADERS))
    head = status_line + b"".join(lines)
    _heads[media, status_line] = default, head
    return head
