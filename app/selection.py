"""Does a record built from a request hold every field that the client selected? Knows no vendor."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
)
from graphql.execution.values import get_directive_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective
from strawberry import UNSET

from app.wire import members


def selects_missing(info: GraphQLResolveInfo[Any], record: Any) -> bool:
    """Whether the selection below this field needs a member of `record` that is UNSET, at any depth."""
    return any(_missing(info, node.selection_set, record) for node in info.field_nodes)


def _missing(info: GraphQLResolveInfo[Any], selection_set: SelectionSetNode | None, value: Any) -> bool:
    if value is UNSET:
        return True
    if value is None or selection_set is None:
        return False
    if isinstance(value, list):
        return any(_missing(info, selection_set, item) for item in value)
    attributes = _attributes(type(value))  # type: ignore[arg-type]  # a class is hashable
    for field in _fields(info, selection_set.selections):
        name = field.name.value
        if name == "__typename":
            continue
        attribute = attributes.get(name)
        if attribute is None or _missing(info, field.selection_set, getattr(value, attribute)):
            return True
    return False


@cache
def _attributes(cls: type) -> dict[str, str]:
    """By GraphQL names. A field with a resolver of its own is answered by the attribute that `derived_from` names."""
    derived: dict[str, str] = getattr(cls, "derived_from", {})
    return derived | {member.graphql_name: member.attribute for member in members(cls)}


def _fields(info: GraphQLResolveInfo[Any], selections: Iterable[SelectionNode]) -> Iterable[FieldNode]:
    for node in selections:
        if not _included(info, node):
            continue
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _fields(info, node.selection_set.selections)
        elif isinstance(node, FragmentSpreadNode):
            yield from _fields(info, info.fragments[node.name.value].selection_set.selections)


def _included(info: GraphQLResolveInfo[Any], node: SelectionNode) -> bool:
    if not node.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, node, info.variable_values)
    if skip and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, node, info.variable_values)
    return include is None or bool(include["if"])
