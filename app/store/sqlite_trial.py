"""Tests whether a SQLite file can be read and written now: first from outside, then with a new connection.

Open connections remember pages, so that they would not see a file that was overwritten or cut off.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOCK_SECONDS = 3.0
_MAGIC = b"SQLite format 3\0"
_SETTLING_SECONDS = 0.05


class DamagedError(Exception):
    """The text says which file, and what is wrong with it."""


def write_for_trial(path: Path, tables: Iterable[str]) -> None:
    """Writes without changing a record, and looks at each table. Raises sqlite3.Error or DamagedError."""
    try:
        _look(path)
    except DamagedError:
        time.sleep(_SETTLING_SECONDS)  # a checkpoint may be under way
        _look(path)
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_LOCK_SECONDS, isolation_level=None)
    with closing(connection):
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        for table in ("gateway_schema", *tables):
            connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone()  # noqa: S608 - our own names
        # A number without meaning to SQLite and to us. To write the present value would write nothing.
        (number,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {(number + 1) % (1 << 31)}")
        connection.execute("COMMIT")


def _look(path: Path) -> None:
    """Compares headers with sizes: https://www.sqlite.org/fileformat2.html and https://www.sqlite.org/walformat.html."""
    header = _bytes(path, path, 0, 100)
    if not header.startswith(_MAGIC):
        raise DamagedError("the file was overwritten")
    page = struct.unpack(">H", header[16:18])[0]
    page = 65_536 if page == 1 else page
    # The page count is valid where the two change counters agree.
    if header[24:28] == header[92:96] and path.stat().st_size < page * struct.unpack(">I", header[28:32])[0]:
        raise DamagedError("the file was cut off")
    index = _bytes(path, Path(f"{path}-shm"), 0, 96)
    if len(index) < 96 or index[:48] != index[48:]:  # noqa: PLR2004 - its two copies; one of them is being written
        return
    frames = struct.unpack("=I", index[16:20])[0]
    log = Path(f"{path}-wal")
    if not frames:
        return
    last = 32 + (frames - 1) * (24 + page)
    size = log.stat().st_size if log.exists() else 0
    if size < last + 24 + page:
        raise DamagedError("the log beside the file was cut off")
    if not _bytes(path, log, 16, 8) == _bytes(path, log, last + 8, 8) == index[32:40]:
        raise DamagedError("the log beside the file was overwritten")


def _bytes(database: Path, file: Path, offset: int, count: int) -> bytes:
    try:
        return os.pread(_descriptors.of(database, file), count, offset)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise DamagedError(f"{file.name} cannot be read") from error


class _Descriptors:
    """The files of a database that were looked at. They stay open as long as a store of this process uses it.

    When a process closes any descriptor of a file, it loses all its locks on that file, SQLite's among them:
    https://www.sqlite.org/howtocorrupt.html, section 2.2. The next program that closes the database would then believe
    that it is the last one, and remove the log that is in use here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: Counter[Path] = Counter()
        self._open: dict[Path, dict[tuple[int, int], int]] = {}

    def use(self, database: Path) -> None:
        with self._lock:
            self._stores[database] += 1

    def leave(self, database: Path) -> None:
        """Called after the store's connections are closed."""
        with self._lock:
            self._stores[database] -= 1
            if not self._stores[database]:
                del self._stores[database]
                for descriptor in self._open.pop(database, {}).values():
                    os.close(descriptor)

    def of(self, database: Path, file: Path) -> int:
        with self._lock:
            state = file.stat()
            descriptors = self._open.setdefault(database, {})
            identity = (state.st_dev, state.st_ino)
            if identity not in descriptors:
                descriptors[identity] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            return descriptors[identity]


_descriptors = _Descriptors()
use, leave = _descriptors.use, _descriptors.leave
