"""How much runs compiled: nearly all of what the contract suite asks; and every other way is counted by its cause."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.apis import APIS
from app.call import CallContext
from app.graphql.compiled import Execution
from app.graphql.compiled.running import Run
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from tests.graphql.asking import UPDATE
from tests.graphql.asking import schema as notes_schema
from tests.graphql.notebook import FIRST, LocalNotebook
from tests.harness import gateway, schema_of
from tests.telemetry.running import running, update
from tests.test_contract import EVERY_ROW, example_of, operation, record_type, whole

MUTATIONS = [(api, mutation) for api in APIS for mutation in api.mutations]


def contract() -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """The operations of the contract suite: document, variables, what is simulated."""
    for row in EVERY_ROW:
        api, mutation, found = row.values
        yield operation(mutation, "{ __typename }"), example_of(api, mutation), found.reason
    for api, mutation in MUTATIONS:
        _, kind = record_type(mutation)
        variables = example_of(api, mutation)
        yield operation(mutation, whole(kind)), variables, None
        document = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {kind.name} {whole(kind)} }} }}"
        yield document, {"r": [{"__typename": kind.name, "id": variables["id"]}]}, None
    for example in (example for api in APIS for example in api.examples):
        yield example.operation, dict(example.variables), example.headers.get("x-simulate")
    yield "{ errorCatalog { reason code backend httpStatus mutations outcome retrySafe } }", {}, None


async def test_the_contract_suites_operations_run_compiled(tmp_path: Path):
    ways: Counter[Execution | None] = Counter()
    async with gateway("local", tmp_path) as opened:
        engine = Engine(schema_of(APIS), compiled=True)
        for document, variables, simulate in contract():
            context = Context(CallContext("request", {}, simulate=simulate), opened.backends.by_name)
            ways[(await engine.execute(GraphQLRequest(document, variables), context)).execution] += 1
    assert ways.total() > len(EVERY_ROW)
    assert ways[Execution.COMPILED] >= 0.95 * ways.total(), ways


NOTE = f'note(id: "{FIRST}")'
CASES: list[tuple[Execution | None, str, dict[str, Any]]] = [
    (Execution.COMPILED, f"{{ {NOTE} {{ title }} }}", {}),
    (Execution.COMPILED, UPDATE, {"input": {"title": "New", "tags": [{"name": "a", "weight": 1}]}}),
    (Execution.COMPLETED, UPDATE.replace("title }", "promised }"), {"input": {"title": "void"}}),
    (Execution.VARIABLES, UPDATE, {"input": {"title": 7}}),
    (Execution.VARIABLES, UPDATE, {"input": {"title": "One tag for a list of one", "tags": {"name": "a"}}}),
    (Execution.INTROSPECTION, f"{{ {NOTE} {{ title }} __schema {{ queryType {{ name }} }} }}", {}),
    (
        Execution.VARIABLE_IN_SCALAR,
        f'mutation($t: String) {{ updateNote(id: "{FIRST}", input: {{title: "", labels: {{a: $t}}}}) {{ note {{ id }} }} }}',
        {"t": "b"},
    ),
    (None, "{ nothing }", {}),
]


@pytest.mark.parametrize(("way", "document", "variables"), CASES)
async def test_what_is_not_compiled_says_why(way, document, variables):
    engine = Engine(notes_schema(), compiled=True)
    for _ in range(2):
        context = Context(CallContext("request"), {"notebook": LocalNotebook()})
        assert (await engine.execute(GraphQLRequest(document, variables), context)).execution is way


async def test_more_choices_than_are_kept_are_graphql_cores():
    engine = Engine(notes_schema(), compiled=True)
    names = "abcde"
    declared = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: title @include(if: ${name})" for name in names)
    document = f"query({declared}) {{ {NOTE} {{ id {fields} }} }}"
    ways: Counter[Execution | None] = Counter()
    for number in range(2 ** len(names)):
        variables = {name: bool(number >> place & 1) for place, name in enumerate(names)}
        context = Context(CallContext("request"), {"notebook": LocalNotebook()})
        result = await engine.execute(GraphQLRequest(document, variables), context)
        ways[result.execution] += 1
        assert result.data is not None
        assert list(result.data["note"]) == ["id", *(name for name in names if variables[name])]
    assert ways == {Execution.COMPILED: 16, Execution.MANY_CONDITIONS: 16}


@pytest.mark.parametrize("compiled", [True, False])
async def test_the_ways_are_counted(tmp_path: Path, compiled):
    async with running(tmp_path, {"GATEWAY_COMPILED": str(compiled).lower()}) as gateway:
        await gateway.post(update())
        await gateway.post(update())
        await gateway.post({"query": "{ __schema { queryType { name } } }"})
        await gateway.post({"query": "{ nothing }"})
        exposed = (await gateway.client.get("/metrics")).text
    shown = [line for line in exposed.splitlines() if line.startswith("gateway_executions_total")]
    expected = {"compiled": 2, "introspection": 1} if compiled else {"switched_off": 3}
    assert shown == [f'gateway_executions_total{{way="{way}"}} {count}.0' for way, count in expected.items()]


async def test_operations_of_one_document_at_once_hold_nothing_of_each_other():
    engine = Engine(notes_schema(), compiled=True)
    notebooks = [LocalNotebook() for _ in range(20)]

    async def change(number: int) -> tuple[Any, Any]:
        # The slow ones are all inside the backend before the first of them goes on.
        variables = {"input": {"title": "slow", "tags": [{"name": f"tag {number}", "weight": str(number)}]}}
        document = UPDATE.replace("title }", "weight }")
        context = Context(CallContext(f"request-{number}"), {"notebook": notebooks[number]})
        result = await engine.execute(GraphQLRequest(document, variables), context)
        return result.execution, result.body()

    running_ones = [asyncio.create_task(change(number)) for number in range(len(notebooks))]
    for notebook in notebooks:
        await notebook.entered.wait()
    for notebook in reversed(notebooks):
        notebook.release.set()
    expected = [
        (Execution.COMPILED, {"data": {"updateNote": {"note": {"weight": str(number)}}}})
        for number in range(len(notebooks))
    ]
    assert await asyncio.gather(*running_ones) == expected
    assert all(len(notebook.calls) == 1 for notebook in notebooks)


@pytest.mark.parametrize("title", ["a", "taken"])
async def test_an_operation_leaves_nothing_to_the_garbage_collector(title: str):
    engine, request = Engine(notes_schema(), compiled=True), GraphQLRequest(UPDATE, {"input": {"title": title}})
    backends = {"notebook": LocalNotebook()}
    gc.collect()
    gc.disable()
    try:
        result = await engine.execute(request, Context(CallContext("request"), backends))
        left = [item for item in gc.get_objects() if isinstance(item, Run | Context)]
    finally:
        gc.enable()
    assert result.execution is Execution.COMPILED
    assert left == []
