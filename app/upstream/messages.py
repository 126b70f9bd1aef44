"""One HTTP request and its answer as plain values. API clients build and judge them without any I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from app.redaction import secrets_of


class BackendRequest(Struct):
    """`path` is below the API's base URL and already percent-encoded. `headers` may hold credentials: never shown."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"BackendRequest(method={self.method!r}, path={self.path!r}, query={self.query!r})"


class BackendResponse(Struct):
    """`headers` has lower-case names. `body` is decoded from its content coding and bounded in size.

    `sent` are the request's headers, which hold credentials: no text of an answer may repeat them (`secrets`). If the
    body of a refusal or failure broke off (cut, too large, not decodable, too slow), `complete` is False and `body` is
    what was read; the status counts without it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True
    sent: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"BackendResponse(status={self.status!r}, complete={self.complete!r})"

    @property
    def secrets(self) -> tuple[str, ...]:
        return secrets_of(self.sent)
