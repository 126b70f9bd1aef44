"""What resolvers see of a request: the travelling call and the backends by API name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from app.call import Call
    from app.errors import GatewayError


class Context(Struct):
    """One per operation.

    `entities` holds the look-ups of `_entities`, so that one record is read once per request; `representations` counts
    what was asked for and `look_ups` bounds how many run at a time, all `_entities` fields together.

    `faults_as_data` are the faults that a payload tells, each with the path of its field.

    `caller` names who called, None where callers are not told apart. `scopes` None means that everything is allowed.
    """

    call: Call
    backends: Mapping[str, Any]
    trusted_router: bool = False
    caller: str | None = None
    scopes: frozenset[str] | None = None
    entities: dict[tuple[str, tuple[Any, ...]], asyncio.Future[Any]] = field(default_factory=dict)
    representations: int = 0
    look_ups: asyncio.Semaphore | None = None
    faults_as_data: list[tuple[Any, GatewayError]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Context(call={self.call!r}, caller={self.caller!r})"
