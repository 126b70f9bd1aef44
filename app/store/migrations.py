"""The schema's versions and the first content. One transaction under a lock, so that racing processes do it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, func, inspect, select

from app.store.records import Collection, Record, StoreUnavailableError
from app.store.tables import collection_table, record_table, row, schema_table

Seed = Iterable[tuple[Collection, Record]]


def _list_of_collections(connection: Connection) -> None:
    """Version 1: which collections have a table and were seeded."""
    collection_table.create(connection)


# Forward only, never edited once released: entry N turns version N into N + 1. A step that changes the records' tables
# goes over `gateway_collection`, which names every one there is, of this program or of a later one.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_list_of_collections,)


def migrate(
    connection: Connection,
    collections: Sequence[Collection],
    seed: Seed,
    migrations: Sequence[Callable[[Connection], None]] = MIGRATIONS,
) -> None:
    """Brings the database to this program's version and creates and seeds the collections it does not have yet.

    Runs inside a transaction that holds the database's writer lock. Existing collections are not touched.
    """
    version = _version(connection)
    _refuse_newer(version, migrations)
    for step in migrations[version:]:
        step(connection)
    if version < len(migrations):
        connection.execute(schema_table.update().values(version=len(migrations)))

    present = set(connection.scalars(select(collection_table.c.name)))
    missing = {
        collection.name: record_table(collection.name) for collection in collections if collection.name not in present
    }
    if not missing:
        return
    for name, table in missing.items():
        table.create(connection)
        connection.execute(collection_table.insert().values(name=name))
    contents: dict[str, list[Record]] = {}
    for collection, record in seed:
        contents.setdefault(collection.name, []).append(record)
    for name, table in missing.items():
        names = table.c.keys()
        rows = [dict(zip(names, row(record, record.version), strict=True)) for record in contents.get(name, ())]
        if rows:
            connection.execute(table.insert(), rows)


def collections_in(connection: Connection) -> frozenset[str] | None:
    """The names of the collections that are there, None where there is no store yet; changes nothing."""
    if not inspect(connection).has_table(schema_table.name):
        return None
    _refuse_newer(connection.scalar(select(func.max(schema_table.c.version))) or 0, MIGRATIONS)
    if not inspect(connection).has_table(collection_table.name):
        return frozenset()
    return frozenset(connection.scalars(select(collection_table.c.name)))


def _refuse_newer(version: int, migrations: Sequence[Callable[[Connection], None]]) -> None:
    if version > len(migrations):
        raise StoreUnavailableError(
            f"the store has schema version {version}, this program knows up to {len(migrations)}: run a newer one",
            certain=True,
        )


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(schema_table.name):
        schema_table.create(connection)
        connection.execute(schema_table.insert().values(version=0))
        return 0
    return connection.scalar(select(func.max(schema_table.c.version))) or 0
