"""The journal with a million entries: look-ups, pages, and a purge at its bound while updates go on.

`python -m tests.benchmarks.journal [--entries 1000000] [--rate 1000] [--seconds 10] [--postgres]`. Prints medians and the
longest; nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time

from app.journal.entries import End, row_of
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import begun_of, entry_id, first_id, now
from app.store.records import Statement
from tests.journal.conftest import intent
from tests.store.postgres_server import create_database, postgres_server

_CHUNK = 20_000
_ASKED = 200


async def fill(journal, entries):
    """Entries of the last thirty days, each with its own request and one of 50,000 records."""
    span = 30 * 86_400_000
    start = now() - span
    for first in range(0, entries, _CHUNK):
        rows = []
        for number in range(first, min(first + _CHUNK, entries)):
            begun = start + span * number // entries
            made = intent(number % 50_000, request_id=f"request-{number}", caller="shop")
            rows.append(row_of(entry_id(begun), made, None, None, End(at=begun, outcome="APPLIED")))
        await journal.store.execute([Statement(journal.statements.insert, rows)])


async def timed(ask):
    taken = []
    for _ in range(_ASKED):
        started = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


async def look_ups(journal, entries):
    draw = random.Random(1)
    oldest = begun_of((await journal.page({"since": first_id(0)}, 1))[0].id) - 30 * 86_400_000

    def at():
        return first_id(oldest + draw.randrange(30 * 86_400_000))

    one = (await journal.page({}, 1))[0].id
    questions = {
        "record": lambda: journal.page({"record_id": intent(draw.randrange(50_000)).record_id}, 50),
        "request id": lambda: journal.page({"request_id": f"request-{draw.randrange(entries)}"}, 50),
        "key": lambda: journal.page({"idempotency_key": "none"}, 50),
        "time": lambda: journal.page({"until": at()}, 50),
        "caller and time": lambda: journal.page({"caller": "shop", "person": "", "until": at()}, 50),
        "unknown outcomes": lambda: journal.page({"UNKNOWN": None}, 50),
        "one entry": lambda: journal.get(one),
        "abandoned": lambda: journal.store.query(journal.statements.abandoned, now()),
    }
    for name, ask in questions.items():
        taken = await timed(ask)
        say(f"| look-up by {name} | {statistics.median(taken):.2f} | {max(taken):.2f} |")
    started = time.perf_counter()
    await journal.total({})
    say(f"| count of all | {(time.perf_counter() - started) * 1000:.0f} | |")


async def purge_under_load(journal, rate, seconds):
    """Updates at a steady rate, alone and with the keeper purging one entry for each new one."""
    for name, keeper in (("alone", None), ("with the purge", Keeper(journal))):
        if keeper is not None:
            keeper.start()
        taken, loop = [], asyncio.get_running_loop()

        async def update(number, taken=taken):
            started = time.perf_counter()
            identifier = await journal.begin(intent(number, request_id=f"load-{number}"))
            taken.append((time.perf_counter() - started) * 1000)
            journal.end(identifier, End(at=now(), outcome="APPLIED"))

        began, tasks = loop.time(), []
        for number in range(round(rate * seconds)):
            wait = began + number / rate - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.create_task(update(number)))
        await asyncio.gather(*tasks)
        spent = loop.time() - began
        if keeper is not None:
            await keeper.aclose()
        taken.sort()
        total = await journal.total({})
        say(
            f"| intents at {len(taken) / spent:,.0f}/s, {name} | {statistics.median(taken):.2f} | {taken[-1]:.2f} "
            f"(p99 {taken[len(taken) * 99 // 100]:.2f}), {total:,} entries |"
        )


async def run(url, arguments):
    store = await open_store(url, [], ())
    journal = await Journal.open(
        store, JournalSettings(journal_secret="s" * 16, journal_max=arguments.entries, journal_seconds=1)
    )
    await fill(journal, arguments.entries)
    say("\n| " + url.partition(":")[0] + " | median ms | longest ms |", "|---|--:|--:|")
    await look_ups(journal, arguments.entries)
    await purge_under_load(journal, arguments.rate, arguments.seconds)
    await journal.aclose()
    await store.aclose()


def say(*lines):
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL as well")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        asyncio.run(run(f"sqlite:///{folder}/journal.db", arguments))
        if arguments.postgres:
            server = stack.enter_context(postgres_server(durable=True))
            asyncio.run(run(asyncio.run(create_database(server, "journal")), arguments))


if __name__ == "__main__":
    main()
