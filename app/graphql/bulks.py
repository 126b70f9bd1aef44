"""The bulk fields of a request: counts their items before anything runs, and adds the items' errors to the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import VariableNode

from app.errors import TOO_MANY_ITEMS, GatewayError, GatewayErrors
from app.graphql.formatting import FieldError, locations_of
from app.graphql.lists import ITEMS
from app.graphql.records import argument_of, length_of, root_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql import GraphQLError, GraphQLSchema

    from app.graphql.documents import Document, Operation
    from app.updates.bulk import Bulk


class BulkFields:
    """The bulk fields of a schema. All bulk fields of one request may have `most` items together."""

    def __init__(self, schema: GraphQLSchema, most: int) -> None:
        self._schema = schema
        self._most = most
        fields = schema.mutation_type.fields if schema.mutation_type else {}
        self.names = frozenset(name for name, field in fields.items() if ITEMS in field.args)

    def refuse_many(
        self, document: Document, operation: Operation, variables: Mapping[str, Any]
    ) -> tuple[dict[str, GatewayError], Mapping[str, Any], frozenset[str]]:
        """The errors by response key, the variables without excess items, the names of those that hold items.

        Items that are too many cost nothing more.
        """
        nodes, _ = root_fields(self._schema, document, operation, variables, {"Boolean"})
        values = {key: argument_of(node, ITEMS) for key, node in nodes.items() if node.name.value in self.names}
        count = sum(length_of(value, operation, variables) for value in values.values())
        named = frozenset(value.name.value for value in values.values() if isinstance(value, VariableNode))
        if count <= self._most:
            return {}, variables, named
        text = f"A request has at most {self._most} items in all its bulk fields; this one has {count}. None was sent."
        emptied = {
            name: [] if name in named and isinstance(value, list) else value for name, value in variables.items()
        }
        return {key: GatewayError(TOO_MANY_ITEMS, text, input_path=(ITEMS,)) for key in values}, emptied, named


def with_items(
    errors: Sequence[GraphQLError | FieldError], bulks: Mapping[str, Bulk], data: Mapping[str, Any] | None
) -> Sequence[GraphQLError | FieldError]:
    """The errors, with those of items that are not shown as data: by root field, a bulk's by item."""
    of_items = [
        FieldError(
            GatewayErrors(item.errors),
            locations_of(bulk.nodes),
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
