"""Mutations per second of the local store, and their cost as a table grows. Run by hand from the project's root:

    python -m tests.benchmarks.store --records 1000000

A mutation is what a local backend does: read a record of 1 KB by id, then commit its new version. Both engines wait for
the disk (SQLite with synchronous=FULL, PostgreSQL with fsync). CPU is this process's alone, so PostgreSQL's server is
not in it. The records are put in past the store, which would take longer to no purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import random
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from app.store.engine import open_store
from app.store.records import Collection, Record, Write
from app.store.tables import row
from tests.store.postgres_server import create_database, postgres_server

CUSTOMERS = Collection("benchmark_customer")
COLUMNS = ("id", "owner", "unique_value", "version", "document")
OWNERS = 1000


def customer(number):
    document = {
        "Name": f"Customer {number}",
        "Address": {"Street": "Long street", "City": "Town", "Country": "NL"},
        "BankAccounts": [{"Iban": "NL91ABNA0417164300", "Default": True}],
        "Metadata": {f"key {index}": "x" * 60 for index in range(11)},
    }
    return Record(identifier(number), document, owner=f"company {number % OWNERS}", unique=f"C{number}")


def identifier(number):
    """Spread over the index as real ids are."""
    return str(random.Random(number).getrandbits(128))


async def fill(url, first, last):
    for start in range(first, last, 10_000):
        rows = [row(CUSTOMERS, customer(number), 1) for number in range(start, min(start + 10_000, last))]
        if url.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
                connection.executemany(f"INSERT INTO {CUSTOMERS.name} VALUES (?, ?, ?, ?, ?)", rows)  # noqa: S608 - a constant
        else:
            connection = await asyncpg.connect(url)
            await connection.copy_records_to_table(CUSTOMERS.name, records=rows, columns=COLUMNS)
            await connection.close()
    if not url.startswith("sqlite"):
        connection = await asyncpg.connect(url)
        await connection.execute(f"VACUUM ANALYZE {CUSTOMERS.name}")
        await connection.execute("CHECKPOINT")
        await connection.close()


async def measure(store, records, concurrency, seconds):
    """Mutations per second, p50, p99 and longest in ms, CPU µs per mutation. Each task has its own records: no conflicts."""
    times = []
    until = time.perf_counter() + seconds

    async def mutate(task):
        choice = random.Random(task)
        while (began := time.perf_counter()) < until:
            number = choice.randrange(records // concurrency) * concurrency + task
            record = await store.get(CUSTOMERS, identifier(number))
            document = record.document | {"Name": f"changed at {began}"}
            await store.commit([Write(CUSTOMERS, dataclasses.replace(record, document=document), record.version)])
            times.append(time.perf_counter() - began)

    cpu, began = cpu_seconds(), time.perf_counter()
    await asyncio.gather(*(mutate(task) for task in range(concurrency)))
    elapsed, used = time.perf_counter() - began, cpu_seconds() - cpu
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    return len(times) / elapsed, p50 * 1e3, p99 * 1e3, max(times) * 1e3, used / len(times) * 1e6


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def run(engine, url, arguments):
    store = await open_store(url, [CUSTOMERS], ())
    sizes = [size for size in (1_000, 10_000, 100_000) if size < arguments.records] + [arguments.records]
    for before, size in itertools.pairwise([0, *sizes]):
        await fill(url, before, size)
        for concurrency in arguments.concurrency:
            await measure(store, size, concurrency, arguments.seconds / 4)  # warms caches and pools
            rounds = [await measure(store, size, concurrency, arguments.seconds) for _ in range(arguments.rounds)]
            rate, p50, p99, longest, cpu = (statistics.median(values) for values in zip(*rounds, strict=True))
            times = f"{p50:.2f} | {p99:.2f} | {longest:.0f}"
            sys.stdout.write(f"| {engine} | {size:,} | {concurrency} | {rate:,.0f} | {times} | {cpu:.0f} |\n")
            sys.stdout.flush()
    await store.aclose()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--records", type=int, default=10_000, help="grow the table up to this many")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=2.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=3, help="the table has their medians")
    parser.add_argument("--folder", type=Path, help="where the SQLite file is made; a temporary folder by default")
    arguments = parser.parse_args()
    sys.stdout.write(
        "| engine | records | at once | mutations/s | p50 ms | p99 ms | longest ms | CPU µs |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|\n"
    )
    if "sqlite" in arguments.engine:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            await run("SQLite", f"sqlite:///{folder}/store.db", arguments)
    if "postgres" in arguments.engine:
        with postgres_server(durable=True) as folder:
            await run("PostgreSQL", await create_database(folder, "benchmark"), arguments)


if __name__ == "__main__":
    asyncio.run(main())
