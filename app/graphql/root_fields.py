"""The root fields that a request runs, and the bounds on what they ask for together: records, items, updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
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

from app.errors import TOO_MANY_ITEMS, GatewayError
from app.graphql.lists import ITEMS, REPRESENTATIONS
from app.graphql.request_errors import IDEMPOTENCY_KEY_NOT_SINGLE, TOO_MANY_RECORDS, request_error

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from app.graphql.documents import Document, Operation

MAX_RECORDS = 1000
_ENTITIES = "_entities"


class RootFields:
    """The root fields of a schema. All bulk fields of one request may have `max_bulk` items together."""

    def __init__(self, schema: GraphQLSchema, *, max_page: int, max_bulk: int) -> None:
        self._schema = schema
        self._max_page = max_page
        self._max_bulk = max_bulk
        assert schema.query_type is not None
        self._queries = schema.query_type.fields
        self._mutations = schema.mutation_type.fields if schema.mutation_type else {}
        self._lists = {name for name, field in self._queries.items() if {"first", "after"} <= set(field.args)}
        self._lists |= {_ENTITIES} & self._queries.keys()
        self._bulks = {name for name, field in self._mutations.items() if ITEMS in field.args}

    def holds_bulk(self, operation: Operation) -> bool:
        return operation.mutation and not self._bulks.isdisjoint(operation.root_names)

    def holds_list(self, operation: Operation) -> bool:
        return not operation.mutation and not self._lists.isdisjoint(operation.root_names)

    def refuse_records(self, document: Document, operation: Operation, values: Mapping[str, Any]) -> None:
        """Raises RequestError for more than `MAX_RECORDS`. Other code reports errors of variables."""
        if not self.holds_list(operation):
            return
        # Representations are counted without a look inside.
        nodes, variables = self._nodes(document, operation, values, {"Int", "Boolean"})
        count = 0
        for node in nodes.values():
            name = node.name.value
            if name == _ENTITIES:
                count += _length(_value(node, REPRESENTATIONS), operation, values)
            elif name in self._lists:
                count += self._page(node, variables)
        if count > MAX_RECORDS:
            raise request_error(
                TOO_MANY_RECORDS,
                f"The lists and entities of a request ask for at most {MAX_RECORDS} records together, not for {count}.",
            )

    def _page(self, node: FieldNode, variables: VariableValues) -> int:
        argument = self._queries[node.name.value].args["first"]
        value = _value(node, "first")
        first = Undefined if value is None else value_from_ast(value, argument.type, variables.coerced)
        if first is Undefined:  # neither the document nor the request says it
            first = argument.default_value
        # Its field refuses a page of another size, and reads nothing.
        return first if isinstance(first, int) and 0 <= first <= self._max_page else 0

    def refuse_items(
        self, document: Document, operation: Operation, variables: Mapping[str, Any]
    ) -> tuple[dict[str, GatewayError], Mapping[str, Any]]:
        """The errors by response key, and the variables without excess items: these cost nothing more."""
        nodes, _ = self._nodes(document, operation, variables, {"Boolean"})
        values = {key: _value(node, ITEMS) for key, node in nodes.items() if node.name.value in self._bulks}
        count = sum(_length(value, operation, variables) for value in values.values())
        most = self._max_bulk
        if count <= most:
            return {}, variables
        named = {value.name.value for value in values.values() if isinstance(value, VariableNode)}
        text = f"A request has at most {most} items in all its bulk fields; this one has {count}. None was sent."
        emptied = {
            name: [] if name in named and isinstance(value, list) else value for name, value in variables.items()
        }
        return {key: GatewayError(TOO_MANY_ITEMS, text, input_path=(ITEMS,)) for key in values}, emptied

    def refuse_several(self, document: Document, operation: Operation, values: Mapping[str, Any]) -> None:
        """The header `idempotency-key` stands for one update. Raises RequestError for several, and for a bulk."""
        first, *others = operation.node.selection_set.selections
        if isinstance(first, FieldNode) and not others and not self.holds_bulk(operation):
            return
        updates = self._updates(document, operation, values)
        if len(updates) > 1 or not self._bulks.isdisjoint(updates):
            raise request_error(IDEMPOTENCY_KEY_NOT_SINGLE)

    def count_updates(self, document: Document, operation: Operation, values: Mapping[str, Any]) -> int:
        return len(self._updates(document, operation, values)) if operation.mutation else 0

    def _updates(self, document: Document, operation: Operation, values: Mapping[str, Any]) -> list[str]:
        nodes, _ = self._nodes(document, operation, values)
        return [node.name.value for node in nodes.values() if node.name.value in self._mutations]

    def _nodes(
        self,
        document: Document,
        operation: Operation,
        values: Mapping[str, Any],
        types: Collection[str] | None = None,
    ) -> tuple[dict[str, FieldNode], VariableValues]:
        """After fragments, `@skip` and `@include`: the first node of each field by response key.

        Reads only variables of the named `types`, and returns them. There are no fields where one of them is invalid,
        which is refused where variables are read.
        """
        root = self._schema.get_root_type(operation.kind)
        definitions = operation.node.variable_definitions or ()
        chosen = [item for item in definitions if types is None or _named_type(item.type) in types]
        variables = get_variable_values(self._schema, chosen, dict(values))
        if root is None or not isinstance(variables, VariableValues):
            return {}, VariableValues({}, {})
        fragments = {name: FragmentDetails(item) for name, item in document.fragments.items()}
        try:
            collected = collect_fields(self._schema, fragments, variables, root, operation.node, hide_suggestions=True)
        except GraphQLError:  # a condition's variable is null
            return {}, variables
        return {key: details[0].node for key, details in collected.grouped_field_set.items()}, variables


def _value(node: FieldNode, name: str) -> Any:
    """The value that the document has for an argument; None for none."""
    return next((item.value for item in node.arguments or () if item.name.value == name), None)


def _length(value: Any, operation: Operation, variables: Mapping[str, Any]) -> int:
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


def _named_type(type_: TypeNode) -> str:
    while not isinstance(type_, NamedTypeNode):
        type_ = type_.type  # type: ignore[attr-defined]  # a list or non-null type
    return type_.name.value
