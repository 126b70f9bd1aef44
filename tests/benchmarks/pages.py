"""Pages, counts and searches of a company with many records. Run by hand from the project's root:

    python -m tests.benchmarks.pages --records 100000

Medians in milliseconds, of the store alone (behind a record is what the local backend asks, at an offset what the
sandbox must ask) and of `customers` as the gateway answers it, in local mode and over the sandbox on a real socket.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg

from app.apis.basecone.seed import COMPANY_A, CUSTOMERS
from app.store.engine import open_store
from app.store.records import Collection, Listing, Record, Selection
from app.store.tables import row
from tests.benchmarks.store import customer
from tests.harness import gateway
from tests.store.postgres_server import create_database, postgres_server

LISTED = Collection(
    "benchmark_listed",
    Listing(sort=lambda document: document["Name"], search=lambda document: f"{document['Name']}\n{document['Email']}"),
)
COLUMNS = ("id", "owner", "unique_value", "version", "document", "sort_key", "search_text", "match_value")
COMPANY = Selection("company")
SIZE = 50


def rows(count, collection=LISTED, owner=COMPANY.owner):
    for number in range(count):
        document = customer(number).document | {
            "Name": f"Customer {number:07}",
            "name": f"Customer {number:07}",
            "Email": f"someone.{number}@example.com",
        }
        record_id = str(UUID(int=random.Random(number).getrandbits(128)))
        yield row(collection, Record(record_id, document, owner=owner, unique=f"X{number}"), 1)


async def fill(url, count, collection=LISTED, owner=COMPANY.owner):
    values = rows(count, collection, owner)
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(f"INSERT INTO {collection.name} VALUES ({marks})", values)  # noqa: S608 - constants
        return
    connection = await asyncpg.connect(url)
    await connection.copy_records_to_table(collection.name, records=values, columns=COLUMNS)
    await connection.execute(f"VACUUM ANALYZE {collection.name}")
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


PAGE = """query($companyId: UUID!, $after: String) { customers(companyId: $companyId, after: $after) {
  nodes { id code name } pageInfo { hasNextPage endCursor } } }"""


async def through_the_gateway(engine, url, arguments):
    """The thousandth page is gone to by a cursor as the gateway gives it."""
    with tempfile.TemporaryDirectory() as folder:
        async with gateway("local", Path(folder), url_of_store=url):
            pass  # the tables
        await fill(url, arguments.records, CUSTOMERS, COMPANY_A)
        for wiring in ("local", "sandbox-over-socket"):
            async with gateway(wiring, Path(folder), url_of_store=url) as wired:
                last = {}

                async def page(after, wired=wired, last=last):
                    body = await wired.execute(PAGE, {"companyId": COMPANY_A, "after": after})
                    assert len(body["data"]["customers"]["nodes"]) == SIZE
                    last["cursor"] = body["data"]["customers"]["pageInfo"]["endCursor"]

                await page(None)
                for _ in range(998):
                    await page(last["cursor"])
                before = last["cursor"]
                for title, after in (("first page", None), ("1000th page", before)):
                    took = await median_ms(lambda after=after, page=page: page(after), arguments.rounds)
                    sys.stdout.write(f"| {engine} | {title}, {wiring} | {took:.2f} |\n")
                    sys.stdout.flush()


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
            await through_the_gateway("SQLite", f"sqlite:///{folder}/gateway.db", arguments)
    if "postgres" in arguments.engine:
        with postgres_server(durable=True) as folder:
            await run("PostgreSQL", await create_database(folder, "benchmark"), arguments)
            await through_the_gateway("PostgreSQL", await create_database(folder, "gateway"), arguments)


if __name__ == "__main__":
    asyncio.run(main())
