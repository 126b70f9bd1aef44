"""The store over PostgreSQL: asyncpg's pool with its prepared statements; SQLAlchemy only for the schema.

No message names the URL or a part of it: a mistyped address easily holds a piece of the password.
"""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
import socket
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import ARRAY, NullPool, Text, any_, bindparam, literal_column, select, text, union_all
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.store.engine import SqlStore
from app.store.holds import AdvisoryHold
from app.store.migrations import Seed, collections_in, migrate
from app.store.records import (
    Collection,
    Record,
    Row,
    Statement,
    StatementConflictError,
    StoreUnavailableError,
    UniqueConflictError,
    VersionConflictError,
    too_late,
)
from app.store.tables import PreparedWrite, key, record, record_columns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

_POOL = 10  # connections of one process
_CONNECT_TIMEOUT = 10.0  # seconds, also of waiting for a free connection
_COMMAND_TIMEOUT = 30.0
_LOCK_TIMEOUT = 10.0  # seconds
_ATTEMPTS = 5
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]
# Any number that all processes of this program share: its holder creates and seeds.
_MIGRATION_LOCK = 0x67617465776179


def _unavailable(error: BaseException, *, certain: bool) -> StoreUnavailableError:
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            cause = "refused the credentials"
        case asyncpg.InvalidCatalogNameError():
            cause = "has no database of the URL's name"
        case asyncpg.PostgresError():
            cause = f"failed with {type(error).__name__} (SQLSTATE {error.sqlstate})"
        case TimeoutError():
            cause = "did not answer in time"
        case socket.gaierror():
            cause = "cannot be reached: no such host"
        case OSError():
            # The error's own text would name the address.
            cause = f"cannot be reached{f': {os.strerror(error.errno)}' if error.errno else ''}"
        case _:
            cause = f"failed with {type(error).__name__}"
    return StoreUnavailableError(f"the PostgreSQL store {cause}", certain=certain)


def _refused(error: BaseException) -> bool:
    """Whether the statement certainly had no effect.

    asyncpg raises InterfaceError before it sends. Of the server's errors, classes 08 (connection) and 57 (shutdown) may
    come after the commit.
    """
    if isinstance(error, asyncpg.PostgresError):
        return not str(error.sqlstate or "08").startswith(("08", "57"))
    return isinstance(error, asyncpg.InterfaceError)


async def _keep(_: Any) -> None:
    """Replaces asyncpg's reset, which costs a round trip for each use: no session state is ever changed here."""


async def _bound_locks(connection: Any) -> None:
    """Makes a statement fail on another program's lock. That failure is certain, a time-out here would not be."""
    await connection.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT:g}s'")


async def _connect(url: str) -> Any:
    try:
        # No named statements: a pooler in transaction mode may run the next one on another server connection.
        return await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT, statement_cache_size=0)
    except ValueError:
        raise StoreUnavailableError("the store's PostgreSQL URL cannot be understood", certain=True) from None
    except _FAILURES as error:
        raise _unavailable(error, certain=True) from None


def _engine(url: str) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": lambda **_: _connect(url),
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"gateway_{secrets.token_hex(8)}",
        },
        poolclass=NullPool,
        isolation_level="READ COMMITTED",  # must see what was committed while it waited for the lock
    )


@contextmanager
def _opening() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        # SQLAlchemy's own text would show the parameters, which are records. The driver's error is the cause.
        raise _unavailable(getattr(error.orig, "__cause__", None) or error, certain=True) from None
    except _FAILURES as error:
        raise _unavailable(error, certain=True) from None


async def _create(url: str, collections: Sequence[Collection], seed: Seed) -> bool:
    """Whether a pooler is in front of the server: it gives its clients its own process numbers."""
    engine = _engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            await connection.run_sync(migrate, collections, seed)
            driver: Any = (await connection.get_raw_connection()).driver_connection
            return bool(driver.get_server_pid() != await driver.fetchval("SELECT pg_backend_pid()"))
    finally:
        await engine.dispose()


@dataclass(slots=True)
class _Commit:
    writes: list[PreparedWrite]
    statements: Sequence[Statement] = ()
    certain: bool = True  # certainly nothing of it was written


class PostgresStore(SqlStore):
    """Several processes, and several machines, may use one database."""

    def __init__(self, url: str, pool: Any, collections: Sequence[Collection]) -> None:
        super().__init__(_DIALECT, collections)
        self._url = url
        self._pool = pool
        self._commits = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._get_many_sql = functools.cache(self._select_many)

    @classmethod
    async def open(cls, url: str, collections: Sequence[Collection], seed: Seed) -> PostgresStore:
        with _opening():
            pooled = await _create(url, collections, seed)
            pool = await asyncpg.create_pool(
                url,
                # A pooler in transaction mode loses a session's state with each transaction, or leaves it to others.
                **({"statement_cache_size": 0} if pooled else {"init": _bound_locks}),
                min_size=1,
                max_size=_POOL,
                timeout=_CONNECT_TIMEOUT,
                command_timeout=_COMMAND_TIMEOUT,
                reset=_keep,
            )
        return cls(url, pool, collections)

    @staticmethod
    async def look(url: str) -> frozenset[str] | None:
        engine = _engine(url)
        try:
            with _opening():
                async with engine.connect() as connection:
                    return await connection.run_sync(collections_in)
        finally:
            await engine.dispose()

    async def get_many(self, keys: Iterable[tuple[Collection, str]]) -> dict[tuple[Collection, str], Record]:
        """The existing records by collection and id, all as of one moment: one statement."""
        ids: dict[Collection, list[str]] = {}
        for collection, record_id in dict.fromkeys(keys):
            ids.setdefault(collection, []).append(key(record_id))
        if not ids:
            return {}
        collections = tuple(ids)
        rows = await self.query(self._get_many_sql(collections), *ids.values())
        records = ((collections[row[0]], record(row[1:])) for row in rows)
        return {(collection, item.id): item for collection, item in records}

    async def query(self, sql: str, *parameters: Any) -> list[Row]:
        try:
            async with self._connection() as connection:
                return [tuple(row) for row in await connection.fetch(sql, *parameters)]
        except _FAILURES as error:
            raise _unavailable(error, certain=True) from None

    async def hold(self, name: int) -> AdvisoryHold:
        try:
            async with asyncio.timeout(_COMMAND_TIMEOUT):
                return await AdvisoryHold.take(await _connect(self._url), name)
        except _FAILURES as error:
            raise _unavailable(error, certain=True) from None

    async def held(self, name: int) -> bool:
        return not (await self.query(AdvisoryHold.TRY, name))[0][0]

    async def _commit(
        self, writes: list[PreparedWrite], statements: Sequence[Statement], deadline: float | None
    ) -> list[Row]:
        if self._closed:
            raise StoreUnavailableError("the store is closed", certain=True)
        commit = _Commit(writes, statements)
        self._commits += 1
        self._idle.clear()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._persistently(commit)
        except TimeoutError:
            raise too_late(certain=commit.certain) from None
        finally:
            self._commits -= 1
            if not self._commits:
                self._idle.set()

    async def try_writing(self) -> None:
        tables = " ".join(f"PERFORM 1 FROM {collection.name} LIMIT 1;" for collection in self._statements)
        await self.query(f"DO $$ BEGIN {tables} UPDATE gateway_schema SET version = version; END $$")  # noqa: S608 - our own names

    async def aclose(self) -> None:
        self._closed = True
        await self._idle.wait()  # the pool would refuse those that still wait for a connection
        await self._pool.close()

    async def _persistently(self, commit: _Commit) -> list[Row]:
        for attempt in range(1, _ATTEMPTS + 1):
            # Transactions may wait for unique values in a circle; the server has rolled this one back.
            try:
                return await self._once(commit)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                if attempt == _ATTEMPTS:
                    raise _unavailable(error, certain=True) from None
        raise AssertionError

    def _select_many(self, collections: tuple[Collection, ...]) -> str:
        """One statement over several tables, the first column the table's position; an array of ids for each."""
        parts = []
        for position, collection in enumerate(collections):
            table = self._statements[collection].table
            ids = bindparam(f"ids{position}", type_=ARRAY(Text))
            parts.append(select(literal_column(str(position)), *record_columns(table)).where(table.c.id == any_(ids)))
        return str(union_all(*parts).compile(dialect=_DIALECT))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await self._pool.acquire(timeout=_CONNECT_TIMEOUT)
        try:
            yield connection
        except (asyncio.CancelledError, TimeoutError):
            # Otherwise the pool would wait until the unreachable server confirms its end.
            connection.terminate()
            raise
        except asyncpg.ReadOnlySQLTransactionError:
            # The server was demoted. New connections find the one that took over.
            await self._pool.expire_connections()
            raise
        finally:
            await self._pool.release(connection)

    async def _once(self, commit: _Commit) -> list[Row]:
        commit.certain = True
        try:
            async with self._connection() as connection:
                if len(commit.writes) + len(commit.statements) == 1:
                    commit.certain = False  # one statement is a transaction by itself, in one round trip
                    return await _apply(connection, commit)
                transaction = connection.transaction()
                await transaction.start()
                try:
                    rows = await _apply(connection, commit)
                except (asyncio.CancelledError, TimeoutError):
                    raise  # the connection is closed, and its transaction ends with it
                except BaseException:
                    await transaction.rollback()
                    raise
                commit.certain = False
                await transaction.commit()
                return rows
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            raise
        except _FAILURES as error:
            raise _unavailable(error, certain=commit.certain or _refused(error)) from None


async def _apply(connection: Any, commit: _Commit) -> list[Row]:
    for write in commit.writes:
        await _write(connection, write)
    rows: list[Row] = []
    for statement in commit.statements:
        if not statement.returning:
            await connection.executemany(statement.sql, statement.rows)
            continue
        returned = await connection.fetchmany(statement.sql, statement.rows)
        if statement.required and len(returned) != len(statement.rows):
            raise StatementConflictError
        rows += [tuple(row) for row in returned]
    return rows


async def _write(connection: Any, write: PreparedWrite) -> None:
    """Raises the conflict, if there is one. The server checks the primary key's index first."""
    try:
        status = await connection.execute(write.sql, *write.parameters)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == write.statements.table.name + "_pkey":
            raise VersionConflictError(write.write) from None
        raise UniqueConflictError(write.write) from None
    if not status.endswith(" 1"):  # "UPDATE 0"
        raise VersionConflictError(write.write)
