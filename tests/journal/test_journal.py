"""Entries over both engines: what is durable when, what changes an end, who may hold what, and what is deleted."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from app.errors import (
    DEADLINE_BEFORE_SENDING,
    NOT_CONNECTED,
    RATE_LIMITED,
    STORE_UNAVAILABLE,
    UNDOCUMENTED_FORBIDDEN,
    GatewayError,
    Outcome,
)
from app.journal.entries import End, EndError, row_of
from app.journal.journal import Journal
from app.journal.keeper import Keeper
from app.journal.keys import KeyTakenError, earlier, key_of
from app.journal.settings import JournalSettings
from app.store.engine import open_store
from app.store.entry_table import COLUMNS, entry_id, first_id, now
from app.store.records import Record, Statement, StatementConflictError, VersionConflictError, Write
from tests.journal.conftest import THINGS, Watched, intent
from tests.store.test_open import execute


def applied(**members):
    return End(at=now(), outcome="APPLIED", **members)


def unknown():
    return End(at=now(), outcome="UNKNOWN", errors=(EndError("BACKEND_ERROR", "CONNECTION_LOST"),))


def refused(row=NOT_CONNECTED):
    return End.failed(GatewayError(row), now())


async def dies(journal):
    """Its lock ends as with its process: PostgreSQL sees a connection end a moment later."""
    name = journal._holder
    await journal._hold.release()
    while await journal.store.held(name):
        await asyncio.sleep(0.005)


async def outcome_of(journal, identifier):
    entry = await journal.get(identifier)
    return None if entry.end is None else entry.end.outcome


async def test_an_intent_is_durable_before_it_is_answered(opening, url):
    journal = await opening()
    identifier = await journal.begin(intent(1, caller="shop", position=3))
    [row] = await execute(url, "SELECT id, outcome, caller FROM gateway_update_entry")
    assert row == (identifier, None, "shop")
    other = await (await opening()).get(identifier)
    assert (other.intent.sent_fields, other.intent.position, other.end) == (("name", "city"), 3, None)


async def test_intents_that_come_together_are_one_group(journal):
    identifiers = await asyncio.gather(*(journal.begin(intent(number)) for number in range(200)))
    assert len(set(identifiers)) == 200
    assert await journal.total({}) == 200
    assert journal.watched.writes == 200


async def test_an_end_is_told_at_once_and_written_later(opening, journal):
    identifier = await journal.begin(intent())
    journal.end(identifier, applied())
    assert await outcome_of(journal, identifier) == "APPLIED"
    await journal.flush()
    assert await outcome_of(await opening(), identifier) == "APPLIED"
    assert (journal.watched.open, journal.lives(identifier)) == (0, False)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param(first, second, kept, id=f"{first().outcome}-{second().outcome}")
        for first, second, kept in (
            (unknown, applied, "APPLIED"),
            (unknown, refused, "UNKNOWN"),
            (applied, unknown, "APPLIED"),
            (applied, refused, "APPLIED"),
            (refused, applied, "NOT_APPLIED"),
            (refused, unknown, "NOT_APPLIED"),
        )
    ],
)
async def test_an_end_changes_only_from_unknown_to_applied(journal, first, second, kept):
    identifier = await journal.begin(intent())
    for end in (first(), second()):
        journal.end(identifier, end)
        await journal.flush()
    assert await outcome_of(journal, identifier) == kept


async def test_shutdown_writes_the_ends_that_wait(url):
    store = await open_store(url, [THINGS], ())
    journal = await Journal.open(store, JournalSettings(), Watched())
    identifiers = [await journal.begin(intent(number)) for number in range(3)]
    for identifier in identifiers:
        journal.end(identifier, applied())
    await journal.aclose()
    rows = await execute(url, "SELECT outcome FROM gateway_update_entry")
    assert rows == [("APPLIED",)] * 3
    with pytest.raises(GatewayError) as caught:
        await journal.begin(intent())
    assert caught.value.row is STORE_UNAVAILABLE
    await store.aclose()


async def test_in_local_mode_entry_and_record_are_one_transaction(journal):
    store = journal.store
    statement = journal.statement(entry_id(now()), intent(1), applied())
    await store.commit([Write(THINGS, Record("a", {}), None)], also=[statement])
    with pytest.raises(VersionConflictError):
        await store.commit(
            [Write(THINGS, Record("b", {}), None), Write(THINGS, Record("a", {}), 7)],
            also=[journal.statement(entry_id(now()), intent(2), applied())],
        )
    assert await store.get(THINGS, "b") is None
    assert [entry.intent.request_id for entry in await journal.page({}, 10)] == ["request-1"]


async def test_in_local_mode_a_taken_key_undoes_the_record(journal):
    store, held = journal.store, key(journal)
    await store.commit(
        [Write(THINGS, Record("a", {}), None)], also=[journal.statement(entry_id(now()), intent(key=held), applied())]
    )
    with pytest.raises(StatementConflictError):
        await store.commit(
            [Write(THINGS, Record("a", {"again": True}), 1)],
            also=[journal.statement(entry_id(now()), intent(key=held), applied())],
        )
    assert await store.get(THINGS, "a") == Record("a", {})


# Keys


def key(journal, value="k", arguments=("a",), caller=None, person=None, mutation="updateThing", account="own"):
    return key_of(
        journal, value, caller=caller, person=person, mutation=mutation, arguments=list(arguments), account=account
    )


async def test_one_of_many_at_once_gets_the_key(opening):
    journals = [await opening(journal_secret="s" * 16), await opening(journal_secret="s" * 16)]

    async def one(journal, number):
        try:
            return await journal.begin(intent(number, key=key(journal)))
        except KeyTakenError:
            return None

    begun = await asyncio.gather(*(one(journal, number) for number, journal in enumerate(journals * 20)))
    assert sum(identifier is not None for identifier in begun) == 1
    assert await journals[0].total({}) == 1


DIFFERENT = {
    "another key": {"value": "other"},
    "another caller": {"caller": "them"},
    "another person": {"person": "them"},
    "another mutation": {"mutation": "updateOther"},
}


@pytest.mark.parametrize("different", DIFFERENT.values(), ids=DIFFERENT)
async def test_a_key_belongs_to_caller_person_and_mutation(journal, different):
    identifier = await journal.begin(intent(key=key(journal)))
    journal.end(identifier, applied())
    assert await earlier(journal, key(journal, **different)) is None
    assert (await earlier(journal, key(journal))).id == identifier


@pytest.mark.parametrize("different", [{"arguments": ("b",)}, {"account": "another"}], ids=["arguments", "account"])
@pytest.mark.parametrize("ended", [True, False])
async def test_another_request_under_the_key_is_refused(journal, different, ended):
    identifier = await journal.begin(intent(key=key(journal)))
    if ended:
        journal.end(identifier, applied())
    with pytest.raises(GatewayError) as caught:
        await earlier(journal, key(journal, **different))
    assert (caught.value.row.reason, caught.value.outcome) == ("IDEMPOTENCY_KEY_REUSED", Outcome.NOT_APPLIED)


async def test_arguments_in_another_order_are_the_same_request(journal):
    one, other = {"a": {"x": 1, "y": [{"p": 1, "q": 2}]}, "b": 2}, {"b": 2, "a": {"y": [{"q": 2, "p": 1}], "x": 1}}
    assert key(journal, arguments=[one]) == key(journal, arguments=[other])
    assert key(journal, arguments=[[1, 2]]) != key(journal, arguments=[[2, 1]])


async def test_a_request_in_progress_may_be_asked_for_again(opening):
    journal, other = await opening(), await opening()
    await journal.begin(intent(key=key(journal)))
    for asked in (journal, other):
        with pytest.raises(GatewayError) as caught:
            await earlier(asked, key(asked))
        error = caught.value
        assert (error.row.reason, error.outcome, error.retry_safe) == (
            "IDEMPOTENT_REQUEST_IN_PROGRESS",
            Outcome.UNKNOWN,
            True,
        )
        assert 1 <= error.retry_after <= 60


@pytest.mark.parametrize(("row", "free"), [(NOT_CONNECTED, True), (RATE_LIMITED, True), (STORE_UNAVAILABLE, True)])
@pytest.mark.parametrize("written", [True, False])
async def test_a_cause_that_may_pass_frees_its_key(journal, row, free, written):
    first = await journal.begin(intent(key=key(journal)))
    journal.end(first, refused(row))
    if written:
        await journal.flush()
    assert (await earlier(journal, key(journal)) is None) is free
    second = await journal.begin(intent(key=key(journal, arguments=("b",))))
    assert second != first


async def test_a_refusal_that_stays_keeps_its_key(journal):
    await journal.record(entry_id(now()), intent(key=key(journal)), refused(UNDOCUMENTED_FORBIDDEN))
    entry = await earlier(journal, key(journal))
    assert (entry.end.outcome, entry.end.errors[0].reason) == ("NOT_APPLIED", "UNDOCUMENTED_FORBIDDEN")
    with pytest.raises(KeyTakenError):
        await journal.record(entry_id(now()), intent(key=key(journal)), refused(UNDOCUMENTED_FORBIDDEN))


async def test_a_key_ends_with_its_hours(opening, url):
    journal = await opening(journal_secret="s" * 16)
    identifier = await journal.begin(intent(key=key(journal)))
    journal.end(identifier, applied())
    await journal.flush()
    later = await opening(journal_secret="s" * 16, idempotency_hours=1e-9)
    await asyncio.sleep(0.002)  # an hour of none
    assert await earlier(later, key(later)) is None
    again = await later.begin(intent(key=key(later)))
    later.end(again, applied())
    await later.flush()
    await asyncio.sleep(0.002)
    assert await Keeper(later).end_keys() == 1
    assert await execute(
        url, "SELECT count(claim), count(digest), count(idempotency_key) FROM gateway_update_entry"
    ) == [(0, 0, 2)]


@pytest.mark.parametrize("value", ["", "x" * 256, "a\n", "é", "\0", "tab\t"])
async def test_malformed_keys(journal, value):
    with pytest.raises(GatewayError) as caught:
        key(journal, value)
    assert caught.value.row.reason == "IDEMPOTENCY_KEY_MALFORMED"
    assert key(journal, "x" * 255) is not None


# What is lost


async def test_a_journal_that_cannot_be_written_refuses_and_recovers(opening, url):
    journal = await opening()
    identifier = await journal.begin(intent(1))
    await execute(url, "ALTER TABLE gateway_update_entry RENAME TO gone")
    with pytest.raises(GatewayError) as caught:
        await journal.begin(intent(2))
    assert (caught.value.row, caught.value.outcome) == (STORE_UNAVAILABLE, Outcome.NOT_APPLIED)
    journal.end(identifier, applied())
    with pytest.raises(GatewayError):
        await journal.flush()
    await execute(url, "ALTER TABLE gone RENAME TO gateway_update_entry")
    await journal.flush()
    assert await outcome_of(journal, identifier) == "APPLIED"
    assert await outcome_of(journal, await journal.begin(intent(3))) is None


async def test_an_intent_that_comes_too_late_is_not_sent_and_has_an_end(journal):
    with pytest.raises(GatewayError) as caught:
        await journal.begin(intent(), asyncio.get_running_loop().time() - 1)
    assert (caught.value.row, caught.value.outcome) == (DEADLINE_BEFORE_SENDING, Outcome.NOT_APPLIED)
    await journal.begin(intent(1))
    await journal.flush()
    assert {entry.end and entry.end.outcome for entry in await journal.page({"record_id": intent().record_id}, 5)} <= {
        "NOT_APPLIED"
    }


async def test_a_caller_that_goes_leaves_no_open_entry(journal):
    tasks = [asyncio.create_task(journal.begin(intent(number))) for number in range(20)]
    for steps, task in enumerate(tasks):
        await asyncio.sleep(0 if steps % 2 else 0.001)
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    begun = {result for result in results if isinstance(result, str)}
    await journal.begin(intent(99))
    await journal.flush()
    for entry in await journal.page({"open": None}, 50):
        assert entry.id in begun or entry.intent.request_id == "request-99"


# Abandoned entries


async def proving(_entry):
    return True, "SAME"


async def test_only_an_entry_whose_holder_is_gone_and_whose_time_is_over_is_closed(opening):
    living, dying, other = await opening(), await opening(), await opening()
    ids = {
        "living": await living.begin(intent(1, past=True)),
        "early": await dying.begin(intent(2)),
        "abandoned": await dying.begin(intent(3, past=True)),
    }
    assert await Keeper(other, proving).close_abandoned() == 0
    await dies(dying)
    assert await Keeper(other, proving).close_abandoned() == 1
    assert {name: await outcome_of(other, identifier) for name, identifier in ids.items()} == {
        "living": None,
        "early": None,
        "abandoned": "APPLIED",
    }
    assert other.watched.closed == ["APPLIED"]


async def test_an_entry_that_its_own_process_forgot_is_closed(journal):
    identifier = await journal.begin(intent(past=True))
    assert await Keeper(journal, proving).close_abandoned() == 0
    journal._live.discard(identifier)
    assert await Keeper(journal, proving).close_abandoned() == 1


async def test_each_is_closed_once_however_many_look(opening):
    dying = await opening()
    for number in range(50):
        await dying.begin(intent(number, past=True))
    await dies(dying)
    keepers = [Keeper(await opening(), proving) for _ in range(3)]
    closed = await asyncio.gather(*(keeper.close_abandoned() for keeper in keepers))
    assert sum(closed) == 50


async def failing(_entry):
    raise GatewayError(NOT_CONNECTED)


async def differing(_entry):
    return False, "DIFFERS"


PROVERS = {"differs": (differing, "DIFFERS"), "fails": (failing, "FAILED"), "no credentials": (None, None)}


@pytest.mark.parametrize(("prove", "read_back"), PROVERS.values(), ids=PROVERS)
async def test_what_is_not_proven_stays_unknown(opening, url, prove, read_back):
    dying = await opening()
    proof = dying.hashes.proof({"name": "Ann"}, whole=True)
    identifier = await dying.begin(intent(past=True, proof=proof))
    await dies(dying)
    other = await opening()
    await Keeper(other, prove).close_abandoned()
    end = (await other.get(identifier)).end
    assert (end.outcome, end.errors[0].reason, end.read_back) == ("UNKNOWN", "GATEWAY_STOPPED", read_back)
    assert await execute(url, "SELECT proof, holder, due FROM gateway_update_entry") == [(None, None, None)]


async def test_who_ends_while_closing_is_followed_by_another(opening):
    dying, second, third = await opening(), await opening(), await opening()
    identifier = await dying.begin(intent(past=True))
    await dies(dying)

    async def ends(_entry):
        await dies(second)
        raise asyncio.CancelledError

    closing = asyncio.create_task(Keeper(second, ends).close_abandoned())
    await asyncio.wait({closing})
    assert await outcome_of(third, identifier) is None
    assert await Keeper(third, proving).close_abandoned() == 1


async def test_a_live_end_that_comes_after_the_closing_counts_where_it_may(opening):
    """As when the connection that holds the lock is lost, but not the process."""
    living, other = await opening(), await opening()
    ids = [await living.begin(intent(number, past=True)) for number in range(2)]
    await dies(living)
    await Keeper(other, differing).close_abandoned()
    living.end(ids[0], applied())
    living.end(ids[1], refused())
    await living.flush()
    assert [await outcome_of(other, identifier) for identifier in ids] == ["APPLIED", "UNKNOWN"]
    third = await living.begin(intent(3))
    assert not living._hold.lost
    assert await other.store.held((await other.get(third)).holder)


async def test_proof_by_salted_digest(journal):
    sent = {"name": "Ann", "city": None, "lines": [{"b": 1, "a": 2}]}
    one, other = (journal.hashes.proof(sent, whole=True) for _ in range(2))
    assert one.digest != other.digest
    assert journal.hashes.agrees(one, {**sent, "more": 1, "lines": [{"a": 2, "b": 1}]})
    for read in ({**sent, "name": "Bob"}, {**sent, "city": ""}, {"name": "Ann", "city": None}):
        assert not journal.hashes.agrees(one, read)


# Deletion


async def test_old_entries_go_by_days_and_open_ones_stay(opening):
    journal = await opening(journal_days=1)
    *old, open_ = [first_id(now() - 90_000_000 + number) for number in range(4)]
    rows = [row_of(identifier, intent(1), None, None, applied()) for identifier in old]
    await journal.store.execute([Statement(journal.statements.insert, [*rows, row_of(open_, intent(2), 1, now())])])
    assert await Keeper(journal).purge() == 3
    assert [entry.id for entry in await journal.page({}, 10)] == [open_]


async def test_the_oldest_go_above_the_bound(opening):
    journal = await opening(journal_max=10)
    kept = await journal.begin(intent(0, key=key(journal)))  # a key that holds outlives the bound
    identifiers = [kept, *[await journal.begin(intent(number)) for number in range(1, 500)]]
    for identifier in identifiers:
        journal.end(identifier, applied())
    await journal.flush()
    assert await Keeper(journal).purge() == 490
    assert [entry.id for entry in await journal.page({}, 20)] == [*identifiers[:-10:-1], kept]


# Questions


async def test_pages_are_complete_and_newest_first(journal):
    identifiers = await asyncio.gather(*(journal.begin(intent(number % 3)) for number in range(25)))
    seen, after = [], {}
    while page := await journal.page({"record_id": intent(1).record_id, **after}, 4):
        seen += [entry.id for entry in page]
        after = {"after": seen[-1]}
    assert seen == sorted(
        (identifier for number, identifier in enumerate(identifiers) if number % 3 == 1), reverse=True
    )


@pytest.mark.parametrize("text", ["\0", "request-1\0", "\0request-1", "\ud800", "request-1\udfff", "\U0010ffff", ""])
async def test_no_text_is_more_than_a_question_without_an_answer(journal, text):
    await journal.begin(intent(1))
    for name in ("request_id", "idempotency_key", "mutation", "record_id", "caller"):
        assert await journal.page({name: text}, 5) == []
        assert await journal.total({name: text}) == 0
    assert await journal.get(text) is None
    caller = f"caller {text}"
    identifier = await journal.begin(intent(2, caller=caller))
    assert [entry.id for entry in await journal.page({"caller": caller}, 5)] == [identifier]


LOOK_UPS = [("record_id",), ("request_id",)]
QUESTIONS = [(*look_up, *state) for look_up in LOOK_UPS for state in ((), ("open",), ("APPLIED",))]
QUESTIONS += [("idempotency_key",), ("UNKNOWN",), ("NOT_APPLIED",), ("open",), ()]
QUESTIONS += [("caller", "person")]
# A caller may have sent nearly all entries.
NARROW = [("caller", "person", *question) for question in QUESTIONS[:7]] + [("caller", "person", "open")]


async def test_every_question_has_an_index(journal, url):
    times = [(), ("after",), ("since", "until")]
    asked = [(*question, *time) for question in (*QUESTIONS, *NARROW) for time in times]
    queries = [(filters, journal.statements.page(filters, 50)) for filters in asked]
    # A count of all entries, or of a state or a time alone, reads as many as there are.
    queries += [(filters, journal.statements.total(filters)) for filters in asked if {*LOOK_UPS} & {*zip(filters)}]
    if url.startswith("sqlite"):
        for filters, (sql, _) in queries:
            plan = [row[3] for row in await execute(url, "EXPLAIN QUERY PLAN " + sql.replace("?", "'1'"))]
            plan = [line for line in plan if "gateway_update_entry" in line or "TEMP B-TREE" in line]
            # No filter: the newest of all, in the order of the table. Few are open at a time: those are sorted.
            assert filters == () or all(line.startswith(("SEARCH", "USE")) for line in plan), filters
            narrow = {"record_id", "request_id", "idempotency_key", "open"} & {*filters}
            assert not narrow or not any("entry_caller" in line for line in plan), filters
            both = {"record_id", "request_id"} & {*filters} and not {"APPLIED"} & {*filters}
            assert "open" in filters or both or not any("TEMP B-TREE" in line for line in plan), filters
        return
    connection = await asyncpg.connect(url)
    await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
    for filters, (sql, order) in queries:
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + sql, *["1"] * len(order)))
        assert "Seq Scan" not in plan, filters
        assert "Index" in plan
        both = {"record_id", "request_id"} & {*filters} and not {"APPLIED"} & {*filters}
        assert "open" in filters or both or "Sort" not in plan, filters
    await connection.close()


async def test_a_look_up_finds_open_and_ended_entries_in_one_order(journal):
    """An entry that has not ended is in another index than one that has."""
    both = {"record_id": "r", "request_id": "q"}
    identifiers = [await journal.begin(intent(number, **both)) for number in range(7)]
    for number in (1, 2, 5):
        journal.end(identifiers[number], End(at=now(), outcome="APPLIED"))
    await journal.flush()
    newest = identifiers[::-1]
    for filters in ({"record_id": "r"}, {"request_id": "q"}, both):
        assert [entry.id for entry in await journal.page(filters, 50)] == newest
        assert [entry.id for entry in await journal.page(filters, 3)] == newest[:3]
        assert [entry.id for entry in await journal.page({**filters, "after": newest[2]}, 3)] == newest[3:6]
        assert [entry.id for entry in await journal.page({**filters, "open": None}, 2)] == newest[:1] + newest[2:3]
        assert [entry.id for entry in await journal.page({**filters, "APPLIED": None}, 2)] == [newest[1], newest[4]]
        assert [await journal.total({**filters, **state}) for state in ({}, {"open": None}, {"APPLIED": None})] == [
            7,
            4,
            3,
        ]


async def test_a_count_and_a_page_are_of_one_moment(opening):
    """Each entry is open or ended, in every moment in which another process looks."""
    journal, looking = await opening(), await opening()
    both = {"record_id": "r", "request_id": "q"}
    identifiers = [await journal.begin(intent(number, **both)) for number in range(60)]

    async def end_all():
        for identifier in identifiers:
            journal.end(identifier, applied())
            await journal.flush()

    ending = asyncio.create_task(end_all())
    looks = 0
    while not ending.done() or looks < 3:
        looks += 1
        for filters in ({"record_id": "r"}, {"request_id": "q"}, both):
            assert await looking.total(filters) == 60
            assert [entry.id for entry in await looking.page(filters, 100)] == identifiers[::-1]
    await ending
    assert await looking.total({**both, "APPLIED": None}) == 60


async def test_a_journal_of_the_earlier_version_keeps_its_entries(opening, url):
    """Version 3 had open and ended entries in the same look-ups."""
    journal = await opening()
    ended, begun = [await journal.begin(intent(number, record_id="r")) for number in range(2)]
    journal.end(ended, End(at=now(), outcome="APPLIED"))
    await journal.flush()
    for name in ("record", "request"):
        await execute(url, f"DROP INDEX gateway_update_entry_{name}")
        await execute(url, f"CREATE INDEX gateway_update_entry_{name} ON gateway_update_entry ({name}_id, id)")
    await execute(url, "UPDATE gateway_schema SET version = 3")
    later = await opening()
    assert [entry.id for entry in await later.page({"record_id": "r"}, 5)] == [begun, ended]
    catalogue, column = (
        ("sqlite_master WHERE name", "sql") if url.startswith("sqlite") else ("pg_indexes WHERE indexname", "indexdef")
    )
    look_ups = f"SELECT {column} FROM {catalogue} LIKE 'gateway_update_entry_re%'"  # noqa: S608 - constants
    assert [" WHERE " in sql for (sql,) in await execute(url, look_ups)] == [True, True]


async def test_the_columns_hold_names_and_hashes(journal, url):
    """`person` is what the documentation says; no member of a record is anywhere."""
    person = journal.hashes.person("ann@example.org")
    proof = journal.hashes.proof({"name": "a-value-of-a-record"}, whole=True)
    held = key(journal, "key-1", arguments=["a-value-of-a-record"], person=person)
    await journal.begin(intent(1, person=person, account=journal.hashes.account("client-7"), proof=proof, key=held))
    [row] = await execute(url, f"SELECT {', '.join(COLUMNS)} FROM gateway_update_entry")  # noqa: S608 - constants
    for value in ("a-value-of-a-record", "ann@example.org", "client-7"):
        assert value not in repr(row)
