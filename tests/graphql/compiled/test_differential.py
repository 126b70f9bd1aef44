"""Compiled or not: the same answer, and the same calls at the backend, for whatever is asked and however it fails."""

from __future__ import annotations

import asyncio
import functools
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from app.apis import APIS
from app.call import CallContext
from app.graphql.compiled import Execution
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest, Result
from app.json_codec import JsonNumber
from tests.graphql.compiled.backends import OUTCOMES, Script
from tests.graphql.compiled.operations import Drawn, operations
from tests.graphql.notebook import API as NOTEBOOK
from tests.graphql.notebook import LocalNotebook
from tests.harness import schema_of

decode = msgspec.json.Decoder(float_hook=JsonNumber.of).decode
VENDORS = schema_of(APIS)
NOTES = schema_of((NOTEBOOK,))
seen: dict[Any, Counter[Execution | None]] = {VENDORS: Counter(), NOTES: Counter()}


@functools.cache
def engine(schema: Any, *, compiled: bool) -> Engine:
    return Engine(schema, compiled=compiled)


def told(result: Result, calls: list[Any]) -> dict[str, Any]:
    """Everything that a client or a backend can see. As text, so that the order of members counts, too."""
    return {"body": json.dumps(result.body(), default=str), "refused": result.error is not None, "calls": calls}


async def ask(
    schema: Any, drawn: Drawn, script: Script, scopes: frozenset[str] | None, *, compiled: bool
) -> dict[str, Any]:
    variables = decode(json.dumps(drawn.variables).encode())
    context = Context(CallContext("request"), script.backends(), scopes=scopes)
    result = await engine(schema, compiled=compiled).execute(GraphQLRequest(drawn.query, variables), context)
    seen[schema][result.execution] += compiled
    return told(result, script.calls)


async def ask_notebook(drawn: Drawn, *, compiled: bool) -> dict[str, Any]:
    notebook = LocalNotebook()
    notebook.release.set()
    context = Context(CallContext("request"), {"notebook": notebook})
    result = await engine(NOTES, compiled=compiled).execute(GraphQLRequest(drawn.query, drawn.variables), context)
    seen[NOTES][result.execution] += compiled
    return told(result, notebook.calls)


SCRIPTS = st.tuples(
    st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=6),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
WRITE = frozenset({"customers:write", "suppliers:write", "booking-customers:write"})
SCOPES = st.sampled_from([None, None, None, frozenset(), WRITE, frozenset({"customers:read", "suppliers:read"})])
VENDORS_ASKED = st.tuples(operations(VENDORS._schema), SCRIPTS, SCOPES)
NOTES_ASKED = operations(NOTES._schema)
FEW, MANY = 60, 2000


def compare(asked: Any, runs: Callable[[Any, bool], Coroutine[Any, Any, Any]], schema: Any, examples: int) -> None:
    """`runs` gives what was told of what is drawn from `asked`, compiled or not, over `schema`."""
    seen[schema].clear()

    # Not shrunk: each step costs two runs, and the operations are short as they are drawn.
    @settings(
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    @given(asked)
    def same(drawn: Any) -> None:
        note(str(drawn))
        assert asyncio.run(runs(drawn, True)) == asyncio.run(runs(drawn, False))

    same()
    ways = seen[schema]
    assert ways[Execution.COMPILED] > examples // 3, "what is compared is mostly not compiled"
    if schema is NOTES and examples > FEW:
        # In the vendors' schema, whose lists most drawn operations ask for, a null where none may be is too rare, as it is among few.
        assert ways[Execution.COMPLETED] > examples // 100
    assert ways[Execution.VARIABLES] > examples // 50
    assert ways[None] > examples // 50, "what is compared is all valid"
    assert not ways[Execution.SURPRISE]


EXAMPLES = [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_vendors_operations_answer_the_same(examples: int):
    def runs(drawn: Any, compiled: bool) -> Any:
        operation, script, scopes = drawn
        return ask(VENDORS, operation, Script(*script), scopes, compiled=compiled)

    compare(VENDORS_ASKED, runs, VENDORS, examples)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_resolvers_of_every_kind_and_nulls_where_none_may_be_answer_the_same(examples: int):
    compare(NOTES_ASKED, lambda drawn, compiled: ask_notebook(drawn, compiled=compiled), NOTES, examples)
