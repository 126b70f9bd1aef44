"""Updates without end over real connections, each with a mark of its own, and what became of every one.

Each record has all its members set to the mark, so that half an update would show. The store counts the commits of a
record in its version: with the answers that were heard this gives the number of updates that were applied unheard.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from app.apis.basecone.seed import ACCOUNTING_SYSTEM, RECORDS
from app.apis.bokamera.seed import CUSTOMERS as BOOKING_CUSTOMERS
from app.store.engine import SqlStore
from app.store.records import Collection

COMPANY = "a0000000-0000-4000-8000-000000000001"
_RECORDS = [
    *(("updateCustomer", f"c0000000-0000-4000-8000-{number:012}") for number in (1, 2, 3)),
    *(("updateSupplier", f"50000000-0000-4000-8000-{number:012}") for number in (1, 2, 3)),
    ("updateBookingCustomer", "b0000000-0000-4000-8000-000000000001"),
]
_QUERY = {
    "updateCustomer": "mutation($id: UUID!, $input: UpdateCustomerInput!) { r: updateCustomer(id: $id, input: $input) { customer { id } } }",
    "updateSupplier": "mutation($id: UUID!, $input: UpdateSupplierInput!) { r: updateSupplier(id: $id, input: $input) { supplier { id } } }",
    "updateBookingCustomer": "mutation($id: UUID!, $input: UpdateBookingCustomerInput!) { r: updateBookingCustomer(id: $id, input: $input) { bookingCustomer { id } } }",
}


def body_of(mutation: str, record_id: str, mark: str) -> bytes:
    if mutation == "updateBookingCustomer":
        given: dict[str, Any] = {"firstname": mark, "lastname": mark, "phone": mark}
        given |= {"customFields": [{"id": 2, "value": mark}], "invoiceAddress": {"invoiceCity": mark}}
    else:
        given = dict.fromkeys(("name", "phone", "fax", "number", "email"), mark)
        given |= {"company": {"companyId": COMPANY}, "address": {"city": mark, "streetName": mark}}
    return json.dumps({"query": _QUERY[mutation], "variables": {"id": record_id, "input": given}}).encode()


def marks_of(mutation: str, document: dict[str, Any]) -> set[str]:
    """Every value that an update sets; one of them, unless an update was applied by halves."""
    if mutation == "updateBookingCustomer":
        plain = {document[name] for name in ("Firstname", "Lastname", "Phone")}
        return plain | {document["Values"]["2"], document["InvoiceAddress"]["InvoiceCity"]}
    return {document.get(name) for name in ("name", "phone", "fax", "number", "email")} | set(
        document["address"].values()
    )


class RefusedError(Exception):
    """Nothing was sent: the connection was refused, or closed before a byte of the request was written."""


class LostError(Exception):
    """The request was sent, and no whole answer came."""


@dataclass
class Connection:
    host: str
    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes) -> dict[str, Any]:
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        _, told = await self._exchange("POST /graphql", head.encode() + b"\r\n" + body)
        return told

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        return await self._exchange(f"GET {path}", b"\r\n")

    async def _exchange(self, line: str, rest: bytes) -> tuple[int, dict[str, Any]]:
        if self.writer is None:
            try:
                self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            except OSError as error:
                raise RefusedError from error
        assert self.reader is not None
        if self.reader.at_eof():
            raise RefusedError
        try:
            self.writer.write(f"{line} HTTP/1.1\r\nhost: localhost\r\n".encode() + rest)
            answer = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer.partition("content-length: ")[2].split("\r\n")[0])
            told: dict[str, Any] = json.loads(await self.reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LostError from error
        if "connection: close" in answer:
            self.close()
        return int(answer.split(" ", 2)[1]), told

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None


@dataclass
class Tally:
    """By record: the marks of updates that were acknowledged, in order, and of those without an answer."""

    acknowledged: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    unheard: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    conflicts: int = 0

    @property
    def answered(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    @property
    def lost(self) -> int:
        return sum(map(len, self.unheard.values()))


class Load:
    """`clients` for each record, one update at a time each, until they are refused or lose an answer."""

    def __init__(self, url: str, name: str, clients: int = 1) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.tally = Tally()
        self._numbers = itertools.count()
        self._name = name
        self._heard = asyncio.Condition()
        self._running = len(_RECORDS) * clients
        self._tasks = [
            asyncio.create_task(self._client(record, Connection(host, int(port))))
            for record in _RECORDS
            for _ in range(clients)
        ]

    async def _client(self, record: tuple[str, str], connection: Connection) -> None:
        try:
            await self._run(record, connection)
        finally:
            async with self._heard:
                self._running -= 1
                self._heard.notify_all()

    async def _run(self, record: tuple[str, str], connection: Connection) -> None:
        with contextlib.closing(connection), contextlib.suppress(RefusedError):
            while True:
                mark = f"{self._name}-{next(self._numbers)}"
                try:
                    told = await connection.post(body_of(*record, mark))
                except LostError:
                    self.tally.unheard[record].append(mark)
                    return
                async with self._heard:
                    self._count(record, mark, told)
                    self._heard.notify_all()

    def _count(self, record: tuple[str, str], mark: str, told: dict[str, Any]) -> None:
        if "errors" not in told:
            self.tally.acknowledged[record].append(mark)
            return
        [error] = told["errors"]
        assert error["extensions"]["reason"] == "CONCURRENT_REQUEST", error
        self.tally.conflicts += 1

    async def until(self, acknowledged: int) -> None:
        """Returns early where every client has ended, so that a failure of theirs is not waited out."""
        async with self._heard:
            await self._heard.wait_for(lambda: self.tally.answered >= acknowledged or self._running == 0)

    async def ended(self) -> Tally:
        await asyncio.gather(*self._tasks)
        return self.tally


@dataclass
class Ledger:
    """What the store must hold after all that was heard so far."""

    versions: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(lambda: 1))
    applied_unheard: int = 0

    async def check(self, store: SqlStore, tally: Tally, *, in_order: bool) -> None:
        """`in_order`: one client for each record, so that the last acknowledged update or the unheard one is there."""
        for record in _RECORDS:
            mutation, record_id = record
            collection = RECORDS.get(mutation, BOOKING_CUSTOMERS)
            stored = await store.get(collection, record_id)
            assert stored is not None
            heard, unheard = tally.acknowledged[record], tally.unheard[record]
            least = self.versions[record] + len(heard)
            assert least <= stored.version <= least + len(unheard)
            self.applied_unheard += stored.version - least
            changed = stored.version > self.versions[record]
            self.versions[record] = stored.version
            if not changed:
                continue
            [mark] = marks_of(mutation, stored.document)
            if in_order:
                assert mark == (unheard if stored.version > least else heard)[-1]
            else:
                assert mark in {*heard, *unheard}
            if mutation in RECORDS:
                # The second half of the same update: what was passed on to the accounting system.
                passed_on = await store.get(ACCOUNTING_SYSTEM[mutation], record_id)
                assert passed_on is not None
                assert passed_on.document == stored.document


COLLECTIONS: list[Collection] = [*RECORDS.values(), *ACCOUNTING_SYSTEM.values(), BOOKING_CUSTOMERS]
