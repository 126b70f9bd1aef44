"""The local store's port: versioned JSON records in collections. Knows records, not vendors' rules.

An update reads what the rules need, decides, and then commits a list of writes as a whole or not at all. A write names
the version that the decision was based on. If another commit came first, nothing of the list is written.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from app.errors import (
    ANSWER_TIMED_OUT,
    DEADLINE_BEFORE_SENDING,
    STORE_LOST,
    STORE_UNAVAILABLE,
    DocumentedError,
    GatewayError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence


class Listing(Struct, frozen=True):
    """What a collection's pages are sorted, searched and filtered by: pure functions of a record's document.

    `version` goes up with every change of one of them. A store is filled again when it is opened with a higher one.
    """

    sort: Callable[[dict[str, Any]], str]
    search: Callable[[dict[str, Any]], str] = lambda _: ""
    match: Callable[[dict[str, Any]], str | None] = lambda _: None
    version: int = 1


# A row of a statement's or query's result: its columns in order.
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A table of records. `name` is the SQL table's name: lower case, with the API's name in front.

    A collection without `listing` has no pages. A collection that `succeeds` an older one takes over its records, where
    the seed has none of their ids.
    """

    name: str
    listing: Listing | None = field(default=None, compare=False)
    succeeds: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `document` is JSON data (decimal.Decimal for numbers with a fraction).

    No other record of the collection with the same `owner` may have the same `unique` (no owner counts as one owner);
    None is never compared. `version` counts the commits that wrote it, from 1; a write ignores it.
    """

    id: str
    document: dict[str, Any]
    owner: str | None = None
    unique: str | None = None
    version: int = 1


class Place(NamedTuple):
    """A record's place in its list. A page can begin after it, even when the record is gone."""

    sort_key: str
    record_id: str


class Selection(Struct, frozen=True):
    """Selects records of a collection: those of `owner` (None: those without one) that meet all other conditions.

    `search` is a text anywhere in what the listing searches, ignoring case. `match` equals what the listing matches.
    """

    owner: str | None = None
    any_owner: bool = False
    search: str | None = None
    match: str | None = None
    ids: tuple[str, ...] | None = None


class Write(Struct, frozen=True):
    """Writes `record` as version `expected` + 1 if `expected` is stored. None means that it must not exist yet."""

    collection: Collection
    record: Record
    expected: int | None


class Statement(Struct, frozen=True):
    """One SQL statement of a table other than a collection's, run once for each of `rows` of parameters.

    With `returning` it gives rows back; `required` then says that each of `rows` must give one.
    """

    sql: str
    rows: Sequence[tuple[Any, ...]]
    returning: bool = False
    required: bool = False


class StatementConflictError(Exception):
    """A required statement changed no row; nothing was written."""


class VersionConflictError(Exception):
    """Another commit came first; nothing was written. `write` is the first write that was too late."""

    def __init__(self, write: Write) -> None:
        super().__init__(f"{write.collection.name}: {write.record.id} is no longer at version {write.expected}")
        self.write = write


class UniqueConflictError(Exception):
    """Another record has the unique value; nothing was written."""

    def __init__(self, write: Write) -> None:
        super().__init__(f"{write.collection.name}: {write.record.unique!r} is taken")
        self.write = write


class StoreUnavailableError(GatewayError):
    """The database cannot be reached or is not usable; `certain` says that nothing was written.

    `str()` is one line for the log and the terminal; a client sees the row's text.
    """

    def __init__(self, message: str, *, certain: bool) -> None:
        super().__init__(STORE_UNAVAILABLE if certain else STORE_LOST, detail=message)
        self.certain = certain

    def __str__(self) -> str:
        return self.detail or self.message


@asynccontextmanager
async def until(deadline: float | None, late: DocumentedError = DEADLINE_BEFORE_SENDING) -> AsyncIterator[None]:
    """Cancels the reads inside at the event loop's time `deadline`, and raises GatewayError of the row `late`."""
    try:
        async with asyncio.timeout_at(deadline) as time_left:
            yield
    except TimeoutError:
        if not time_left.expired():
            raise
        raise GatewayError(late, detail="the call's time was over while the store was read") from None


def too_late(*, certain: bool) -> GatewayError:
    """The error of a commit whose deadline passed; `certain` says that nothing of it was or will be written."""
    row = DEADLINE_BEFORE_SENDING if certain else ANSWER_TIMED_OUT
    return GatewayError(row, detail="the call's time was over while the store was written")


class Store(Protocol):
    """Implemented by `app.store.engine`."""

    async def get(self, collection: Collection, record_id: str) -> Record | None: ...

    async def get_many(self, keys: Iterable[tuple[Collection, str]]) -> dict[tuple[Collection, str], Record]:
        """The existing records by collection and id."""
        ...

    async def find(self, collection: Collection, owner: str | None, unique: str) -> Record | None: ...

    async def owned(self, collection: Collection, owner: str) -> list[Record]:
        """All records of an owner, by id."""
        ...

    async def page(
        self,
        collection: Collection,
        selection: Selection,
        *,
        limit: int,
        offset: int = 0,
        after: Place | None = None,
        descending: bool = False,
    ) -> list[tuple[Record, Place]]:
        """At most `limit` records in the listing's order, then by id: those behind `after`, less the first `offset`."""
        ...

    async def count(self, collection: Collection, selection: Selection) -> int: ...

    async def commit(
        self, writes: Sequence[Write], *, deadline: float | None = None, also: Sequence[Statement] = ()
    ) -> None:
        """Writes all of `writes` and `also` durably, or nothing.

        Raises VersionConflictError, UniqueConflictError, StatementConflictError, StoreUnavailableError. It waits until
        the event loop's time `deadline`; then it raises the GatewayError of `too_late`.
        """
        ...
