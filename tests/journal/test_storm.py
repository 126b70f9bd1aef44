"""Gateways in REST mode over the sandbox, killed under load: every PUT has an entry, and no entry is wrong.

`-n 0 -m slow -o log_cli=true -o log_cli_level=info` shows the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random

import httpx
import pytest

from app.journal.journal import Journal
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from tests.journal.conftest import THINGS
from tests.journal.test_kills import sandbox
from tests.processes import program

log = logging.getLogger(__name__)
CUSTOMERS = [f"c0000000-0000-4000-8000-{number:012}" for number in (1, 2, 3)]
BOOKING = "b0000000-0000-4000-8000-000000000001"
COMPANY = {"companyId": "a0000000-0000-4000-8000-000000000001"}
UPDATE = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: true) { customer { name } } }"""
BOOK = """mutation($id: UUID!, $input: UpdateBookingCustomerInput!) {
  updateBookingCustomer(id: $id, input: $input) { bookingCustomer { firstname } } }"""


class Seen:
    """In front of the sandbox: each PUT by its request id, and whether it was applied.

    While `holding`, PUTs are applied and their answers wait for `released`.
    """

    def __init__(self, app):
        self.app, self.arrived, self.applied = app, set(), set()
        self.holding, self.held, self.released = False, asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "PUT":
            await self.app(scope, receive, send)
            return
        request_id = dict(scope["headers"])[b"x-request-id"].decode()
        self.arrived.add(request_id)

        async def answered(message):
            if message["type"] == "http.response.start" and message["status"] in {200, 204}:
                self.applied.add(request_id)
                if self.holding:
                    self.held.set()
                    await self.released.wait()
            await send(message)

        await self.app(scope, receive, answered)


async def client(url, numbers, told, seconds):
    """Updates without end, until the gateway is gone; `told` gets the outcome of each answer by request id."""
    async with httpx.AsyncClient(timeout=600) as http:
        for number in numbers:
            request_id = f"r-{number}"
            mark = f"Name {number}"
            if number % 4 == 3:
                body = {"query": BOOK, "variables": {"id": BOOKING, "input": {"firstname": mark, "phone": str(number)}}}
            else:
                values = {"company": COMPANY, "name": mark, "phone": str(number), "address": {"city": mark}}
                body = {"query": UPDATE, "variables": {"id": CUSTOMERS[number % 3], "input": values}}
            headers = {"x-request-id": request_id, "x-request-timeout": f"{1000 * seconds}"}
            try:
                answer = (await http.post(f"{url}/graphql", json=body, headers=headers)).json()
            except (httpx.TransportError, ValueError):
                return
            errors = answer.get("errors")
            told[request_id] = errors[0]["extensions"]["outcome"] if errors else "APPLIED"


async def entries_of(journal):
    found, after = {}, {}
    while page := await journal.page(after, 500):
        found |= {entry.intent.request_id: entry for entry in page}
        after = {"after": page[-1].id}
    return found


@pytest.mark.slow
async def test_kill_9_in_rest_mode_forgets_no_put_and_tells_no_lie(tmp_path, url):
    rounds, numbers, told = 50, itertools.count(), {}
    draw = random.Random(1)
    async with sandbox(tmp_path) as (app, of_sandbox):
        seen = app.app = Seen(app.app)
        own = {"GATEWAY_STORE_URL": url, "GATEWAY_JOURNAL_SECONDS": "0.2"}
        settings = {**of_sandbox, **own}
        for number in range(rounds):
            starting = contextlib.ExitStack()
            last = number == rounds - 1
            # What is held has time until the kill, on a machine that stands still in between, too.
            seconds = 15 if last else 1
            settings["GATEWAY_BACKEND_SECONDS"] = f"{seconds}"
            gateway = await asyncio.to_thread(starting.enter_context, program(tmp_path, **settings))
            clients = [asyncio.create_task(client(gateway.url, numbers, told, seconds)) for _ in range(12)]
            least = len(told) + draw.randint(20, 120)
            while len(told) < least and not all(task.done() for task in clients):
                await asyncio.sleep(0.001)
            if last:
                # Nothing may overwrite what the last kill leaves: what was applied can be proven then.
                seen.holding = True
                await seen.held.wait()
            gateway.process.kill()
            await asyncio.gather(*clients)
            await asyncio.to_thread(starting.close)
            log.debug("killed %d times", number + 1)
        seen.released.set()
        store = await open_store(url, [THINGS], ())
        journal = await Journal.open(store, JournalSettings())
        starting = contextlib.ExitStack()
        await asyncio.to_thread(starting.enter_context, program(tmp_path, **settings))
        while await journal.total({"open": None}):
            await asyncio.sleep(0.01)
        entries = await entries_of(journal)
        await asyncio.to_thread(starting.close)
        await journal.aclose()
        await store.aclose()
        assert seen.arrived <= entries.keys()
        assert all(entry.end is not None for entry in entries.values())
        closed = {name: entry.end for name, entry in entries.items() if name not in told}
        for name, entry in entries.items():
            outcome = entry.end.outcome
            assert outcome != "APPLIED" or name in seen.applied, entry
            assert outcome != "NOT_APPLIED" or name not in seen.applied, entry
            # What a caller was told is what is told afterwards; a late end may be lost, but not turned round.
            assert name not in told or outcome in {told[name], "UNKNOWN"} or told[name] == "UNKNOWN", (
                entry,
                told[name],
            )
        counts = {outcome: sum(end.outcome == outcome for end in closed.values()) for outcome in ("APPLIED", "UNKNOWN")}
        log.info("%d updates, %d PUTs, %d answers, unheard: %s", len(entries), len(seen.arrived), len(told), counts)
        assert counts["APPLIED"]
