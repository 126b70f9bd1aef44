"""How the schema is put together from API packages: what a further one needs, and what is refused."""

import dataclasses

import pytest
import strawberry

from app.graphql.schema import build_schema, print_sdl
from tests.graphql.notebook import API


def test_a_further_api_needs_nothing_but_its_own_descriptor():
    sdl = print_sdl(build_schema([API]))
    assert "updateNote(" in sdl
    assert 'type Note @key(fields: "id")' in sdl
    assert "NOTEBOOK" in sdl
    assert "TITLE_TAKEN" in sdl
    assert 'url: "https://specs.apollo.dev/federation/v2.9"' in sdl


def test_two_apis_with_one_field_name_are_refused():
    @strawberry.type
    class Other:
        @strawberry.field
        def note(self) -> str:
            return ""

    other = dataclasses.replace(API, name="other", errors=(), roots=dataclasses.replace(API.roots, query=lambda: Other))
    with pytest.raises(TypeError, match="note"):
        build_schema([API, other])


@pytest.mark.parametrize("reason", ["TITLE_TAKEN", "CONNECTION_LOST"])
def test_a_reason_of_another_api_or_of_the_gateway_is_refused(reason):
    row = dataclasses.replace(API.errors[0], reason=reason, backend="other")
    other = dataclasses.replace(API, name="other", errors=(row,))
    with pytest.raises(TypeError, match=reason):
        build_schema([API, other])


def test_an_entity_without_a_way_to_find_it_is_refused():
    @strawberry.federation.type(keys=["id"])
    class Lost:
        id: strawberry.ID

    @strawberry.type
    class Query:
        @strawberry.field
        def lost(self) -> Lost | None:
            return None

    with pytest.raises(TypeError, match="Lost"):
        build_schema(
            [
                dataclasses.replace(
                    API,
                    roots=dataclasses.replace(
                        API.roots, query=lambda: Query, scopes={**API.scopes, "lost": "notes:read"}
                    ),
                )
            ]
        )


def test_an_optional_input_has_no_default_in_the_sdl():
    assert "= null" not in print_sdl(build_schema([API]))
