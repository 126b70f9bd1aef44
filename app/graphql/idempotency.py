"""The header `idempotency-key` stands for one update: refuses an operation with several, or with a bulk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, GraphQLSchema, InlineFragmentNode
from graphql.execution.values import VariableValues, get_variable_values

from app.graphql.lists import ITEMS
from app.graphql.request_errors import IDEMPOTENCY_KEY_NOT_SINGLE, request_error
from app.mapping.selection import included

if TYPE_CHECKING:
    from graphql import SelectionNode

    from app.graphql.documents import Document, Operation


def refuse_several(schema: GraphQLSchema, document: Document, operation: Operation, values: Mapping[str, Any]) -> None:
    """Counts the root fields as they are run, after fragments, `@skip` and `@include`. Raises RequestError."""
    root, node = schema.mutation_type, operation.node
    assert root is not None
    variables = get_variable_values(schema, node.variable_definitions or (), dict(values))
    if not isinstance(variables, VariableValues):
        return  # they are refused with their own errors
    fragments = {item.name.value: item for item in document.ast.definitions if isinstance(item, FragmentDefinitionNode)}
    fields: dict[str, str] = {}
    _collect(fields, node.selection_set.selections, fragments, variables)
    updates = [name for name in fields.values() if name in root.fields]
    if len(updates) > 1 or any(ITEMS in root.fields[name].args for name in updates):
        raise request_error(IDEMPOTENCY_KEY_NOT_SINGLE)


def _collect(
    fields: dict[str, str],
    nodes: Iterable[SelectionNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: VariableValues,
) -> None:
    """Names by response key: two selections of one key are one field."""
    for node in nodes:
        if not included(node, variables):
            continue
        if isinstance(node, FieldNode):
            fields[(node.alias or node.name).value] = node.name.value
        elif isinstance(node, InlineFragmentNode):
            _collect(fields, node.selection_set.selections, fragments, variables)
        elif isinstance(node, FragmentSpreadNode):
            _collect(fields, fragments[node.name.value].selection_set.selections, fragments, variables)
