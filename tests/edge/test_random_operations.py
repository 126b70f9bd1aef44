"""Random operations that fit the schema, over HTTP and the local backends: none surprises the gateway."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest
from graphql import ObjectFieldNode, ObjectValueNode, StringValueNode, ValueNode, print_schema
from graphql.language import NameNode
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema, mutations, queries

from app.apis import APIS
from app.edge.application import build_app
from app.edge.settings import EdgeSettings
from tests.harness import check_error, gateway, schema_of
from tests.switch import COMPILED

# Large documents are the limits' business; here they are to be run.
OPEN = EdgeSettings(
    compiled=COMPILED,
    max_tokens=100_000,
    max_fields=50_000,
    max_aliases=5000,
    max_directives=5000,
    max_root_fields=500,
)
SCHEMA = schema_of(APIS)
SDL = print_schema(SCHEMA._schema)
FIELDS = {
    name: draw
    for root, draw in ((SCHEMA._schema.query_type, queries), (SCHEMA._schema.mutation_type, mutations))
    for name in root.fields
}
IDS = [f"{kind}0000000-0000-4000-8000-00000000000{n}" for kind in "abcdef5" for n in range(1, 6)] + [
    "ba000000-0000-4000-8000-000000000001",
    "00000000-0000-0000-0000-000000000000",
    "no id",
]


def texts(*values: str) -> st.SearchStrategy[ValueNode]:
    return st.sampled_from(values).map(lambda value: StringValueNode(value=value))


def objects(key: st.SearchStrategy[str], value: st.SearchStrategy[ValueNode]) -> st.SearchStrategy[ValueNode]:
    return st.dictionaries(key, value, max_size=3).map(
        lambda members: ObjectValueNode(
            fields=tuple(ObjectFieldNode(name=NameNode(value=name), value=item) for name, item in members.items())
        )
    )


SCALARS = {
    "UUID": texts(*IDS),
    "Decimal": texts("0.00", "-1", "1e5", "123456789012345678901234567890.1", "no number"),
    "DateTime": texts("2026-01-15T10:00:00Z", "/Date(0+0000)/", "no moment"),
    "StringMap": objects(st.sampled_from(["a", "b", "_"]), texts("", "x")),
    "_Any": objects(st.sampled_from(["__typename", "id", "x"]), texts("Customer", "Supplier", "BookingCustomer", *IDS)),
}


def run(examples: int, folder: Path, operations: st.SearchStrategy[str]) -> None:
    codes: Counter[str] = Counter()

    async def put(http: httpx.AsyncClient, query: str, accept: str) -> None:
        answer = await http.post("/graphql", json={"query": query}, headers={"accept": accept})
        assert answer.status_code < 500
        body = answer.json()
        assert "data" in body or body["errors"]
        codes.update(error["extensions"]["code"] for error in body.get("errors", ()))
        codes["operations"] += 1
        codes["executed"] += "data" in body
        for error in body.get("errors", ()):
            check_error(error)
            assert error["extensions"]["code"] != "INTERNAL_SERVER_ERROR", json.dumps(error)

    with asyncio.Runner() as runner:
        opened = gateway("local", folder)
        backends = runner.run(opened.__aenter__()).backends.by_name
        app = build_app(apis=APIS, backends=backends, schema=SCHEMA, settings=OPEN)
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway.test")

        @settings(
            max_examples=examples,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            query=operations,
            accept=st.sampled_from(["application/json", "application/graphql-response+json"]),
        )
        def ask(query: str, accept: str) -> None:
            runner.run(put(http, query, accept))

        try:
            ask()
        finally:
            runner.run(http.aclose())
            runner.run(opened.__aexit__(None, None, None))
    print(f"random operations: {dict(codes)}")  # noqa: T201 - shown with -s
    assert codes["executed"] > codes["operations"] / 10


def test_random_operations_surprise_nobody(tmp_path):
    run(20, tmp_path, from_schema(SDL, custom_scalars=SCALARS))


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_random_operations_of_a_root_field_surprise_nobody(tmp_path, field):
    """About 10,000 in all. An operation of all fields at once takes twenty times as long to draw."""
    run(10_000 // len(FIELDS), tmp_path, FIELDS[field](SDL, fields=[field], custom_scalars=SCALARS))
