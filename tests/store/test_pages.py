"""Pages, counts and searches, by the engine and by index; a landed store gets the columns that they need."""

from __future__ import annotations

import dataclasses

import asyncpg
import pytest

from app.store.pages import Span
from app.store.records import Collection, Listing, Place, Record, Selection, Write
from tests.store.test_open import execute

LISTED = Collection(
    "test_listed",
    Listing(
        sort=lambda document: document["name"],
        search=lambda document: f"{document['name']}\n{document.get('email', '')}",
        match=lambda document: document.get("external"),
    ),
)
NAMES = ["beta", "Alpha", "Ängel", "alpha", "Ömsen", "zulu 100%", "under_score", "back\\slash", "NUL\0name", "İstanbul"]
SORTED = [
    "Alpha",
    "alpha",
    "Ängel",
    "back\\slash",
    "beta",
    "İstanbul",
    "NUL\0name",
    "Ömsen",
    "under_score",
    "zulu 100%",
]
SEED = [
    *(
        (LISTED, Record(f"{number}", {"name": name, "external": f"E{number % 3}"}, owner="o"))
        for number, name in enumerate(NAMES)
    ),
    (LISTED, Record("other", {"name": "alpha", "external": "E1"}, owner="p")),
    (LISTED, Record("none", {"name": "alpha", "email": "Someone@Example.com"})),
]
OF_O = Selection("o")


@pytest.fixture
async def listed(opening):
    return await opening([LISTED], SEED)


def names(page):
    return [record.document["name"] for record, _ in page]


async def test_pages_by_place_by_offset_and_backwards(listed):
    assert names(await listed.page(LISTED, OF_O, limit=50)) == SORTED
    assert names(await listed.page(LISTED, OF_O, limit=50, descending=True)) == SORTED[::-1]
    for size in (1, 3, 10):
        for descending in (False, True):
            by_place, by_offset, after = [], [], None
            for offset in range(0, len(NAMES) + 1, size):
                page = await listed.page(LISTED, OF_O, limit=size, after=after, descending=descending)
                by_place += names(page)
                after = page[-1][1] if page else after
                by_offset += names(await listed.page(LISTED, OF_O, limit=size, offset=offset, descending=descending))
            assert by_place == by_offset == SORTED[:: -1 if descending else 1]
    assert await listed.page(LISTED, OF_O, limit=0) == []
    assert await listed.page(LISTED, OF_O, limit=5, offset=10**9) == []


async def test_a_page_begins_where_the_last_one_ended_though_that_record_is_gone(listed, url):
    first = await listed.page(LISTED, OF_O, limit=3)
    await execute(url, "DELETE FROM test_listed WHERE id = '2'")
    assert names(await listed.page(LISTED, OF_O, limit=2, after=first[-1][1])) == SORTED[3:5]
    assert names(await listed.page(LISTED, OF_O, limit=2, after=Place("\0'\\", "%"))) == SORTED[:2]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection("o", search="ALPHA"), ["Alpha", "alpha"]),
        (Selection("o", search="ÄNG"), ["Ängel"]),
        (Selection("o", search="A\u0308ng"), ["Ängel"]),
        (Selection("o", search="%"), ["zulu 100%"]),
        (Selection("o", search="_"), ["under_score"]),
        (Selection("o", search="k\\s"), ["back\\slash"]),
        (Selection("o", search="l\0n"), ["NUL\0name"]),
        (Selection("o", search="\0"), ["NUL\0name"]),
        *((Selection("o", search=text), []) for text in ("\0\0", "\n", "\r\n", "\t", "alpha\n", "\ud800", "\udfff\0")),
        (Selection("o", search="' OR 1=1 --"), []),
        (Selection("o", search=""), SORTED),
        (Selection("o", match="E2"), ["Ängel", "NUL\0name", "zulu 100%"]),
        (Selection("o", match="E2", search="el"), ["Ängel"]),
        (Selection("o", match="e2"), []),
        (Selection("o", match="E" * 5000), []),
        (Selection("nobody"), []),
        (Selection(), ["alpha"]),
        (Selection(search="someone@"), ["alpha"]),
        (Selection(any_owner=True, search="alpha"), ["Alpha", "alpha", "alpha", "alpha"]),
        (Selection(any_owner=True, match="E1", search="alpha"), ["Alpha", "alpha"]),
        (Selection("o", ids=("0", "1", "other", "none", "never")), ["Alpha", "beta"]),
        (Selection("o", ids=()), []),
    ],
    ids=repr,
)
async def test_selections(listed, selection, expected):
    assert names(await listed.page(LISTED, selection, limit=50)) == expected
    assert await listed.count(LISTED, selection) == len(expected)


async def test_a_written_record_moves_in_its_list_at_once(listed):
    record = await listed.get(LISTED, "0")
    await listed.commit([Write(LISTED, dataclasses.replace(record, document={"name": "ZZ top"}), 1)])
    assert names(await listed.page(LISTED, OF_O, limit=1, descending=True)) == ["ZZ top"]
    assert names(await listed.page(LISTED, Selection("o", search="zz"), limit=5)) == ["ZZ top"]
    assert names(await listed.page(LISTED, Selection("o", search="beta"), limit=5)) == []


async def test_texts_without_end_are_sorted_and_matched_all_the_same(listed):
    long = "".join(chr(0x10000 + (number * 7919) % 50_000) for number in range(5000))
    document = {"name": long, "email": long, "external": long}
    await listed.commit([Write(LISTED, Record("long", document, owner="o"), None)])
    assert await listed.count(LISTED, OF_O) == len(NAMES) + 1
    [(record, _)] = await listed.page(LISTED, Selection("o", match=long), limit=5)
    assert record.document == document
    assert await listed.count(LISTED, Selection("o", match=long[:-1])) == 0
    assert await listed.count(LISTED, Selection("o", search=long[:20])) == 1


async def test_a_position_is_that_of_now_after_a_commit_of_ones_own(listed):
    """The place at an offset is remembered, and forgotten when the list changes."""
    for number in range(3):
        first = names(await listed.page(LISTED, OF_O, limit=3))
        assert (
            names(await listed.page(LISTED, OF_O, limit=1, offset=3))
            == names(await listed.page(LISTED, OF_O, limit=4))[3:]
        )
        record = (await listed.page(LISTED, OF_O, limit=1))[0][0]
        renamed = dataclasses.replace(record, document={"name": f"zzz {number}"})
        await listed.commit([Write(LISTED, renamed, record.version)])
        assert (
            names(await listed.page(LISTED, OF_O, limit=2, offset=3))
            == names(await listed.page(LISTED, OF_O, limit=5))[3:]
        )
        assert names(await listed.page(LISTED, OF_O, limit=3)) != first


async def test_a_total_is_that_of_now_after_a_commit_of_ones_own(listed):
    for number in range(3):
        assert await listed.count(LISTED, OF_O) == len(NAMES) + number
        await listed.commit([Write(LISTED, Record(f"new {number}", {"name": "n"}, owner="o"), None)])


async def test_every_page_and_count_is_by_index(listed, url):
    table = listed._statements[LISTED].table
    selections = [OF_O, Selection(), Selection("o", search="x"), Selection("o", match="x"), Selection("o", ids=("1",))]
    selections.append(Selection(any_owner=True, match="x"))
    spans = [None, *(Span(5, after=after) for after in (None, Place("a", "1")))]
    queries = [listed._pages.queries.of(table, selection, span) for span in spans for selection in selections]
    if url.startswith("sqlite"):
        for sql, *_ in queries:
            plan = [row[3] for row in await execute(url, "EXPLAIN QUERY PLAN " + sql.replace("?", "1"))]
            assert any("test_listed_" in line and "=?" in line for line in plan)
            assert not any(line.startswith("SCAN test_listed") for line in plan)
        return
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")  # the tables are small
        for sql, *values in queries:
            plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + sql, *values))
            assert "using test_listed_" in plan
            assert "Seq Scan on test_listed" not in plan


V1 = [
    "CREATE TABLE gateway_schema (version INTEGER NOT NULL)",
    "INSERT INTO gateway_schema VALUES (1)",
    "CREATE TABLE gateway_collection (name TEXT PRIMARY KEY)",
    "INSERT INTO gateway_collection VALUES ('test_listed'), ('test_old')",
    *(
        f"CREATE TABLE {name} (id TEXT PRIMARY KEY, owner TEXT, unique_value TEXT, version BIGINT NOT NULL, document TEXT NOT NULL)"
        for name in ("test_listed", "test_old")
    ),
    """INSERT INTO test_listed VALUES ('1', 'o', 'u', 3, '{"name":"Beta","external":"E"}'), ('2', 'o', NULL, 1, '{"name":"alpha"}')""",
    """INSERT INTO test_old VALUES ('1', 'o', 'u', 7, '{"name":"changed here"}'), ('mine', 'o', NULL, 2, '{"name":"added here"}')""",
]


@pytest.fixture
async def landed(url):
    """A store as the last release left it."""
    for statement in V1:
        await execute(url, statement)


@pytest.mark.usefixtures("landed")
async def test_a_landed_store_is_filled_and_its_records_stay(opening, url):
    store = await opening([LISTED], SEED)
    assert names(await store.page(LISTED, OF_O, limit=5)) == ["alpha", "Beta"]
    assert names(await store.page(LISTED, Selection("o", match="E"), limit=5)) == ["Beta"]
    assert names(await store.page(LISTED, Selection("o", search="ALPH"), limit=5)) == ["alpha"]
    assert (await store.get(LISTED, "1")).version == 3
    assert await store.count(LISTED, Selection(any_owner=True)) == 2
    await execute(url, "UPDATE test_listed SET sort_key = 'kept' WHERE id = '1'")
    again = await opening([LISTED], SEED)
    [_, (_, place)] = await again.page(LISTED, OF_O, limit=5)
    assert place == Place("kept", "1")


@pytest.mark.usefixtures("listed")
async def test_a_changed_listing_is_filled_again(opening):
    by_length = Listing(sort=lambda document: f"{len(document['name']):03}", version=2)
    changed = Collection("test_listed", by_length)
    store = await opening([changed], SEED)
    assert [len(name) for name in names(await store.page(changed, OF_O, limit=50))] == sorted(map(len, NAMES))


@pytest.mark.usefixtures("landed")
async def test_a_collection_takes_over_what_it_succeeds(opening, url):
    new = Collection("test_new", LISTED.listing, succeeds="test_old")
    seed = [(new, Record("1", {"name": "seeded"}, owner="o")), (new, Record("2", {"name": "new"}, owner="o"))]
    store = await opening([new], seed)
    assert names(await store.page(new, OF_O, limit=5)) == ["added here", "new", "seeded"]
    assert (await store.get(new, "mine")).version == 2
    assert await execute(url, "SELECT count(*) FROM test_old") == [(2,)]
