"""Pages, counts and searches of a company with many records. Run by hand from the project's root:

    python -m tests.benchmarks.pages --records 100000

Milliseconds of the store alone, medians, with what the local backend asks (a page begins behind the last record) and
what the sandbox must ask (a page begins at an offset, and every answer has the total).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from app.store.engine import open_store
from app.store.records import Collection, Listing, Record, Selection
from app.store.tables import row
from tests.benchmarks.store import customer, identifier
from tests.store.postgres_server import create_database, postgres_server

LISTED = Collection(
    "benchmark_listed",
    Listing(sort=lambda document: document["Name"], search=lambda document: f"{document['Name']}\n{document['Email']}"),
)
COLUMNS = ("id", "owner", "unique_value", "version", "document", "sort_key", "search_text", "match_value")
COMPANY = Selection("company")
SIZE = 50


def rows(count):
    for number in range(count):
        document = customer(number).document | {
            "Name": f"Customer {number:07}",
            "Email": f"someone.{number}@example.com",
        }
        yield row(LISTED, Record(identifier(number), document, owner=COMPANY.owner, unique=f"C{number}"), 1)


async def fill(url, count):
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(f"INSERT INTO {LISTED.name} VALUES ({marks})", rows(count))  # noqa: S608 - constants
        return
    connection = await asyncpg.connect(url)
    await connection.copy_records_to_table(LISTED.name, records=rows(count), columns=COLUMNS)
    await connection.execute(f"VACUUM ANALYZE {LISTED.name}")
    await connection.close()


async def median_ms(use, rounds):
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        await use()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


async def run(engine, url, arguments):
    store = await open_store(url, [LISTED], ())
    await fill(url, arguments.records)
    offset = min(arguments.records, 1000 * SIZE) - SIZE
    [(_, before)] = await store.page(LISTED, COMPANY, limit=1, offset=offset - 1)
    seldom = Selection("company", search=f"{arguments.records - 1}@EXAMPLE")
    uses = {
        "first page": lambda: store.page(LISTED, COMPANY, limit=SIZE),
        "1000th page, behind a record": lambda: store.page(LISTED, COMPANY, limit=SIZE, after=before),
        "1000th page, at an offset": lambda: store.page(LISTED, COMPANY, limit=SIZE, offset=offset),
        "total": lambda: store.count(LISTED, COMPANY),
        "search that finds the last": lambda: store.page(LISTED, seldom, limit=SIZE),
        "its total": lambda: store.count(LISTED, seldom),
    }
    for title, use in uses.items():
        sys.stdout.write(f"| {engine} | {title} | {await median_ms(use, arguments.rounds):.2f} |\n")
        sys.stdout.flush()
    await store.aclose()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", nargs="+", choices=["sqlite", "postgres"], default=["sqlite", "postgres"])
    parser.add_argument("--records", type=int, default=100_000, help="of the company")
    parser.add_argument("--rounds", type=int, default=30, help="the table has their medians")
    parser.add_argument("--folder", type=Path, help="where the SQLite file is made; a temporary folder by default")
    arguments = parser.parse_args()
    sys.stdout.write("| engine | read | ms |\n|---|---|--:|\n")
    if "sqlite" in arguments.engine:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            await run("SQLite", f"sqlite:///{folder}/store.db", arguments)
    if "postgres" in arguments.engine:
        with postgres_server(durable=True) as folder:
            await run("PostgreSQL", await create_database(folder, "benchmark"), arguments)


if __name__ == "__main__":
    asyncio.run(main())
