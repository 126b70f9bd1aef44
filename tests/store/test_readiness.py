"""Readiness writes: every way to lose a store is found, said once and for which part; a held lock does not hold updates."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from app.errors import Outcome
from app.readiness import Readiness
from app.store import sqlite_trial, sqlite_writer
from app.store.engine import open_store
from app.store.records import Record, StoreUnavailableError, Write
from tests.telemetry.running import running, update


def overwrite(path: Path, *, start: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"x" * (path.stat().st_size - start))


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def drop(path: Path, table: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(f'DROP TABLE "{table}"')


def checkpoint(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(FULL)")


LOST = {
    "the log overwritten": lambda path: overwrite(Path(f"{path}-wal")),
    "the log overwritten behind its header": lambda path: overwrite(Path(f"{path}-wal"), start=32),
    "the log cut off": lambda path: cut(Path(f"{path}-wal"), 0),
    "the log cut in half": lambda path: cut(Path(f"{path}-wal"), Path(f"{path}-wal").stat().st_size // 2),
    "the log removed": lambda path: Path(f"{path}-wal").unlink(),
    "the file overwritten": overwrite,
    "the file cut off": lambda path: cut(path, 0),
    "the file cut in half": lambda path: (checkpoint(path), cut(path, path.stat().st_size // 2 // 4096 * 4096)),
    "the file removed": lambda path: path.unlink(),
    "the table of records dropped": lambda path: drop(path, "basecone_customers"),
    "the table of the version dropped": lambda path: drop(path, "gateway_schema"),
}


@pytest.mark.parametrize("lost", LOST)
async def test_a_lost_store_is_not_ready_and_says_which_part(
    lost: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    async with running(tmp_path) as gateway:
        assert "errors" not in (await gateway.post(update("Renamed"))).json()
        LOST[lost](tmp_path / "gateway.db")
        answers = [await gateway.client.get("/health/ready") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {503}
    assert answers[0].json() == {"status": "not ready", "part": "store"}
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("not ready")]
    assert len(lines) == 1
    assert lines[0].startswith("not ready: the SQLite database")


async def test_another_program_may_open_and_close_the_file_after_a_look(tmp_path: Path):
    """`python -m app journal`, a worker that ends, `sqlite3`: the log in use stays, and what is in it."""
    path = tmp_path / "gateway.db"
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM gateway_schema'); c.close()"
    )
    async with running(tmp_path) as gateway:
        assert "errors" not in (await gateway.post(update("Renamed"))).json()
        log = Path(f"{path}-wal").stat().st_ino
        for name in ("Once", "Twice"):
            assert (await gateway.client.get("/health/ready")).status_code == 200
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, str(path)], check=True)
            assert "errors" not in (await gateway.post(update(name))).json()
        assert Path(f"{path}-wal").stat().st_ino == log
    assert not Path(f"{path}-wal").exists()  # the last one carries it over, as ever


async def test_a_disk_that_is_full_is_not_ready(tmp_path: Path):
    """As far as one process can have a full disk of its own: no file may grow."""
    store = await open_store(f"sqlite:///{tmp_path / 'a.db'}", [], [])
    await store.try_writing()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (tmp_path / "a.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(StoreUnavailableError):
            await store.try_writing()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    await store.try_writing()
    await store.aclose()


@contextlib.contextmanager
def locked(path: Path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_a_lock_that_is_held_fails_updates_soon_and_for_certain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An update waited 55 s to say that its deadline had passed."""
    monkeypatch.setattr(sqlite_writer, "_LOCK_SECONDS", 0.05)
    monkeypatch.setattr(sqlite_writer, "_LOCKED_SECONDS", 0.01)
    monkeypatch.setattr(sqlite_trial, "_LOCK_SECONDS", 0.01)
    async with running(tmp_path) as gateway:
        with locked(tmp_path / "gateway.db"):
            for _ in range(3):
                (error,) = (await gateway.post(update("Renamed"))).json()["errors"]
                assert error["extensions"]["reason"] == "STORE_UNAVAILABLE"
                assert error["extensions"]["outcome"] == Outcome.NOT_APPLIED
                assert error["extensions"]["retry"] == {"safe": True}
            assert (await gateway.client.get("/health/ready")).json() == {"status": "not ready", "part": "store"}
        body = (await gateway.post(update("Renamed"))).json()
        assert body["data"]["updateCustomer"]["customer"]["name"] == "Renamed"


async def test_it_is_tried_once_a_second_whoever_asks():
    now, tried, let = 0.0, 0, asyncio.Event()

    async def trial() -> None:
        nonlocal tried
        tried += 1
        await let.wait()
        if tried == 2:
            raise StoreUnavailableError("gone", certain=True)

    ready = Readiness("store", trial, clock=lambda: now)
    asking = [asyncio.create_task(ready()) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    let.set()
    assert set((await asyncio.gather(*asking, return_exceptions=True))[1:]) == {True}
    now = 0.9
    assert (await ready(), tried) == (True, 1)
    now = 1.0
    assert [await ready() for _ in range(9)] == ["store"] * 9
    assert tried == 2
    now = 2.0
    assert (await ready(), tried) == (True, 3)


async def test_postgres_is_written_too(postgres_url, things, others):
    store = await open_store(postgres_url, [things, others], [(things, Record("a", {}))])
    await store.try_writing()
    other = await asyncpg.connect(postgres_url)
    try:
        async with other.transaction():
            await other.execute(f"LOCK TABLE {things.name} IN EXCLUSIVE MODE")
            await store._pool.execute("SET lock_timeout = '20ms'")
            with pytest.raises(StoreUnavailableError) as caught:
                await store.commit([Write(things, Record("a", {"b": 1}), 1)])
            assert caught.value.certain
        await other.execute(f"ALTER TABLE {things.name} RENAME TO gone")
        with pytest.raises(StoreUnavailableError):
            await store.try_writing()
        await other.execute(f"ALTER TABLE gone RENAME TO {things.name}")
        await store.try_writing()
        await other.execute("ALTER TABLE gateway_schema RENAME TO gone")
        with pytest.raises(StoreUnavailableError):
            await store.try_writing()
    finally:
        await other.close()
        await store.aclose()
