"""The one writer of a SQLite file in this process: a thread that commits all waiting work in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from app.store.records import (
    Row,
    Statement,
    StatementConflictError,
    StoreUnavailableError,
    UniqueConflictError,
    VersionConflictError,
)
from app.store.tables import PreparedWrite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

_BATCH = 256  # bounds how long the first of a batch waits for the last
_PATIENCE = 60.0  # seconds of further tries after SQLite's own waiting, before an opening gives up
# Seconds that a commit waits for another process's lock. After one that waited in vain, the next ones wait less.
_LOCK_SECONDS = 10.0
_LOCKED_SECONDS = 1.0


class Commit(Struct):
    writes: list[PreparedWrite]
    statements: Sequence[Statement]
    done: asyncio.Future[list[Row]]
    begun: bool = False  # from then on it is too late to cancel `done`


def unavailable(path: Path, error: Exception, *, certain: bool) -> StoreUnavailableError:
    return StoreUnavailableError(f"the SQLite database {path}: {error}", certain=certain)


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def patiently(action: Callable[[], T], stopped: Callable[[], bool] = lambda: False, patience: float = _PATIENCE) -> T:
    """Repeats `action` while another process holds the lock. SQLite's own waiting does not cover every lock."""
    until = time.monotonic() + patience
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until or stopped():
                raise
            time.sleep(0.01)


class Writer(threading.Thread):
    """Takes all waiting commits, gives each a savepoint in one transaction, and answers after its fsync."""

    def __init__(self, path: Path, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="store-writer", daemon=True)
        self.commits: queue.SimpleQueue[Commit | None] = queue.SimpleQueue()
        # After it, another process's lock is waited for once more, not for ever.
        self.closing = threading.Event()
        self._path = path
        self._loop = loop
        self._connection = connection
        self._connection.execute(f"PRAGMA busy_timeout = {_LOCKED_SECONDS * 1000:.0f}")
        self._lock_seconds = _LOCK_SECONDS
        self._file = _identity(self._path)
        # Committed data is in this file alone until SQLite copies it over. The file exists from the first use on.
        self._log_path = f"{path}-wal"
        self._log: tuple[int, int] | None = None

    def check_file(self) -> None:
        """Raises where the file was deleted: its commits would be lost once the last handle is closed."""
        log = _identity(self._log_path)
        if _identity(self._path) != self._file or (self._log is not None and log != self._log):
            raise StoreUnavailableError(f"the SQLite database {self._path} was removed or replaced", certain=True)
        self._log = log

    def run(self) -> None:
        last = False
        while not last:
            batch: list[Commit] = []
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

    def _outcomes(self, batch: list[Commit]) -> list[list[Row] | Exception]:
        """One result for each of `batch`: rows, its own conflict, or that the store is unavailable for all of them."""
        certain = True
        try:
            self.check_file()
            self._begin_transaction()
            outcomes = [self._begin(commit) for commit in batch]
            certain = False  # a failed fsync may leave a valid commit in the log
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - told to each of the batch
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            own = error if isinstance(error, StoreUnavailableError) else unavailable(self._path, error, certain=certain)
            return [StoreUnavailableError(str(own), certain=own.certain) for _ in batch]
        return outcomes

    def _begin_transaction(self) -> None:
        try:
            patiently(
                lambda: self._connection.execute("BEGIN IMMEDIATE"), self.closing.is_set, patience=self._lock_seconds
            )
        except sqlite3.OperationalError as error:
            if _is_busy(error):
                self._lock_seconds = 0.0
            raise
        self._lock_seconds = _LOCK_SECONDS

    def _begin(self, commit: Commit) -> list[Row] | Exception:
        commit.begun = True
        if commit.done.cancelled():
            return []
        if len(commit.writes) + len(commit.statements) == 1:  # see `_write` and `_run`
            return self._apply(commit)
        self._connection.execute("SAVEPOINT one")
        outcome = self._apply(commit)
        if isinstance(outcome, Exception):
            self._connection.execute("ROLLBACK TO one")
        self._connection.execute("RELEASE one")
        return outcome

    def _apply(self, commit: Commit) -> list[Row] | Exception:
        try:
            for write in commit.writes:
                self._write(write)
            return [row for statement in commit.statements for row in self._run(statement)]
        except (VersionConflictError, UniqueConflictError, StatementConflictError) as conflict:
            return conflict

    def _write(self, write: PreparedWrite) -> None:
        """Atomic by itself. Raises the conflict, if there is one."""
        try:
            touched = self._connection.execute(write.sql, write.parameters).rowcount
        except sqlite3.IntegrityError:
            if write.write.expected is None and self._connection.execute(*write.exists).fetchone() is not None:
                raise VersionConflictError(write.write) from None
            raise UniqueConflictError(write.write) from None
        if touched != 1:
            raise VersionConflictError(write.write)

    def _run(self, statement: Statement) -> list[Row]:
        """Parameters that fail end the whole batch: no statement may fail because of its values."""
        if statement.returning:
            rows = [row for values in statement.rows for row in self._connection.execute(statement.sql, values)]
            touched = len(rows)
        else:
            rows, touched = [], self._connection.executemany(statement.sql, statement.rows).rowcount
        if statement.required and touched != len(statement.rows):
            raise StatementConflictError
        return rows


def _identity(path: Path | str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)  # noqa: PTH116 - twice per transaction, and Path.stat is slower
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _settle(batch: list[Commit], outcomes: list[list[Row] | Exception]) -> None:
    for commit, outcome in zip(batch, outcomes, strict=True):
        if commit.done.done():
            continue
        if isinstance(outcome, Exception):
            commit.done.set_exception(outcome)
        else:
            commit.done.set_result(outcome)
