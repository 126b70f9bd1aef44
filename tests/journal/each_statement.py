"""`each_statement.py FOLDER`: runs one life of a store and its journal again and again, each in a process of its own.

The Nth one is killed before its Nth SQL statement, until one comes to its end. Prints for each, as a line of JSON, what
was acknowledged.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

from app.journal.entries import End, Key
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import entry_id, now
from app.store.records import Record, Write
from tests.journal.conftest import intent
from tests.store.conftest import OTHERS, THINGS

SEED = [(THINGS, Record("a", {"n": 0})), (OTHERS, Record("b", {"n": 0}))]
SETTINGS = JournalSettings(journal_secret="s" * 16)


async def life(url, acknowledge):
    store = await open_store(url, [THINGS, OTHERS], SEED)
    journal = await Journal.open(store, SETTINGS)
    for n in (1, 2, 3):
        entry = journal.statement(entry_id(now()), intent(100 + n), End(at=now(), outcome="APPLIED"))
        writes = [Write(THINGS, Record("a", {"n": n}), n), Write(OTHERS, Record("b", {"n": n}), n)]
        await store.commit(writes, also=[entry])
        acknowledge("local")
    keys = [Key(f"key {n}", f"claim {n}", "digest") if n % 2 else None for n in range(5)]
    begun = await asyncio.gather(*(journal.begin(intent(n, key=key, past=True)) for n, key in enumerate(keys)))
    acknowledge("begun")
    for identifier in begun[:3]:
        journal.end(identifier, End(at=now(), outcome="APPLIED"))
    journal.end(begun[3], End(at=now(), outcome="NOT_APPLIED", frees_key=True))
    await journal.flush()
    acknowledge("ended")
    keeper = Keeper(journal)
    await keeper.end_keys()
    await keeper.purge()
    journal.leave(begun[4])
    await keeper.close_abandoned()
    acknowledge("closed")
    await journal.check()
    await journal.aclose()
    await store.aclose()
    acknowledge("over")


def lives_until(nth, url, pipe):
    statements = itertools.count(1)
    connect = sqlite3.connect

    def watched(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.set_trace_callback(
            lambda _: os.kill(os.getpid(), signal.SIGKILL) if next(statements) == nth else None
        )
        return connection

    sqlite3.connect = watched
    asyncio.run(life(url, lambda word: os.write(pipe, f"{word} ".encode())))


def main(folder):
    for nth in itertools.count(1):
        reading, writing = os.pipe()
        if not os.fork():
            lives_until(nth, f"sqlite:///{folder / f'{nth}.db'}", writing)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            acknowledged = pipe.read().split()
        _, status = os.wait()
        sys.stdout.write(json.dumps(acknowledged) + "\n")
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
