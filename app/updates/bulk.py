"""Many updates in one field: each is the single update, so many at a time, those of one record in their order.

Knows no vendor and no schema. An item's fault is its own and ends no other item, unless the client says STOP.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING, Any

from app.errors import (
    BACKEND_PAUSED,
    IDEMPOTENCY_KEY_REPEATED,
    INTERNAL,
    NOT_BEGUN,
    GatewayError,
    GatewayErrors,
    Outcome,
)
from app.updates.user_errors import capped

if TYPE_CHECKING:
    from app.updates.change import Change

log = logging.getLogger(__name__)

AT_ONCE = 8
_INDEX = 2  # place of an item's index in its path


class Rooms:
    """How many items of a backend run at a time, in all bulks of a process together.

    `begin_notes` begins the notes of an item, in the task that runs it, with the request's id.
    """

    def __init__(self, begin_notes: Callable[[str], Any], at_once: int = AT_ONCE) -> None:
        self.begin_notes = begin_notes
        self.at_once = at_once
        self._by_backend: dict[str, asyncio.Semaphore] = {}

    def of(self, backend: str) -> asyncio.Semaphore:
        return self._by_backend.setdefault(backend, asyncio.Semaphore(self.at_once))


@dataclass(slots=True)
class Item:
    """One item and what became of it. `noted`, its notes, and `seconds` are for its line in the log."""

    index: int
    change: Change
    key: str | None = None
    begun: bool = False
    record: Any = None
    preview: Any = None
    replayed: bool = False
    faults: Sequence[GatewayError] = ()
    noted: Any = None
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """UNKNOWN if a fault leaves it open; a dry run writes nothing."""
        if self.change.dry_run:
            return Outcome.NOT_APPLIED
        outcomes = {fault.outcome or Outcome.NOT_APPLIED for fault in self.faults}
        return next((item for item in (Outcome.UNKNOWN, Outcome.NOT_APPLIED) if item in outcomes), Outcome.APPLIED)

    @property
    def failed(self) -> bool:
        return self.outcome is not Outcome.APPLIED and self.preview is None


# The answer of one item, as `run.update` gives it, or a preview; and whether an earlier request answers.
Update = Callable[[Item], Awaitable[tuple[Any, bool]]]


class Bulk:
    """The items of one bulk field; `mutation` is the field of a single one.

    `path` leads to the results in the answer, and `record_key` to the record in each. `nodes` are the field's in the
    document where the items' faults belong into the response's errors, None where they are told as data.
    """

    path: tuple[str, str] = ("", "")
    record_key: str = ""
    nodes: Sequence[Any] | None = None

    def __init__(self, mutation: str, backend: str, items: Sequence[Item]) -> None:
        self.mutation = mutation
        self.backend = backend
        self.items = items
        self._ended = asyncio.Event()
        self._pause: int | None = None
        self._deadline: float | None = None
        # The items that may begin are the first ones of their records; the lowest begins first.
        self._of_record: dict[str, deque[Item]] = {}
        for item in items:
            self._of_record.setdefault(item.change.id, deque()).append(item)
        self._ready = [waiting.popleft().index for waiting in self._of_record.values()]

    async def run(self, update: Update, rooms: Rooms, request_id: str, *, stops: bool, deadline: float | None) -> None:
        """Never raises for what an item meets. All that was begun has ended when it returns.

        `deadline` is a time of the event loop's clock.
        """
        self._deadline = deadline
        self._request_id, self._rooms = request_id, rooms
        room = rooms.of(self.backend)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(rooms.at_once, len(self._ready))):
                group.create_task(self._work(update, room, stops=stops))
        for item in self.items:
            if not item.begun:
                item.noted = rooms.begin_notes(request_id)
                item.faults = (GatewayError(NOT_BEGUN, retry_after=self._pause),)

    def place(self, path: tuple[str, str], record_key: str, nodes: Sequence[Any] | None) -> None:
        self.path, self.record_key, self.nodes = path, record_key, nodes

    def path_of(self, item: Item) -> tuple[str | int, ...]:
        """Of an item's record in the answer: where its faults are told among the response's errors."""
        return (*self.path, item.index, self.record_key)

    async def _work(self, update: Update, room: asyncio.Semaphore, *, stops: bool) -> None:
        with suppress(TimeoutError):
            while self._goes_on():
                if room.locked():
                    async with asyncio.timeout_at(self._deadline):
                        await room.acquire()
                else:
                    await room.acquire()
                try:
                    if not self._goes_on():
                        return
                    item = self.items[heappop(self._ready)]
                    pause = await self._attempt(item, update)
                finally:
                    room.release()
                if pause is not None:
                    # It was refused unsent, because another call was asked for a pause: it begins after that.
                    heappush(self._ready, item.index)
                    if self._over(pause):
                        self._pause = pause
                        return
                    await self._wait(pause)
                    continue
                if following := self._of_record[item.change.id]:
                    heappush(self._ready, following.popleft().index)
                if stops and item.failed:
                    self._ended.set()

    def _goes_on(self) -> bool:
        return bool(self._ready) and not self._ended.is_set() and not self._over()

    def _over(self, seconds: float = 0.0) -> bool:
        return self._deadline is not None and asyncio.get_running_loop().time() + seconds >= self._deadline

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    async def _attempt(self, item: Item, update: Update) -> int | None:
        """The seconds of a pause where the item was not begun because of one."""
        item.noted = self._rooms.begin_notes(self._request_id)
        started = perf_counter()
        try:
            answer, item.replayed = await update(item)
            failure = answer if isinstance(answer, Exception) else None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this item's fault
            failure = error
        item.seconds = perf_counter() - started
        if failure is None:
            item.begun = True
            if item.change.dry_run:
                item.preview = answer
            else:
                item.record = answer
            return None
        faults = self._faults(item, failure)
        first = faults[0]
        if first.row is BACKEND_PAUSED and first.outcome is Outcome.NOT_APPLIED and not first.replayed:
            return first.retry_after or 1
        item.begun = True
        item.faults = capped(faults)
        item.replayed = any(fault.replayed for fault in faults)
        item.noted.details += [fault.detail for fault in item.faults if fault.detail]
        return None

    def _faults(self, item: Item, failure: Exception) -> Sequence[GatewayError]:
        faults = failure.errors if isinstance(failure, GatewayErrors) else (failure,)
        if faults and all(isinstance(fault, GatewayError) and fault.row is not INTERNAL for fault in faults):
            return faults  # type: ignore[return-value]  # as was just seen
        log.error("unexpected failure of %s, item %d", self.mutation, item.index, exc_info=failure)
        return (GatewayError(INTERNAL),)


def item_at(bulks: Mapping[str, Bulk], path: Sequence[str | int] | None) -> Item | None:
    """The item of one of the bulks, by their response keys, that a place in the answer is of."""
    if not path or len(path) <= _INDEX or (bulk := bulks.get(str(path[0]))) is None:
        return None
    return bulk.items[int(path[_INDEX])]


def refuse_repeated(items: Sequence[Item]) -> None:
    """Raises GatewayError where two items have one idempotency key."""
    seen: dict[str, int] = {}
    for item in items:
        if item.key is not None and (first := seen.setdefault(item.key, item.index)) != item.index:
            text = f"The items {first} and {item.index} have one idempotency key; nothing of the bulk was sent."
            place = ("items", item.index, "idempotencyKey")
            raise GatewayError(IDEMPOTENCY_KEY_REPEATED, text, input_path=place)
