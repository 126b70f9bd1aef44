"""`_entities`: each representation answered at its own place."""

import asyncio
import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from app.graphql.entities import MAX_LOOK_UPS
from tests.graphql.asking import ask
from tests.graphql.notebook import FIRST, HIDDEN, SECOND, LocalNotebook

QUERY = "query ($r: [_Any!]!) { _entities(representations: $r) { __typename ... on Note { id title } } }"
UNKNOWN = "00000000-0000-4000-8000-000000000007"


async def test_order_and_length_are_kept_and_each_fault_stands_at_its_own_place():
    representations = [
        {"__typename": "Note", "id": SECOND},
        {"__typename": "Nope", "id": FIRST},
        {"__typename": "Note", "id": FIRST, "title": "more than the key", "info": 1, "cls": 2},
        {"id": FIRST},
        {"__typename": "Note"},
        {"__typename": "Note", "id": "zz"},
        {"__typename": "Note", "id": {"a": 1}},
        {"__typename": "Query"},
        "text",
        {"__typename": "Note", "id": UNKNOWN},
        {"__typename": "Note", "id": HIDDEN},
    ]
    sent = copy.deepcopy(representations)
    asked = await ask(QUERY, {"r": representations})
    assert representations == sent
    found = asked.result.data["_entities"]
    assert [item and item["title"] for item in found] == ["Second", None, "First"] + [None] * 8
    assert [error["path"] for error in asked.errors] == [["_entities", n] for n in (1, 3, 4, 5, 6, 7, 8, 10)]
    assert asked.reasons == ["REPRESENTATION_INVALID"] * 7 + ["NOTE_HIDDEN"]
    assert "outcome" not in asked.errors[-1]["extensions"]


async def test_one_record_is_looked_up_once_in_a_request():
    spellings = [FIRST, FIRST.upper(), FIRST.replace("-", "")]
    query = (
        "query ($r: [_Any!]!) { a: _entities(representations: $r) { ... on Note { id } } "
        "b: _entities(representations: $r) { ... on Note { title } } }"
    )
    asked = await ask(query, {"r": [{"__typename": "Note", "id": text} for text in spellings * 10]})
    assert asked.errors == []
    assert asked.result.data["b"] == [{"title": "First"}] * 30
    assert asked.notebook.calls == [("read", FIRST)]


async def test_a_literal_representation_is_answered_too():
    query = f'{{ _entities(representations: [{{__typename: "Note", id: "{FIRST}"}}]) {{ ... on Note {{ title }} }} }}'
    assert (await ask(query)).body == {"data": {"_entities": [{"title": "First"}]}}


async def test_a_variable_inside_a_representation_is_answered_too():
    query = (
        'query ($id: UUID) { _entities(representations: [{__typename: "Note", id: $id}]) { ... on Note { title } } }'
    )
    assert (await ask(query, {"id": FIRST})).body == {"data": {"_entities": [{"title": "First"}]}}


async def test_the_number_of_representations_is_bounded():
    many = [{"__typename": "Note", "id": FIRST}] * 1001
    assert (await ask(QUERY, {"r": many[:1000]})).errors == []
    asked = await ask(QUERY, {"r": many})
    assert asked.reasons == ["TOO_MANY_RECORDS"]
    assert asked.notebook.calls == []


async def test_several_fields_share_the_bound():
    query = "query ($r: [_Any!]!) { " + " ".join(
        f"a{n}: _entities(representations: $r) {{ __typename }}" for n in range(4)
    )
    bad = [{"__typename": "Nothing"}] * 250
    assert (await ask(query + " }", {"r": bad})).reasons == ["REPRESENTATION_INVALID"] * 1000
    asked = await ask(query + " }", {"r": [*bad, *bad]})
    assert asked.reasons == ["TOO_MANY_RECORDS"]
    assert asked.body.keys() == {"errors"}


class CrowdedNotebook(LocalNotebook):
    """Says how many reads ran at a time."""

    reading = most = 0

    async def read(self, note_id, call=None):
        self.reading += 1
        self.most = max(self.most, self.reading)
        for _ in range(3):
            await asyncio.sleep(0)
        self.reading -= 1
        return await super().read(note_id, call)


async def test_look_ups_do_not_overrun_a_backend():
    query = "query ($r: [_Any!]!, $s: [_Any!]!) { " + "".join(
        f"{name}: _entities(representations: ${name}) {{ __typename }} " for name in "rs"
    )
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(100, 300)]
    notes = [{"__typename": "Note", "id": note_id} for note_id in ids]
    notebook = CrowdedNotebook()
    asked = await ask(query + "}", {"r": notes[:100], "s": notes[100:]}, notebook=notebook)
    assert asked.errors == []
    assert len(notebook.calls) == 200
    assert notebook.most == MAX_LOOK_UPS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([FIRST, SECOND, "Note", "Query", "_Any"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["__typename", "id", "info", "self"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=50)
@given(representations=st.lists(JSON, max_size=5))
async def test_no_representation_breaks_its_neighbours(representations):
    last = [{"__typename": "Note", "id": FIRST}]
    asked = await ask(QUERY, {"r": [item for item in representations if item is not None] + last})
    assert asked.result.data["_entities"][-1]["title"] == "First"
    assert set(asked.reasons) <= {"REPRESENTATION_INVALID"}
