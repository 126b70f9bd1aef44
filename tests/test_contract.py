"""What every API promises, for whatever is registered: APIs x rows x wirings, without a test of its own.

An API brings its rows and its examples; the operations here are written from the schema.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationType,
    get_named_type,
    is_composite_type,
    is_required_argument,
)

from app.apis import APIS
from app.errors import IDEMPOTENT_REQUEST_IN_PROGRESS, OWN_ROWS, Code, Outcome
from tests.harness import WIRINGS, Gateway, gateway, schema_of

SCHEMA: GraphQLSchema = schema_of(APIS)._schema
EVERY_ROW = [
    pytest.param(api, mutation, row, id=f"{mutation}-{row.reason}")
    for api in APIS
    for row in api.errors
    for mutation in row.mutations
]
# A patch meets the rows of its update, and so do their bulks.
ALIKE = {item.mutation: (*item.mutations, *item.bulks) for api in APIS for item in api.resources if item.mutation}
EVERY_EXAMPLE = [pytest.param(example, id=f"{api.name}-{example.title}") for api in APIS for example in api.examples]


def root_field(mutation: str) -> GraphQLField:
    return SCHEMA.get_root_type(OperationType.MUTATION).fields[mutation]


@cache
def whole(kind: GraphQLObjectType) -> str:
    """A selection of everything below a type."""
    parts = []
    for name, field in kind.fields.items():
        named = get_named_type(field.type)
        parts.append(f"{name} {whole(named)}" if is_composite_type(named) else name)
    return "{ " + " ".join(parts) + " }"


def record_type(mutation: str) -> tuple[str, GraphQLObjectType]:
    """The payload's record, which is its first field, and the entity it holds."""
    payload = get_named_type(root_field(mutation).type)
    name, field = next(iter(payload.fields.items()))
    return name, get_named_type(field.type)


def operation(mutation: str, selection: str, beside: str = "") -> str:
    arguments = root_field(mutation).args
    declared = ", ".join(
        f"${name}: {argument.type}" for name, argument in arguments.items() if is_required_argument(argument)
    )
    passed = ", ".join(f"{name}: ${name}" for name, argument in arguments.items() if is_required_argument(argument))
    record, _ = record_type(mutation)
    return f"mutation({declared}) {{ {mutation}({passed}) {{ {record} {selection} {beside} }} }}"


def bulk_operation(bulk: str, selection: str) -> str:
    items = root_field(bulk).args["items"].type
    return f"mutation($items: {items}) {{ {bulk}(items: $items) {{ {selection} }} }}"


def as_data(mutation: str) -> str:
    """The faults of an update as data, through fragments and under an alias."""
    payload = get_named_type(root_field(mutation).type).name
    asked = operation(mutation, "{ __typename }", f"... on {payload} @include(if: true) {{ ...Faults }}")
    return f"""{asked} fragment Faults on {payload} {{ faults: userErrors {{
        message code reason inputPath outcome retrySafe retryAfterSeconds readBack requestId
        backend {{ name status code message }}
    }} }}"""


def told(error: dict[str, Any]) -> dict[str, Any]:
    """An error of the response as the payload tells it."""
    shown = error["extensions"]
    backend = shown.get("backend")
    return {
        "message": error["message"],
        "code": shown["code"],
        "reason": shown["reason"],
        "inputPath": [str(step) for step in shown["input"]["path"]] if "input" in shown else None,
        "outcome": shown.get("outcome"),
        "retrySafe": shown["retry"]["safe"],
        "retryAfterSeconds": shown["retry"].get("afterSeconds"),
        "readBack": shown.get("readBack"),
        "requestId": shown["requestId"],
        "backend": backend and {name: backend.get(name) for name in ("name", "status", "code", "message")},
    }


def example_of(api: Any, mutation: str) -> dict[str, Any]:
    """The variables of the API's succeeding example of a mutation."""
    for example in api.examples:
        if example.reason is None and f"{mutation}(" in example.operation:
            return dict(example.variables)
    pytest.fail(f"{api.name} has no succeeding example of {mutation}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Gateway]]:
    """Every wiring at once, for what writes nothing."""
    async with AsyncExitStack() as stack:
        yield {
            wiring: await stack.enter_async_context(gateway(wiring, tmp_path_factory.mktemp(wiring)))
            for wiring in WIRINGS
        }


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize(("api", "mutation", "row"), EVERY_ROW)
async def test_every_row_in_every_wiring(wired: dict[str, Gateway], api, mutation, row, wiring):
    """A row reaches the client as itself, and as it does from the local backend, member by member."""
    document, variables = operation(mutation, "{ __typename }"), example_of(api, mutation)
    answer = await wired[wiring].execute(document, variables, simulate=row.reason)
    (error,) = answer["errors"]
    assert error["path"] == [mutation]
    shown = error["extensions"]
    assert (shown["reason"], shown["code"]) == (row.reason, row.code)
    assert (shown["outcome"], shown["retry"]) == (row.outcome, {"safe": row.retry_safe})
    backend = {"name": api.name, "status": row.http_status, "code": row.vendor_code}
    assert {name: shown["backend"].get(name) for name in backend} == backend
    if row.input_path is not None:
        named = [step for step in shown["input"]["path"] if isinstance(step, str)]
        assert named == list(row.input_path)[: len(named)]
    assert answer == await wired["local"].execute(document, variables, simulate=row.reason)
    # The same as data, and then nowhere else.
    data = await wired[wiring].execute(as_data(mutation), variables, simulate=row.reason)
    assert data == {"data": {mutation: {record_type(mutation)[0]: None, "faults": [told(error)]}}}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
async def test_a_simulated_reason_is_ignored_by_other_apis_mutations(wired: dict[str, Gateway], api, wiring):
    own = {row.reason for row in api.errors}
    foreign = next(row.reason for other in APIS for row in other.errors if row.reason not in own)
    mutation = api.mutations[0]
    answer = await wired[wiring].execute(
        operation(mutation, "{ __typename }"), example_of(api, mutation), simulate=foreign
    )
    assert answer == {"data": {mutation: {record_type(mutation)[0]: {"__typename": record_type(mutation)[1].name}}}}


@pytest.mark.parametrize("mutation", [mutation for api in APIS for mutation in api.mutations])
async def test_an_update_and_a_later_query_agree(gateway: Gateway, mutation):
    """All of the record, as the update answers it and as the entity is read afterwards, in every wiring."""
    api = next(api for api in APIS if mutation in api.mutations)
    name, kind = record_type(mutation)
    variables = example_of(api, mutation)
    answer = await gateway.execute(operation(mutation, whole(kind)), variables)
    assert "errors" not in answer
    record = answer["data"][mutation][name]
    representations = [{"__typename": kind.name, "id": variables["id"]}]
    later = await gateway.execute(
        f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {kind.name} {whole(kind)} }} }}",
        {"r": representations},
    )
    assert later == {"data": {"_entities": [record]}}


@pytest.mark.parametrize("example", EVERY_EXAMPLE)
async def test_an_example_does_what_its_title_says(local_gateway: Gateway, example):
    simulate = example.headers.get("x-simulate")
    answer = await local_gateway.execute(example.operation, example.variables, simulate=simulate)
    reasons = [error["extensions"]["reason"] for error in answer.get("errors", ())]
    assert reasons == ([] if example.reason is None else [example.reason])


async def test_the_catalogue_lists_every_row_there_is(local_gateway: Gateway):
    members = "reason code backend httpStatus vendorCode text inputPath mutations outcome retrySafe"
    answer = await local_gateway.execute(f"{{ errorCatalog {{ {members} }} }}")
    listed = answer["data"]["errorCatalog"]
    rows = [row for api in APIS for row in api.errors]
    backed = [entry for entry in listed if entry["backend"] is not None]
    assert [entry["reason"] for entry in backed] == [row.reason for row in rows]
    assert {entry["reason"] for entry in listed if entry["backend"] is None} >= {row.reason for row in OWN_ROWS}
    for entry, row in zip(backed, rows, strict=True):
        assert entry == {
            "reason": row.reason,
            "code": row.code,
            "backend": row.backend.upper(),
            "httpStatus": row.http_status,
            "vendorCode": row.vendor_code,
            "text": row.text,
            "inputPath": None if row.input_path is None else list(row.input_path),
            "mutations": [name for update in row.mutations for name in ALIKE.get(update, [update])],
            "outcome": row.outcome,
            "retrySafe": row.retry_safe,
        }


async def test_what_is_simulated_is_what_the_catalogue_lists_with_a_backend(local_gateway: Gateway):
    listed = await local_gateway.execute("{ errorCatalog { reason backend mutations } }")
    with_backend = {
        (entry["reason"], mutation)
        for entry in listed["data"]["errorCatalog"]
        if entry["backend"] is not None
        for mutation in entry["mutations"]
    }
    simulated = set()
    for api in APIS:
        for mutation in api.mutations:
            document, variables = operation(mutation, "{ __typename }"), example_of(api, mutation)
            for reason in {row.reason for row in api.errors}:
                answer = await local_gateway.execute(document, variables, simulate=reason)
                if [error["extensions"]["reason"] for error in answer.get("errors", ())] == [reason]:
                    simulated.add((reason, mutation))
        for mutation, bulk in zip(api.mutations, api.bulks, strict=True):
            document, variables = bulk_operation(bulk, "applied"), {"items": [example_of(api, mutation)]}
            for reason in {row.reason for row in api.errors}:
                answer = await local_gateway.execute(document, variables, simulate=reason)
                if [error["extensions"]["reason"] for error in answer.get("errors", ())] == [reason]:
                    simulated.add((reason, bulk))
    assert len(simulated) == len(with_backend)
    assert simulated == with_backend


def test_a_reason_stands_for_one_thing():
    for api in APIS:
        for mutation in api.mutations:
            reasons = [row.reason for row in api.errors if mutation in row.mutations]
            assert len(reasons) == len(set(reasons))
    shared = {row.reason for row in OWN_ROWS} & {row.reason for api in APIS for row in api.errors}
    assert not shared
    for api in APIS:
        for other in APIS:
            if api is not other:
                assert not {row.reason for row in api.errors} & {row.reason for row in other.errors}


def test_every_row_is_sound():
    for row in [*OWN_ROWS, *(row for api in APIS for row in api.errors)]:
        assert row.outcome is None or isinstance(row.outcome, Outcome)
        assert isinstance(row.code, Code)
        # The one case: under a key nothing is sent twice, and the outcome is the first request's.
        if row is not IDEMPOTENT_REQUEST_IN_PROGRESS:
            assert not (row.retry_safe and row.outcome is not Outcome.NOT_APPLIED)
        assert row.reason == row.reason.upper()
        assert (row.backend is None) == (row.http_status is None)
        assert row.backend is None or row.source
