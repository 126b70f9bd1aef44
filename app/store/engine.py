"""The local store: SQLite in one file, or PostgreSQL, by URL. What both engines do alike, and their opening."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.store.pages import Pages, Span
from app.store.records import (
    Collection,
    Place,
    Record,
    Row,
    Selection,
    Statement,
    Store,
    StoreUnavailableError,
    Write,
)
from app.store.tables import PreparedWrite, Statements, key, prepare, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect

    from app.store.migrations import Seed


class Hold(Protocol):
    """A lock that ends with its process."""

    @property
    def lost(self) -> bool:
        """Whether the lock is lost, for example because the connection to the database broke."""
        ...

    async def release(self) -> None: ...


class SqlStore(Store, ABC):
    """What both engines do alike. Open it with `open_store`. It belongs to the event loop in which it was opened.

    `dialect` is SQLAlchemy's, with positional parameters; other tables' statements are compiled for it.
    """

    def __init__(self, dialect: Dialect, collections: Sequence[Collection]) -> None:
        self.dialect = dialect
        self._statements = {collection: Statements(collection, dialect) for collection in collections}
        self._pages = Pages(dialect, self.query)
        self._closed = False

    @abstractmethod
    async def query(self, sql: str, *parameters: Any) -> list[Row]:
        """The rows of a query that changes nothing."""

    @abstractmethod
    async def _commit(
        self, writes: list[PreparedWrite], statements: Sequence[Statement], deadline: float | None
    ) -> list[Row]:
        """One durable transaction. Returns the rows of the statements that return any."""

    @abstractmethod
    async def hold(self, name: int) -> Hold:
        """Takes a lock of that name, which ends with this process.

        Raises StoreUnavailableError where another has it.
        """

    @abstractmethod
    async def held(self, name: int) -> bool:
        """Whether any process has the lock of that name."""

    @abstractmethod
    async def try_writing(self) -> None:
        """Writes without changing a record, and looks at each table. Raises StoreUnavailableError."""

    @abstractmethod
    async def aclose(self) -> None:
        """Finishes the commits in flight; later ones are refused. May be called again."""

    async def ping(self) -> None:
        """Raises StoreUnavailableError while the database cannot be used."""
        await self.query("SELECT version FROM gateway_schema")

    async def get(self, collection: Collection, record_id: str) -> Record | None:
        return await self._one(self._statements[collection].get, key(record_id))

    async def find(self, collection: Collection, owner: str | None, unique: str) -> Record | None:
        texts = self._statements[collection]
        if owner is None:
            return await self._one(texts.find_unowned, key(unique))
        return await self._one(texts.find, key(owner), key(unique))

    async def _one(self, sql: str, *parameters: str) -> Record | None:
        return next(map(record, await self.query(sql, *parameters)), None)

    async def owned(self, collection: Collection, owner: str) -> list[Record]:
        return [record(row) for row in await self.query(self._statements[collection].owned, key(owner))]

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
        table = self._statements[collection].table
        return await self._pages.page(table, selection, Span(limit, offset, after, descending))

    async def count(self, collection: Collection, selection: Selection) -> int:
        return await self._pages.count(self._statements[collection].table, selection)

    async def commit(
        self, writes: Sequence[Write], *, deadline: float | None = None, also: Sequence[Statement] = ()
    ) -> None:
        if prepared := prepare(writes, self._statements):
            await self._commit(prepared, also, deadline)
            self._pages.forget(writes)

    async def execute(self, statements: Sequence[Statement], *, deadline: float | None = None) -> list[Row]:
        """Runs `statements` in one durable transaction.

        Returns the rows of those that return any. Raises like `commit`.
        """
        return await self._commit([], statements, deadline)


async def open_store(url: str, collections: Sequence[Collection], seed: Seed) -> SqlStore:
    """Opens or creates the database. `seed` is written once for each collection, when its table is created.

    `url` is `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user:password@host/database`, with the
    parameters of https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS as far as asyncpg
    knows them. Raises StoreUnavailableError with one line that names no credential.
    """
    engine, address = _engine(url)
    store: SqlStore = await engine.open(address, collections, seed)
    return store


async def look_at(url: str) -> frozenset[str] | None:
    """The names of a database's collections; None where it holds no store yet. Creates and changes nothing.

    Raises StoreUnavailableError like `open_store`, so that the caller knows whether it could be opened.
    """
    engine, address = _engine(url)
    names: frozenset[str] | None = await engine.look(address)
    return names


def _engine(url: str) -> tuple[Any, Any]:
    """The engine's class, and where its database is. Only the engine in use is loaded."""
    match url.partition(":")[0].lower():
        case "sqlite":
            from app.store.sqlite import SqliteStore  # noqa: PLC0415

            return SqliteStore, _sqlite_path(url)
        case "postgresql" | "postgres":
            from app.store.postgres import PostgresStore  # noqa: PLC0415

            return PostgresStore, url
        case _:
            raise StoreUnavailableError("the store's URL must begin with sqlite:/// or postgresql://", certain=True)


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
