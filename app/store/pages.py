"""The SQL of pages and counts. Both read an index alone; the table is read only for the page's own records."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import TTLCache
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Dialect,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    tuple_,
)

from app.store.records import Place, Record, Selection, Write
from app.store.tables import key, matchable, record, record_columns, searchable, storable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

_REMEMBERED = 1024
_SECONDS = 2.0


class Span(NamedTuple):
    """At most `limit` records behind `after`, less the first `offset`."""

    limit: int
    offset: int = 0
    after: Place | None = None
    descending: bool = False


class _Shape(NamedTuple):
    """The part of a query that is in its SQL text. Everything else is a parameter."""

    owner: bool | None  # one owner, no owner, or (None) any
    search: bool
    match: bool
    ids: bool
    after: bool
    descending: bool
    counts: bool


class Queries:
    """The queries of one engine: SQL, and its parameters. Each shape is compiled once for a table."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._compiled: Callable[[Table, _Shape], tuple[str, list[str]]] = functools.cache(self._compile)

    def of(self, table: Table, selection: Selection, span: Span | None) -> tuple[str, *tuple[Any, ...]]:
        """Counts without a span. Else rows are the columns of a record, then its sort key."""
        limit, offset, after, descending = span or Span(0)
        shape = _Shape(
            owner=None if selection.any_owner else selection.owner is not None,
            search=bool(selection.search),
            match=selection.match is not None,
            ids=selection.ids is not None,
            after=after is not None,
            descending=descending,
            counts=span is None,
        )
        values = {
            "owner": None if selection.owner is None else key(selection.owner),
            # A line end separates what a listing searches: it is in every text, and in none of its parts.
            "search": searchable(selection.search or "").replace("\n", "\ufffe"),
            "match": None if selection.match is None else matchable(selection.match),
            "ids": None if selection.ids is None else json.dumps([key(item) for item in selection.ids]),
            "limit": limit,
            "offset": offset,
        }
        if after is not None:
            values |= {"after_key": storable(after.sort_key), "after_id": key(storable(after.record_id))}
        sql, order = self._compiled(table, shape)
        return sql, *(values[name] for name in order)

    def _compile(self, table: Table, shape: _Shape) -> tuple[str, list[str]]:
        conditions = self._conditions(table, shape)
        counted = select(func.count()).select_from(table).where(*conditions)
        statement = counted if shape.counts else self._page(table, shape, conditions)
        compiled = statement.compile(dialect=self._dialect)
        return str(compiled), list(compiled.positiontup or ())

    def _page(self, table: Table, shape: _Shape, conditions: list[ColumnElement[bool]]) -> Select[Any]:
        columns = table.c
        order = [columns.sort_key, columns.id]
        if shape.after:
            place = tuple_(bindparam("after_key", type_=Text), bindparam("after_id", type_=Text))
            here = tuple_(*order)
            conditions.append(here < place if shape.descending else here > place)
        by = [column.desc() for column in order] if shape.descending else order
        chosen = (
            select(columns.id)
            .where(*conditions)
            .order_by(*by)
            .limit(bindparam("limit", type_=BigInteger))
            .offset(bindparam("offset", type_=BigInteger))
            .subquery()
        )
        whole = select(*record_columns(table), columns.sort_key).join_from(chosen, table, columns.id == chosen.c.id)
        return whole.order_by(*by)

    def _conditions(self, table: Table, shape: _Shape) -> list[ColumnElement[bool]]:
        columns = table.c
        conditions: list[ColumnElement[bool]] = []
        postgres = self._dialect.name == "postgresql"
        if shape.owner is not None:
            conditions.append(
                columns.owner == bindparam("owner", type_=Text) if shape.owner else columns.owner.is_(None)
            )
        if shape.match:
            conditions.append(columns.match_value == bindparam("match", type_=Text))
        if shape.search:
            position = func.strpos if postgres else func.instr
            conditions.append(position(columns.search_text, bindparam("search", type_=Text)) > literal_column("0"))
        if shape.ids:
            ids = bindparam("ids", type_=Text)
            each = func.json_array_elements_text(cast(ids, JSON())) if postgres else func.json_each(ids)
            conditions.append(columns.id.in_(select(each.table_valued("value").c.value)))
        return conditions


class Pages:
    """Pages and counts of one store. A cache of two seconds serves clients that page by position.

    To skip 50,000 entries and count 100,000 takes 5 to 20 ms, and vendors' pages need both. So the place at an offset
    is cached until this process writes to any list, and an owner's total until it adds a record. Other processes'
    writes show when the time is over: a list that changes meanwhile promises no more.
    """

    def __init__(self, dialect: Dialect, fetch: Callable[..., Awaitable[Sequence[Sequence[Any]]]]) -> None:
        self.queries = Queries(dialect)
        self._fetch = fetch
        self._totals: TTLCache[tuple[Table, Selection], int] = TTLCache(_REMEMBERED, _SECONDS)
        self._places: TTLCache[tuple[Table, Selection, bool, int], Place] = TTLCache(_REMEMBERED, _SECONDS)

    def forget(self, writes: Iterable[Write]) -> None:
        writes = [write for write in writes if write.collection.listing is not None]
        if writes:
            self._places.clear()
        if any(write.expected is None for write in writes):
            self._totals.clear()

    async def count(self, table: Table, selection: Selection) -> int:
        total = self._totals.get((table, selection))
        if total is None:
            [row] = await self._fetch(*self.queries.of(table, selection, None))
            total = int(row[0])
            if selection == Selection(selection.owner):
                self._totals[table, selection] = total
        return total

    async def page(self, table: Table, selection: Selection, span: Span) -> list[tuple[Record, Place]]:
        if span.after is not None or span.offset == 0:
            return await self._read(table, selection, span)
        position = (table, selection, span.descending, span.offset)
        if (place := self._places.get(position)) is not None:
            return await self._read(table, selection, span._replace(offset=0, after=place))
        # Reads also the record before the page: the page begins behind its place.
        rows = await self._read(table, selection, span._replace(limit=span.limit + 1, offset=span.offset - 1))
        if rows:
            self._places[position] = rows[0][1]
        return rows[1:]

    async def _read(self, table: Table, selection: Selection, span: Span) -> list[tuple[Record, Place]]:
        rows = [(record(row), row[5]) for row in await self._fetch(*self.queries.of(table, selection, span))]
        page = [(item, Place(sort_key, item.id)) for item, sort_key in rows]
        if span.after is None and page:
            self._places[table, selection, span.descending, span.offset + len(page)] = page[-1][1]
        return page
