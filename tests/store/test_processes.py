"""Several processes on one database, and processes that are killed while they write."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from app.store.engine import open_store
from app.store.records import Collection, StoreUnavailableError

ROOT = Path(__file__).parents[2]
LEFT, RIGHT = Collection("test_left"), Collection("test_right")


@contextlib.asynccontextmanager
async def process(what, url, name):
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("process.py")),
        what,
        url,
        name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        limit=2**22,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def together(what, url, count):
    """`count` processes let go at once; the JSON that each says."""
    async with contextlib.AsyncExitStack() as stack:
        children = [await stack.enter_async_context(process(what, url, f"p{number}")) for number in range(count)]
        for child in children:
            assert await child.stdout.readline() == b"ready\n"
        for child in children:
            child.stdin.write(b"go\n")
        answers = [json.loads(await child.stdout.readline()) for child in children]
        assert [await child.wait() for child in children] == [0] * count
        return answers


@pytest.mark.slow
async def test_racing_processes_seed_once(url):
    answers = await together("start", url, 4)
    [seeders] = {tuple(seeders) for _, seeders in answers}
    assert len(seeders) == 1
    assert [count for count, _ in answers] == [200] * 4


async def killed_while_writing(url, name, acknowledged):
    """The ids that were acknowledged until the process was killed, as far as they were heard."""
    async with process("write", url, name) as child:
        heard = [await child.stdout.readline() for _ in range(acknowledged)]
        child.kill()
        rest, _ = await child.communicate()
    lines = heard + rest.splitlines(keepends=True)
    assert all(lines[: len(heard)])
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


@pytest.mark.parametrize("rounds", [1, pytest.param(25, marks=pytest.mark.slow)])
async def test_kill_9_loses_nothing_acknowledged_and_leaves_no_half(url, rounds):
    heard = []
    for number in range(rounds):
        heard += await killed_while_writing(url, f"p{number}", 50 + 37 * number)
    store = await open_store(url, [LEFT, RIGHT], ())
    found = await store.get_many([(side, item) for item in heard for side in (LEFT, RIGHT)])
    assert len(found) == 2 * len(heard)
    # What was committed but not heard of is there too, and always as a pair: the next ids of each process.
    later = [f"p{number}-{item}" for number in range(rounds) for item in range(len(heard) + 64)]
    left = await store.get_many([(LEFT, item) for item in later])
    right = await store.get_many([(RIGHT, item) for item in later])
    assert {item for _, item in left} == {item for _, item in right}
    await store.aclose()


@pytest.mark.slow
async def test_writers_in_several_processes_never_see_a_lock(url):
    async with contextlib.AsyncExitStack() as stack:
        children = [await stack.enter_async_context(process("write", url, f"p{number}")) for number in range(3)]
        heard = await asyncio.gather(*(lines(child, 150) for child in children))
        assert [child.returncode for child in children] == [None] * 3
    assert [len(set(items)) for items in heard] == [150] * 3


async def lines(child, count):
    return [line for line in [await child.stdout.readline() for _ in range(count)] if line]


@pytest.mark.slow
async def test_a_thousand_concurrent_updates_of_one_record(url):
    answers = await together("contend", url, 4)
    outcomes = [outcome for answer in answers for outcome in answer]
    winners = [outcome for outcome in outcomes if outcome is not None]
    assert len(outcomes) == 1000
    assert sorted(version for version, _ in winners) == list(range(2, len(winners) + 2))
    store = await open_store(url, [LEFT], ())
    final = await store.get(LEFT, "one")
    await store.aclose()
    assert [final.version, final.document] == max(winners, key=lambda winner: winner[0])


async def test_the_files_of_holders_that_are_gone_do_not_pile_up(tmp_path, things):
    """Each process that was killed left one. Names that are no holder's are left alone."""
    store, other = [await open_store(f"sqlite:///{tmp_path}/store.db", [things], ()) for _ in range(2)]
    strange = {"store.db-holder-", "store.db-holder-of-keys", "other.db-holder-0000000000000001"}
    for name in (*strange, *(f"store.db-holder-{number:016x}" for number in range(1, 50))):
        (tmp_path / name).touch()
    living = await other.hold(100)
    own = await store.hold(101)
    holders = {path.name for path in tmp_path.glob("*-holder-*")}
    assert holders == strange | {f"store.db-holder-{number:016x}" for number in (100, 101)}
    with pytest.raises(StoreUnavailableError, match="it has another holder"):
        await store.hold(100)
    for hold in (living, own):
        await hold.release()
    await asyncio.gather(store.aclose(), other.aclose())


async def test_who_takes_a_lock_while_others_remove_files_has_it(tmp_path, things):
    stores = [await open_store(f"sqlite:///{tmp_path}/store.db", [things], ()) for _ in range(4)]

    async def holds(store, number):
        hold = await store.hold(number)
        assert await store.held(number)
        await hold.release()
        assert not await store.held(number)

    await asyncio.gather(*(holds(store, 1000 * n + number) for n, store in enumerate(stores) for number in range(25)))
    assert not [*tmp_path.glob("*-holder-*")]
    await asyncio.gather(*(store.aclose() for store in stores))
