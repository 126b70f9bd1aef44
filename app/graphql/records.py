"""The root fields that a request runs, and how many records their lists and entities ask for together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLError,
    GraphQLSchema,
    ListValueNode,
    NamedTypeNode,
    NullValueNode,
    TypeNode,
    Undefined,
    VariableNode,
    VariableValues,
    value_from_ast,
)
from graphql.execution import get_variable_values
from graphql.execution.collect_fields import FragmentDetails, collect_fields

from app.graphql.request_errors import TOO_MANY_RECORDS, request_error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from graphql import FieldNode

    from app.graphql.documents import Document, Operation

MAX_RECORDS = 1000
_ENTITIES = "_entities"


class Records:
    """The count of a schema's operations."""

    def __init__(self, schema: GraphQLSchema, max_page: int) -> None:
        self._schema = schema
        self._max_page = max_page
        root = schema.query_type
        assert root is not None
        self._fields = root.fields
        lists = {name for name, field in root.fields.items() if {"first", "after"} <= set(field.args)}
        self._counted = frozenset({*lists, _ENTITIES} & set(root.fields))

    def check(self, document: Document, operation: Operation, values: Mapping[str, Any]) -> None:
        """Raises RequestError for more than `MAX_RECORDS`. Other code reports errors of variables."""
        if operation.mutation or not operation.root_names & self._counted:
            return
        count = self._count(document, operation, values)
        if count > MAX_RECORDS:
            raise request_error(
                TOO_MANY_RECORDS,
                f"The lists and entities of a request ask for at most {MAX_RECORDS} records together, not for {count}.",
            )

    def _count(self, document: Document, operation: Operation, values: Mapping[str, Any]) -> int:
        # Representations are counted without a look inside.
        nodes, variables = root_fields(self._schema, document, operation, values, {"Int", "Boolean"})
        counted = [node for node in nodes.values() if node.name.value in self._counted]
        return sum(self._requested(node, operation, variables, values) for node in counted)

    def _requested(
        self, node: FieldNode, operation: Operation, variables: VariableValues, values: Mapping[str, Any]
    ) -> int:
        name = "representations" if node.name.value == _ENTITIES else "first"
        argument = self._fields[node.name.value].args[name]
        value = argument_of(node, name)
        if name == "representations":
            return length_of(value, operation, values)
        first = Undefined if value is None else value_from_ast(value, argument.type, variables.coerced)
        if first is Undefined:  # neither the document nor the request says it
            first = argument.default_value
        # Its field refuses a page of another size, and reads nothing.
        return first if isinstance(first, int) and 0 <= first <= self._max_page else 0


def root_fields(
    schema: GraphQLSchema,
    document: Document,
    operation: Operation,
    values: Mapping[str, Any],
    types: Collection[str] | None = None,
) -> tuple[dict[str, FieldNode], VariableValues]:
    """The root fields that are run, after fragments, `@skip` and `@include`: the first node of each by response key.

    Reads only variables of the named `types`, and returns them. There are no fields where one of them is invalid, which
    is refused where variables are read.
    """
    root = schema.get_root_type(operation.kind)
    definitions = operation.node.variable_definitions or ()
    chosen = [item for item in definitions if types is None or named_type(item.type) in types]
    variables = get_variable_values(schema, chosen, dict(values))
    if root is None or not isinstance(variables, VariableValues):
        return {}, VariableValues({}, {})
    fragments = {name: FragmentDetails(item) for name, item in document.fragments.items()}
    try:
        collected = collect_fields(schema, fragments, variables, root, operation.node, hide_suggestions=True)
    except GraphQLError:  # a condition's variable is null
        return {}, variables
    return {key: details[0].node for key, details in collected.grouped_field_set.items()}, variables


def argument_of(node: FieldNode, name: str) -> Any:
    """The value that the document has for an argument; None for none."""
    return next((item.value for item in node.arguments or () if item.name.value == name), None)


def length_of(value: Any, operation: Operation, variables: Mapping[str, Any]) -> int:
    """How many members an argument's list has: of the request's variable, or of the document."""
    if isinstance(value, VariableNode):
        name = value.name.value
        if name in variables:
            items = variables[name]
            return len(items) if isinstance(items, list | tuple) else int(items is not None)
        definitions = operation.node.variable_definitions or ()
        value = next((item.default_value for item in definitions if item.variable.name.value == name), None)
    if isinstance(value, ListValueNode):
        return len(value.values)
    return 0 if value is None or isinstance(value, NullValueNode) else 1


def named_type(type_: TypeNode) -> str:
    while not isinstance(type_, NamedTypeNode):
        type_ = type_.type  # type: ignore[attr-defined]  # a list or non-null type
    return type_.name.value
