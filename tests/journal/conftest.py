"""A journal over each engine; the stores are those of the store's own tests."""

from __future__ import annotations

import contextlib

import pytest

from app.journal.entries import Intent
from app.journal.journal import Journal
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import now
from tests.store.conftest import THINGS, place, postgres, postgres_url, url  # noqa: F401 - fixtures


class Watched:
    """What a journal's observer is told."""

    def __init__(self):
        self.writes, self.open, self.closed, self.replays = 0, 0, [], 0

    def journal_wrote(self, _seconds, result):
        self.writes += result == "ok"

    def journal_open(self, entries):
        self.open = entries

    def journal_closed(self, outcome):
        self.closed.append(outcome)

    def replayed(self):
        self.replays += 1


def intent(number=0, *, past=False, **members):
    """An update of its own record; with `past` its time is over already."""
    return Intent(
        **{
            "request_id": f"request-{number}",
            "mutation": "updateThing",
            "record_id": f"00000000-0000-4000-8000-{number:012}",
            "backend": "things",
            "deadline": now() + (-120_000 if past else 30_000),
            "sent_fields": ("name", "city"),
            **members,
        }
    )


@pytest.fixture
async def opening(url):  # noqa: F811 - the fixture of the import
    """Opens a journal over a store of its own on one database, as another process would."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(**settings):
            store = await open_store(url, [THINGS], ())
            stack.push_async_callback(store.aclose)
            watched = Watched()
            journal = await Journal.open(store, JournalSettings(**settings), watched)
            journal.watched = watched
            stack.push_async_callback(journal.aclose)
            return journal

        yield opened


@pytest.fixture
async def journal(opening):
    return await opening()
