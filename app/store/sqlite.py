"""The store over SQLite: one writer thread per process with group commit, and a few reader threads.

The driver is called in whole transactions, one thread hop each. An async driver makes a hop for every statement, which
cost several times the statement itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import NullPool, StaticPool, create_engine, event
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect
from sqlalchemy.exc import DBAPIError

from app.store.engine import SqlStore
from app.store.holds import FileHold
from app.store.migrations import Seed, collections_in, migrate
from app.store.records import (
    Collection,
    Record,
    Row,
    Statement,
    StoreUnavailableError,
    too_late,
)
from app.store.sqlite_trial import DamagedError, leave, use, write_for_trial
from app.store.sqlite_writer import Commit, Writer, patiently, unavailable
from app.store.tables import PreparedWrite, Statements, key, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

_READERS = 4
_DIALECT = sqlite_dialect(paramstyle="qmark")
_BUSY_TIMEOUT = 5.0  # seconds of waiting inside SQLite, which is unfair


def _connect_reader(path: Path, mode: str = "rw") -> sqlite3.Connection:
    """A connection in autocommit mode: every BEGIN is ours. `mode` rwc creates the file, rw never does.

    One thread at a time uses it, and another one closes it.
    """
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )


def _connect(path: Path) -> sqlite3.Connection:
    connection = _connect_reader(path, "rwc")
    try:
        # A file that was cut off is in another mode, and a reader would wait for all others to leave it.
        patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
        connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _opened(path: Path, collections: Sequence[Collection], seed: Seed) -> sqlite3.Connection:
    """The writer's connection to a file that is created if it does not exist, and up to date."""
    driver = _connect(path)
    engine = create_engine("sqlite://", creator=lambda: driver, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def _begin(_connection: Any) -> None:
        patiently(lambda: driver.execute("BEGIN IMMEDIATE"))

    try:
        with engine.begin() as connection:
            migrate(connection, collections, seed)
    except BaseException:
        driver.close()
        raise
    return driver


def _look(path: Path) -> frozenset[str] | None:
    """Opens a file that exists for reading alone."""
    if not path.exists():
        if os.access(path.parent, os.W_OK):
            return None
        raise StoreUnavailableError(
            f"{path} cannot be created: no such folder, or no right to write there", certain=True
        )
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        raise StoreUnavailableError(f"the SQLite database {path}: no right to write it, or its folder", certain=True)
    engine = create_engine("sqlite://", creator=lambda: _connect_reader(path, "ro"), poolclass=NullPool)
    with engine.connect() as connection:
        return collections_in(connection)


@contextlib.contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unavailable(path, error, certain=True) from None
    except DBAPIError as error:
        # SQLAlchemy's own text would show the parameters, which are records.
        raise StoreUnavailableError(f"the SQLite database {path}: {error.orig}", certain=True) from None


class SqliteStore(SqlStore):
    """`commit` waits for the shared transaction that it is part of; reads never wait for a writer.

    A commit that is cancelled before its transaction begins writes nothing, later everything.
    """

    def __init__(self, path: Path, collections: Sequence[Collection], writer: sqlite3.Connection) -> None:
        super().__init__(_DIALECT, collections)
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(path, writer, self._loop)
        self._writer.start()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._reading: list[sqlite3.Connection] = []
        self._left = False
        use(path)

    @classmethod
    async def open(cls, path: Path, collections: Sequence[Collection], seed: Seed) -> SqliteStore:
        with _opening(path):
            return cls(path, collections, await asyncio.to_thread(_opened, path, collections, seed))

    @staticmethod
    async def look(path: Path) -> frozenset[str] | None:
        with _opening(path):
            return await asyncio.to_thread(_look, path)

    async def get_many(self, keys: Iterable[tuple[Collection, str]]) -> dict[tuple[Collection, str], Record]:
        """The existing records by collection and id, all as of one moment."""
        pairs = [(pair, self._statements[pair[0]]) for pair in dict.fromkeys(keys)]
        return await self._read(functools.partial(_get_many, pairs)) if pairs else {}

    async def query(self, sql: str, *parameters: Any) -> list[Row]:
        return await self._read(lambda reader: reader.execute(sql, parameters).fetchall())

    async def hold(self, name: int) -> FileHold:
        return await asyncio.to_thread(FileHold.take, self._path, name)

    async def held(self, name: int) -> bool:
        return await asyncio.to_thread(FileHold.is_held, self._path, name)

    async def _commit(
        self, writes: list[PreparedWrite], statements: Sequence[Statement], deadline: float | None
    ) -> list[Row]:
        if self._closed:
            raise StoreUnavailableError("the store is closed", certain=True)
        commit = Commit(writes, statements, self._loop.create_future())
        self._writer.commits.put(commit)
        try:
            async with asyncio.timeout_at(deadline):
                return await commit.done
        except TimeoutError:
            # `done` was cancelled before this is looked at, and the writer sets this before it looks at `done`.
            raise too_late(certain=not commit.begun) from None

    async def ping(self) -> None:
        self._writer.check_file()
        await super().ping()

    async def try_writing(self) -> None:
        await self.ping()
        tables = [collection.name for collection in self._statements]
        try:
            await asyncio.to_thread(write_for_trial, self._path, tables)
        except (sqlite3.Error, DamagedError) as error:
            raise unavailable(self._path, error, certain=True) from None

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._writer.closing.set()
            self._writer.commits.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        while self._reading:
            self._reading.pop().close()
        if not self._left:
            self._left = True
            leave(self._path)

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreUnavailableError("the store is closed", certain=True)
        try:
            return await self._loop.run_in_executor(self._readers, self._in_reader, query)
        except sqlite3.Error as error:
            raise unavailable(self._path, error, certain=True) from None

    def _in_reader(self, query: Callable[[sqlite3.Connection], T]) -> T:
        reader: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if reader is None:
            reader = self._local.connection = _connect_reader(self._path)
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
