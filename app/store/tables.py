"""The SQL of a collection: its table, its statements compiled once for an engine, and rows to records and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Dialect,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    select,
)

from app.json_codec import decode_json, encode_json
from app.store.records import Collection, Record, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.sql.expression import ClauseElement

# Byte order on both engines: `owned` sorts alike everywhere, and the index needs no locale.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_NAME = re.compile(r"(?!gateway_)[a-z][a-z0-9_]{0,50}")

metadata = MetaData()
schema_table = Table("gateway_schema", metadata, Column("version", Integer, nullable=False))
collection_table = Table("gateway_collection", metadata, Column("name", _TEXT, primary_key=True))

Row = tuple[str, str | None, str | None, int, str]


def record_table(name: str) -> Table:
    """A collection's table. Its first index serves look-ups by owner too.

    The second is for records without an owner, which SQL would otherwise never compare.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a collection")
    table = Table(
        name,
        MetaData(),
        Column("id", _TEXT, primary_key=True),
        Column("owner", _TEXT),
        Column("unique_value", _TEXT),
        Column("version", BigInteger, nullable=False),
        Column("document", Text, nullable=False),
    )
    Index(f"{name}_unique", table.c.owner, table.c.unique_value, unique=True)
    unowned = table.c.owner.is_(None)
    Index(f"{name}_unowned", table.c.unique_value, unique=True, sqlite_where=unowned, postgresql_where=unowned)
    return table


def _compiled(statement: ClauseElement, dialect: Dialect, *order: str) -> str:
    compiled = statement.compile(dialect=dialect)
    assert compiled.positiontup == list(order)  # type: ignore[attr-defined]  # a SQLCompiler
    return str(compiled)


@dataclass(frozen=True, slots=True)
class Statements:
    """The SQL texts of a collection for one engine; parameters are positional, in the order of the comments."""

    table: Table
    get: str  # id
    find: str  # owner, unique_value
    find_unowned: str  # unique_value
    owned: str  # owner
    insert: str  # id, owner, unique_value, version, document
    update: str  # owner, unique_value, version, document, id, expected

    @classmethod
    def of(cls, collection: Collection, dialect: Dialect) -> Statements:
        table = record_table(collection.name)
        columns = table.c
        by_unique = select(table).where(columns.unique_value == bindparam("unique_value"))
        change = table.update().where(columns.id == bindparam("key"), columns.version == bindparam("expected"))
        written: dict[str, BindParameter[Any]] = {
            name: bindparam(name) for name in ("owner", "unique_value", "version", "document")
        }
        owner: BindParameter[Any] = bindparam("owner")
        return cls(
            table=table,
            get=_compiled(select(table).where(columns.id == bindparam("key")), dialect, "key"),
            find=_compiled(
                select(table).where(columns.owner == owner, columns.unique_value == bindparam("unique_value")),
                dialect,
                "owner",
                "unique_value",
            ),
            find_unowned=_compiled(by_unique.where(columns.owner.is_(None)), dialect, "unique_value"),
            owned=_compiled(select(table).where(columns.owner == owner).order_by(columns.id), dialect, "owner"),
            insert=_compiled(table.insert(), dialect, "id", *written),
            update=_compiled(change.values(written), dialect, *written, "key", "expected"),
        )


def statements(collections: Iterable[Collection], dialect: Dialect) -> dict[Collection, Statements]:
    return {collection: Statements.of(collection, dialect) for collection in collections}


def key(text: str) -> str:
    """`text` for a key column, which on PostgreSQL cannot hold NUL. Raises UnicodeEncodeError on half a character."""
    if not text.isascii():
        text.encode()
    if "\0" in text or "\\" in text:
        return text.replace("\\", "\\\\").replace("\0", "\\0")
    return text


def _text(stored: str) -> str:
    if "\\" in stored:
        return re.sub(r"\\(.)", lambda match: "\0" if match[1] == "0" else match[1], stored)
    return stored


def record(row: Sequence[Any]) -> Record:
    """The record of a row, with its columns in the table's order."""
    record_id, owner, unique, version, document = row
    return Record(
        id=_text(record_id),
        document=decode_json(document.encode()),
        owner=None if owner is None else _text(owner),
        unique=None if unique is None else _text(unique),
        version=version,
    )


def row(record: Record, version: int) -> Row:
    """The row of a record, written as `version`. Fails here, before any transaction, on what is no JSON data."""
    owner = None if record.owner is None else key(record.owner)
    unique = None if record.unique is None else key(record.unique)
    return key(record.id), owner, unique, version, encode_json(record.document).decode()


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A write as one statement with its parameters; it took effect when exactly one row was touched."""

    write: Write
    statements: Statements
    sql: str
    parameters: tuple[Any, ...]

    @property
    def exists(self) -> tuple[str, tuple[str]]:
        """The query that tells a taken id from a taken unique value."""
        return self.statements.get, (key(self.write.record.id),)


def prepare(writes: Iterable[Write], known: dict[Collection, Statements]) -> list[PreparedWrite]:
    """`writes` in the order in which every process locks: by table and id. The new version is `expected` plus one."""
    prepared = []
    for write in sorted(writes, key=lambda write: (write.collection.name, write.record.id)):
        texts = known[write.collection]
        values = row(write.record, (write.expected or 0) + 1)
        if write.expected is None:
            prepared.append(PreparedWrite(write, texts, texts.insert, values))
        else:
            prepared.append(PreparedWrite(write, texts, texts.update, (*values[1:], values[0], write.expected)))
    return prepared
