"""The header `idempotency-key` stands for one update: refuses an operation with several, or with a bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.graphql.lists import ITEMS
from app.graphql.records import root_fields
from app.graphql.request_errors import IDEMPOTENCY_KEY_NOT_SINGLE, request_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLSchema

    from app.graphql.documents import Document, Operation


def refuse_several(schema: GraphQLSchema, document: Document, operation: Operation, values: Mapping[str, Any]) -> None:
    """Counts the root fields as they are run. Raises RequestError."""
    root = schema.mutation_type
    assert root is not None
    nodes, _ = root_fields(schema, document, operation, values)
    updates = [root.fields[node.name.value] for node in nodes.values() if node.name.value in root.fields]
    if len(updates) > 1 or any(ITEMS in field.args for field in updates):
        raise request_error(IDEMPOTENCY_KEY_NOT_SINGLE)
