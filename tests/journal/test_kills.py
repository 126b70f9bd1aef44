"""Processes that are killed at each point of an update: what the journal says afterwards, and what was sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import pytest

from app.apis import APIS
from app.bootstrap import Backends, create_sandbox, open_store_for
from app.call import CallContext
from app.config import parse_settings
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.journal.entries import End
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import now
from tests.harness import schema_of, serving
from tests.journal.conftest import THINGS, intent
from tests.journal.each_statement import SEED
from tests.patience import given_time
from tests.processes import ROOT, environment
from tests.store.conftest import OTHERS

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
UPDATE = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: true) { replayed customer { name } } }"""
VARIABLES = {
    "id": CUSTOMER,
    "input": {
        "company": {"companyId": "a0000000-0000-4000-8000-000000000001"},
        "name": "Killed in between",
        "address": {"city": "Delft", "country": {"code": "NL"}},
        "bankAccounts": [{"default": True, "iban": "NL91ABNA0417164300"}],
        "vatCode": {"code": "NL21"},
    },
}


class Sandbox:
    """The sandbox, with a look at each PUT. `kills` is a process to end before or after the PUT is applied."""

    def __init__(self, app):
        self.app, self.puts, self.kills, self.when = app, 0, None, None

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "PUT":
            await self.app(scope, receive, send)
            return
        self.puts += 1
        if self.when == "before it is applied":
            self.kills.send_signal(signal.SIGKILL)
            return

        async def answered(message):
            if self.when == "before it is answered":
                self.kills.send_signal(signal.SIGKILL)
                self.when = None
            await send(message)

        await self.app(scope, receive, answered)


@contextlib.asynccontextmanager
async def sandbox(folder, seconds=1):
    """With the settings of a gateway in front of it, whose calls have so many seconds."""
    local = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{folder}/sandbox.db"})
    store = await open_store_for(local, APIS)
    app = Sandbox(create_sandbox(local, APIS, store))
    async with serving(app) as url:
        yield (
            app,
            {
                **{
                    f"GATEWAY_{api.name}_{name}".upper(): value
                    for api in APIS
                    for name, value in api.sandbox_settings(url).items()
                },
                "GATEWAY_STORE_URL": f"sqlite:///{folder}/journal.db",
                "GATEWAY_BACKEND_SECONDS": f"{seconds}",
                "GATEWAY_JOURNAL_SECONDS": "0.05",
            },
        )
    await store.aclose()


@contextlib.asynccontextmanager
async def killed(point, settings, key=None):
    """The process, which was told what to send."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("dying.py")),
        point,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment({}),
    )
    process.stdin.write(json.dumps([settings, UPDATE, VARIABLES, key]).encode())
    process.stdin.write_eof()
    try:
        await process.stdout.readline()
        yield process
        assert await process.wait() == -signal.SIGKILL
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def next_start(settings):
    backends = Backends(parse_settings(APIS, settings))
    await backends.open()
    try:
        yield backends
    finally:
        await backends.aclose()


async def closed(journal):
    """The only entry, once it has an end."""
    while True:
        [entry] = await journal.page({}, 5)
        if entry.end is not None:
            return entry
        await asyncio.sleep(0.01)


async def ask(backends, key):
    context = Context(CallContext("again", idempotency_key=key), backends.by_name, recorder=backends.recorder)
    return (await Engine(schema_of(tuple(APIS))).execute(GraphQLRequest(UPDATE, VARIABLES), context)).body()


# What a killed process leaves: the entry's outcome once it is closed (None: there is no entry), and PUTs that arrived.
POINTS = {
    "BeforeTheIntent": (None, 0),
    "AfterTheIntent": ("UNKNOWN", 0),
    "before it is applied": ("UNKNOWN", 1),
    "before it is answered": ("APPLIED", 1),
    "AfterTheAnswer": ("APPLIED", 1),
}


@pytest.mark.parametrize(
    "key", [pytest.param(None, id="without a key", marks=pytest.mark.slow), pytest.param("k", id="under a key")]
)
@pytest.mark.parametrize(
    "point",
    [pytest.param(point, marks=() if point == "before it is answered" else pytest.mark.slow) for point in POINTS],
)
async def test_after_a_kill_nothing_is_forgotten_and_nothing_is_sent_again(tmp_path, point, key):
    async def attempt(seconds):
        folder = tmp_path / f"{seconds}"
        folder.mkdir()
        await killed_at(point, key, folder, seconds)

    await given_time(attempt, 1)


async def killed_at(point, key, folder, seconds):
    outcome, puts = POINTS[point]
    async with sandbox(folder, seconds) as (app, settings):
        app.when = point
        async with killed(point, settings, key) as process:
            app.kills = process
        app.when = None
        assert app.puts == puts
        async with next_start(settings) as backends:
            journal = backends.recorder.journal
            if outcome is None:
                assert await journal.page({}, 5) == []
                return
            if key is not None and (await journal.page({}, 5))[0].end is None:
                error = (await ask(backends, key))["errors"][0]["extensions"]
                assert error["reason"] in {"IDEMPOTENT_REQUEST_IN_PROGRESS", "GATEWAY_STOPPED"}
            entry = await closed(journal)
            assert (entry.end.outcome, entry.intent.proof) == (outcome, None)
            assert entry.end.read_back == ("SAME" if outcome == "APPLIED" else "DIFFERS")
            if key is not None:
                body = await ask(backends, key)
                if outcome == "APPLIED":
                    assert body["data"]["updateCustomer"] == {
                        "replayed": True,
                        "customer": {"name": "Killed in between"},
                    }
                else:
                    extensions = body["errors"][0]["extensions"]
                    assert (extensions["reason"], extensions["outcome"]) == ("GATEWAY_STOPPED", "UNKNOWN")
                    assert extensions["replayed"] is True
        if app.puts > 1:
            pytest.fail("an update was sent again")
        assert app.puts == puts


@pytest.mark.slow
async def test_a_kill_during_closing_leaves_the_closing_to_the_next(tmp_path):
    async def attempt(seconds):
        folder = tmp_path / f"{seconds}"
        folder.mkdir()
        async with sandbox(folder, seconds) as (app, settings):
            app.when = "before it is answered"
            async with killed("before it is answered", settings) as process:
                app.kills = process
            app.when = None
            async with killed("DuringClosing", settings):
                pass
            async with next_start(settings) as backends:
                entry = await closed(backends.recorder.journal)
                assert entry.end.outcome == "APPLIED"
            if app.puts > 1:
                pytest.fail("an update was sent again")

    await given_time(attempt, 1)


@pytest.mark.slow
async def test_a_kill_during_a_purge_leaves_whole_entries_and_the_rest_to_the_next(tmp_path):
    url = f"sqlite:///{tmp_path}/journal.db"
    store = await open_store(url, [THINGS], ())
    journal = await Journal.open(store, JournalSettings(journal_max=100))
    identifiers = await asyncio.gather(*(journal.begin(intent(number)) for number in range(2000)))
    for identifier in identifiers:
        journal.end(identifier, End(at=now(), outcome="APPLIED"))
    await journal.flush()
    await journal.aclose()
    await store.aclose()
    code = (
        "import asyncio\n"
        "from app.store.engine import open_store\n"
        "from app.journal.journal import Journal\n"
        "from app.journal.keeper import Keeper\n"
        "from app.journal.settings import JournalSettings\n"
        "async def main():\n"
        f"    store = await open_store({url!r}, [], ())\n"
        "    journal = await Journal.open(store, JournalSettings(journal_max=100))\n"
        "    print('purging', flush=True)\n"
        "    await Keeper(journal).purge()\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env=environment({})
    )
    await process.stdout.readline()
    store = await open_store(url, [THINGS], ())
    journal = await Journal.open(store, JournalSettings(journal_max=100))
    while await journal.total({}) == 2000:
        await asyncio.sleep(0)
    process.kill()
    await process.wait()
    kept = await journal.page({}, 2000)
    assert [entry.id for entry in kept] == identifiers[: -len(kept) - 1 : -1]
    await Keeper(journal).purge()
    assert [entry.id for entry in await journal.page({}, 2000)] == identifiers[:-101:-1]
    await journal.aclose()
    await store.aclose()


@pytest.mark.slow
async def test_a_kill_between_any_two_statements_loses_nothing_acknowledged_and_leaves_no_half(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.journal.each_statement", tmp_path, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    lives = [json.loads(line) for line in output.splitlines()]
    assert lives[-1][-1] == "over"
    assert len(lives) > 50
    for nth, acknowledged in enumerate(lives, 1):
        store = await open_store(f"sqlite:///{tmp_path / f'{nth}.db'}", [THINGS, OTHERS], SEED)
        journal = await Journal.open(store, JournalSettings(journal_secret="s" * 16))
        entries = await journal.page({}, 100)
        local = [entry for entry in entries if entry.intent.request_id.startswith("request-10")]
        records = (await store.get_many([(THINGS, "a"), (OTHERS, "b")])).values()
        assert {record.document["n"] for record in records} == {len(local)}
        assert len(local) >= acknowledged.count("local")
        assert len(entries) - len(local) in ((5,) if "begun" in acknowledged else (0, 5))
        await Keeper(journal).close_abandoned()
        outcomes = [entry.end.outcome for entry in await journal.page({}, 100)]
        if "ended" in acknowledged:
            assert sorted(outcomes) == ["APPLIED"] * 6 + ["NOT_APPLIED", "UNKNOWN"]
        assert (await journal.by_claim("claim 3") is None) == ("NOT_APPLIED" in outcomes or len(entries) == len(local))
        await journal.check()
        assert len([*tmp_path.glob(f"{nth}.db-holder-*")]) == 1
        await journal.aclose()
        await store.aclose()
