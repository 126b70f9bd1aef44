"""The table of the journal's entries: columns, indexes and SQL, compiled once for an engine.

Knows no rule of the journal.

An entry's id is a UUID of version 7: ids are ordered by time, so that their index serves every page.
"""

from __future__ import annotations

import functools
import importlib
import operator
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    Dialect,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from app.store.tables import partial_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.sql.expression import ClauseElement, ColumnElement

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
STEP = 100  # rows that a purge deletes at once: the writer is busy for a few milliseconds at most
_OPEN = 10_000  # entries that one look for abandoned ones sees

entry_table = Table(
    "gateway_update_entry",
    MetaData(),
    Column("id", _TEXT, primary_key=True),
    Column("request_id", _TEXT, nullable=False),
    Column("record_id", _TEXT, nullable=False),
    Column("idempotency_key", _TEXT),
    Column("claim", _TEXT),  # whose key it is, hashed, while the key holds
    Column("digest", _TEXT),  # of the request under the key, while the key holds
    Column("caller", _TEXT),
    Column("person", _TEXT, nullable=False),  # "" for none, so that the index has a caller's entries in order
    Column("mutation", _TEXT, nullable=False),
    Column("holder", BigInteger),  # the process that will write the end
    Column("due", BigInteger),  # milliseconds; after that another process writes the end, if the holder is gone
    Column("outcome", _TEXT),  # none: SENDING
    Column("replayed", Integer, nullable=False),
    Column("intent", Text, nullable=False),  # JSON
    Column("proof", Text),  # JSON: salted digest of what was sent, until the end
    Column("ended", Text),  # JSON
    sqlite_with_rowid=False,
)
secret_table = Table(
    "gateway_secret", MetaData(), Column("name", _TEXT, primary_key=True), Column("value", Text, nullable=False)
)
_c = entry_table.c
_OUTCOMES = {"UNKNOWN", "NOT_APPLIED", "APPLIED"}
# In the order of `row_of_entry`'s readers. A hash that is only compared is not read.
COLUMNS = tuple(column.name for column in entry_table.columns)


# An intent is in no index of random order, in which each entry changes a page of its own: its end puts it there,
# together with others. Until then the index of the open entries finds it.
LOOK_UPS = (
    partial_index("gateway_update_entry_record", _c.outcome.is_not(None), _c.record_id, _c.id),
    partial_index("gateway_update_entry_request", _c.outcome.is_not(None), _c.request_id, _c.id),
)
partial_index("gateway_update_entry_open", _c.outcome.is_(None), _c.due)
partial_index(
    "gateway_update_entry_failed",
    and_(_c.outcome.is_not(None), _c.outcome != literal_column("'APPLIED'")),
    _c.outcome,
    _c.id,
)
partial_index("gateway_update_entry_caller", _c.caller.is_not(None), _c.caller, _c.person, _c.id)
partial_index("gateway_update_entry_key", _c.idempotency_key.is_not(None), _c.idempotency_key, _c.id)
partial_index("gateway_update_entry_claim", _c.claim.is_not(None), _c.claim, unique=True)
partial_index("gateway_update_entry_held", _c.claim.is_not(None), _c.id)


class _Ids:
    """Each id of this process is greater than the last, also within a millisecond and after the clock is set back."""

    last = 0


def entry_id(milliseconds: int) -> str:
    drawn = milliseconds << 74 | random.getrandbits(74)  # unique, but no secret
    _Ids.last = drawn if drawn > _Ids.last else _Ids.last + 1
    return _uuid(_Ids.last)


def _uuid(number: int) -> str:
    """RFC 9562 section 5.7: 48 bits of time, 74 of our own."""
    milliseconds, rest = number >> 74, number & (1 << 74) - 1
    text = f"{milliseconds << 80 | 7 << 76 | (rest >> 62) << 64 | 2 << 62 | rest & (1 << 62) - 1:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def first_id(milliseconds: int) -> str:
    """Not greater than any id of that time or later, and greater than every earlier one."""
    return _uuid(max(0, milliseconds) << 74)


def begun_of(identifier: str) -> int:
    """Milliseconds since 1970."""
    return int(identifier[:8] + identifier[9:13], 16)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@functools.lru_cache(4)
def entry_statements(dialect: Dialect) -> EntryStatements:
    """Compiled once for an engine's dialect, which is one object."""
    return EntryStatements(dialect)


def _inserting(dialect: Dialect) -> Any:
    """The engine's own `insert`: only that one knows conflicts."""
    return importlib.import_module(f"sqlalchemy.dialects.{dialect.name}").insert


class Query(NamedTuple):
    """A query, and the filters whose values are its parameters, in their order."""

    sql: str
    order: tuple[str, ...]


class EntryStatements:
    """SQL texts for one engine, with positional parameters in the order of the comments."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        name: Any = bindparam
        insert = _inserting(dialect)(entry_table)
        own = _c.id == name("key")
        ended, unended = _c.outcome.is_not(None), _c.outcome.is_(None)
        proven = and_(_c.outcome == literal_column("'UNKNOWN'"), name("new", type_=Text) == literal_column("'APPLIED'"))
        nothing = dict.fromkeys(("holder", "due", "proof"), null())
        values = {**nothing, "outcome": name("outcome"), "ended": name("ended")}
        freed = dict.fromkeys(("claim", "digest"), null())
        # All columns, in their order. Returns nothing where the id or the claim exists already.
        self.insert = self._text(insert.on_conflict_do_nothing(), *COLUMNS)
        self.insert_returning = self._text(insert.on_conflict_do_nothing().returning(_c.id), *COLUMNS)
        # outcome, ended, id, outcome
        self.end = self._text(
            entry_table.update().where(own, or_(unended, proven)).values(values), "outcome", "ended", "key", "new"
        )
        self.free = self._text(entry_table.update().where(own, ended).values(freed), "key")  # id
        self.replay = self._text(
            entry_table.update().where(own).values(replayed=_c.replayed + literal_column("1")), "key"
        )  # id
        self.get = self._text(select(entry_table).where(own), "key")  # id
        self.by_claim = self._text(select(entry_table).where(_c.claim == name("claim")), "claim")  # claim
        # due
        self.abandoned = self._text(
            select(_c.id, _c.holder)
            .where(unended, _c.due < name("due"))
            .order_by(_c.due)
            .suffix_with(f"LIMIT {_OPEN}"),
            "due",
        )
        # new holder, id, holder
        self.take_over = self._text(
            entry_table.update()
            .where(own, unended, _c.holder == name("dead"))
            .values(holder=name("holder"))
            .returning(*_c),
            "holder",
            "key",
            "dead",
        )
        old = select(_c.id).where(ended, _c.id < name("key")).order_by(_c.id).suffix_with(f"LIMIT {STEP}")
        held = (
            select(_c.id)
            .where(ended, _c.claim.is_not(None), _c.id < name("key"))
            .order_by(_c.id)
            .suffix_with(f"LIMIT {STEP}")
        )
        delete = entry_table.delete().returning(_c.id)
        self.purge_old = self._text(delete.where(_c.id.in_(old)), "key")  # first id to keep
        self.purge_oldest = functools.lru_cache(STEP)(self._purge_oldest)
        self.expire = self._text(entry_table.update().where(_c.id.in_(held)).values(freed).returning(_c.id), "key")
        self.count = self._text(select(func.count()).select_from(entry_table))
        self.secret = self._text(select(secret_table.c.value).where(secret_table.c.name == name("key")), "key")
        make = _inserting(dialect)(secret_table)
        self.make_secret = self._text(make.on_conflict_do_nothing(), "name", "value")
        self.page = functools.lru_cache(256)(self._page)
        self.total = functools.lru_cache(256)(self._total)

    def _text(self, statement: ClauseElement, *order: str) -> str:
        compiled: Any = statement.compile(dialect=self._dialect)
        assert compiled.positiontup == list(order), compiled.positiontup
        return str(compiled)

    def _where(self, filters: Sequence[str]) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        chosen = not {"record_id", "request_id", "idempotency_key", "open"}.isdisjoint(filters)
        for name in filters:
            value: BindParameter[Any] = bindparam(name)
            match name:
                case "since":
                    conditions.append(_c.id >= value)
                case "until" | "after":
                    conditions.append(_c.id < value)
                case "open":
                    # Every open entry has a time; the range leads SQLite to their index.
                    conditions += [_c.outcome.is_(None), _c.due >= literal_column("0")]
                case "ended":
                    conditions.append(_c.outcome.is_not(None))
                case _ if name in _OUTCOMES:
                    # Written out with the index's own condition: otherwise SQLite does not use the index.
                    conditions.append(_c.outcome == literal_column(f"'{name}'"))
                    if name != "APPLIED":
                        conditions.append(_c.outcome != literal_column("'APPLIED'"))
                        conditions.append(_c.outcome.is_not(None))
                case "caller" | "person" if chosen:
                    # A caller may have a million entries: their index is not the one to read.
                    conditions.append(_c[name].concat(literal_column("''")) == value)
                case _:
                    conditions.append(_c[name] == value)
        return conditions

    def _page(self, filters: tuple[str, ...], count: int) -> Query:
        """The newest first."""
        parts = []
        for part in _parts(filters):
            # Few entries are open: SQLite would read the whole table in its own order rather than sort them.
            order = _c.id.concat(literal_column("''")) if "open" in part else _c.id
            newest = select(entry_table).where(*self._where(part)).order_by(order.desc())
            parts.append(newest.suffix_with(f"LIMIT {count:d}"))
        if len(parts) == 1:
            return self._query(parts[0])
        both = union_all(*(part.subquery().select() for part in parts)).subquery()
        return self._query(select(both).order_by(both.c.id.desc()).suffix_with(f"LIMIT {count:d}"))

    def _purge_oldest(self, count: int) -> str:
        ended = select(_c.id).where(_c.outcome.is_not(None), _c.claim.is_(None)).order_by(_c.id)
        chosen = ended.suffix_with(f"LIMIT {count:d}")
        return self._text(entry_table.delete().where(_c.id.in_(chosen)).returning(_c.id))

    def _total(self, filters: tuple[str, ...]) -> Query:
        counts = [select(func.count()).select_from(entry_table).where(*self._where(part)) for part in _parts(filters)]
        return self._query(select(functools.reduce(operator.add, (count.scalar_subquery() for count in counts))))

    def _query(self, statement: ClauseElement) -> Query:
        compiled: Any = statement.compile(dialect=self._dialect)
        return Query(str(compiled), tuple(compiled.positiontup))


def _parts(filters: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Open and ended entries are in different indexes. One statement reads both, as of one moment."""
    if not {"record_id", "request_id"} & {*filters} or "open" in filters:
        return [filters]
    ended = (*filters, "ended")
    return [ended] if _OUTCOMES & {*filters} else [(*filters, "open"), ended]
