"""Why a variable was refused, and where: messages without the value, places as `extensions.input.path`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableNode,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
    is_scalar_type,
    type_from_ast,
)
from graphql.pyutils import Undefined

from app.graphql.refusals import VARIABLE_INVALID, Fault, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Place = tuple[str | int, ...]
MAX_FAULTS = 20


def variable_faults(
    schema: GraphQLSchema, operation: OperationDefinitionNode, values: Mapping[str, Any]
) -> list[Fault]:
    """The faults of `values`, at most MAX_FAULTS; empty where this walk does not find what graphql-core found."""
    faults: list[Fault] = []
    used = places_of_variables(operation)
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        type_ = type_from_ast(schema, definition.type)
        given = values.get(name, Undefined)
        if type_ is None or (given is Undefined and (definition.default_value or not is_non_null_type(type_))):
            continue
        for place, problem in _problems(given, type_):
            if len(faults) == MAX_FAULTS:
                return faults
            faults.append(variable_fault(name, place, problem, used, definition))
    return faults


def variable_fault(name: str, place: Place, problem: str, used: Mapping[str, Place], node: Any) -> Fault:
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    where = f"Variable '${name}' at '{name}{written}'" if place else f"Variable '${name}'"
    argument = used.get(name)
    located = GraphQLError("", node).locations or []
    return Fault(
        VARIABLE_INVALID,
        shortened(f"{where}: {problem}"),
        tuple((spot.line, spot.column) for spot in located),
        (*argument, *place) if argument is not None else None,
    )


def places_of_variables(operation: OperationDefinitionNode) -> dict[str, Place]:
    """Where each variable stands in the arguments of the operation's root fields, the first place of each."""
    places: dict[str, Place] = {}
    for field in operation.selection_set.selections:
        if isinstance(field, FieldNode):
            for place, node in _values(field):
                if isinstance(node, VariableNode):
                    places.setdefault(node.name.value, place)
    return places


def place_of_value(operation: OperationDefinitionNode, wanted: Any) -> Place | None:
    """Where a value of the document stands in the arguments of a root field."""
    for field in operation.selection_set.selections:
        if isinstance(field, FieldNode):
            for place, node in _values(field):
                if node is wanted:
                    return place
    return None


def _values(field: FieldNode) -> Iterator[tuple[Place, Any]]:
    """Every value below the arguments of a field, and the nodes that name them."""
    pending: list[tuple[Place, ValueNode]] = []
    for argument in field.arguments or ():
        yield (argument.name.value,), argument
        pending.append(((argument.name.value,), argument.value))
    while pending:
        place, node = pending.pop(0)
        yield place, node
        if isinstance(node, ObjectValueNode):
            for member in node.fields:
                yield (*place, member.name.value), member
                pending.append(((*place, member.name.value), member.value))
        elif isinstance(node, ListValueNode):
            pending.extend(((*place, index), item) for index, item in enumerate(node.values))


def _problems(value: Any, type_: Any) -> Iterator[tuple[Place, str]]:
    if is_non_null_type(type_):
        if value is Undefined or value is None:
            yield (), f"a value of type '{type_}' is required{'' if value is Undefined else ', null is not one'}."
            return
        type_ = get_nullable_type(type_)
    if value is None:
        return
    if is_list_type(type_):
        # A single value stands for a list of one.
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, item in items:
            for inner, problem in _problems(item, type_.of_type):
                yield (inner if index is None else (index, *inner)), problem
    elif is_input_object_type(type_):
        yield from _members(value, type_)
    elif (complaint := _leaf(value, type_)) is not None:
        yield (), complaint


def _members(value: Any, type_: Any) -> Iterator[tuple[Place, str]]:
    if not isinstance(value, dict):
        yield (), f"expected an object of type '{type_}'."
        return
    for name in value:
        if name not in type_.fields:
            yield (name,), f"type '{type_}' has no such field."
    for name, field in type_.fields.items():
        if name in value:
            for place, problem in _problems(value[name], field.type):
                yield (name, *place), problem
        elif is_required_input_field(field):
            yield (name,), f"a value of type '{field.type}' is required."


def _leaf(value: Any, type_: Any) -> str | None:
    """What a scalar or an enum says against a value; our own scalars and graphql-core's explain themselves."""
    try:
        hidden = (True,) if is_enum_type(type_) else ()
        if type_.coerce_input_value(value, *hidden) is not Undefined:
            return None
    except GraphQLError as error:
        # graphql-core ends its messages with the value: "Int cannot represent non-integer value: 1.5".
        return error.message.partition(":")[0].rstrip(".") + "."
    except ValueError as error:
        return f"{error}." if is_scalar_type(type_) else f"not a value of type '{type_}'."
    except Exception:  # noqa: BLE001 - a scalar may raise anything, and none of it is for the client
        return f"not a value of type '{type_}'."
    return f"not a value of {'enum' if is_enum_type(type_) else 'type'} '{type_}'."
