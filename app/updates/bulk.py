"""Runs many updates in one field: each is the single update, a bounded number at a time, one record's in order.

Knows no vendor and no schema. An item's error ends no other item, unless the client says STOP.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from time import perf_counter
from typing import Any

from msgspec import Struct

from app.errors import (
    BACKEND_PAUSED,
    IDEMPOTENCY_KEY_REPEATED,
    INTERNAL,
    NOT_BEGUN,
    GatewayError,
    GatewayFailure,
    Outcome,
)
from app.updates.change import Change
from app.updates.user_errors import capped

log = logging.getLogger(__name__)

AT_ONCE = 8
_INDEX = 2  # place of an item's index in its path
_STOP_CHECK_SECONDS = 0.5  # how often a bulk in a pause checks whether the process stops


class Rooms:
    """Bounds how many items of a backend run at a time, in all bulks of a process together.

    `begin_notes` begins the notes of an item, in the task that runs it, with the request's id. `stopping` says whether
    the process ends, so that nothing more is to be begun.
    """

    def __init__(self, begin_notes: Callable[[str], Any], at_once: int = AT_ONCE) -> None:
        self.begin_notes = begin_notes
        self.at_once = at_once
        self.stopping: Callable[[], bool] = lambda: False
        self._by_backend: dict[str, asyncio.Semaphore] = {}

    def of(self, backend: str) -> asyncio.Semaphore:
        return self._by_backend.setdefault(backend, asyncio.Semaphore(self.at_once))


class Item(Struct):
    """One item and its result. For the log: `noted` are its notes, `seconds` its time where it was begun."""

    index: int
    change: Change
    key: str | None = None
    begun: bool = False
    record: Any = None
    preview: Any = None
    replayed: bool = False
    errors: Sequence[GatewayError] = ()
    noted: Any = None
    seconds: float | None = None

    @property
    def outcome(self) -> Outcome:
        """UNKNOWN if a fault leaves it open; a dry run writes nothing."""
        if self.change.dry_run:
            return Outcome.NOT_APPLIED
        outcomes = {error.outcome or Outcome.NOT_APPLIED for error in self.errors}
        return next((item for item in (Outcome.UNKNOWN, Outcome.NOT_APPLIED) if item in outcomes), Outcome.APPLIED)

    @property
    def sent(self) -> list[Any]:
        """The input from the caller."""
        return [*self.change.arguments, self.key]

    @property
    def failed(self) -> bool:
        return self.outcome is not Outcome.APPLIED and self.preview is None


class Bulk(Struct):
    """The items of one bulk field, which have ended. `mutation` is the single update's field.

    `path` leads to the results in the answer, and `record_key` to the record in each. `nodes` are the field's in the
    document, where the items' errors belong into the response's errors; None where they are shown as data.
    """

    mutation: str
    backend: str
    items: Sequence[Item]
    path: tuple[str, str]
    record_key: str
    nodes: Sequence[Any] | None

    def path_of(self, item: Item) -> tuple[str | int, ...]:
        """The path of an item's record in the answer, for its errors in the response."""
        return (*self.path, item.index, self.record_key)


# The answer of one item, as `run.update` gives it, or a preview; and whether an earlier request answers.
Update = Callable[[Item], Awaitable[tuple[Any, bool]]]


class BulkRun:
    """Runs items with `update`. `deadline` is a time of the event loop's clock; `name` is for the log.

    `stopping` says whether the process ends.
    """

    def __init__(
        self,
        name: str,
        items: Sequence[Item],
        update: Update,
        begin_notes: Callable[[], Any],
        deadline: float | None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name = name
        self._items = items
        self._update = update
        self._begin_notes = begin_notes
        self._deadline = deadline
        self._stopping = stopping
        self._stopped = asyncio.Event()
        self._pause: int | None = None
        # The first item of each record may begin, the lowest index first.
        self._of_record: dict[str, deque[Item]] = {}
        for item in items:
            self._of_record.setdefault(item.change.id, deque()).append(item)
        self._ready = [waiting.popleft().index for waiting in self._of_record.values()]

    async def run(self, room: asyncio.Semaphore, at_once: int, *, stops: bool) -> None:
        """Never raises for an item's error. Every item that began has ended when it returns."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(self._ready))):
                group.create_task(self._work(room, stops=stops))
        for item in self._items:
            if not item.begun:
                item.errors = (self._not_begun(),)

    async def _work(self, room: asyncio.Semaphore, *, stops: bool) -> None:
        while self._goes_on():
            if not room.locked():
                await room.acquire()
            elif not await self._entered(room):
                return
            try:
                if not self._goes_on():
                    return
                item = self._items[heappop(self._ready)]
                pause = await self._attempt(item)
            finally:
                room.release()
            if pause is not None:
                # The backend asked another call for a pause, so that this item was not sent. It begins after the pause.
                heappush(self._ready, item.index)
                await self._wait(pause)
                continue
            if following := self._of_record[item.change.id]:
                heappush(self._ready, following.popleft().index)
            if stops and item.failed:
                self._stopped.set()

    async def _entered(self, room: asyncio.Semaphore) -> bool:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await room.acquire()
        except TimeoutError:
            return False

    def _goes_on(self) -> bool:
        return bool(self._ready) and not self._ends() and not self._over()

    def _ends(self) -> bool:
        return self._stopped.is_set() or self._pause is not None or self._stopping()

    def _over(self, seconds: float = 0.0) -> bool:
        return self._deadline is not None and asyncio.get_running_loop().time() + seconds >= self._deadline

    async def _wait(self, pause: int) -> None:
        """Waits for a pause. One that outlasts the deadline ends the bulk at once."""
        if self._over(pause):
            self._pause = pause
            return
        end = asyncio.get_running_loop().time() + pause
        while not self._ends() and (left := end - asyncio.get_running_loop().time()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _STOP_CHECK_SECONDS)):
                    await self._stopped.wait()

    async def _attempt(self, item: Item) -> int | None:
        """Runs one item. Returns the seconds of a pause if the item was not begun because of one."""
        item.noted = self._begin_notes()
        started = perf_counter()
        try:
            response, item.replayed = await self._update(item)
            failure = response if isinstance(response, Exception) else None
        except Exception as error:  # noqa: BLE001 - any error is this item's own
            failure = error
        seconds = perf_counter() - started
        errors = () if failure is None else self._errors(item, failure)
        if failure is None:
            item.record, item.preview = (None, response) if item.change.dry_run else (response, None)
        elif (pause := _pause_of(errors[0])) is not None:
            return pause
        item.begun, item.seconds = True, seconds
        item.errors = capped(errors)
        item.replayed = item.replayed or any(one.replayed for one in errors)
        item.noted.details += [one.detail for one in item.errors if one.detail]
        return None

    def _errors(self, item: Item, failure: Exception) -> Sequence[GatewayError]:
        errors = failure.errors if isinstance(failure, GatewayFailure) else ()
        if errors and all(error.row is not INTERNAL for error in errors):
            return errors
        log.error("unexpected failure of %s, item %d", self._name, item.index, exc_info=failure)
        # If only the read of an applied update failed, the item stays applied.
        return (GatewayError(INTERNAL, outcome=failure.outcome if isinstance(failure, GatewayError) else None),)

    def _not_begun(self) -> GatewayError:
        if self._stopped.is_set():
            cause = "An item failed, on which the bulk stops"
        elif self._pause is not None:
            cause = "The backend asked for a pause that outlasts the request's time"
        elif self._stopping():
            cause = "The gateway stops"
        else:
            cause = "The request's time was over"
        text = f"{cause}: this item was not begun, and nothing of it was sent."
        return GatewayError(NOT_BEGUN, text, retry_after=self._pause)


def _pause_of(error: GatewayError) -> int | None:
    """The seconds to wait for an item that was refused unsent, because the backend had asked for a pause."""
    paused = error.row is BACKEND_PAUSED and error.outcome is Outcome.NOT_APPLIED and not error.replayed
    return (error.retry_after or 1) if paused else None


def item_at(bulks: Mapping[str, Bulk], path: Sequence[str | int] | None) -> Item | None:
    """The bulk item that a place in the answer belongs to. The bulks are by response key."""
    if not path or len(path) <= _INDEX or (bulk := bulks.get(str(path[0]))) is None:
        return None
    return bulk.items[int(path[_INDEX])]


def refuse_repeated(items: Sequence[Item]) -> None:
    """Raises GatewayError where two items have one idempotency key."""
    first_index: dict[str, int] = {}
    for item in items:
        if item.key is not None and (first := first_index.setdefault(item.key, item.index)) != item.index:
            text = f"The items {first} and {item.index} have one idempotency key; nothing of the bulk was sent."
            place = ("items", item.index, "idempotencyKey")
            raise GatewayError(IDEMPOTENCY_KEY_REPEATED, text, input_path=place)
