"""Opens the local store: SQLite in one file, or PostgreSQL, by URL."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.store.records import Collection, Row, Statement, Store, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect

    from app.store.migrations import Seed


_POSTGRES = frozenset({"postgresql", "postgres"})
_UNKNOWN = "the store's URL must begin with sqlite:/// or postgresql://"


class Hold(Protocol):
    """A lock that ends with its process."""

    @property
    def lost(self) -> bool:
        """Whether the lock is lost, for example because the connection to the database broke."""
        ...

    async def release(self) -> None: ...


class SqlStore(Store, Protocol):
    """The port of `open_store`. A store belongs to the event loop in which it was opened.

    `dialect` is SQLAlchemy's, with positional parameters; other tables' statements are compiled for it.
    """

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statements: Sequence[Statement], *, deadline: float | None = None) -> list[Row]:
        """Runs `statements` in one durable transaction.

        Returns the rows of those that return any. Raises like `commit`.
        """
        ...

    async def query(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows of a query that changes nothing."""
        ...

    async def hold(self, name: int) -> Hold:
        """Takes a lock of that name, which ends with this process.

        Raises StoreUnavailableError where another has it.
        """
        ...

    async def held(self, name: int) -> bool:
        """Whether any process has the lock of that name."""
        ...

    async def ping(self) -> None:
        """Raises StoreUnavailableError while the database cannot be used."""
        ...

    async def try_writing(self) -> None:
        """Writes without changing a record, and looks at each table. Raises StoreUnavailableError."""
        ...

    async def aclose(self) -> None:
        """Finishes the commits in flight; later ones are refused. May be called again."""
        ...


async def open_store(url: str, collections: Sequence[Collection], seed: Seed) -> SqlStore:
    """Opens or creates the database. `seed` is written once for each collection, when its table is created.

    `url` is `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:password@host/database`, with the
    parameters of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS as far as asyncpg
    knows them. Raises StoreUnavailableError with one line that names no credential.
    """
    scheme = url.partition("://")[0].lower()
    if scheme == "sqlite":
        from app.store.sqlite import SqliteStore  # noqa: PLC0415 - only the engine in use is loaded

        return await SqliteStore.open(_sqlite_path(url), collections, seed)
    if scheme in _POSTGRES:
        from app.store.postgres import PostgresStore  # noqa: PLC0415 - only the engine in use is loaded

        return await PostgresStore.open(url, collections, seed)
    raise StoreUnavailableError(_UNKNOWN, certain=True)


async def look_at(url: str) -> frozenset[str] | None:
    """The names of a database's collections; None where it holds no store yet. Creates and changes nothing.

    Raises StoreUnavailableError like `open_store`, so that the caller knows whether it could be opened.
    """
    if url.lower().startswith("sqlite:"):
        from app.store import sqlite  # noqa: PLC0415 - only the engine in use is loaded

        path = _sqlite_path(url)
        if path.exists():
            return await asyncio.to_thread(sqlite.look, path)
        if os.access(path.parent, os.W_OK):
            return None
        raise StoreUnavailableError(
            f"{path} cannot be created: no such folder, or no right to write there", certain=True
        )
    if url.partition("://")[0].lower() in _POSTGRES:
        from app.store import postgres  # noqa: PLC0415 - only the engine in use is loaded

        return await postgres.look(url)
    raise StoreUnavailableError(_UNKNOWN, certain=True)


def _sqlite_path(url: str) -> Path:
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        parts = None
    if parts is None or parts.host or parts.username or parts.query or parts.database in {None, "", ":memory:"}:
        raise StoreUnavailableError(
            "the store's SQLite URL must be sqlite:///relative.db or sqlite:////absolute.db", certain=True
        )
    return Path(str(parts.database)).absolute()


def passwords_in(url: str) -> set[str]:
    """The password in a store's URL, as written there and decoded."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
