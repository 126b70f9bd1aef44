"""Where the stores under test live: a SQLite file, or a database of its own on one real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from app.store.engine import open_store
from app.store.records import Collection
from tests.store.postgres_server import CannotStartError, address, create_database, empty, postgres_server

THINGS = Collection("test_thing")
OTHERS = Collection("test_other")


@pytest.fixture(scope="session")
def postgres():
    """The folder of the server's socket. Its database `test` is one test's at a time."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(postgres_server())
        except CannotStartError as error:
            pytest.skip(f"PostgreSQL cannot run here: {error}")
        asyncio.run(create_database(folder, "test"))
        yield folder


@pytest.fixture
async def postgres_url(postgres):
    return await empty(address(postgres, "test"))


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    return address(request.getfixturevalue("postgres"), "test")


@pytest.fixture
async def url(place):
    """A database that does not exist yet, or is empty."""
    return place if place.startswith("sqlite") else await empty(place)


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
