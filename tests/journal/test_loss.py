"""The store lost under the journal: PostgreSQL away, the disk full. Refused unsent, not ready, and well again after."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import asyncpg
import pytest

from app.errors import STORE_UNAVAILABLE, GatewayError, Outcome
from app.journal.entries import End, Key
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import entry_id, now
from app.store.records import Record, StoreUnavailableError, Write
from tests.journal.conftest import THINGS, Watched, intent
from tests.store.test_loss import Proxy


@pytest.fixture
async def behind(postgres, postgres_url):
    """A journal over PostgreSQL behind a proxy, and the proxy."""
    proxy = Proxy(postgres)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = await open_store(f"postgresql://postgres@127.0.0.1:{port}/test?sslmode=disable", [THINGS], ())
    journal = await Journal.open(store, JournalSettings(journal_secret="s" * 16), Watched())
    yield journal, proxy, postgres_url
    await journal.aclose()
    await store.aclose()
    server.close()


async def refused(journal, number):
    with pytest.raises(GatewayError) as caught:
        await journal.begin(intent(number))
    assert (caught.value.row, caught.value.outcome) == (STORE_UNAVAILABLE, Outcome.NOT_APPLIED)
    with pytest.raises(GatewayError):
        await journal.check()


async def cut(url):
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_postgresql_away_refuses_and_a_lost_lock_is_taken_anew(behind):
    journal, proxy, url = behind
    before = await journal.begin(intent(1, past=True))
    held = (await journal.get(before)).holder
    proxy.open = False
    await cut(url)
    await refused(journal, 2)
    journal.end(before, End(at=now(), outcome="APPLIED"))
    proxy.open = True
    for _ in range(1000):
        with contextlib.suppress(GatewayError):
            await journal.check()
            break
        await asyncio.sleep(0.01)
    after = await journal.begin(intent(3))
    await journal.flush()
    holder = (await journal.get(after)).holder
    assert holder != held
    assert await journal.store.held(holder)
    assert not await journal.store.held(held)
    assert (await journal.get(before)).end.outcome == "APPLIED"
    assert await Keeper(journal).close_abandoned() == 0


async def test_a_full_disk_refuses_until_there_is_room(tmp_path):
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [THINGS], ())
    journal = await Journal.open(store, JournalSettings(journal_secret="s" * 16), Watched())
    writer = store._writer._connection
    [(pages,)] = writer.execute("PRAGMA page_count").fetchall()
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    begun = []

    async def fill():
        for number in range(1000):
            begun.append(await journal.begin(intent(number)))

    with pytest.raises(GatewayError) as caught:
        await fill()
    assert (caught.value.row, caught.value.outcome) == (STORE_UNAVAILABLE, Outcome.NOT_APPLIED)
    writer.execute("PRAGMA max_page_count = 1000000")
    begun.append(await journal.begin(intent(1000)))
    await journal.flush()
    entries = {entry.id: entry for entry in await journal.page({}, 2000)}
    assert set(begun) <= entries.keys()
    assert all(identifier in begun or entry.end.outcome == "NOT_APPLIED" for identifier, entry in entries.items())
    await journal.aclose()
    await store.aclose()


async def test_what_waits_for_a_locked_file_has_a_bound(tmp_path):
    """Refusals by the local rules are recorded later; reads go on while another program holds the writer's lock."""
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [THINGS], ())
    journal = await Journal.open(store, JournalSettings(journal_secret="s" * 16), Watched())
    end = End(at=now(), outcome="NOT_APPLIED")
    foreign = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    unrecorded = []
    for number in range(12_000):
        try:
            await journal.record(entry_id(now()), intent(number), end)
        except StoreUnavailableError as error:
            unrecorded.append(error)
    assert [error.certain for error in unrecorded] == [True] * 2_000
    with pytest.raises(GatewayError) as caught:
        await journal.begin(intent(1))
    assert (caught.value.row, caught.value.outcome) == (STORE_UNAVAILABLE, Outcome.NOT_APPLIED)
    foreign.execute("ROLLBACK")
    foreign.close()
    while await journal.total({"NOT_APPLIED": None}) < 10_000:
        await asyncio.sleep(0.01)
    await journal.begin(intent(2))
    await journal.aclose()
    await store.aclose()


CUTS = (
    b"INSERT INTO gateway_update_entry",
    b"BEGIN;",
    b"UPDATE gateway_update_entry",
    b"COMMIT;",
    b"DELETE FROM gateway",
)


@pytest.mark.slow
@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize("cut_at", CUTS, ids=bytes.decode)
async def test_a_connection_that_is_lost_at_any_statement_loses_no_end_and_leaves_no_open_entry(
    behind, cut_at, delivered
):
    """Everything that a journal writes is under way when the connection ends, as at an end by the server."""
    journal, proxy, _ = behind
    store = journal.store
    ended, freed, left = [await journal.begin(intent(n, key=Key(f"{n}", f"claim {n}", "digest"))) for n in range(3)]
    proxy.cut_at, proxy.deliver = cut_at, delivered
    journal.end(ended, End(at=now(), outcome="APPLIED"))
    journal.end(freed, End(at=now(), outcome="NOT_APPLIED", frees_key=True))
    keys = [Key(f"key {n}", f"new claim {n}", "digest") if n % 2 else None for n in range(8)]
    entry = journal.statement(entry_id(now()), intent(100), End(at=now(), outcome="APPLIED"))
    begun = asyncio.gather(
        *(journal.begin(intent(10 + n, key=key)) for n, key in enumerate(keys)), return_exceptions=True
    )
    committed, *_ = await asyncio.gather(
        store.commit([Write(THINGS, Record("a", {}), None)], also=[entry]),
        journal.flush(),
        Keeper(journal).purge(),
        return_exceptions=True,
    )
    begun = {identifier for identifier in await begun if isinstance(identifier, str)}
    proxy.cut_at = None
    for _ in range(1000):
        with contextlib.suppress(GatewayError):
            await journal.check()
            await journal.flush()
            break
        await asyncio.sleep(0.01)
    entries = {entry.id: entry for entry in await journal.page({}, 100)}
    local = [
        entries.pop(identifier) for identifier, entry in [*entries.items()] if entry.intent.request_id == "request-100"
    ]
    assert len(local) == (await store.get(THINGS, "a") is not None)
    assert local or isinstance(committed, StoreUnavailableError)
    assert not (local and isinstance(committed, StoreUnavailableError) and committed.certain)
    assert {identifier for identifier, entry in entries.items() if entry.end is None} == begun | {left}
    outcomes = {identifier: entry.end.outcome for identifier, entry in entries.items() if entry.end is not None}
    assert outcomes.pop(ended) == "APPLIED"
    assert set(outcomes.values()) == {"NOT_APPLIED"}
    assert freed in outcomes
    for identifier in outcomes:
        key = entries[identifier].intent.key
        assert key is None or await journal.by_claim(key.claim or "none") is None
