"""Writes entries: intents in groups that are waited for, ends in groups that are not.

An intent is durable before `begin` returns. This process knows an end before it is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING

from msgspec import Struct, field

from app.errors import DEADLINE_BEFORE_SENDING, STORE_UNAVAILABLE, GatewayError, Outcome
from app.journal.entries import End, EndError, Entry, Intent, comparable, entry_of, row_of, text_of
from app.journal.hashes import Hashes
from app.journal.keys import KeyTakenError
from app.journal.observer import Observer, tell
from app.store.entry_table import EntryStatements, entry_id, entry_statements, now
from app.store.records import Statement, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.journal.settings import JournalSettings
    from app.store.engine import Hold, SqlStore
    from app.store.records import Row

log = logging.getLogger(__name__)

# Seconds that an end waits, so that others are written with it. A process that is killed loses these ends: then a read
# closes the entries.
_END_SECONDS = 0.25
_RETRY_SECONDS = 1.0
_GROUP = 500
_ENDS = 250  # ends of one transaction: intents wait for it
_TURNS = 8  # times two turns of the event loop in which a group may grow
_MOST_ENDS = 10_000
_CLOSING_SECONDS = 5.0
_BACKEND_SECONDS = 30.0


class _Waiting(Struct):
    identifier: str
    intent: Intent
    end: End | None
    written: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Journal:
    """Open it with `open`. A journal belongs to the event loop in which it was opened."""

    def __init__(
        self,
        store: SqlStore,
        settings: JournalSettings,
        hashes: Hashes,
        observer: Observer | None = None,
        backend_seconds: float = _BACKEND_SECONDS,
    ) -> None:
        self.settings = settings
        self.backend_seconds = backend_seconds
        self.hashes = hashes
        self.store = store
        self.statements = entry_statements(store.dialect)
        self.observer = observer
        self.written = 0  # entries since the last count
        self._taking, self._flushing = asyncio.Lock(), asyncio.Lock()
        self._hold: Hold | None = None
        self._holder = 0
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._live: set[str] = set()
        self._ends: dict[str, End] = {}
        self._replays: Counter[str] = Counter()
        self._ending: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._closed = False

    @classmethod
    async def open(
        cls,
        store: SqlStore,
        settings: JournalSettings,
        observer: Observer | None = None,
        *,
        backend_seconds: float = _BACKEND_SECONDS,
    ) -> Journal:
        """`backend_seconds`: the longest call. Raises StoreUnavailableError."""
        statements = entry_statements(store.dialect)
        own = settings.journal_secret
        secret = await _kept_secret(store, statements) if own is None else own.get_secret_value()
        journal = cls(store, settings, Hashes(secret), observer, backend_seconds)
        await journal.holder()
        return journal

    async def holder(self) -> int:
        """The number of the lock that shows that this process lives.

        A lost lock is replaced by one with another number.
        """
        async with self._taking:
            if self._hold is None or self._hold.lost:
                name = secrets.randbits(62) + 1
                self._hold, self._holder = await self.store.hold(name), name
            return self._holder

    def lives(self, identifier: str) -> bool:
        """Whether this process will still write the end of an entry."""
        return identifier in self._live

    def leave(self, identifier: str) -> None:
        """Gives an entry up: the keeper writes its end, once its time is over."""
        self._live.discard(identifier)

    async def begin(self, intent: Intent, loop_deadline: float | None = None) -> str:
        """Returns the id of the durable entry. Raises GatewayError, certainly unsent, or KeyTakenError."""
        waiting = _Waiting(entry_id(now()), intent, None)
        await self._record(waiting, loop_deadline)
        return waiting.identifier

    async def record(self, identifier: str, intent: Intent, end: End, loop_deadline: float | None = None) -> None:
        """Records an entry with its end, as for a refusal by the local rules.

        Does nothing where the id exists already.

        It waits only under a key, until the deadline. Raises like `begin`.
        """
        waiting = _Waiting(identifier, intent, end)
        if intent.key is not None:
            await self._record(waiting, loop_deadline)
        else:
            self._write_soon(waiting)

    def statement(self, identifier: str, intent: Intent, end: End) -> Statement:
        """An entry with its end, for the transaction that writes the record itself."""
        self.written += 1
        row = row_of(identifier, intent, None, None, end)
        return Statement(self.statements.insert_returning, [row], returning=True, required=True)

    def end(self, identifier: str, end: End, *, at_once: bool = False) -> None:
        """Notes the end of an entry. It is written soon, or `at_once`, and never waited for."""
        self._ends[identifier] = end
        if at_once or len(self._ends) >= _ENDS:
            self._hurry.set()
        self._write_ends_soon()

    def replay(self, identifier: str) -> None:
        """Counts an answer from an entry."""
        self._replays[identifier] += 1
        tell(self.observer, lambda observer: observer.replayed())
        self._write_ends_soon()

    async def check(self) -> None:
        """Raises StoreUnavailableError while the journal cannot be written."""
        await self.holder()
        await self.page({}, 1)
        await self.store.try_writing()

    async def get(self, identifier: str) -> Entry | None:
        return next(iter(await self._entries(self.statements.get, comparable(identifier))), None)

    async def by_claim(self, claim: str) -> Entry | None:
        return next(iter(await self._entries(self.statements.by_claim, claim)), None)

    async def page(self, filters: dict[str, object], first: int) -> list[Entry]:
        """The newest first. `filters` are those of `EntryStatements.page`."""
        sql, order = self.statements.page(tuple(filters), first)
        return await self._entries(sql, *_values(filters, order))

    async def total(self, filters: dict[str, object]) -> int:
        sql, order = self.statements.total(tuple(filters))
        return int((await self.store.query(sql, *_values(filters, order)))[0][0])

    async def _entries(self, text: str, *values: object) -> list[Entry]:
        # An end may be written, and forgotten here, while the query still reads what was there before it.
        ends = dict(self._ends)
        rows = await self.store.query(text, *values)
        ends |= self._ends
        return [self._entry_of_row(row, ends) for row in rows]

    async def aclose(self) -> None:
        """Writes what waits, for a few seconds at most.

        A read later closes the entry of an end that was not written.
        """
        self._closed = True
        self._hurry.set()
        tasks: list[asyncio.Task[None]] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                # What is written last may have an end of its own.
                while tasks := [task for task in (self._writing, self._ending) if task and not task.done()]:
                    await asyncio.wait(tasks)
        for task in tasks:
            task.cancel()
        if self._ends:
            log.warning("%d updates' ends could not be written: the next start reads the records", len(self._ends))
        if self._hold is not None:
            await self._hold.release()

    def _entry_of_row(self, row: Row, ends: dict[str, End]) -> Entry:
        entry = entry_of(row)
        end = ends.get(entry.id)
        if end is None or (entry.end is not None and entry.end.outcome != Outcome.UNKNOWN):
            end = entry.end
        replayed = entry.replayed + self._replays[entry.id]
        return Entry(entry.id, entry.intent, entry.holder, entry.due, end, replayed)

    # Intents

    def _write_soon(self, waiting: _Waiting) -> None:
        if self._closed or len(self._waiting) >= _MOST_ENDS:
            cause = "is closed" if self._closed else "has too many updates to write"
            raise StoreUnavailableError(f"the journal {cause}", certain=True)
        self._waiting.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_intents())

    async def _record(self, waiting: _Waiting, loop_deadline: float | None) -> None:
        """If a future is done before its group is written, nobody waits for it any more."""
        self._write_soon(waiting)
        started = perf_counter()
        late = None
        if loop_deadline is not None:
            late = asyncio.get_running_loop().call_at(loop_deadline, _give_up, waiting.written)
        try:
            recorded = await waiting.written
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiting in self._waiting and waiting.end is None:
                self._waiting.remove(waiting)  # an end is written all the same
            if isinstance(error, asyncio.CancelledError):
                if waiting.end is None and waiting.identifier in self._live:  # written in the same moment
                    self._unsent(waiting.identifier)
                raise
            raise GatewayError(DEADLINE_BEFORE_SENDING, detail="the journal was not written in time") from None
        except GatewayError as error:
            self._wrote(started, "unavailable")
            raise GatewayError(STORE_UNAVAILABLE, detail=str(error)) from error
        finally:
            if late is not None:
                late.cancel()
        self._wrote(started, "ok")
        if not recorded:
            raise KeyTakenError

    def _wrote(self, started: float, result: str) -> None:
        tell(self.observer, lambda observer: observer.journal_wrote(perf_counter() - started, result))

    def _unsent(self, identifier: str) -> None:
        if len(self._ends) >= _MOST_ENDS:
            return  # the store is away, and anyone can cause more entries; the keeper closes the entry, if there is one
        error = EndError.of(GatewayError(DEADLINE_BEFORE_SENDING))
        self.end(identifier, End(at=now(), outcome="NOT_APPLIED", errors=(error,), frees_key=True), at_once=True)

    async def _write_intents(self) -> None:
        while self._waiting:
            # A commit costs as much as five entries, a turn of the loop next to nothing: waits as long as others join.
            for _ in range(_TURNS):
                before = len(self._waiting)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                if len(self._waiting) == before:
                    break
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            try:
                holder = await self.holder()
                rows = await self.store.execute(self._inserts(group, holder))
            except Exception as error:  # noqa: BLE001 - told to everyone who waits
                self._not_written(group, error if isinstance(error, GatewayError) else _unexpected(error))
                continue
            new_ids = {row[0] for row in rows}
            for waiting in group:
                new = waiting.intent.key is None or waiting.identifier in new_ids
                self.written += new
                if not waiting.written.done():
                    if new and waiting.end is None:
                        self._live.add(waiting.identifier)
                    waiting.written.set_result(new)
                elif new and waiting.end is None:
                    self._unsent(waiting.identifier)
            tell(self.observer, lambda observer: observer.journal_open(len(self._live)))

    def _not_written(self, group: Sequence[_Waiting], error: GatewayError) -> None:
        certain = isinstance(error, StoreUnavailableError) and error.certain
        lost = 0
        for waiting in group:
            if waiting.end is None and not certain:
                self._unsent(waiting.identifier)  # it may have been written all the same
            lost += waiting.end is not None and waiting.intent.key is None
            if not waiting.written.done():
                waiting.written.set_exception(error)
                waiting.written.exception()  # marks it as retrieved, where nobody waits
        if lost:
            log.warning("%d refused updates are not recorded: %s", lost, error)

    def _inserts(self, group: Sequence[_Waiting], holder: int) -> list[Statement]:
        """Only a key can exist already, so that only such an entry reports whether it was written."""
        after = round(self.backend_seconds * 1000)
        plain: list[Row] = []
        keyed: list[Row] = []
        for waiting in group:
            open_ = waiting.end is None
            due = waiting.intent.deadline + after
            row = row_of(
                waiting.identifier, waiting.intent, holder if open_ else None, due if open_ else None, waiting.end
            )
            (plain if waiting.intent.key is None else keyed).append(row)
        statements = [Statement(self.statements.insert, plain)] if plain else []
        return statements + ([Statement(self.statements.insert_returning, keyed, returning=True)] if keyed else [])

    # Ends

    def _write_ends_soon(self) -> None:
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._write_ends())

    async def _write_ends(self) -> None:
        pause = _END_SECONDS
        while self._ends or self._replays:
            if not self._closed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurry.wait()
                self._hurry.clear()
            pause = _END_SECONDS
            try:
                await self.flush()
            except GatewayError as error:
                log.warning("%d updates' ends wait to be written: %s", len(self._ends), error)
                if self._closed:
                    return
                pause = _RETRY_SECONDS

    async def flush(self) -> None:
        """Writes the waiting ends. Raises GatewayError; they go on waiting then."""
        async with self._flushing:
            waiting, replays = list(self._ends.items()), Counter(self._replays)
            for first in range(0, max(1, len(waiting)), _ENDS):
                ends = dict(waiting[first : first + _ENDS])
                await self.store.execute(self._updates(ends, replays))
                self._replays -= replays
                replays.clear()
                for identifier, end in ends.items():
                    self._live.discard(identifier)
                    if self._ends.get(identifier) is end:
                        del self._ends[identifier]
        tell(self.observer, lambda observer: observer.journal_open(len(self._live)))

    def _updates(self, ends: dict[str, End], replays: Counter[str]) -> list[Statement]:
        texts = self.statements
        statements = []
        if ends:
            rows = [(end.outcome, text_of(end), identifier, end.outcome) for identifier, end in ends.items()]
            statements.append(Statement(texts.end, rows))
        if freed := [(identifier,) for identifier, end in ends.items() if end.frees_key]:
            statements.append(Statement(texts.free, freed))
        if replays:
            statements.append(Statement(texts.replay, [(identifier,) for identifier in replays.elements()]))
        return statements


def _give_up(written: asyncio.Future[bool]) -> None:
    if not written.done():
        written.set_exception(TimeoutError())


def _unexpected(error: Exception) -> GatewayError:
    log.error("the journal could not be written", exc_info=error)
    return StoreUnavailableError(f"the journal could not be written: {type(error).__name__}", certain=False)


def _values(filters: dict[str, object], order: Sequence[str]) -> list[object]:
    values = (filters[name] for name in order)
    return [comparable(value) if isinstance(value, str) else value for value in values]


async def _kept_secret(store: SqlStore, statements: EntryStatements) -> str:
    """The store's own secret, created once by the first of several processes."""
    if not await store.query(statements.secret, "journal"):
        await store.execute([Statement(statements.make_secret, [("journal", secrets.token_hex(32))])])
        log.warning(
            # Nothing may follow the setting's name: the log would take it for the setting's value.
            "what keys the journal's hashes is kept in the store, and so in a dump of it: no GATEWAY_JOURNAL_SECRET"
        )
    return str((await store.query(statements.secret, "journal"))[0][0])
