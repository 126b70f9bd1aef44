"""Finds lists and maps of an input that are too long before they are coerced. They become errors of their fields.

A field whose argument holds one is not run. Its variables are emptied there, so that the items cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    VariableNode,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
    type_from_ast,
)

from app.errors import LIST_TOO_LONG, GatewayError
from app.graphql.variables import values_below, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import FragmentDefinitionNode, OperationDefinitionNode, SelectionSetNode

    from app.graphql.variables import Place

# `app.graphql.root_fields` counts these.
REPRESENTATIONS = "representations"
ITEMS = "items"


def refuse_long(
    schema: GraphQLSchema,
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    limit: int,
) -> tuple[dict[str, GatewayError], dict[str, Any]]:
    """The errors by response key, and the variables with long values emptied."""
    definitions = {item.variable.name.value: item for item in operation.variable_definitions or ()}
    errors: dict[str, GatewayError] = {}
    emptied = dict(variables)

    def too_long(node: Any, place: Place) -> GatewayError | None:
        if place == (REPRESENTATIONS,):
            return None
        counted = place != (ITEMS,)
        if counted and _is_long(node, limit):
            return _error(place, limit)
        if not isinstance(node, VariableNode):
            return None
        name = node.name.value
        if name not in variables:
            default = definitions[name].default_value if name in definitions else None
            inner = _long_literal(default, limit, counted=counted)
        else:
            type_ = type_from_ast(schema, definitions[name].type) if name in definitions else None
            inner, emptied[name] = _without_long(variables[name], type_, limit, counted=counted)
        return None if inner is None else _error((*place, *inner), limit)

    for field in _root_fields(operation.selection_set, fragments, set()):
        key = (field.alias or field.name).value
        for place, node in values_of(field):
            if key not in errors and (error := too_long(node, place)) is not None:
                errors[key] = error
    return errors, emptied


def _error(place: Place, limit: int) -> GatewayError:
    return GatewayError(LIST_TOO_LONG, f"At most {limit} members are taken here.", input_path=place)


def _is_long(node: Any, limit: int) -> bool:
    if isinstance(node, ListValueNode):
        return len(node.values) > limit
    return isinstance(node, ObjectValueNode) and len(node.fields) > limit


def _long_literal(node: Any, limit: int, *, counted: bool = True) -> Place | None:
    """The first place in a variable's default that is too long."""
    values = () if node is None else values_below(node)
    return next((place for place, value in values if (counted or place) and _is_long(value, limit)), None)


def _root_fields(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], visited: set[str]
) -> Iterator[FieldNode]:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node
        elif not isinstance(node, FragmentSpreadNode):
            inline: Any = node
            yield from _root_fields(inline.selection_set, fragments, visited)
        elif node.name.value not in visited:
            visited.add(node.name.value)
            yield from _root_fields(fragments[node.name.value].selection_set, fragments, visited)


def _without_long(value: Any, type_: Any, limit: int, *, counted: bool = True) -> tuple[Place | None, Any]:
    """The first place that is too long (None for none), and the value with such places emptied.

    Coercion reports an unknown member. `counted` False ignores the length of the value itself.
    """
    if not isinstance(value, dict | list):
        return None, value
    type_ = get_nullable_type(type_)
    while is_list_type(type_) and not isinstance(value, list):
        # One member stands for a list of one: https://spec.graphql.org/October2021/#sec-List.Input-Coercion
        type_ = get_nullable_type(type_.of_type)
    if is_input_object_type(type_):
        if isinstance(value, list):
            return None, value
        members = {name: type_.fields[name].type for name in value if name in type_.fields}
    else:
        if counted and len(value) > limit:
            return (), type(value)()
        inner = type_.of_type if is_list_type(type_) else None
        members = dict.fromkeys(value if isinstance(value, dict) else range(len(value)), inner)
    first: Place | None = None
    emptied: Any = value.copy()
    for name, member in members.items():
        place, emptied[name] = _without_long(value[name], member, limit)
        if first is None and place is not None:
            first = (name, *place)
    return first, emptied
