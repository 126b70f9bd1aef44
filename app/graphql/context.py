"""What resolvers see of a request: the travelling call and the backends by API name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from app.call import Call


@dataclass(slots=True)
class Context:
    """One per operation.

    `entities` holds the look-ups of `_entities`, so that one record is read once per request; `representations` counts
    what was asked for and `look_ups` bounds how many run at a time, all `_entities` fields together.

    `caller` names who called, None where callers are not told apart. `scopes` None means that everything is allowed.
    """

    call: Call
    backends: Mapping[str, Any]
    trusted_router: bool = False
    caller: str | None = None
    scopes: frozenset[str] | None = None
    entities: dict[tuple[str, tuple[Any, ...]], asyncio.Future[Any]] = field(default_factory=dict, repr=False)
    representations: int = 0
    look_ups: asyncio.Semaphore | None = field(default=None, repr=False)
