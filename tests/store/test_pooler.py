"""PostgreSQL behind PgBouncer in transaction mode: the store, the journal and its locks work as without it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess

import asyncpg
import pytest

from app.journal.entries import End
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import now
from app.store.records import Record, Write
from tests.journal.conftest import intent
from tests.journal.test_journal import dies
from tests.upstream.bad_server import unused_port

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextlib.contextmanager
def pgbouncer(folder, server):
    """The URL of the database `test` behind it. It refuses to run as root."""
    port = unused_port()
    folder.chmod(0o777)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\ntest = host={server} port=5432 user=postgres dbname=test\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
        "pool_mode = transaction\ndefault_pool_size = 20\n"
    )
    user = "nobody" if os.geteuid() == 0 else None
    group = pwd.getpwnam(user).pw_gid if user else None
    process = subprocess.Popen(
        [PROGRAM, "-q", settings],
        user=user,
        group=group,
        extra_groups=[] if user else None,
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/test"
    finally:
        process.terminate()
        process.wait(600)


@pytest.fixture
async def pooled(postgres, postgres_url, tmp_path_factory):
    assert postgres_url
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed")
    folder = tmp_path_factory.mktemp("pooler")
    for above in (folder, *folder.parents):  # `nobody` has to reach it
        with contextlib.suppress(PermissionError):
            above.chmod(above.stat().st_mode | 0o011)
    with pgbouncer(folder, postgres) as url:
        while True:
            try:
                connection = await asyncpg.connect(url, statement_cache_size=0)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                await connection.close()
                break
        yield url


async def test_store_and_journal_behind_a_pooler_in_transaction_mode(pooled, things):
    async with contextlib.AsyncExitStack() as stack:
        stores = [await open_store(pooled, [things], [(things, Record("a", {}))]) for _ in range(3)]
        for store in stores:
            stack.push_async_callback(store.aclose)
        journals = [await Journal.open(store, JournalSettings(journal_secret="s" * 16)) for store in stores]
        for journal in journals:
            stack.push_async_callback(journal.aclose)

        async def one(number):
            store, journal = stores[number % 3], journals[number % 3]
            await store.commit([Write(things, Record(f"{number}", {"n": number}), None)])
            identifier = await journal.begin(intent(number, past=True))
            assert await store.get(things, f"{number}") == Record(f"{number}", {"n": number})
            return identifier

        identifiers = await asyncio.gather(*(one(number) for number in range(60)))
        for number, identifier in enumerate(identifiers[:30]):
            journals[number % 3].end(identifier, End(at=now(), outcome="APPLIED"))
        for journal in journals:
            await journal.flush()
        # Nobody is gone: the locks hold, whichever server connection asks.
        assert await Keeper(journals[0]).close_abandoned() == 0
        await dies(journals[1])
        assert await Keeper(journals[0]).close_abandoned() == 10
        assert await journals[2].total({"open": None}) == 20
