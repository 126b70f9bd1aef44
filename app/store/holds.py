"""Locks that end with the process that holds them: a locked file beside SQLite, PostgreSQL's advisory locks.

No clock decides whether a holder is alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import glob
import os
from pathlib import Path
from typing import Any

from app.store.records import StoreUnavailableError

_TRIES = 100  # each other process may disturb one


def _file(database: Path, name: int) -> Path:
    return database.with_name(f"{database.name}-holder-{name:016x}")


class FileHold:
    """An exclusive flock on its own file. The kernel drops it when the process ends, however it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path, name: int) -> FileHold:
        """Also removes the files of all holders that are gone: each process that was killed left one."""
        path = _file(database, name)
        try:
            for file in database.parent.glob(f"{glob.escape(database.name)}-holder-*"):
                with contextlib.suppress(StoreUnavailableError, ValueError):
                    cls.is_held(database, int(file.name.rpartition("-")[2], 16))
            for _ in range(_TRIES):
                with contextlib.ExitStack() as stack:
                    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                    stack.callback(os.close, descriptor)
                    # Another process may have removed the file before it was locked.
                    with contextlib.suppress(BlockingIOError, FileNotFoundError):
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if os.path.samestat(os.fstat(descriptor), path.stat()):
                            stack.pop_all()
                            return cls(path, descriptor)
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be locked: {error.strerror}", certain=True) from None
        raise StoreUnavailableError(f"{path} cannot be locked: it has another holder", certain=True)

    @staticmethod
    def is_held(database: Path, name: int) -> bool:
        """Also removes the file of a holder that is gone.

        Numbers are not reused, so that nobody can be waiting for it.
        """
        path = _file(database, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be read: {error.strerror}", certain=True) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return False
        finally:
            os.close(descriptor)

    @property
    def lost(self) -> bool:
        return self._descriptor is None

    async def release(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(FileNotFoundError):
                await asyncio.to_thread(self._path.unlink)
            os.close(descriptor)


class AdvisoryHold:
    """An advisory lock of a transaction that stays open on its own connection.

    The transaction holds it, not the session: a pooler in transaction mode keeps a server connection for the
    transaction alone. It is idle and has written nothing, so that it does not keep rows from being vacuumed.
    """

    TRY = "SELECT pg_try_advisory_xact_lock($1::bigint)"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def take(cls, connection: Any, name: int) -> AdvisoryHold:
        try:
            await connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
            locked = await connection.fetchval(cls.TRY, name)
        except BaseException:
            connection.terminate()
            raise
        if not locked:
            connection.terminate()
            raise StoreUnavailableError("the lock has another holder", certain=True)
        return cls(connection)

    @property
    def lost(self) -> bool:
        return bool(self._connection.is_closed())

    async def release(self) -> None:
        # To close would wait for the server; it is enough that the server sees the connection end.
        self._connection.terminate()
