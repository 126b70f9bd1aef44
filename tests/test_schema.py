"""The schema as it is committed and as it is served; everything in it is described."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)

from app.apis import APIS
from app.call import CallContext
from app.errors import Code
from app.graphql.catalogue import all_rows
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.graphql.schema import build_schema as build
from app.graphql.schema import print_sdl
from tests.switch import COMPILED

SCHEMA = build(APIS)
GRAPHQL = SCHEMA._schema


async def answer(query: str) -> dict:
    result = await Engine(SCHEMA, compiled=COMPILED).execute(
        GraphQLRequest(query), Context(CallContext("request-1"), {})
    )
    assert result.errors == []
    assert result.data is not None
    return result.data


async def test_the_committed_schema_is_the_printed_one_and_the_served_one():
    committed = (Path(__file__).parent.parent / "schema.graphql").read_text(encoding="utf-8")
    assert committed == print_sdl(SCHEMA) + "\n"
    assert (await answer("{ _service { sdl } }"))["_service"]["sdl"] == print_sdl(SCHEMA)


def test_the_sdl_is_the_same_each_time():
    assert print_sdl(build(APIS)) == print_sdl(SCHEMA)


def described() -> list[tuple[str, str | None]]:
    found = []
    for name, type_ in GRAPHQL.type_map.items():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        found.append((name, type_.description))
        found += _members(type_)
    return found


def _members(type_: GraphQLNamedType) -> list[tuple[str, str | None]]:
    if isinstance(type_, GraphQLEnumType):
        return [(f"{type_.name}.{key}", value.description) for key, value in type_.values.items()]
    if isinstance(type_, GraphQLInputObjectType):
        return [(f"{type_.name}.{key}", field.description) for key, field in type_.fields.items()]
    if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType):
        return []
    return [
        item
        for key, field in type_.fields.items()
        for item in [
            (f"{type_.name}.{key}", field.description),
            *((f"{type_.name}.{key}({name})", argument.description) for name, argument in field.args.items()),
        ]
    ]


def test_everything_is_described():
    missing = [name for name, text in described() if not (text or "").strip()]
    assert missing == []


def test_every_mutation_belongs_to_a_registered_api_and_may_fail_alone():
    mutation = GRAPHQL.mutation_type
    assert mutation is not None
    assert sorted(mutation.fields) == sorted(name for api in APIS for name in (*api.mutations, *api.bulks))
    for field in mutation.fields.values():
        assert not str(field.type).endswith("!")


async def test_the_catalogue_lists_every_row():
    fields = "reason code backend httpStatus vendorCode text inputPath mutations outcome retrySafe"
    listed = (await answer(f"{{ errorCatalog {{ {fields} }} }}"))["errorCatalog"]
    rows = all_rows(APIS)
    assert len(listed) == len(rows)
    for shown, row in zip(listed, rows, strict=True):
        assert shown["reason"] == row.reason
        assert shown["backend"] == (row.backend.upper() if row.backend else None)
        assert shown["httpStatus"] == row.http_status
        assert shown["code"] in list(Code)
        assert bool(shown["mutations"]) != row.of_reads
    reasons = GRAPHQL.type_map["ErrorReason"]
    assert isinstance(reasons, GraphQLEnumType)
    assert set(reasons.values) == {row.reason for row in rows}


@pytest.mark.parametrize("api", APIS, ids=[api.name for api in APIS])
async def test_the_catalogue_can_be_asked_for_one_backend_or_mutation(api):
    backend = api.name.upper()
    of_backend = (await answer(f"{{ errorCatalog(backend: {backend}) {{ backend reason }} }}"))["errorCatalog"]
    assert [item["reason"] for item in of_backend] == [row.reason for row in api.errors]
    for mutation in api.mutations:
        query = f'{{ errorCatalog(mutation: "{mutation}") {{ mutations }} }}'
        of_mutation = (await answer(query))["errorCatalog"]
        assert of_mutation
        assert all(mutation in item["mutations"] for item in of_mutation)


def test_the_sdl_is_a_schema_that_others_can_read():
    definitions = """
      directive @link(url: String!, import: [String!]) repeatable on SCHEMA
      directive @key(fields: String!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE
      directive @shareable repeatable on OBJECT | FIELD_DEFINITION
    """
    assert build_schema(definitions + print_sdl(SCHEMA)).query_type is not None
