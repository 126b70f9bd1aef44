"""The request as resolvers see it: the call that goes to the backends, and the backends by API name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from app.errors import GatewayError
from app.graphql.request_errors import SCOPE_MISSING
from app.updates.bulk import item_at

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping, Sequence

    from app.call import CallContext
    from app.updates.bulk import Bulk, Item, Rooms
    from app.updates.recording import Recorder


class Context(Struct):
    """One per operation.

    `entities` holds the look-ups of `_entities`, so that one record is read once per request; `look_ups` bounds how
    many run at a time, all `_entities` fields together. `max_page` bounds a list's `first`; `record_reads` bounds how
    many records of all lists are read at a time. `faults_as_data` are the errors that a payload shows, each with the
    path of its field; `previews` are the response keys of dry runs. `too_long` has the errors of root fields with too
    long a list, by response key. `bulks` are the bulks that have run, by response key; `rooms` bounds how many of their
    items run at a time. `recorder` leads to the journal; None where there is none. `subject` is the person in the
    caller's token. `caller` is the caller's name; None where callers are not authenticated. `scopes` None means that
    everything is allowed.
    """

    call: CallContext
    backends: Mapping[str, Any]
    trusted_router: bool = False
    caller: str | None = None
    scopes: frozenset[str] | None = None
    entities: dict[tuple[str, tuple[Any, ...]], asyncio.Future[Any]] = field(default_factory=dict)
    look_ups: asyncio.Semaphore | None = None
    previews: list[str | int] = field(default_factory=list)
    too_long: dict[str, GatewayError] = field(default_factory=dict)
    max_page: int = 100
    record_reads: asyncio.Semaphore | None = None
    errors_as_data: list[tuple[Any, GatewayError]] = field(default_factory=list)
    bulks: dict[str, Bulk] = field(default_factory=dict)
    rooms: Rooms | None = None
    recorder: Recorder | None = None
    subject: str | None = None

    def demand(self, scope: str) -> None:
        """Raises SCOPE_MISSING where the caller lacks a scope that only these arguments need."""
        if (error := refusal_for(self, scope)) is not None:
            raise error

    def item_at(self, path: Sequence[str | int] | None) -> Item | None:
        """The bulk item that a place in the answer belongs to."""
        return item_at(self.bulks, path) if self.bulks else None

    def __repr__(self) -> str:
        return f"Context(call={self.call!r}, caller={self.caller!r})"


def refusal_for(context: Context, scope: str) -> GatewayError | None:
    """None where the caller has the scope."""
    if context.scopes is None or scope in context.scopes:
        return None
    return GatewayError(SCOPE_MISSING, f"The bearer token lacks the scope {scope}.")
