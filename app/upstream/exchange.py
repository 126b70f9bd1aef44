"""One HTTP request and its answer, as plain values: what API clients build and judge without any I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is below the API's base URL and already percent-encoded. `headers` may hold credentials: never shown."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` has lower-case names. `body` is decoded from its content coding and bounded in size.

    `secrets` are the credentials that its request carried, where it is no success: no text of it may repeat them.
    Where a refusal's or failure's body broke off (cut, too large, not decodable, too slow), `complete` is False and
    `body` is what was read: the status stands without it.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    complete: bool = True
    secrets: Sequence[str] = field(default=(), repr=False)
