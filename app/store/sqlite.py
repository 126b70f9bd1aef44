"""The store over SQLite: one writer thread per process with group commit, and a few reader threads.

The driver is called in whole transactions, one thread hop each: a hop for every statement, as an async driver makes,
cost several times the statement itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import queue
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import NullPool, create_engine, event
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError

from app.store.migrations import Seed, collections_in, migrate
from app.store.pages import Pages, placed
from app.store.records import (
    Collection,
    Place,
    Record,
    Selection,
    StoreUnavailableError,
    UniqueConflictError,
    VersionConflictError,
    Write,
    too_late,
)
from app.store.tables import PreparedWrite, Statements, key, prepare, record, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

T = TypeVar("T")

_READERS = 4
_BATCH = 256  # bounds how long the first of a batch waits for the last
_BUSY_TIMEOUT = 5.0  # seconds inside SQLite, whose waiting is unfair
_PATIENCE = 60.0  # seconds of trying again after that, before a writer gives up


@dataclass(slots=True)
class _Commit:
    writes: list[PreparedWrite]
    done: asyncio.Future[None]
    begun: bool = False  # from then on to cancel `done` comes too late


def _unavailable(path: Path, error: Exception, *, certain: bool) -> StoreUnavailableError:
    return StoreUnavailableError(f"the SQLite database {path}: {error}", certain=certain)


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _patiently(action: Callable[[], T], stopped: Callable[[], bool] = lambda: False) -> T:
    """`action`, again while another process holds the lock. SQLite's own waiting does not cover every lock."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until or stopped():
                raise
            time.sleep(0.01)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in autocommit mode: every BEGIN is ours. `mode` rwc creates the file, rw never does.

    Used by one thread at a time, and closed by another.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        _patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path, collections: Sequence[Collection], seed: Seed) -> None:
    """Creates the file if need be, and brings it up to date in one transaction."""
    engine = create_engine("sqlite://", creator=lambda: _connect(path, "rwc"), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        driver = connection.connection.driver_connection
        _patiently(lambda: driver.execute("BEGIN IMMEDIATE"))

    with engine.begin() as connection:
        migrate(connection, collections, seed)


def look(path: Path) -> frozenset[str] | None:
    """`collections_in` of a file that exists, opened for reading alone."""
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        raise StoreUnavailableError(f"the SQLite database {path}: no right to write it, or its folder", certain=True)
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT),
        poolclass=NullPool,
    )
    try:
        with engine.connect() as connection:
            return collections_in(connection)
    except sqlite3.Error as error:
        raise _unavailable(path, error, certain=True) from None
    except DBAPIError as error:
        raise StoreUnavailableError(f"the SQLite database {path}: {error.orig}", certain=True) from None


class SqliteStore:
    """Open with `open`. `commit` waits for the shared transaction it is part of; reads never wait for a writer."""

    def __init__(self, path: Path, collections: Sequence[Collection], writer: sqlite3.Connection) -> None:
        self._path = path
        dialect = sqlite_dialect(paramstyle="qmark")
        self._statements = statements(collections, dialect)
        self._pages = Pages(dialect)
        self._loop = asyncio.get_running_loop()
        self._writer = _Writer(path, writer, self._loop)
        self._writer.start()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._closed = False

    @classmethod
    async def open(cls, path: Path, collections: Sequence[Collection], seed: Seed) -> SqliteStore:
        try:
            await asyncio.to_thread(_create, path, collections, seed)
            writer = await asyncio.to_thread(_connect, path, "rw")
        except sqlite3.Error as error:
            raise _unavailable(path, error, certain=True) from None
        except DBAPIError as error:
            # SQLAlchemy's own text would show the parameters, which are records.
            raise StoreUnavailableError(f"the SQLite database {path}: {error.orig}", certain=True) from None
        return cls(path, collections, writer)

    async def get(self, collection: Collection, record_id: str) -> Record | None:
        return await self._one(self._statements[collection].get, key(record_id))

    async def find(self, collection: Collection, owner: str | None, unique: str) -> Record | None:
        texts = self._statements[collection]
        if owner is None:
            return await self._one(texts.find_unowned, key(unique))
        return await self._one(texts.find, key(owner), key(unique))

    async def get_many(self, wanted: Iterable[tuple[Collection, str]]) -> dict[tuple[Collection, str], Record]:
        """Those that exist, by collection and id, all as of one moment."""
        pairs = [(pair, self._statements[pair[0]]) for pair in dict.fromkeys(wanted)]
        return await self._read(functools.partial(_get_many, pairs)) if pairs else {}

    async def owned(self, collection: Collection, owner: str) -> list[Record]:
        sql = self._statements[collection].owned
        return await self._read(lambda reader: [record(row) for row in reader.execute(sql, (key(owner),))])

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
        query = self._pages.page(
            self._statements[collection].table,
            selection,
            limit=limit,
            offset=offset,
            after=after,
            descending=descending,
        )
        return placed(await self._read(lambda reader: reader.execute(*query).fetchall()))

    async def count(self, collection: Collection, selection: Selection) -> int:
        query = self._pages.count(self._statements[collection].table, selection)
        [row] = await self._read(lambda reader: reader.execute(*query).fetchall())
        return int(row[0])

    async def commit(self, writes: Sequence[Write], *, deadline: float | None = None) -> None:
        """All of `writes` durably, or none. Cancelled before its transaction begins it writes nothing, later all."""
        if self._closed:
            raise StoreUnavailableError("the store is closed", certain=True)
        prepared = prepare(writes, self._statements)
        if not prepared:
            return
        commit = _Commit(prepared, self._loop.create_future())
        self._writer.commits.put(commit)
        try:
            async with asyncio.timeout_at(deadline):
                await commit.done
        except TimeoutError:
            # `done` was cancelled before this is looked at, and the writer sets this before it looks at `done`.
            raise too_late(certain=not commit.begun) from None

    async def ping(self) -> None:
        self._writer.check_file()
        await self._read(lambda reader: reader.execute("SELECT version FROM gateway_schema").fetchone())

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._writer.closing.set()
            self._writer.commits.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        while self._reading:
            self._reading.pop().close()

    async def _one(self, sql: str, *parameters: str) -> Record | None:
        row = await self._read(lambda reader: reader.execute(sql, parameters).fetchone())
        return None if row is None else record(row)

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreUnavailableError("the store is closed", certain=True)
        try:
            return await self._loop.run_in_executor(self._readers, self._in_reader, query)
        except sqlite3.Error as error:
            raise _unavailable(self._path, error, certain=True) from None

    def _in_reader(self, query: Callable[[sqlite3.Connection], T]) -> T:
        reader: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if reader is None:
            reader = self._local.connection = _connect(self._path, "rw")
            self._reading.append(reader)
            reader.execute("PRAGMA query_only=ON")
        return query(reader)


def _get_many(
    pairs: list[tuple[tuple[Collection, str], Statements]], reader: sqlite3.Connection
) -> dict[tuple[Collection, str], Record]:
    reader.execute("BEGIN")
    try:
        rows = [(pair, reader.execute(texts.get, (key(pair[1]),)).fetchone()) for pair, texts in pairs]
    finally:
        reader.execute("COMMIT")
    return {pair: record(row) for pair, row in rows if row is not None}


class _Writer(threading.Thread):
    """Takes all commits that wait, gives each a savepoint in one transaction, and answers after its fsync."""

    def __init__(self, path: Path, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="store-writer", daemon=True)
        self.commits: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        # Then a lock that another process holds is waited for once more, not for ever.
        self.closing = threading.Event()
        self._path = path
        self._loop = loop
        self._connection = connection
        self._file = _identity(self._path)
        # What was committed is in this file alone until SQLite carries it over; it is there from the first use on.
        self._log_path = f"{path}-wal"
        self._log: tuple[int, int] | None = None

    def check_file(self) -> None:
        """A deleted file would take commits until its last handle is closed, and then be gone with them."""
        log = _identity(self._log_path)
        if _identity(self._path) != self._file or (self._log is not None and log != self._log):
            raise StoreUnavailableError(f"the SQLite database {self._path} was removed or replaced", certain=True)
        self._log = log

    def run(self) -> None:
        last = False
        while not last:
            batch: list[_Commit] = []
            item = self.commits.get()
            while item is not None:
                batch.append(item)
                if len(batch) == _BATCH or self.commits.empty():
                    break
                item = self.commits.get()
            last = item is None
            if batch:
                outcomes = self._outcomes(batch)
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    self._loop.call_soon_threadsafe(_settle, batch, outcomes)
        self._connection.close()

    def _outcomes(self, batch: list[_Commit]) -> list[Exception | None]:
        try:
            return self._transaction(batch)
        except StoreUnavailableError as error:
            return [StoreUnavailableError(str(error), certain=error.certain) for _ in batch]

    def _transaction(self, batch: list[_Commit]) -> list[Exception | None]:
        """One outcome for each of `batch`: None, or its own conflict. Raises StoreUnavailableError for all of them."""
        certain = True
        try:
            self.check_file()
            _patiently(lambda: self._connection.execute("BEGIN IMMEDIATE"), self.closing.is_set)
            outcomes = [self._begin(commit) for commit in batch]
            certain = False  # a failed fsync may leave a valid commit in the log
            self._connection.execute("COMMIT")
        except StoreUnavailableError:
            raise
        except Exception as error:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise _unavailable(self._path, error, certain=certain) from error
        return outcomes

    def _begin(self, commit: _Commit) -> Exception | None:
        commit.begun = True
        return None if commit.done.cancelled() else self._apply(commit.writes)

    def _apply(self, writes: list[PreparedWrite]) -> Exception | None:
        if len(writes) == 1:  # a statement is atomic by itself
            return self._write(writes[0])
        self._connection.execute("SAVEPOINT one")
        conflict = next((found for found in map(self._write, writes) if found is not None), None)
        if conflict is not None:
            self._connection.execute("ROLLBACK TO one")
        self._connection.execute("RELEASE one")
        return conflict

    def _write(self, write: PreparedWrite) -> Exception | None:
        try:
            touched = self._connection.execute(write.sql, write.parameters).rowcount
        except sqlite3.IntegrityError:
            if write.write.expected is None and self._connection.execute(*write.exists).fetchone() is not None:
                return VersionConflictError(write.write)
            return UniqueConflictError(write.write)
        return None if touched == 1 else VersionConflictError(write.write)


def _identity(path: Path | str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)  # noqa: PTH116 - twice per transaction, and Path.stat is slower
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _settle(batch: list[_Commit], outcomes: list[Exception | None]) -> None:
    for commit, outcome in zip(batch, outcomes, strict=True):
        if commit.done.done():
            continue
        if outcome is None:
            commit.done.set_result(None)
        else:
            commit.done.set_exception(outcome)
