"""Clients that repeat themselves at every moment: each key's request reaches the backend once, and each is told alike.

Two gateways share a journal. A kill leaves one's requests where they are: its lock goes, and what it had not written.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections import defaultdict

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.apis import APIS
from app.bootstrap import Backends, create_sandbox, open_store_for
from app.call import CallContext
from app.config import parse_settings
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.journal.keeper import Keeper
from app.updates.reading import Closing
from tests.exploring import repeated
from tests.harness import check_error, schema_of
from tests.store.test_open import execute

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
UPDATE = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: true) { replayed customer { name } } }"""
FAULTS = [
    None,
    None,
    None,
    "refused",
    "rate limited",
    "lost unapplied",
    "lost applied",
    "killed unapplied",
    "killed applied",
]
asks = st.tuples(
    st.just("ask"),
    st.integers(0, 1),
    st.sampled_from("kl"),
    st.sampled_from(["shop", "till"]),
    st.integers(0, 1),
    st.sampled_from(FAULTS),
)
steps = st.lists(
    st.one_of(asks, asks, asks.map(lambda ask: ("at once", *ask[1:])), st.tuples(st.just("close"), st.integers(0, 1))),
    min_size=10,
    max_size=40,
)


class Backend(httpx.AsyncBaseTransport):
    """The sandbox; `fault` is what the next PUT meets. `puts` has the request ids of those that arrived, in order."""

    def __init__(self, app):
        self.app, self.fault, self.puts, self.hanging = httpx.ASGITransport(app), None, [], asyncio.Event()
        self.killed = asyncio.Event()

    async def handle_async_request(self, request):
        if request.method != "PUT":
            return await self.app.handle_async_request(request)
        self.puts.append(request.headers["x-request-id"])
        fault, self.fault = self.fault or "", None
        if fault == "refused":
            return httpx.Response(
                400, json={"code": "invalid_request_payload", "message": "The VatCode value provided is invalid."}
            )
        if fault == "rate limited":
            return httpx.Response(429, json={})
        if not fault.endswith("unapplied"):
            answer = await self.app.handle_async_request(request)
        if fault.startswith("killed"):
            self.hanging.set()
            await self.killed.wait()
            raise httpx.ReadError("killed")
        if fault.startswith("lost"):
            raise httpx.ReadError("lost")
        return answer


class World:
    def __init__(self, folder):
        self.folder, self.numbers, self.gateways = folder, itertools.count(), [None, None]
        self.requests = {}  # request id: key, caller and body
        self.told = defaultdict(
            list
        )  # key and caller: body, outcome and reason of each answer that was no refusal of the key
        self.freed = defaultdict(int)

    async def open(self):
        local = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{self.folder}/sandbox.db"})
        self.store = await open_store_for(local, APIS)
        sandbox = create_sandbox(local, APIS, self.store)
        self.lifespan = sandbox.router.lifespan_context(sandbox)
        await self.lifespan.__aenter__()
        self.backend = Backend(sandbox)
        for number in range(2):
            await self.start(number)

    async def start(self, number):
        values = {
            f"GATEWAY_{api.name}_{name}".upper(): value
            for api in APIS
            for name, value in api.sandbox_settings("http://127.0.0.1:9").items()
        }
        values |= {"GATEWAY_STORE_URL": f"sqlite:///{self.folder}/journal.db", "GATEWAY_JOURNAL_SECONDS": "3600"}
        values |= {
            "GATEWAY_MAX_PAUSE_SECONDS": "0.001",
            "GATEWAY_BREAKER_FAILURES": "20",
            "GATEWAY_JOURNAL_SECRET": "s" * 16,
        }
        backends = Backends(parse_settings(APIS, values), APIS, {api.name: self.backend for api in APIS})
        await backends.open()
        self.gateways[number] = backends

    async def kill(self, number):
        backends, self.gateways[number] = self.gateways[number], None
        journal = backends.recorder.journal
        journal._ends.clear()
        journal._replays.clear()
        await journal._hold.release()
        self.backend.killed.set()  # closing would wait for the update's answer
        await backends.aclose()
        self.backend.killed = asyncio.Event()
        await self.start(number)

    async def ask(self, number, key, caller, body, fault=None):
        request_id = f"r-{next(self.numbers)}"
        self.requests[request_id] = (key, caller, body)
        self.backend.fault = fault
        self.backend.hanging.clear()
        backends = self.gateways[number]
        call = CallContext(request_id, idempotency_key=key)
        context = Context(call, backends.by_name, recorder=backends.recorder, caller=caller)
        variables = {
            "id": CUSTOMER,
            "input": {
                "company": {"companyId": "a0000000-0000-4000-8000-000000000001"},
                "name": f"Name {body}",
                "phone": key,
            },
        }
        run = Engine(schema_of(tuple(APIS))).execute(GraphQLRequest(UPDATE, variables), context)
        asking = asyncio.create_task(run)
        if fault is not None and fault.startswith("killed"):
            hanging = asyncio.create_task(self.backend.hanging.wait())
            await asyncio.wait({asking, hanging}, return_when=asyncio.FIRST_COMPLETED)
            hanging.cancel()
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
                await self.kill(number)
                return None
        return self.heard(request_id, (await asking).body())

    def heard(self, request_id, answer):
        key, caller, body = self.requests[request_id]
        sent = request_id in self.backend.puts
        if "errors" not in answer:
            replayed, outcome, reason = answer["data"]["updateCustomer"]["replayed"], "APPLIED", None
        else:
            [error] = answer["errors"]
            check_error(error)
            extensions = error["extensions"]
            replayed, outcome, reason = extensions.get("replayed", False), extensions["outcome"], extensions["reason"]
        if reason in {"IDEMPOTENCY_KEY_REUSED", "IDEMPOTENT_REQUEST_IN_PROGRESS", "BACKEND_PAUSED", "BREAKER_OPEN"}:
            assert not sent
            return reason
        assert replayed is not sent
        told = self.told[key, caller]
        if replayed and told:
            first_body, first_outcome, first_reason = told[0]
            assert first_body == body
            assert outcome == first_outcome or (first_outcome, outcome) == ("UNKNOWN", "APPLIED")
            assert outcome != "NOT_APPLIED" or reason == first_reason
        if outcome == "NOT_APPLIED" and "errors" in answer and answer["errors"][0]["extensions"]["retry"]["safe"]:
            self.freed[key, caller] += 1
            told.clear()
        else:
            told.insert(0, (body, outcome, reason)) if outcome == "APPLIED" else told.append((body, outcome, reason))
        return outcome

    async def close_abandoned(self, number):
        """As after their time is over."""
        await execute(
            f"sqlite:///{self.folder}/journal.db", "UPDATE gateway_update_entry SET due = 0 WHERE outcome IS NULL"
        )
        backends = self.gateways[number]
        journal = backends.recorder.journal
        resources = [resource for api in APIS for resource in api.resources]
        await Keeper(journal, Closing(journal, resources, backends.by_name).prove).close_abandoned()

    async def written(self):
        """An end is written a moment after it is told; until then the other gateway finds the request in progress."""
        for backends in self.gateways:
            await backends.recorder.journal.flush()

    def check(self):
        sent = defaultdict(int)
        for request_id in self.backend.puts:
            key, caller, _ = self.requests[request_id]
            sent[key, caller] += 1
        for scope, count in sent.items():
            assert count <= 1 + self.freed[scope], scope

    async def aclose(self):
        for backends in self.gateways:
            await backends.aclose()
        await self.lifespan.__aexit__(None, None, None)
        await self.store.aclose()


async def live(drawn, folder):
    world = World(folder)
    await world.open()
    try:
        for what, number, *rest in drawn:
            if what == "close":
                await world.close_abandoned(number)
            elif what == "ask":
                await world.ask(number, *rest)
            else:
                await asyncio.gather(*(world.ask(each % 2, *rest[:-1]) for each in range(4)))
            world.check()
        # In the end, each key tells what the first request came to.
        for number in range(2):
            await world.close_abandoned(number)
        for (key, caller), told in list(world.told.items()):
            for number, (body, _, _) in itertools.product(range(2), told[:1]):
                await world.written()
                assert await world.ask(number, key, caller, body) != "IDEMPOTENT_REQUEST_IN_PROGRESS"
        world.check()
    finally:
        await world.aclose()
    return len(world.requests)


async def created(local):
    """The sandbox's first content, once for all examples."""
    store = await open_store_for(local, APIS)
    await store.aclose()


@pytest.mark.parametrize("least", [60, pytest.param(10_000, marks=pytest.mark.slow)])
def test_each_keys_request_reaches_the_backend_once_and_is_told_alike(tmp_path, least):
    asked = 0
    local = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{tmp_path}/sandbox.db"})
    asyncio.run(created(local))

    @settings(
        max_examples=min(40, least // 30), suppress_health_check=list(HealthCheck), database=None, print_blob=True
    )
    @given(steps)
    def run(drawn):
        nonlocal asked
        folder = tempfile.mkdtemp(dir=tmp_path)
        shutil.copy(tmp_path / "sandbox.db", folder)
        asked += asyncio.run(live(drawn, folder))

    repeated(run, lambda drawn: drawn(), lambda: asked >= least)
