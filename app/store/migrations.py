"""The schema's versions and the first content. One transaction under a lock, so that racing processes do it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Column, Connection, MetaData, Table, Text, bindparam, func, inspect, select, text

from app.json_codec import decode_json
from app.store.entry_table import LOOK_UPS, entry_table, secret_table
from app.store.records import Collection, Record, StoreUnavailableError
from app.store.tables import Row, collection_table, list_columns, record_columns, record_table, row, schema_table

_LIST_COLUMNS = ("sort_key", "search_text", "match_value")
_AT_ONCE = 1000

Seed = Iterable[tuple[Collection, Record]]


def _list_of_collections(connection: Connection) -> None:
    """Version 1: which collections have a table and were seeded."""
    name = Column("name", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True)
    Table("gateway_collection", MetaData(), name).create(connection)


def _columns_of_lists(connection: Connection) -> None:
    """Version 2: every collection has the columns that a list needs. A program that lists it fills them."""
    bytewise = ' COLLATE "C"' if connection.dialect.name == "postgresql" else ""
    for name in connection.scalars(text("SELECT name FROM gateway_collection")).all():
        for column in ("sort_key", "search_text"):
            connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {column} TEXT{bytewise} NOT NULL DEFAULT ''"))
        connection.execute(text(f"ALTER TABLE {name} ADD COLUMN match_value TEXT{bytewise}"))
    connection.execute(text("ALTER TABLE gateway_collection ADD COLUMN listing INTEGER NOT NULL DEFAULT 0"))


def _journal(connection: Connection) -> None:
    """Version 3: every update's fate, and the secret of the hashes in it."""
    entry_table.create(connection)
    secret_table.create(connection)


def _look_ups_of_ended(connection: Connection) -> None:
    """Version 4: the look-ups of the journal's entries hold the ended ones alone. The earlier indexes held all."""
    for index in LOOK_UPS:
        connection.execute(text(f"DROP INDEX {index.name}"))
        index.create(connection)


# Forward only, never edited once released: entry N turns version N into N + 1. A step that changes the records' tables
# reads `gateway_collection`, which names every collection, also a later program's.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _list_of_collections,
    _columns_of_lists,
    _journal,
    _look_ups_of_ended,
)


def migrate(
    connection: Connection,
    collections: Sequence[Collection],
    seed: Seed,
    migrations: Sequence[Callable[[Connection], None]] = MIGRATIONS,
) -> None:
    """Brings the database to this program's version. Creates and seeds the collections that it does not have yet.

    Runs inside a transaction that holds the database's writer lock. No record of an existing collection is changed.
    """
    version = _version(connection)
    _refuse_newer(version, migrations)
    for step in migrations[version:]:
        step(connection)
    if version < len(migrations):
        connection.execute(schema_table.update().values(version=len(migrations)))

    present = {row.name: row.listing for row in connection.execute(select(collection_table))}
    for collection in collections:
        if collection.listing and present.get(collection.name, collection.listing.version) < collection.listing.version:
            _fill(connection, collection)
    missing = [collection for collection in collections if collection.name not in present]
    if not missing:
        return
    contents: dict[str, list[Row]] = {}
    for collection, record in seed:
        contents.setdefault(collection.name, []).append(row(collection, record, record.version))
    for collection in missing:
        table = record_table(collection)
        table.create(connection)
        version = collection.listing.version if collection.listing else 0
        connection.execute(collection_table.insert().values(name=collection.name, listing=version))
        rows = contents.get(collection.name, [])
        if collection.succeeds in present:
            ids = {seeded[0] for seeded in rows}
            rows += [old for old in _rows_of(connection, collection) if old[0] not in ids]
        if rows:
            names = table.c.keys()
            connection.execute(table.insert(), [dict(zip(names, values, strict=True)) for values in rows])


def _rows_of(connection: Connection, collection: Collection) -> Iterable[Row]:
    """The rows of the collection that `collection` succeeds, as its own."""
    assert collection.succeeds is not None
    older = record_table(Collection(collection.succeeds))
    for old in connection.execute(select(*record_columns(older))):
        yield *old, *list_columns(collection, decode_json(old.document.encode()))


def _fill(connection: Connection, collection: Collection) -> None:
    """Fills a collection's list columns from its documents, and creates the indexes."""
    assert collection.listing is not None
    table = record_table(collection)
    columns = table.c
    change = table.update().where(columns.id == bindparam("key"))
    change = change.values({name: bindparam(name) for name in _LIST_COLUMNS})
    last = ""
    while rows := connection.execute(
        select(columns.id, columns.document).where(columns.id > last).order_by(columns.id).limit(_AT_ONCE)
    ).all():
        values = (list_columns(collection, decode_json(row.document.encode())) for row in rows)
        connection.execute(
            change,
            [
                {"key": row.id, **dict(zip(_LIST_COLUMNS, new, strict=True))}
                for row, new in zip(rows, values, strict=True)
            ],
        )
        last = rows[-1].id
    for index in table.indexes:
        index.create(connection, checkfirst=True)
    connection.execute(
        collection_table.update()
        .where(collection_table.c.name == collection.name)
        .values(listing=collection.listing.version)
    )


def collections_in(connection: Connection) -> frozenset[str] | None:
    """The names of the existing collections; None where there is no store yet. Changes nothing."""
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
