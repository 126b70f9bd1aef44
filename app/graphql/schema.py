"""The one schema of all registered APIs: their fields, the catalogue, and federation."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import strawberry
from graphql import resolve_schema_coordinate
from strawberry import Info, federation
from strawberry.federation.schema import FederationAny
from strawberry.printer import print_schema
from strawberry.schema.name_converter import NameConverter
from strawberry.types.base import StrawberryObjectDefinition

from app.errors import OWN_ROWS
from app.graphql.catalogue import catalogue_query, error_enums
from app.graphql.entities import Entity, entities_of, resolve_entities
from app.graphql.scopes import guard, scopes_of
from app.graphql.updates import updates_query
from app.mapping.scalars import schema_config
from app.updates.user_errors import UserErrors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.apis.api import Api


class Schema(federation.Schema):
    """Strawberry's federation schema with `_entities` answered item by item.

    `scopes` names the scope of a root field, `entity_scopes` that of reading a type; without any, all are allowed.
    """

    scopes: Mapping[str, str] = {}
    entity_scopes: Mapping[str, str] = {}

    def allows(self, root_names: Iterable[str], scopes: frozenset[str] | None) -> bool:
        """Whether a caller with `scopes` may use all of these root fields. `_entities` decides item by item."""
        return scopes is None or all(self.scopes.get(name) in {None, *scopes} for name in root_names)

    @cached_property
    def entities(self) -> dict[str, Entity]:
        definitions = [
            item.definition
            for item in self.schema_converter.type_map.values()
            if isinstance(item.definition, StrawberryObjectDefinition)
        ]
        return entities_of(self._schema, definitions, self.config.name_converter)

    # Strawberry's own is synchronous. Its field accepts both.
    async def entities_resolver(  # type: ignore[override]
        self, info: Info, representations: list[FederationAny]
    ) -> list[FederationAny]:
        return await resolve_entities(self.entities, representations, info, self.entity_scopes)


def _merge(name: str, description: str, types: Sequence[type]) -> type:
    """Merges one root type. Two APIs with one field name are refused: Strawberry's `merge_types` would only warn."""
    names = Counter(
        NameConverter().from_field(field)
        for item in types
        for field in item.__strawberry_definition__.fields  # type: ignore[attr-defined]
    )
    doubled = sorted(field for field, count in names.items() if count > 1)
    if doubled:
        raise TypeError(f"{name}: more than one API defines {', '.join(doubled)}")
    return strawberry.type(type(name, tuple(types), {}), description=description)


def _check_reasons(apis: Sequence[Api]) -> None:
    """Each reason belongs to one API: clients translate by it, and `x-simulate` finds the API by it."""
    owners: dict[str, str] = {row.reason: "the gateway" for row in OWN_ROWS}
    for api in apis:
        for reason in {row.reason for row in api.errors}:
            if reason in owners:
                raise TypeError(f"the reason {reason} of {api.name} is one of {owners[reason]}'s, too")
            owners[reason] = api.name


def build_schema(apis: Sequence[Api]) -> Schema:
    """The schema of `apis`. Raises TypeError when two of them claim one field or one reason."""
    _check_reasons(apis)
    enums = error_enums(apis)
    errors = UserErrors(enums)
    roots = [(api.roots.query(), api.roots.mutation(errors)) for api in apis]
    query = _merge(
        "Query",
        "Reading records, and the catalogue of errors.",
        [*(query for query, _ in roots), updates_query(enums), catalogue_query(apis, enums)],
    )
    mutation = _merge(
        "Mutation",
        "Updates. Several in one document run in the order in which they are written.",
        [mutation for _, mutation in roots],
    )
    schema = Schema(
        query=query,
        mutation=mutation,
        config=schema_config(),
        # Strawberry's default is 2.11; a composer that knows up to 2.9 refuses that.
        federation_version="2.9",
    )
    graphql = schema._schema  # noqa: SLF001 - Strawberry's only handle on the graphql-core schema
    graphql.description = _DESCRIPTION.format(titles=" and ".join(api.title for api in apis))
    for coordinate, text in _FEDERATION.items():
        # A schema without entities lacks some of them.
        with suppress(TypeError):
            resolved: Any = resolve_schema_coordinate(graphql, coordinate)
            if resolved is not None:
                *_, element, _kind = resolved
                element.description = text
    schema.scopes = scopes_of(apis)
    schema.entity_scopes = guard(graphql, apis, roots)
    assert schema.entities is not None
    return schema


_DESCRIPTION = """Records of {titles}, read and updated through one schema.

* A query reads; a mutation sends one update, a bulk several. Mutations of one document run one after another.
* Each error has `extensions`: `code` to branch on, `reason` for the precise cause, `outcome` and `retry`.
* `input.path` is the place in the arguments. `errorCatalog` lists every error.
* `outcome` says whether the write happened: `APPLIED`, `NOT_APPLIED` or `UNKNOWN`.
* After `UNKNOWN`, read the record before you send the mutation again.
"""
# Strawberry adds federation's own definitions without descriptions. By schema coordinate.
_FEDERATION = {
    "_Any": "A representation of an entity: `__typename` and the members of its key.",
    "_Entity": "The entities of this subgraph.",
    "_FieldSet": "Names of fields, as a selection without its outer braces.",
    "_Service": "What a federated router asks a subgraph about itself.",
    "_Service.sdl": "The schema as SDL.",
    "Query._service": "The schema of this subgraph, for composition.",
    "Query._entities": "The records that the representations stand for, in their order.",
    "Query._entities(representations:)": "What to look up.",
    "link__Import": "The name of a definition that is taken from a linked specification.",
    "link__Purpose": "What a linked specification is needed for.",
    "link__Purpose.SECURITY": "Needed to keep what it marks secure.",
    "link__Purpose.EXECUTION": "Needed to execute requests.",
    "@key": "The fields that identify an entity to other subgraphs.",
    "@link": "A specification whose definitions this schema uses.",
}


def print_sdl(schema: Schema) -> str:
    """What `_service { sdl }` answers, and the file `schema.graphql` holds."""
    return print_schema(schema)
