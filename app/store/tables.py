"""The SQL of a collection: its table, its statements for an engine, and rows to records and back."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct
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
    event,
    select,
)

from app.json_codec import decode_json, encode_json
from app.store.records import Collection, Record, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.sql.expression import ClauseElement, ColumnElement

# Byte order on both engines, so that `owned` sorts alike everywhere and the index needs no locale.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_NAME = re.compile(r"(?!gateway_)[a-z][a-z0-9_]{0,50}")

metadata = MetaData()
schema_table = Table("gateway_schema", metadata, Column("version", Integer, nullable=False))
# `listing` is the version of the collection's listing that filled its columns; 0: none.
collection_table = Table(
    "gateway_collection",
    metadata,
    Column("name", _TEXT, primary_key=True),
    Column("listing", Integer, nullable=False, server_default="0"),
)

Row = tuple[str, str | None, str | None, int, str, str, str, str | None]

_LONGEST_SORT_KEY = 100  # characters; an entry of PostgreSQL's index takes 2,700 bytes
_LONGEST_SEARCH = 300
_LONGEST_MATCH = 200


def record_table(collection: Collection) -> Table:
    """A collection's table. Its first index also serves look-ups by owner.

    The second index is for records without an owner, which SQL would otherwise never compare. A list's index holds the
    searched text, so that a search reads no document: neither engine has an index for parts of words in every
    installation, and reading 100,000 of these entries takes about 20 ms.
    """
    name = collection.name
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
        Column("sort_key", _TEXT, nullable=False, server_default=""),
        Column("search_text", _TEXT, nullable=False, server_default=""),
        Column("match_value", _TEXT),
    )
    Index(f"{name}_unique", table.c.owner, table.c.unique_value, unique=True)
    partial_index(f"{name}_unowned", table.c.owner.is_(None), table.c.unique_value, unique=True)
    if collection.listing is not None:
        Index(f"{name}_listed", table.c.owner, table.c.sort_key, table.c.id, table.c.search_text)
        listed = (table.c.match_value, table.c.owner, table.c.sort_key, table.c.id)
        partial_index(f"{name}_matched", table.c.match_value.is_not(None), *listed)
    return table


def partial_index(name: str, condition: ColumnElement[bool], *columns: Column[Any], unique: bool = False) -> Index:
    """An index of the rows of `condition`. It learns its engine when it is created: naming both would load both."""
    index = Index(name, *columns, unique=unique)

    @event.listens_for(index, "before_create")
    def _set(_index: Index, connection: Connection, **_options: Any) -> None:
        index.dialect_options[connection.dialect.name]["where"] = condition

    return index


class Statements:
    """The SQL texts of a collection for one engine. Parameters are positional, in the order of the comments.

    Each is compiled when it is first needed: the start would wait for all of them.
    """

    def __init__(self, collection: Collection, dialect: Dialect) -> None:
        self.collection = collection
        self._dialect = dialect

    @cached_property
    def table(self) -> Table:
        return record_table(self.collection)

    @cached_property
    def get(self) -> str:  # id
        return self._select("id")

    @cached_property
    def find(self) -> str:  # owner, unique_value
        return self._select("owner", "unique_value")

    @cached_property
    def find_unowned(self) -> str:  # unique_value
        return self._select("unique_value", unowned=True)

    @cached_property
    def owned(self) -> str:  # owner
        return self._select("owner", ordered=True)

    @cached_property
    def insert(self) -> str:  # a row
        return self._compiled(self.table.insert(), *self.table.c.keys())

    @cached_property
    def update(self) -> str:  # a row without its id, id, expected
        columns = self.table.c
        written: dict[str, BindParameter[Any]] = {
            column.name: bindparam(column.name) for column in columns if column is not columns.id
        }
        statement = self.table.update().where(columns.id == bindparam("key"), columns.version == bindparam("expected"))
        return self._compiled(statement.values(written), *written, "key", "expected")

    def _select(self, *names: str, unowned: bool = False, ordered: bool = False) -> str:
        columns = self.table.c
        statement = select(*record_columns(self.table)).where(*(columns[name] == bindparam(name) for name in names))
        statement = statement.where(columns.owner.is_(None)) if unowned else statement
        return self._compiled(statement.order_by(columns.id) if ordered else statement, *names)

    def _compiled(self, statement: ClauseElement, *order: str) -> str:
        compiled: Any = statement.compile(dialect=self._dialect)
        assert compiled.positiontup == list(order)
        return str(compiled)


def record_columns(table: Table) -> list[Column[Any]]:
    """The columns that make a record, in the order of `record`."""
    return [table.c[name] for name in ("id", "owner", "unique_value", "version", "document")]


def key(text: str) -> str:
    """`text` for a key column, which on PostgreSQL cannot hold NUL. Raises UnicodeEncodeError on half a character."""
    if not text.isascii():
        text.encode()
    if "\0" in text or "\\" in text:
        return text.replace("\\", "\\\\").replace("\0", "\\0")
    return text


def storable(text: str) -> str:
    """`text` for a column that is only compared: without NUL and halves of characters."""
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", " ")


def folded(text: str) -> str:
    """`text` for comparing without case."""
    text = storable(text)
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def searchable(text: str) -> str:
    """`text` for searching: NUL, which PostgreSQL cannot hold, stays apart from every other character."""
    return folded(text.replace("\0", "\uffff"))


def _sortable(text: str) -> str:
    """Sorts letters with marks beside those without."""
    text = folded(text.strip()[:_LONGEST_SORT_KEY])
    if not text.isascii():
        text = "".join(mark for mark in unicodedata.normalize("NFKD", text) if not unicodedata.combining(mark))
    return text[:_LONGEST_SORT_KEY]


def matchable(text: str) -> str:
    return key(text) if len(text) <= _LONGEST_MATCH else hashlib.sha256(text.encode()).hexdigest()


def list_columns(collection: Collection, document: dict[str, Any]) -> tuple[str, str, str | None]:
    """The sort key, the searched text and the matched value of a record."""
    listing = collection.listing
    if listing is None:
        return "", "", None
    match = listing.match(document)
    search = searchable(listing.search(document))[:_LONGEST_SEARCH]
    return _sortable(listing.sort(document)), search, None if match is None else matchable(match)


def _text(stored: str) -> str:
    if "\\" in stored:
        return re.sub(r"\\(.)", lambda match: "\0" if match[1] == "0" else match[1], stored)
    return stored


def record(row: Sequence[Any]) -> Record:
    """The record of a row, which begins with the columns of `record_columns`."""
    record_id, owner, unique, version, document = row[:5]
    return Record(
        id=_text(record_id),
        document=decode_json(document.encode()),
        owner=None if owner is None else _text(owner),
        unique=None if unique is None else _text(unique),
        version=version,
    )


def row(collection: Collection, record: Record, version: int) -> Row:
    """The row of a record, written as `version`. Data that is no JSON fails here, before any transaction."""
    owner = None if record.owner is None else key(record.owner)
    unique = None if record.unique is None else key(record.unique)
    document = encode_json(record.document).decode()
    return key(record.id), owner, unique, version, document, *list_columns(collection, record.document)


class PreparedWrite(Struct, frozen=True):
    """A write as one statement with its parameters. It took effect if exactly one row was changed."""

    write: Write
    statements: Statements
    sql: str
    parameters: tuple[Any, ...]

    @property
    def exists(self) -> tuple[str, tuple[str]]:
        """The query that tells an existing id from an existing unique value."""
        return self.statements.get, (key(self.write.record.id),)


def prepare(writes: Iterable[Write], statements: dict[Collection, Statements]) -> list[PreparedWrite]:
    """`writes` in the order in which every process locks: by table and id. The new version is `expected` plus one."""
    prepared = []
    for write in sorted(writes, key=lambda write: (write.collection.name, write.record.id)):
        texts = statements[write.collection]
        values = row(write.collection, write.record, (write.expected or 0) + 1)
        if write.expected is None:
            prepared.append(PreparedWrite(write, texts, texts.insert, values))
        else:
            prepared.append(PreparedWrite(write, texts, texts.update, (*values[1:], values[0], write.expected)))
    return prepared
