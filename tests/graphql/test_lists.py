"""One request with a large effect: long lists and maps, thousands of errors, the same large answer again and again."""

from __future__ import annotations

import json

import pytest

from app.errors import GatewayError, GatewayErrors
from app.graphql.execution import Engine
from app.graphql.limits import DocumentLimits
from tests.graphql.asking import ask, schema
from tests.graphql.notebook import FIRST, TAG_REFUSED, LocalNotebook
from tests.harness import Gateway
from tests.switch import COMPILED

CHANGE = f'mutation($i: UpdateNoteInput!) {{ updateNote(id: "{FIRST}", input: $i) {{ note {{ title }} }} }}'
TAGS = [{"name": "a"}] * 201
LABELS = {f"k{n}": "v" for n in range(201)}


def inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + " ".join(f"{name}: {inline(item)}" for name, item in value.items()) + "}"
    return "[" + " ".join(map(inline, value)) + "]" if isinstance(value, list) else json.dumps(value)


def engine(*, compiled: bool = COMPILED, limit: int = 200) -> Engine:
    return Engine(schema(), limits=DocumentLimits(max_list=limit), compiled=compiled)


LONG = {
    "a list": ({"title": "a", "tags": TAGS}, ["input", "tags"]),
    "a map": ({"title": "a", "labels": LABELS}, ["input", "labels"]),
    "wrong items": ({"title": "a", "tags": [7] * 40_000}, ["input", "tags"]),
    "a map of wrong values": ({"title": "a", "labels": {f"k{n}": n for n in range(40_000)}}, ["input", "labels"]),
    "both": ({"title": "a", "labels": LABELS, "tags": TAGS}, ["input", "labels"]),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("value", "path"), LONG.values(), ids=LONG)
async def test_a_long_list_is_its_fields_error_and_its_neighbours_run(compiled: bool, value: dict, path: list[str]):
    query = (
        f'mutation($i: UpdateNoteInput!) {{ ...F before: updateNote(id: "{FIRST}", input: {{title: "b"}}) '
        f'{{ note {{ title }} }} }} fragment F on Mutation {{ long: updateNote(id: "{FIRST}", input: $i) '
        "{ note { title } } }"
    )
    asked = await ask(query, {"i": value}, engine=engine(compiled=compiled))
    assert asked.result.data == {"long": None, "before": {"note": {"title": "b"}}}
    (error,) = asked.errors
    assert error["path"] == ["long"]
    assert error["message"] == "At most 200 members are taken here."
    assert error["extensions"] == {
        "code": "BAD_USER_INPUT",
        "reason": "LIST_TOO_LONG",
        "input": {"path": path},
        "outcome": "NOT_APPLIED",
        "retry": {"safe": False},
        "requestId": "request-1",
    }
    assert [call[2]["title"] for call in asked.notebook.calls] == ["b"]


WRITTEN = {
    "inline": ('mutation {{ updateNote(id: {id}, input: {{title: "a", tags: {tags}}}) {{ note {{ title }} }} }}', {}),
    "inline, a map": ('mutation {{ updateNote(id: {id}, input: {{title: "a", labels: {labels}}}) {{ note {{ title }} }} }}', {}),
    "a variable inside": (
        'mutation($t: [TagInput!]) {{ updateNote(id: {id}, input: {{title: "a", tags: $t}}) {{ note {{ title }} }} }}',
        {"t": [{"name": "a"}] * 9},
    ),
    "a default": (
        'mutation($t: [TagInput!] = {tags}) {{ updateNote(id: {id}, input: {{title: "a", tags: $t}}) {{ note {{ title }} }} }}',
        {},
    ),
    "a default above it": (
        'mutation($i: UpdateNoteInput! = {{title: "a", tags: {tags}}}) {{ updateNote(id: {id}, input: $i) {{ note {{ title }} }} }}',
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("query", "variables"), WRITTEN.values(), ids=WRITTEN)
async def test_however_it_is_written(compiled: bool, query: str, variables: dict):
    labels = inline({f"k{n}": "v" for n in range(9)})
    text = query.format(id=json.dumps(FIRST), tags=inline([{"name": "a"}] * 9), labels=labels)
    asked = await ask(text, variables, engine=engine(compiled=compiled, limit=8))
    assert asked.reasons == ["LIST_TOO_LONG"]
    assert asked.errors[0]["extensions"]["input"]["path"] in (["input", "tags"], ["input", "labels"])
    assert asked.notebook.calls == []
    assert (await ask(text, variables, engine=engine(compiled=compiled, limit=9))).errors == []


@pytest.mark.parametrize("compiled", [True, False])
async def test_as_many_as_are_allowed_are_taken(compiled: bool):
    value = {"title": "a", "tags": TAGS[:200], "labels": dict(list(LABELS.items())[:200])}
    asked = await ask(CHANGE, {"i": value}, engine=engine(compiled=compiled))
    assert asked.errors == []
    assert len(asked.notebook.calls[0][2]["tags"]) == 200


async def test_a_fault_of_a_type_stays_a_request_error():
    for value in ({"title": 7, "tags": TAGS}, {"title": "a"} | {f"n{n}": 1 for n in range(400)}):
        asked = await ask(CHANGE, {"i": value})
        assert set(asked.reasons) == {"VARIABLE_INVALID"}
        assert len(asked.errors) <= 20
        assert asked.result.data is None


@pytest.mark.parametrize("compiled", [True, False])
async def test_representations_are_counted_before_they_cost(compiled: bool):
    query = "query($r: [_Any!]!) { a: _entities(representations: $r) { __typename } b: __typename }"
    fine = [{"__typename": "Note", "id": FIRST}] * 1000
    assert (await ask(query, {"r": fine}, engine=engine(compiled=compiled))).errors == []
    asked = await ask(query, {"r": [0] * 450_000}, engine=engine(compiled=compiled))
    assert asked.reasons == ["TOO_MANY_RECORDS"]
    assert asked.notebook.calls == []


class Faulty(LocalNotebook):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    async def write(self, *_: object):
        raise GatewayErrors([GatewayError(TAG_REFUSED, f"tag {n}") for n in range(self.count)])


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("faults", "fields", "listed", "last"), [
    (100, 1, 100, "tag 99"),
    (101, 1, 100, "tag 99 There are 1 more faults; the log has them."),
    (40_000, 1, 100, "tag 99 There are 39900 more faults; the log has them."),
    (100, 12, 1000, "tag 99 There are 200 more errors; the log has them."),
])  # fmt: skip
async def test_the_errors_of_a_field_and_of_a_response_are_bounded(
    compiled: bool, faults: int, fields: int, listed: int, last: str
):
    parts = " ".join(
        f'f{n}: updateNote(id: "{FIRST}", input: {{title: "a"}}) {{ note {{ title }} }}' for n in range(fields)
    )
    asked = await ask(f"mutation {{ {parts} }}", notebook=Faulty(faults), engine=engine(compiled=compiled))
    assert len(asked.errors) == listed
    assert asked.errors[-1]["message"] == last


LARGE = {
    "sdl": ("{ _service { %s } }", "sdl", 5),
    "_service": ("{ %s }", "_service { sdl }", 5),
    "the schema": ("{ %s }", "__schema { description }", 5),
    "the catalogue": ("{ %s }", "errorCatalog { reason }", 5),
}


@pytest.mark.parametrize(("document", "field", "most"), LARGE.values(), ids=LARGE)
async def test_the_same_large_answer_is_not_given_again_and_again(document: str, field: str, most: int):
    def asking(count: int) -> str:
        return document % " ".join(f"a{n}: {field}" for n in range(count))

    assert (await ask(asking(most))).errors == []
    for text in (asking(most + 1), asking(49)):
        assert (await ask(text)).reasons == ["TOO_MANY_FIELDS"]


REAL = {
    "access keys": ("BookingCustomer", "accessKeys", lambda: [{"value": "1"}] * 25_000),
    "access keys to delete": ("BookingCustomer", "accessKeysToDelete", lambda: [{"value": "1"}] * 201),
    "custom fields": ("BookingCustomer", "customFields", lambda: [{"id": 1, "value": 7}] * 40_000),
    "bank accounts": ("Customer", "bankAccounts", lambda: [{"default": True}] * 201),
    "metadata": ("Supplier", "metadata", lambda: {f"k{n}": "v" for n in range(201)}),
}


@pytest.mark.parametrize("as_data", [False, True])
@pytest.mark.parametrize(("record", "member", "value"), REAL.values(), ids=REAL)
async def test_every_list_of_the_vendors_has_the_bound(
    local_gateway: Gateway, record: str, member: str, value, as_data: bool
):
    selected = "userErrors { reason inputPath outcome }" if as_data else "__typename"
    name = f"update{record}"
    query = f'mutation($i: Update{record}Input!) {{ {name}(id: "b0000000-0000-4000-8000-000000000001", input: $i) {{ {selected} }} }}'
    given = (
        {"company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": "a"}
        if record != "BookingCustomer"
        else {}
    )
    body = await local_gateway.execute(query, {"i": {**given, member: value()}})
    if as_data:
        (error,) = body["data"][name]["userErrors"]
        assert error == {"reason": "LIST_TOO_LONG", "inputPath": ["input", member], "outcome": "NOT_APPLIED"}
    else:
        (error,) = body["errors"]
        assert error["extensions"]["input"] == {"path": ["input", member]}
