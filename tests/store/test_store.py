"""One suite over both engines: what a record is, what conflicts, and what a commit of several writes promises."""

from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal

import pytest

from app.store.engine import open_store
from app.store.records import (
    Collection,
    Record,
    StoreUnavailableError,
    UniqueConflictError,
    VersionConflictError,
    Write,
)

DOCUMENTS = {
    "empty": {},
    "nul": {"a\0b": "c\0d"},
    "digits": {
        "amount": Decimal("0.10"),
        "small": Decimal("1E-30"),
        "long": Decimal("12345678901234567890.1234567890"),
    },
    "whole": {"amount": 9223372036854775807, "negative": -1, "true": True, "null": None},
    "text": {"quote": '"\\/\u2028', "astral": "\U0001f600", "precomposed": "é", "decomposed": "e\u0301"},
    "nested": {"list": [{"a": [1, [2, {"b": None}]]}, [], {}]},
}
KEYS = [
    "plain",
    "with\0nul",
    "back\\slash",
    "\\0",
    "\\",
    "\0",
    "ünï",
    "\U0001f600",
    "'; DROP TABLE x; --",
    "",
    " ",
    "A" * 2000,
]


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
async def test_document_comes_back_unchanged(store, things, document):
    await store.commit([Write(things, Record("a", document), None)])
    assert await store.get(things, "a") == Record("a", document)


async def test_digits_are_kept(store, things):
    await store.commit([Write(things, Record("a", {"amount": Decimal("0.10")}), None)])
    assert str((await store.get(things, "a")).document["amount"]) == "0.10"


@pytest.mark.parametrize("key", KEYS)
async def test_any_text_is_an_id_an_owner_and_a_unique_value(store, things, key):
    record = Record(key, {}, owner=key, unique=key)
    await store.commit([Write(things, record, None), Write(things, Record("other", {}, owner=key + "x"), None)])
    assert await store.get(things, key) == record
    assert await store.find(things, key, key) == record
    assert await store.owned(things, key) == [record]
    assert await store.get_many([(things, key)]) == {(things, key): record}


async def test_half_a_character_is_refused_before_anything_is_sent(store, things):
    for record in (Record("\ud800", {}), Record("a", {}, owner="\ud800"), Record("a", {"a": "\ud800"})):
        with pytest.raises(UnicodeEncodeError):
            await store.commit([Write(things, Record("b", {}), None), Write(things, record, None)])
    assert await store.get(things, "b") is None


async def test_what_is_not_there(store, things, others):
    assert await store.get(things, "a") is None
    assert await store.find(things, "o", "u") is None
    assert await store.find(things, None, "u") is None
    assert await store.owned(things, "o") == []
    assert await store.get_many([(things, "a"), (others, "a")]) == {}
    assert await store.get_many([]) == {}


async def test_get_many_over_collections(store, things, others):
    await store.commit([Write(things, Record("a", {"n": 1}), None), Write(others, Record("a", {"n": 2}), None)])
    found = await store.get_many([(others, "a"), (things, "b"), (things, "a"), (things, "a")])
    assert found == {(others, "a"): Record("a", {"n": 2}), (things, "a"): Record("a", {"n": 1})}


async def test_owned_is_in_byte_order(store, things):
    ids = ["b", "a", "B", "é", "_", "1"]
    await store.commit([Write(things, Record(item, {}, owner="o"), None) for item in ids])
    assert [record.id for record in await store.owned(things, "o")] == sorted(ids)


async def test_version_counts_the_commits_whatever_the_record_says(store, things):
    await store.commit([Write(things, Record("a", {}, version=7), None)])
    await store.commit([Write(things, Record("a", {"n": 1}, owner="o", unique="u", version=7), 1)])
    assert await store.get(things, "a") == Record("a", {"n": 1}, owner="o", unique="u", version=2)


@pytest.mark.parametrize("expected", [None, 0, 2, 99], ids=repr)
async def test_another_version_is_a_conflict(store, things, expected):
    await store.commit([Write(things, Record("a", {}), None)])
    late = Write(things, Record("a", {"late": True}), expected)
    with pytest.raises(VersionConflictError) as caught:
        await store.commit([late])
    assert caught.value.write is late
    assert await store.get(things, "a") == Record("a", {})


async def test_update_of_what_does_not_exist_is_a_conflict(store, things):
    with pytest.raises(VersionConflictError):
        await store.commit([Write(things, Record("a", {}), 1)])
    assert await store.get(things, "a") is None


@pytest.mark.parametrize("owner", ["o", None], ids=repr)
async def test_unique_per_owner(store, things, others, owner):
    await store.commit(
        [
            Write(things, Record("a", {}, owner=owner, unique="u"), None),
            Write(things, Record("b", {}, owner=owner, unique="v"), None),
            Write(things, Record("c", {}, owner="another", unique="u"), None),
            Write(others, Record("d", {}, owner=owner, unique="u"), None),
        ]
    )
    for write in (
        Write(things, Record("e", {}, owner=owner, unique="u"), None),
        Write(things, Record("b", {}, owner=owner, unique="u"), 1),
    ):
        with pytest.raises(UniqueConflictError) as caught:
            await store.commit([write])
        assert caught.value.write is write
    assert (await store.find(things, owner, "u")).id == "a"
    await store.commit([Write(things, Record("a", {"n": 1}, owner=owner, unique="u"), 1)])  # its own value


@pytest.mark.parametrize("owner", ["o", None], ids=repr)
async def test_no_unique_value_is_never_compared(store, things, owner):
    await store.commit([Write(things, Record(item, {}, owner=owner), None) for item in "abc"])
    assert len(await store.get_many([(things, item) for item in "abc"])) == 3


async def test_a_taken_id_comes_before_a_taken_unique_value(store, things):
    await store.commit([Write(things, Record("a", {}, owner="o", unique="u"), None)])
    with pytest.raises(VersionConflictError):
        await store.commit([Write(things, Record("a", {}, owner="o", unique="u"), None)])


@pytest.mark.parametrize("fault", ["version", "unique", "missing"])
async def test_several_writes_are_all_or_none(store, things, others, fault):
    await store.commit([Write(things, Record("m", {}, owner="o", unique="u"), None)])
    faulty = {
        "version": Write(things, Record("m", {}), 7),
        "unique": Write(things, Record("n", {}, owner="o", unique="u"), None),
        "missing": Write(things, Record("n", {}), 1),
    }[fault]
    around = [Write(collection, Record(item, {}), None) for collection in (things, others) for item in "az"]
    with pytest.raises((VersionConflictError, UniqueConflictError)) as caught:
        await store.commit([*around, faulty])
    assert caught.value.write is faulty
    assert await store.get_many([(things, "a"), (things, "z"), (others, "a"), (others, "z"), (things, "n")]) == {}
    await store.commit(around)
    assert len(await store.get_many([(things, "a"), (things, "z"), (others, "a"), (others, "z")])) == 4


async def test_nothing_to_write(store):
    await store.commit([])


async def test_concurrent_commits_of_one_record_have_one_winner(store, things):
    await store.commit([Write(things, Record("a", {}), None)])
    writes = [Write(things, Record("a", {"n": number}), 1) for number in range(50)]
    outcomes = await asyncio.gather(*(store.commit([write]) for write in writes), return_exceptions=True)
    winners = [write for write, outcome in zip(writes, outcomes, strict=True) if outcome is None]
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [VersionConflictError] * 49
    assert [dataclasses.replace(write.record, version=2) for write in winners] == [await store.get(things, "a")]


async def test_a_conflict_leaves_its_neighbours_alone(store, things, others):
    """Many commits at once, every third of two writes with the second one too late, every fifth a taken value."""
    await store.commit([Write(things, Record("taken", {}, owner="o", unique="u"), None)])

    def commit(number):
        writes = [Write(things, Record(f"t{number}", {"n": number}), None)]
        if number % 3 == 0:
            writes.append(Write(others, Record(f"o{number}", {}), 5))
        elif number % 5 == 0:
            writes.append(Write(things, Record(f"u{number}", {}, owner="o", unique="u"), None))
        else:
            writes.append(Write(others, Record(f"o{number}", {}), None))
        return store.commit(writes)

    outcomes = await asyncio.gather(*(commit(number) for number in range(120)), return_exceptions=True)
    found = await store.get_many(
        [
            (collection, f"{letter}{number}")
            for collection, letter in ((things, "t"), (others, "o"))
            for number in range(120)
        ]
    )
    for number, outcome in enumerate(outcomes):
        kind = VersionConflictError if number % 3 == 0 else UniqueConflictError if number % 5 == 0 else type(None)
        assert type(outcome) is kind
        expected = kind is type(None)
        assert ((things, f"t{number}") in found, (others, f"o{number}") in found) == (expected, expected)


async def test_unique_values_wanted_in_a_circle_do_not_hang(store, things):
    """Two commits, each first taking what the other takes second: one wins, whatever the engine does about it."""

    def pair(first, second, one, two):
        return [Write(things, Record(first, {}, unique=one), None), Write(things, Record(second, {}, unique=two), None)]

    for number in range(5):
        outcomes = await asyncio.gather(
            store.commit(pair(f"a{number}", f"b{number}", f"x{number}", f"y{number}")),
            store.commit(pair(f"c{number}", f"d{number}", f"y{number}", f"x{number}")),
            return_exceptions=True,
        )
        assert sorted(str(type(outcome).__name__) for outcome in outcomes) == ["NoneType", "UniqueConflictError"]


async def test_a_cancelled_caller_leaves_the_others_and_no_half(store, things, others):
    def pair(number):
        return [Write(things, Record(f"{number}", {}), None), Write(others, Record(f"{number}", {}), None)]

    tasks = [asyncio.create_task(store.commit(pair(number))) for number in range(60)]
    await asyncio.sleep(0)  # each has handed its writes over
    for task in tasks[::3]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    wanted = [(collection, f"{number}") for number in range(60) for collection in (things, others)]
    found = await store.get_many(wanted)
    for number, outcome in enumerate(outcomes):
        halves = ((things, f"{number}") in found, (others, f"{number}") in found)
        if number % 3:
            assert outcome is None
            assert halves == (True, True)
        else:
            assert halves in {(True, True), (False, False)}
    await store.commit([Write(things, Record("after", {}), None)])


async def test_closing_finishes_what_is_in_flight(url, things):
    store = await open_store(url, [things], ())
    tasks = [asyncio.create_task(store.commit([Write(things, Record(f"{n}", {}), None)])) for n in range(40)]
    await asyncio.sleep(0)  # each has handed its write over
    await store.aclose()
    assert await asyncio.gather(*tasks) == [None] * 40
    again = await open_store(url, [things], ())
    assert len(await again.get_many([(things, f"{n}") for n in range(40)])) == 40
    await again.aclose()


async def test_a_closed_store_refuses_everything(url, things):
    store = await open_store(url, [things], ())
    await store.aclose()
    await store.aclose()
    for call in (store.commit([Write(things, Record("a", {}), None)]), store.get(things, "a"), store.ping()):
        with pytest.raises(StoreUnavailableError) as caught:
            await call
        assert caught.value.certain


async def test_a_collection_it_was_not_opened_with_is_a_mistake(store):
    with pytest.raises(KeyError):
        await store.get(Collection("test_unknown"), "a")


async def test_readers_see_a_commit_once_it_is_acknowledged(store, things):
    for version in range(1, 30):
        await store.commit([Write(things, Record("a", {"n": version}), version - 1 or None)])
        reads = await asyncio.gather(*(store.get(things, "a") for _ in range(8)))
        assert {record.version for record in reads} == {version}
