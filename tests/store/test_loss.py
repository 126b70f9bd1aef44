"""The connection to PostgreSQL lost at chosen moments, by a proxy of real sockets; SQLite failing under a commit."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import traceback

import asyncpg
import pytest

from app import errors
from app.errors import GatewayError, Outcome
from app.store.engine import open_store
from app.store.records import Record, Statement, StoreUnavailableError, UniqueConflictError, Write, until
from tests.patience import given_time

DELETE = "DELETE FROM test_thing WHERE id = $1"


class Proxy:
    """TCP in front of the server's socket.

    Once `cut_at` is seen in what a client sends, its connection is closed before the client hears another byte;
    `deliver` says whether the server still hears it and answers.
    """

    def __init__(self, folder):
        self.folder = folder
        self.cut_at = None
        self.deliver = True
        self.open = True

    async def serve(self, reader, writer):
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if not self.open:
                return
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(f"{self.folder}/.s.PGSQL.5432")
            answers = asyncio.create_task(self.answer(upstream_reader, writer))
            with contextlib.closing(upstream_writer):
                while data := await reader.read(65536):
                    if self.cut_at is not None and self.cut_at in data:
                        answers.cancel()
                        await asyncio.wait([answers])
                        if self.deliver:
                            upstream_writer.write(data)
                            await upstream_reader.read(65536)  # it has answered: it has done it
                        break
                    upstream_writer.write(data)
                answers.cancel()

    async def answer(self, upstream_reader, writer):
        """Ends by cancellation when the client is to be cut off: then the client's connection is not closed yet."""
        with contextlib.suppress(OSError):
            while data := await upstream_reader.read(65536):
                writer.write(data)
        writer.close()


@pytest.fixture
async def proxied(postgres, postgres_url, things, others):
    proxy = Proxy(postgres)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = postgres_url.partition("?")[0].rpartition("/")[2]
    url = f"postgresql://postgres@127.0.0.1:{port}/{database}?sslmode=disable"
    store = await open_store(url, [things, others], [(things, Record("a", {}, unique="u"))])
    proxy.store = store
    yield proxy
    await store.aclose()
    server.close()


def single(things):
    return [Write(things, Record("marker", {"mark": "cut here"}), None)]


@pytest.mark.parametrize("delivered", [True, False])
async def test_lost_while_a_single_write_is_under_way(proxied, things, delivered):
    """The two look alike from here, so both are unknown, and the text says so."""
    proxied.cut_at, proxied.deliver = b"cut here", delivered
    with pytest.raises(StoreUnavailableError) as caught:
        await proxied.store.commit(single(things))
    assert not caught.value.certain
    assert caught.value.outcome is Outcome.UNKNOWN
    assert not caught.value.retry_safe
    proxied.cut_at = None
    assert (await proxied.store.get(things, "marker") is not None) == delivered


async def test_lost_before_the_commit_is_sent(proxied, things, others):
    proxied.cut_at = b"cut here"
    with pytest.raises(StoreUnavailableError) as caught:
        await proxied.store.commit([*single(things), Write(others, Record("b", {}), None)])
    assert caught.value.certain
    assert caught.value.outcome is Outcome.NOT_APPLIED
    proxied.cut_at = None
    assert await proxied.store.get_many([(things, "marker"), (others, "b")]) == {}


@pytest.mark.parametrize("delivered", [True, False])
async def test_lost_at_the_commit_itself(proxied, things, others, delivered):
    proxied.cut_at, proxied.deliver = b"COMMIT;", delivered
    with pytest.raises(StoreUnavailableError) as caught:
        await proxied.store.commit([*single(things), Write(others, Record("b", {}), None)])
    assert not caught.value.certain
    proxied.cut_at = None
    assert len(await proxied.store.get_many([(things, "marker"), (others, "b")])) == 2 * delivered


async def test_a_conflict_is_no_loss(proxied, things, others):
    with pytest.raises(UniqueConflictError):
        await proxied.store.commit(
            [Write(things, Record("b", {}, unique="u"), None), Write(others, Record("b", {}), None)]
        )


async def test_unreachable_for_a_while(proxied, postgres_url, things):
    proxied.open = False
    administrator = await asyncpg.connect(postgres_url)
    await administrator.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await administrator.close()
    # The first may still meet the dying connection; from then on nothing can have been sent.
    with contextlib.suppress(StoreUnavailableError):
        await proxied.store.ping()
    for call in (proxied.store.commit(single(things)), proxied.store.get(things, "a"), proxied.store.ping()):
        with pytest.raises(StoreUnavailableError) as caught:
            await call
        assert caught.value.certain
        assert caught.value.retry_safe
    proxied.open = True
    await proxied.store.commit(single(things))
    assert await proxied.store.get(things, "marker") is not None


@pytest.mark.parametrize("writes", [1, 2])
async def test_a_demoted_server_is_left_for_the_one_that_took_over(postgres_url, things, writes):
    """The session is read-only, as on a standby; a new one is not."""
    store = await open_store(postgres_url, [things], [(things, Record("a", {}))])
    new = [Write(things, Record(f"{number}", {}), None) for number in range(writes)]
    uses = (lambda: store.commit(new), store.try_writing, lambda: store.execute([Statement(DELETE, [("a",)])]))
    for use in uses:
        await store.query("SET default_transaction_read_only = on")
        with pytest.raises(StoreUnavailableError, match="ReadOnlySQLTransactionError") as caught:
            await use()
        assert (caught.value.certain, caught.value.outcome) == (True, Outcome.NOT_APPLIED)
        await use()
    assert await store.query("SELECT count(*) FROM test_thing") == [(writes,)]
    await store.aclose()


def functions_of(thread):
    """What it is in the middle of."""
    return {frame.f_code.co_name for frame, _ in traceback.walk_stack(sys._current_frames()[thread.ident])}


async def test_a_full_sqlite_says_that_nothing_was_written(tmp_path, things):
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [things], ())
    store._writer._connection.execute("PRAGMA max_page_count = 12")
    big = Write(things, Record("big", {"text": "x" * 200_000}), None)
    small = Write(things, Record("small", {}), None)
    # Both wait behind a commit that waits for a lock, and so are written together.
    foreign = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(store.commit([Write(things, Record("first", {}), None)]))
    while "_begin_transaction" not in functions_of(store._writer):
        await asyncio.sleep(0)
    both = asyncio.gather(store.commit([big]), store.commit([small]), return_exceptions=True)
    await asyncio.sleep(0)
    foreign.close()
    await first
    outcomes = await both
    assert [(type(outcome), outcome.certain) for outcome in outcomes] == [(StoreUnavailableError, True)] * 2
    assert await store.get_many([(things, "big"), (things, "small")]) == {}
    await store.commit([small])
    assert await store.get(things, "small") is not None
    await store.aclose()


async def test_a_writer_waits_for_a_foreign_lock_and_readers_do_not(tmp_path, things):
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [things], [(things, Record("a", {}))])
    foreign = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    commits = asyncio.gather(*(store.commit([Write(things, Record(f"{n}", {}), None)]) for n in range(5)))
    assert await store.get(things, "a") is not None
    await store.ping()
    assert not commits.done()
    foreign.execute("COMMIT")
    foreign.close()
    await commits
    assert await store.get(things, "4") is not None
    await store.aclose()


async def test_a_commit_behind_a_foreign_lock_keeps_its_deadline_and_is_not_written_later(tmp_path, things):
    store = await open_store(f"sqlite:///{tmp_path}/store.db", [things], ())
    foreign = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    late = store.commit([Write(things, Record("late", {}), None)], deadline=asyncio.get_running_loop().time() + 0.05)
    with pytest.raises(GatewayError) as caught:
        await late
    assert (caught.value.row, caught.value.outcome) == (errors.DEADLINE_BEFORE_SENDING, Outcome.NOT_APPLIED)
    foreign.execute("COMMIT")
    foreign.close()
    await store.commit([Write(things, Record("next", {}), None)])
    assert await store.get(things, "late") is None
    await store.aclose()


@pytest.mark.parametrize("writes", [1, 2])
async def test_a_commit_behind_a_row_that_is_locked_keeps_its_deadline(postgres_url, things, writes):
    """One statement is a whole transaction: whether it takes effect once the lock is gone is not known."""
    records = [Record(f"{number}", {"n": 0}) for number in range(writes)]
    store = await open_store(postgres_url, [things], [(things, record) for record in records])
    holder = await asyncpg.connect(postgres_url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT 1 FROM test_thing FOR UPDATE")
    row, outcome = (
        (errors.ANSWER_TIMED_OUT, Outcome.UNKNOWN)
        if writes == 1
        else (errors.DEADLINE_BEFORE_SENDING, Outcome.NOT_APPLIED)
    )

    async def late(seconds: float) -> None:
        with pytest.raises(GatewayError) as caught:
            await store.commit(
                [Write(things, Record(record.id, {"n": 1}), 1) for record in records],
                deadline=asyncio.get_running_loop().time() + seconds,
            )
        assert (caught.value.row, caught.value.outcome) == (row, outcome)

    await given_time(late, 0.3)
    await transaction.rollback()
    await holder.close()
    await store.commit([Write(things, Record("next", {}), None)])
    if outcome is Outcome.NOT_APPLIED:
        assert {(await store.get(things, record.id)).document["n"] for record in records} == {0}
    await store.aclose()


async def test_a_reading_ends_at_its_deadline():
    with pytest.raises(GatewayError) as caught:
        async with until(asyncio.get_running_loop().time() + 0.01):
            await asyncio.get_running_loop().create_future()
    assert caught.value.row is errors.DEADLINE_BEFORE_SENDING
