"""Opening: URLs, first start, seed, schema versions, and everything that is no usable database."""

from __future__ import annotations

import socket
import sqlite3

import asyncpg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.store import migrations
from app.store.engine import open_store
from app.store.records import Collection, Record, StoreUnavailableError, Write
from app.store.tables import record_table


def seed_of(*pairs):
    return [(collection, Record(item, {"seeded": True}, owner="o", unique=item)) for collection, item in pairs]


def never():
    raise AssertionError("the seed is read although nothing is missing")
    yield


async def execute(url, sql):
    """`sql` past the store; its rows."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            return [tuple(row) for row in connection.execute(sql)]
        finally:
            connection.close()
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_seed_on_first_start_only(opening, things):
    store = await opening([things], seed_of((things, "a"), (things, "b")))
    await store.commit([Write(things, Record("a", {"changed": True}), 1)])
    again = await opening([things], never())
    assert await again.get(things, "a") == Record("a", {"changed": True}, version=2)
    assert (await again.find(things, "o", "b")).document == {"seeded": True}


async def test_a_new_collection_is_seeded_and_the_others_left_alone(opening, things, others):
    await opening([things], seed_of((things, "a")))
    store = await opening([things, others], seed_of((things, "new"), (others, "b")))
    assert await store.get(things, "new") is None
    assert (await store.get(others, "b")).document == {"seeded": True}


async def test_an_emptied_collection_stays_empty(opening, url, things):
    store = await opening([things], seed_of((things, "a")))
    await execute(url, f"DELETE FROM {things.name}")  # noqa: S608 - a constant
    await opening([things], never())
    assert await store.get(things, "a") is None


async def test_a_failing_seed_leaves_nothing_behind(opening, things):
    with pytest.raises(StoreUnavailableError):
        await opening([things], seed_of((things, "a"), (things, "a")))
    store = await opening([things], seed_of((things, "b")))
    assert await store.get(things, "a") is None
    assert await store.get(things, "b") is not None


@pytest.mark.parametrize("name", ["gateway_thing", "Thing", "1thing", "thing; DROP TABLE x", "", "x" * 60])
def test_collection_names(name):
    with pytest.raises(ValueError, match="cannot be the name"):
        record_table(Collection(name))


async def test_a_newer_schema_is_refused_and_left_alone(opening, url, things):
    await opening([things])
    await execute(url, "UPDATE gateway_schema SET version = 99")
    with pytest.raises(
        StoreUnavailableError, match=f"schema version 99, this program knows up to {len(migrations.MIGRATIONS)}"
    ) as caught:
        await opening([things])
    assert caught.value.certain
    assert await execute(url, "SELECT version FROM gateway_schema") == [(99,)]


def test_migrations_run_once_in_order_and_whole(tmp_path, things):
    """Three program versions on one file, the last of which first fails half-way."""
    engine = create_engine(f"sqlite:///{tmp_path}/store.db", poolclass=NullPool)

    def second(connection):
        connection.execute(text("CREATE TABLE second (a TEXT)"))

    def third(connection):
        connection.execute(text("INSERT INTO second VALUES ('third')"))

    def failing(connection):
        third(connection)
        raise ZeroDivisionError

    def run(*steps):
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            migrations.migrate(connection, [things], (), (*migrations.MIGRATIONS, *steps))
            connection.commit()

    run()
    run(second)
    with pytest.raises(ZeroDivisionError):
        run(second, failing)
    run(second, third)
    run(second, third)
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT a FROM second")).all() == ["third"]
        assert connection.scalars(text("SELECT version FROM gateway_schema")).all() == [len(migrations.MIGRATIONS) + 2]


async def test_every_look_up_and_write_is_by_index(opening, url, things, others):
    store = await opening()
    texts = store._statements[things]
    calls = {
        texts.get: ["a"],
        texts.find: ["o", "u"],
        texts.find_unowned: ["u"],
        texts.owned: ["o"],
        texts.update: ["o", "u", 2, "{}", "", "", None, "a", 1],
    }
    if url.startswith("sqlite"):
        for sql in calls:
            plan = [row[3] for row in await execute(url, "EXPLAIN QUERY PLAN " + sql.replace("?", "1"))]
            assert plan[0].startswith("SEARCH")
            assert all(line.startswith(("SEARCH", "USE TEMP B-TREE FOR ORDER BY")) for line in plan)
        return
    calls[store._select_many((things, others))] = [["a"], ["b"]]
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")  # the tables are empty
        for sql, values in calls.items():
            plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + sql, *values))
            assert "Index Cond" in plan
            assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    "address",
    [
        "",
        "gateway.db",
        "mysql://host/x",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://host/x",
        "sqlite:///x?mode=ro",
    ],
)
async def test_urls_that_are_none(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailableError, match="the store's") as caught:
        await open_store(address, [], ())
    assert caught.value.certain
    assert list(tmp_path.iterdir()) == []


async def test_sqlite_file_relative_and_absolute(tmp_path, monkeypatch, things):
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite:///rela tive%41?.db".replace("?", "#"), [things], seed_of((things, "a")))
    await store.aclose()
    store = await open_store(f"sqlite:///{tmp_path}/rela tive%41#.db", [things], never())
    assert await store.get(things, "a") is not None
    await store.aclose()


async def test_sqlite_is_fully_durable(tmp_path, things):
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [things], ())
    assert store._writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await store.aclose()


def no_folder(tmp_path):
    return tmp_path / "missing" / "store.db"


def not_a_database(tmp_path):
    (tmp_path / "store.db").write_bytes(b"The quick brown fox" * 100)
    return tmp_path / "store.db"


def a_folder(tmp_path):
    (tmp_path / "store.db").mkdir()
    return tmp_path / "store.db"


def another_table(tmp_path):
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("CREATE TABLE test_thing (a TEXT)")
    connection.close()
    return tmp_path / "store.db"


def unwritable(_):
    return "/proc/store.db"


@pytest.mark.parametrize("make", [no_folder, not_a_database, a_folder, another_table, unwritable])
async def test_sqlite_that_cannot_be_used(make, tmp_path, things):
    path = make(tmp_path)
    before = path.read_bytes() if make is not_a_database else None
    with pytest.raises(StoreUnavailableError) as caught:
        await open_store(f"sqlite:///{path}", [things], ())
    assert caught.value.certain
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert before is None or path.read_bytes() == before


async def test_a_removed_sqlite_file_is_noticed(tmp_path, things):
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [things], ())
    (tmp_path / "store.db").unlink()
    for call in (store.ping(), store.commit([Write(things, Record("a", {}), None)])):
        with pytest.raises(StoreUnavailableError, match="removed or replaced") as caught:
            await call
        assert caught.value.certain
    await store.aclose()


def refused_port():
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))  # bound and not listening: refused for as long as it is held
    return holder, holder.getsockname()[1]


async def test_unreachable_postgres_says_so_without_its_url(things):
    holder, port = refused_port()
    with holder, pytest.raises(StoreUnavailableError, match="cannot be reached") as caught:
        await open_store(f"postgresql://someone:s3cret@127.0.0.1:{port}/database", [things], ())
    assert caught.value.certain
    assert_silent(caught.value)


@pytest.mark.parametrize(
    "address", ["postgresql://someone:s3cret@host:port/x", "postgresql://someone:s3cret@h/x?sslmode=odd"]
)
async def test_malformed_postgres_url(address, things):
    with pytest.raises(StoreUnavailableError, match="cannot be understood") as caught:
        await open_store(address, [things], ())
    assert_silent(caught.value)


async def test_postgres_that_refuses(postgres, things):
    for address, cause in (
        (f"postgresql://someone:s3cret@/postgres?host={postgres}", "refused the credentials"),
        (f"postgres://postgres:s3cret@/missing?host={postgres}", "has no database of the URL's name"),
    ):
        with pytest.raises(StoreUnavailableError, match=cause) as caught:
            await open_store(address, [things], ())
        assert_silent(caught.value)


async def test_postgres_short_scheme(postgres_url, things):
    store = await open_store(postgres_url.replace("postgresql://", "postgres://"), [things], ())
    await store.ping()
    assert "s3cret" not in repr(store)
    await store.aclose()


def assert_silent(error):
    for shown in (str(error), repr(error), error.message):
        assert "s3cret" not in shown
        assert "someone" not in shown
        assert "\n" not in shown
    assert error.__suppress_context__


async def test_a_removed_log_of_commits_is_noticed(tmp_path, things):
    """What was acknowledged is in it alone until it is carried over."""
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [things], ())
    await store.commit([Write(things, Record("a", {}), None)])
    (tmp_path / "store.db-wal").unlink()
    for call in (store.ping(), store.commit([Write(things, Record("b", {}), None)])):
        with pytest.raises(StoreUnavailableError, match="removed or replaced") as caught:
            await call
        assert caught.value.certain
    await store.aclose()
