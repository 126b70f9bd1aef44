"""Resolves `_entities`: keeps order and length, puts an error at its own place, looks a record up once.

https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec#resolve-requests-for-entities

Knows an entity by its Strawberry type: the fields of its `@key`, and its `resolve_reference`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from graphql import GraphQLSchema, get_nullable_type, is_leaf_type
from graphql.pyutils import Undefined
from msgspec import Struct
from strawberry.federation.schema_directives import Key

from app.errors import GatewayError, each
from app.graphql.context import refusal_for
from app.graphql.request_errors import REPRESENTATION_INVALID

if TYPE_CHECKING:
    from strawberry.schema.name_converter import NameConverter

    from app.graphql.context import Context

# The look-ups of one request at a time. More than an upstream accepts would be refused, and so would other requests.
MAX_LOOK_UPS = 32


class Entity(Struct, frozen=True):
    """How an entity is looked up: its key members with their GraphQL types, under their GraphQL and Python names.

    `resolve(info=…)` takes the key's members.
    """

    name: str
    keys: tuple[tuple[str, str, Any], ...]
    resolve: Callable[..., Awaitable[Any]]


def entities_of(schema: GraphQLSchema, definitions: Sequence[Any], names: NameConverter) -> dict[str, Entity]:
    """The entities among Strawberry's object definitions. Raises TypeError for a key that is not flat."""
    entities: dict[str, Entity] = {}
    for definition in definitions:
        keys = [item for item in definition.directives or () if isinstance(item, Key)]
        resolvable = [item for item in keys if item.resolvable is not False]
        if not resolvable:
            continue
        resolve = getattr(definition.origin, "resolve_reference", None)
        if resolve is None or len(resolvable) != 1:
            raise TypeError(f"entity {definition.name}: needs one @key and a resolve_reference")
        graphql_type: Any = schema.type_map[definition.name]
        members = []
        for name in str(resolvable[0].fields).split():
            leaf: Any = get_nullable_type(graphql_type.fields[name].type) if name in graphql_type.fields else None
            if leaf is None or not is_leaf_type(leaf):
                raise TypeError(f"entity {definition.name}: the key {name} is not a scalar field")
            python_name = next(field.python_name for field in definition.fields if names.from_field(field) == name)
            members.append((name, python_name, leaf))
        entities[definition.name] = Entity(definition.name, tuple(members), resolve)
    return entities


def _refused(message: str) -> GatewayError:
    return GatewayError(REPRESENTATION_INVALID, message)


def _identify(entities: Mapping[str, Entity], representation: Any) -> tuple[Entity, tuple[Any, ...]]:
    if not isinstance(representation, Mapping):
        raise _refused("A representation is an object with __typename and the key of the entity.")
    name = representation.get("__typename")
    if not isinstance(name, str):
        raise _refused("The representation has no __typename.")
    entity = entities.get(name)
    if entity is None:
        raise _refused("The representation's __typename is not an entity of this subgraph.")
    values = []
    for key, _, leaf in entity.keys:
        key_value = representation.get(key)
        if key_value is None:
            raise _refused(f"The representation of {name} has no {key}.")
        try:
            value = leaf.coerce_input_value(key_value)
        except Exception:  # noqa: BLE001 - a scalar may raise anything for a bad value, and none of it is for the client
            value = Undefined
        if value is Undefined or value is None:
            raise _refused(f"The {key} in the representation of {name} is not a valid {leaf}.")
        values.append(value)
    return entity, tuple(values)


async def _look_up(entity: Entity, values: tuple[Any, ...], info: Any) -> Any:
    arguments = {python_name: value for (_, python_name, _), value in zip(entity.keys, values, strict=True)}
    async with info.context.look_ups:
        return await entity.resolve(info=info, **arguments)


async def resolve_entities(
    entities: Mapping[str, Entity], representations: Sequence[Any], info: Any, scopes: Mapping[str, str]
) -> list[Any]:
    """One item for each representation, in order: the record, None where there is none, or its error.

    `scopes` names the scope that reading an entity needs.
    """
    context: Context = info.context
    if (too_long := context.too_long.get(info.path.key)) is not None:
        raise too_long
    context.look_ups = context.look_ups or asyncio.Semaphore(MAX_LOOK_UPS)
    responses: list[Awaitable[Any] | Exception] = []
    for representation in representations:
        try:
            entity, values = _identify(entities, representation)
            if entity.name in scopes and (missing := refusal_for(context, scopes[entity.name])) is not None:
                raise missing
        except GatewayError as error:
            responses.append(error)
            continue
        look_up = context.entities.get((entity.name, values))
        if look_up is None:
            look_up = asyncio.ensure_future(_look_up(entity, values, info))
            context.entities[entity.name, values] = look_up
        responses.append(look_up)
    pending = {item for item in responses if isinstance(item, asyncio.Future)}
    if pending:
        await asyncio.wait(pending)
    return [_outcome(item, index) for index, item in enumerate(responses)]


def _outcome(response: Any, index: int) -> Any:
    if not isinstance(response, asyncio.Future):
        return response
    # graphql-core raises an exception that stands for a list item at that item's place alone.
    error = response.exception()
    return response.result() if error is None else each(error, partial(_placed, index))


def _placed(index: int, error: GatewayError) -> GatewayError:
    """The look-up knows its key alone, not the argument that holds it."""
    path = error.input_path
    return error if path is None else error.changed(input_path=("representations", index, *path))
