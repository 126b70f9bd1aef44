"""The bulk fields of a request: counts their items before anything runs, and adds the items' errors to the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, VariableNode, VariableValues
from graphql.execution import get_variable_values
from graphql.execution.collect_fields import FragmentDetails, collect_fields

from app.errors import TOO_MANY_ITEMS, GatewayError, GatewayErrors
from app.graphql.formatting import FieldError
from app.graphql.lists import ITEMS
from app.graphql.records import length_of, named_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql import FieldNode

    from app.graphql.documents import Document, Operation
    from app.updates.bulk import Bulk


class BulkFields:
    """The bulk fields of a schema. All bulk fields of one request may have `most` items together."""

    def __init__(self, schema: GraphQLSchema, most: int) -> None:
        self._schema = schema
        self._most = most
        root = schema.mutation_type
        self.names = (
            frozenset(name for name, field in root.fields.items() if ITEMS in field.args) if root else frozenset()
        )

    def refuse_many(
        self, document: Document, operation: Operation, variables: Mapping[str, Any]
    ) -> tuple[dict[str, GatewayError], Mapping[str, Any], frozenset[str]]:
        """The errors by response key, the variables without excess items, the names of those that hold items.

        Items that are too many cost nothing more.
        """
        values = {key: _items(node) for key, node in self._fields(document, operation, variables).items()}
        count = sum(length_of(value, operation, variables) for value in values.values())
        named = frozenset(value.name.value for value in values.values() if isinstance(value, VariableNode))
        if count <= self._most:
            return {}, variables, named
        text = f"A request has at most {self._most} items in all its bulk fields; this one has {count}. None was sent."
        emptied = {
            name: [] if name in named and isinstance(value, list) else value for name, value in variables.items()
        }
        return {key: GatewayError(TOO_MANY_ITEMS, text, input_path=(ITEMS,)) for key in values}, emptied, named

    def _fields(self, document: Document, operation: Operation, variables: Mapping[str, Any]) -> dict[str, FieldNode]:
        """The bulk fields that are run, after fragments, `@skip` and `@include`."""
        root = self._schema.mutation_type
        assert root is not None
        conditions = [item for item in operation.node.variable_definitions or () if named_type(item.type) == "Boolean"]
        values = get_variable_values(self._schema, conditions, dict(variables))
        if not isinstance(values, VariableValues):
            return {}  # refused where variables are read
        fragments = {name: FragmentDetails(item) for name, item in document.fragments.items()}
        try:
            collected = collect_fields(self._schema, fragments, values, root, operation.node, hide_suggestions=True)
        except GraphQLError:  # a condition's variable is null
            return {}
        groups = {key: details[0].node for key, details in collected.grouped_field_set.items()}
        return {key: node for key, node in groups.items() if node.name.value in self.names}


def _items(field: FieldNode) -> Any:
    return next((item.value for item in field.arguments or () if item.name.value == ITEMS), None)


def with_items(
    errors: Sequence[GraphQLError | FieldError], bulks: Mapping[str, Bulk], data: Mapping[str, Any] | None
) -> Sequence[GraphQLError | FieldError]:
    """The errors, with those of items that are not shown as data: by root field, a bulk's by item."""
    of_items = [
        FieldError(
            GatewayErrors(item.errors),
            [node.loc.source.get_location(node.loc.start) for node in bulk.nodes if node.loc is not None],
            bulk.path_of(item),
        )
        for bulk in bulks.values()
        if bulk.nodes is not None
        for item in bulk.items
        if item.errors
    ]
    if not of_items:
        return errors
    roots = {key: place for place, key in enumerate(data or ())}

    def place(error: GraphQLError | FieldError) -> tuple[int, int]:
        path = error.path or ()
        item = next((step for step in path if isinstance(step, int)), 0)
        return (roots.get(str(path[0]), 0) if path else 0), item

    return sorted([*errors, *of_items], key=place)
