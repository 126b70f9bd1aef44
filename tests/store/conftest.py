"""Where the stores under test live: a SQLite file, or a database of its own on one real PostgreSQL."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from app.store.engine import open_store
from app.store.records import Collection
from tests.store.postgres_server import CannotStartError, create_database, postgres_server

THINGS = Collection("test_thing")
OTHERS = Collection("test_other")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres():
    """The folder of the server's socket."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(postgres_server())
        except CannotStartError as error:
            pytest.skip(f"PostgreSQL cannot run here: {error}")
        yield folder


@pytest.fixture
async def postgres_url(postgres):
    return await create_database(postgres, f"test_{next(_numbers)}")


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request, tmp_path):
    """A database that does not exist yet, or is empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    folder = request.getfixturevalue("postgres")
    return await create_database(folder, f"test_{next(_numbers)}")


@pytest.fixture
def things():
    return THINGS


@pytest.fixture
def others():
    return OTHERS


@pytest.fixture
async def opening(url):
    """Opens the store under test, as often as wanted, and closes it in the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(collections=(THINGS, OTHERS), seed=()):
            store = await open_store(url, collections, seed)
            stack.push_async_callback(store.aclose)
            return store

        yield opened


@pytest.fixture
async def store(opening):
    return await opening()
