"""Why a variable was refused, and its place: messages without the value, places as `extensions.input.path`."""

from __future__ import annotations

import re
from contextlib import suppress
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
    is_non_null_type,
    type_from_ast,
)
from graphql.pyutils import Undefined
from graphql.utilities import validate_input_value

from app.graphql.request_errors import VARIABLE_INVALID, ErrorEntry, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Place = tuple[str | int, ...]
MAX_ERRORS = 20

# graphql-core's messages. Only the text names the place of a missing or unknown field.
_MEMBER = re.compile(
    r"(?s)(?P<problem>Expected value of type '\w+' (?:to include|not to include))"
    r" (?:required|unknown) field '(?P<name>.*?)', found: "
)
# Only a document causes these: a variable stands for an argument that exists.
_ARGUMENT = re.compile(r"Argument '\w+\.\w+\((?P<name>\w+):\)' of type '[^']+' is required, but it was not provided")
_ENUM = re.compile(r"(?s)Value .* does not exist in '(\w+)' enum")
_QUOTED = re.compile(r", found: |, but encountered |: ")


class _EnoughError(Exception):
    """MAX_ERRORS is reached."""


def variable_errors(
    schema: GraphQLSchema, operation: OperationDefinitionNode, values: Mapping[str, Any]
) -> list[ErrorEntry]:
    """The errors of `values`, at most MAX_ERRORS; empty if none is found here."""
    errors: list[ErrorEntry] = []
    used = _places_of_variables(operation)
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        type_ = type_from_ast(schema, definition.type)
        value = values.get(name, Undefined)
        if type_ is None or (value is Undefined and (definition.default_value or not is_non_null_type(type_))):
            continue
        for place, problem in _problems(value, type_):
            if len(errors) == MAX_ERRORS:
                return errors
            errors.append(_variable_error(name, place, problem, used, definition))
    return errors


def null_errors(operation: OperationDefinitionNode, names: Iterable[str]) -> list[ErrorEntry]:
    """The errors of nullable variables that stand in a non-null place by their default, and are null."""
    used = _places_of_variables(operation)
    nodes = {item.variable.name.value: item for item in operation.variable_definitions or ()}
    problem = "null is not allowed where it is used; leave the variable out to get the default."
    return [_variable_error(name, (), problem, used, nodes[name]) for name in names]


def _variable_error(name: str, place: Place, problem: str, used: Mapping[str, Place], node: Any) -> ErrorEntry:
    written = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    where = f"Variable '${name}' at '{name}{written}'" if place else f"Variable '${name}'"
    argument = used.get(name)
    return ErrorEntry(
        VARIABLE_INVALID,
        shortened(f"{where}: {problem}"),
        locations(GraphQLError("", node)),
        (*argument, *place) if argument is not None else None,
    )


def locations(error: GraphQLError) -> tuple[tuple[int, int], ...]:
    return tuple((place.line, place.column) for place in error.locations or ())


def _places_of_variables(operation: OperationDefinitionNode) -> dict[str, Place]:
    """The first place of each variable in the arguments of the operation's root fields."""
    places: dict[str, Place] = {}
    for place, node in _values(operation):
        if isinstance(node, VariableNode):
            places.setdefault(node.name.value, place)
    return places


def place_of_error(operation: OperationDefinitionNode, error: GraphQLError) -> Place | None:
    """The place of a document's error in the arguments of a root field, the same as if variables had it."""
    for node in error.nodes or ():
        if (argument := _ARGUMENT.match(error.message)) and node in operation.selection_set.selections:
            return (argument["name"],)
        if (place := next((place for place, value in _values(operation) if value is node), None)) is not None:
            about = member_of(error.message)
            # An unknown member is a node of the document, a missing one is not.
            return (*place, about[0]) if about is not None and isinstance(node, ObjectValueNode) else place
    return None


def _values(operation: OperationDefinitionNode) -> Iterator[tuple[Place, Any]]:
    for field in operation.selection_set.selections:
        if isinstance(field, FieldNode):
            yield from values_of(field)


def values_of(field: FieldNode) -> Iterator[tuple[Place, Any]]:
    """Every value below the arguments of a field, with the nodes that name it."""
    for argument in field.arguments or ():
        yield (argument.name.value,), argument
        yield from values_below(argument.value, (argument.name.value,))


def values_below(node: ValueNode, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """A value and every one inside it, from the outside in, with the nodes that name it."""
    pending: list[tuple[Place, ValueNode]] = [(place, node)]
    while pending:
        place, node = pending.pop(0)
        yield place, node
        if isinstance(node, ObjectValueNode):
            for member in node.fields:
                yield (*place, member.name.value), member
                pending.append(((*place, member.name.value), member.value))
        elif isinstance(node, ListValueNode):
            pending.extend(((*place, index), item) for index, item in enumerate(node.values))


def _problems(value: Any, type_: Any) -> list[tuple[Place, str]]:
    """graphql-core's objections to a value, at most MAX_ERRORS, without the values that it quotes."""
    problems: list[tuple[Place, str]] = []

    def report(error: GraphQLError, path: list[str | int]) -> None:
        problems.append(_problem(error, tuple(path)))
        if len(problems) == MAX_ERRORS:
            raise _EnoughError

    with suppress(_EnoughError):
        validate_input_value(value, type_, report, hide_suggestions=True)
    return problems


def member_of(message: str) -> tuple[str, str] | None:
    """The missing or unknown member in a message of graphql-core, and the message without the value."""
    about = _MEMBER.match(message)
    return None if about is None else (about["name"], f"{about['problem']} a field '{about['name']}'.")


def _problem(error: GraphQLError, place: Place) -> tuple[Place, str]:
    if isinstance(error.original_error, ValueError):  # our own scalars explain themselves
        return place, f"{error.original_error}."
    message = error.message.replace("not to be None.", "not to be null.")
    if (member := member_of(message)) is not None:
        return (*place, member[0]), member[1]
    if about := _ENUM.match(message):
        return place, f"Not a value of enum '{about[1]}'."
    # What follows is the value, as in: Int cannot represent non-integer value: 1.5.
    return place, _QUOTED.split(message, maxsplit=1)[0].rstrip(".") + "."
