"""The store against a plain dict: whatever is committed in whatever order, both answer alike."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.store.engine import open_store
from app.store.records import Collection, Record, UniqueConflictError, VersionConflictError, Write
from tests.exploring import explore

COLLECTIONS = [Collection("test_thing"), Collection("test_other")]
IDS = ["a", "b", "B", "\0", "\\0"]
OWNERS = ["o", "", "\0", None]
UNIQUES = ["u", "v", "\\", None]

draws = st.tuples(
    st.sampled_from(COLLECTIONS),
    st.sampled_from(IDS),
    st.sampled_from(OWNERS),
    st.sampled_from(UNIQUES),
    st.dictionaries(
        st.text(max_size=3), st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3)
    ),
    st.sampled_from(["right", "right", "right", "early", "new"]),
)


class Model:
    """What the store promises, in the fewest words."""

    def __init__(self):
        self.records = {}

    def commit(self, writes):
        """The exception that is to come, or None."""
        after = dict(self.records)
        for write in sorted(writes, key=lambda write: (write.collection.name, write.record.id)):
            key = write.collection, write.record.id
            if (after[key].version if key in after else None) != write.expected:
                return VersionConflictError(write)
            for (collection, item), other in after.items():
                same = (other.owner, other.unique) == (write.record.owner, write.record.unique)
                if same and other.unique is not None and (collection, item) != key and collection == write.collection:
                    return UniqueConflictError(write)
            after[key] = replace(write.record, version=(write.expected or 0) + 1)
        self.records = after
        return None


class Machine(RuleBasedStateMachine):
    new_url = staticmethod(lambda: None)  # set by the test

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.url = self.runner.run(self.new_url())
        self.reopen()

    def reopen(self):
        self.store = self.runner.run(open_store(self.url, COLLECTIONS, ()))

    def teardown(self):
        self.runner.run(self.store.aclose())
        self.runner.close()

    def write(self, draw):
        collection, item, owner, unique, document, decided = draw
        stored = self.model.records.get((collection, item))
        version = {"right": stored and stored.version, "early": stored and stored.version - 1, "new": None}[decided]
        return Write(collection, Record(item, document, owner, unique), version)

    @rule(drawn=st.lists(draws, min_size=1, max_size=3))
    def commit(self, drawn):
        writes = [self.write(draw) for draw in drawn]
        expected = self.model.commit(writes)
        [outcome] = self.runner.run(self.gathered([writes]))
        assert type(outcome) is type(expected)
        if expected is not None:
            assert outcome.write is expected.write

    @rule(drawn=st.lists(draws, min_size=2, max_size=4, unique_by=lambda draw: draw[:2]))
    def commit_at_once(self, drawn):
        """Concurrent commits of different records without unique values: none may disturb another."""
        commits = [[self.write((*draw[:3], None, *draw[4:]))] for draw in drawn]
        expected = [self.model.commit(writes) for writes in commits]
        outcomes = self.runner.run(self.gathered(commits))
        assert [type(outcome) for outcome in outcomes] == [type(outcome) for outcome in expected]

    async def gathered(self, commits):
        return await asyncio.gather(*(self.store.commit(writes) for writes in commits), return_exceptions=True)

    @rule()
    def restart(self):
        self.runner.run(self.store.aclose())
        self.reopen()

    @invariant()
    def they_answer_alike(self):
        self.runner.run(self.compare())

    async def compare(self):
        records = self.model.records
        wanted = list(itertools.product(COLLECTIONS, IDS))
        assert await self.store.get_many(wanted) == records
        for collection, item in wanted[:: len(IDS) + 1]:
            assert await self.store.get(collection, item) == records.get((collection, item))
        for collection, owner in itertools.product(COLLECTIONS, OWNERS):
            here = [
                record
                for (other, _), record in sorted(records.items(), key=lambda pair: pair[0][1])
                if other == collection
            ]
            mine = [record for record in here if record.owner == owner]
            if owner is not None:
                found = await self.store.owned(collection, owner)
                assert sorted(found, key=lambda record: record.id) == mine
            for unique in filter(None, UNIQUES):
                expected = next((record for record in mine if record.unique == unique), None)
                assert await self.store.find(collection, owner, unique) == expected


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_no_divergence_from_a_plain_model(engine, request, tmp_path):
    postgres = request.getfixturevalue("postgres") if engine == "postgres" else None
    explore(Machine, 2000, 45, tmp_path, postgres)
