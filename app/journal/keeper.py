"""The journal's background work: closes abandoned entries, ends keys that are over, deletes old entries.

An entry is abandoned when the process that holds it is gone and its time is over. It is closed once, by the process
that takes it over. Nothing is ever sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from app.errors import GATEWAY_STOPPED, GatewayError, Outcome
from app.journal.entries import End, EndError, Entry, entry_of, text_of
from app.journal.observer import tell
from app.store.entry_table import STEP, first_id, now
from app.store.records import Statement

if TYPE_CHECKING:
    from app.journal.journal import Journal

log = logging.getLogger(__name__)

_CLOSINGS = 8  # reads at a time
_DAY, _HOUR = 86_400_000, 3_600_000  # milliseconds
_STEPS_PAUSE = 0.02  # seconds in which others can write
_BEHIND = 50 * STEP  # this many entries above the bound, the purge makes no pause
_RECOUNT = 10_000  # after this many new entries they are counted again before the interval is over
_LOOK_SECONDS = 1.0

# Reads the record of an entry with the gateway's own credentials. Returns whether it proves the update, and the
# read-back.
Prover = Callable[[Entry], Awaitable[tuple[bool, str | None]]]


class Keeper:
    """Runs beside the journal from `start` to `aclose`."""

    def __init__(self, journal: Journal, prove: Prover | None = None) -> None:
        self._journal = journal
        self._prove = prove
        self._task: asyncio.Task[None] | None = None
        self._entries = 0

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        settings = self._journal.settings
        look = min(_LOOK_SECONDS, settings.journal_seconds)
        due = 0.0
        while True:
            try:
                if loop.time() >= due:
                    due = loop.time() + settings.journal_seconds
                    await self.close_abandoned()
                    await self.end_keys()
                    await self.purge()
                elif self._entries + self._journal.written > settings.journal_max or self._journal.written > _RECOUNT:
                    await self.purge()
            except GatewayError as error:
                log.warning("the journal cannot be looked after: %s", error)
            except Exception:
                log.exception("the journal cannot be looked after")
            await asyncio.sleep(look)

    # Abandoned entries

    async def close_abandoned(self) -> int:
        """Closes abandoned entries. Returns their number."""
        journal, closed = self._journal, 0
        gone: dict[int, bool] = {}
        overdue = await journal.store.query(journal.statements.abandoned, now())
        while overdue:
            step, overdue = overdue[:STEP], overdue[STEP:]
            mine = await journal.holder()
            abandoned: list[Entry] = []
            for identifier, holder in step:
                if holder not in gone:  # an entry of this process that it does not know will get no other end
                    gone[holder] = holder == mine or not await journal.store.held(holder)
                if gone[holder] and not journal.lives(identifier):
                    values = (mine, identifier, holder)
                    take_over = Statement(journal.statements.take_over, [values], returning=True)
                    abandoned += map(entry_of, await journal.store.execute([take_over]))
            await self._close(abandoned)
            closed += len(abandoned)
        return closed

    async def _close(self, entries: list[Entry]) -> None:
        limit = asyncio.Semaphore(_CLOSINGS)

        async def close(entry: Entry) -> None:
            async with limit:
                end = await self._end_of(entry)
            statement = Statement(self._journal.statements.end, [(end.outcome, text_of(end), entry.id, end.outcome)])
            await self._journal.store.execute([statement])
            tell(self._journal.observer, lambda observer: observer.journal_closed(end.outcome))
            log.warning(
                "update %s of %s, abandoned by a process that stopped, is %s",
                entry.id,
                entry.intent.mutation,
                end.outcome,
            )

        # One that cannot be written now is overdue at the next look.
        for failure in await asyncio.gather(*map(close, entries), return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure

    async def _end_of(self, entry: Entry) -> End:
        proven, read_back = False, None
        if self._prove is not None:
            try:
                proven, read_back = await self._prove(entry)
            except Exception as error:  # noqa: BLE001 - whatever it is, the outcome stays unknown
                read_back = "FAILED"
                log.warning("the record of update %s could not be read: %s", entry.id, type(error).__name__)
        if proven:
            return End(at=now(), outcome=Outcome.APPLIED.value, read_back=read_back)
        end_error = EndError.of(GatewayError(GATEWAY_STOPPED))
        return End(at=now(), outcome=Outcome.UNKNOWN.value, errors=(end_error,), read_back=read_back)

    # Keys and old entries

    async def end_keys(self) -> int:
        """Forgets the owners and requests of keys whose hours are over."""
        before = first_id(now() - round(self._journal.settings.idempotency_hours * _HOUR))
        return await self._step_by_step(self._journal.statements.expire, before)

    async def purge(self) -> int:
        """Deletes the oldest ended entries: those past their days, and those above the bound. Returns their number."""
        journal = self._journal
        before = first_id(now() - journal.settings.journal_days * _DAY)
        deleted = await self._step_by_step(journal.statements.purge_old, before)
        journal.written = 0
        self._entries = int((await journal.store.query(journal.statements.count))[0][0])

        while (above := self._entries + journal.written - journal.settings.journal_max) > 0:
            step = Statement(journal.statements.purge_oldest(min(above, STEP)), [()], returning=True)
            count = len(await journal.store.execute([step]))
            if not count:
                log.warning("the journal has more entries than its bound, all of them open or with keys that hold")
                self._entries = 0  # not counted again before the interval is over
                break
            self._entries -= count
            deleted += count
            await asyncio.sleep(0 if above > _BEHIND else _STEPS_PAUSE)
        return deleted

    async def _step_by_step(self, sql: str, before: str) -> int:
        total = 0
        while True:
            count = len(await self._journal.store.execute([Statement(sql, [(before,)], returning=True)]))
            total += count
            if count < STEP:
                return total
            await asyncio.sleep(_STEPS_PAUSE)
