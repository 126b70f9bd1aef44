"""Random operations that fit the schema: whatever is asked, nothing surprises the gateway."""

import asyncio
import json

import httpx
import pytest
from graphql import GraphQLSchema, StringValueNode, print_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema

from app.edge.settings import EdgeSettings
from app.graphql.limits import DocumentLimits
from tests.edge.serving import client
from tests.graphql.asking import schema
from tests.graphql.notebook import FIRST, HIDDEN, SECOND

# Large documents are the limits' business; here they are to be run.
OPEN = EdgeSettings(limits=DocumentLimits(max_tokens=50_000, max_fields=50_000, max_aliases=5000, max_directives=5000))
IDS = [FIRST, SECOND, HIDDEN, "00000000-0000-0000-0000-000000000000", "x"]
TITLES = st.sampled_from(["taken", "both", "waits", "void"]) | st.text(max_size=5)


def text_node(text: str) -> StringValueNode:
    return StringValueNode(value=text)


SCALARS = {
    "UUID": st.sampled_from(IDS).map(text_node),
    "Decimal": st.sampled_from(["0.00", "-1", "1e5", "x"]).map(text_node),
    "StringMap": st.just(text_node("not an object")),
    "_Any": st.sampled_from(["Note", "x"]).map(text_node),
}


def operations(graphql: GraphQLSchema) -> st.SearchStrategy[str]:
    return from_schema(print_schema(graphql), custom_scalars=SCALARS)


async def put(http: httpx.AsyncClient, query: str, accept: str) -> None:
    answer = await http.post("/graphql", json={"query": query}, headers={"accept": accept})
    assert answer.status_code < 500
    for error in answer.json().get("errors", ()):
        code = error["extensions"]["code"]
        # The notebook's type promises too much, on purpose.
        promised = "promised" in (error.get("path") or ())
        assert code != "INTERNAL_SERVER_ERROR" or promised, json.dumps(error)


def run(examples: int) -> None:
    async def one(query: str, accept: str) -> None:
        async with client(OPEN) as http:
            await put(http, query, accept)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        query=operations(schema()._schema),
        accept=st.sampled_from(["application/json", "application/graphql-response+json"]),
    )
    def ask(query: str, accept: str) -> None:
        asyncio.run(one(query, accept))

    ask()


def test_a_few_hundred_random_operations_surprise_nobody():
    run(200)


@pytest.mark.slow
def test_ten_thousand_random_operations_surprise_nobody():
    run(10_000)
