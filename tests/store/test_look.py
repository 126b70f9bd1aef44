"""Looking at a database without changing it: what is there, and whether it could be opened."""

from __future__ import annotations

import pytest

from app.store.engine import look_at
from app.store.records import StoreUnavailableError
from tests.store.test_open import execute

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master",
    "postgresql": "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'",
}


async def tables(url):
    return {name for (name,) in await execute(url, TABLES[url.partition(":")[0]])}


async def test_an_empty_database_stays_empty(url, tmp_path):
    assert await look_at(url) is None
    assert not list(tmp_path.iterdir())
    assert await tables(url) == set()


async def test_another_programs_database_is_left_alone(url):
    await execute(url, "CREATE TABLE theirs (name text)")
    assert await look_at(url) is None
    assert await tables(url) == {"theirs"}


async def test_a_store_shows_its_collections(opening, url, things, others):
    await opening([things, others])
    before = await tables(url)
    assert await look_at(url) == {things.name, others.name}
    assert await tables(url) == before


async def test_a_newer_store_is_refused(opening, url, things):
    await opening([things])
    await execute(url, "UPDATE gateway_schema SET version = 99")
    with pytest.raises(StoreUnavailableError, match="version 99"):
        await look_at(url)


async def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "text").write_text("this is text and no database, at some length" * 10)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        await look_at(f"sqlite:///{tmp_path}/text")
    with pytest.raises(StoreUnavailableError, match="cannot be created"):
        await look_at(f"sqlite:///{tmp_path}/nowhere/gateway.db")
    with pytest.raises(StoreUnavailableError, match="must begin with"):
        await look_at("mysql://user@host/database")
