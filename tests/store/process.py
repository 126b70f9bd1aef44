"""A process of its own on a store, run by the tests: `process.py <what> <url> <name>`."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

from app.store.engine import open_store
from app.store.records import Collection, Record, VersionConflictError, Write

LEFT, RIGHT = Collection("test_left"), Collection("test_right")
CONTENDERS = 250
SEED = 200


def say(value):
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


async def start(url, name):
    """Opens when told to, and says which process seeded."""
    say("ready")
    sys.stdin.readline()
    seed = ((LEFT, Record(f"{number}", {"seeded by": name})) for number in range(SEED))
    store = await open_store(url, [LEFT, RIGHT], seed)
    found = await store.get_many([(LEFT, f"{number}") for number in range(SEED)])
    say(json.dumps([len(found), sorted({record.document["seeded by"] for record in found.values()})]))
    await store.aclose()


async def write(url, name):
    """Commits pairs without end, sixteen at a time, and says each id once it is acknowledged."""
    store = await open_store(url, [LEFT, RIGHT], ())
    numbers = itertools.count()

    async def one():
        for number in numbers:
            item = f"{name}-{number}"
            await store.commit([Write(side, Record(item, {"n": number}), None) for side in (LEFT, RIGHT)])
            say(item)

    await asyncio.gather(*(one() for _ in range(16)))


async def contend(url, name):
    """Updates of one record, each decided on what was read just before; says each one's version, or null if it lost."""
    store = await open_store(url, [LEFT], [(LEFT, Record("one", {}))])
    say("ready")
    sys.stdin.readline()

    async def one(number):
        record = await store.get(LEFT, "one")
        document = {"by": name, "number": number}
        try:
            await store.commit([Write(LEFT, Record("one", document), record.version)])
        except VersionConflictError:
            return None
        return [record.version + 1, document]

    outcomes = await asyncio.gather(*(one(number) for number in range(CONTENDERS)))
    say(json.dumps(outcomes))
    await store.aclose()


asyncio.run({"start": start, "write": write, "contend": contend}[sys.argv[1]](*sys.argv[2:]))
