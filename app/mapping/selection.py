"""A client's selection below a field, and the part of a record that an accepted request already answers.

Knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionNode,
)
from graphql.execution.values import VariableValues, get_directive_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from app.mapping.generated import projection
from app.mapping.members import attributes_of, members, members_of

T = TypeVar("T")
# Turns an input, and further attributes, into the object that they describe. Raises _UndescribedError.
_Plan = Callable[..., Any]
_Names = tuple[tuple[str, "_Names"], ...]
# graphql-core creates the selection anew each time; its plan is cached here.
_PLANS = 512


class _UndescribedError(Exception):
    """Something is selected that the input leaves out."""


@dataclass(slots=True)
class Selected:
    """The fields below a field, by name. Its aliases are merged; `key` is the first response key.

    `plans` caches a projection by classes.
    """

    fields: dict[str, Selected] = field(default_factory=dict)
    plans: dict[tuple[type, type], _Plan] = field(default_factory=dict, repr=False, compare=False)
    key: str = field(default="", compare=False)

    def names(self) -> _Names:
        """The fields as a hashable value."""
        return tuple((name, below.names()) for name, below in self.fields.items())


def selected(
    nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode], variables: VariableValues
) -> Selected:
    """The fields below `nodes` that `@skip` and `@include` leave in."""
    selection = Selected()
    for node in nodes:
        if node.selection_set is not None:
            _select(selection, node.selection_set.selections, fragments, variables)
    return selection


def _select(
    selection: Selected,
    nodes: Iterable[SelectionNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: VariableValues,
) -> None:
    for node in nodes:
        if not included(node, variables):
            continue
        if isinstance(node, FieldNode):
            name = node.name.value
            below = selection.fields.get(name)
            if below is None:
                below = selection.fields[name] = Selected(key=(node.alias or node.name).value)
            if node.selection_set is not None:
                _select(below, node.selection_set.selections, fragments, variables)
        elif isinstance(node, InlineFragmentNode):
            _select(selection, node.selection_set.selections, fragments, variables)
        elif isinstance(node, FragmentSpreadNode):
            _select(selection, fragments[node.name.value].selection_set.selections, fragments, variables)


def included(node: SelectionNode, variables: VariableValues) -> bool:
    if not node.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, node, variables) or {"if": False}
    include = get_directive_values(GraphQLIncludeDirective, node, variables) or {"if": True}
    return bool(include["if"] and not skip["if"])


def selection_of(info: GraphQLResolveInfo[Any]) -> Selected:
    """The selection below the field of `info`. A compiled operation has it already."""
    compiled = getattr(info, "selected", None)
    if isinstance(compiled, Selected):
        return compiled
    return selected(info.field_nodes, info.fragments, info.variable_values)


def described(cls: type[T], value: Any, below: Selected, **more: Any) -> T | None:
    """The selected part of a record of class `cls` that the input `value` and the attributes `more` describe.

    None where something is selected that the input leaves out.
    """
    key = (cls, type(value))
    plan = below.plans.get(key)
    if plan is None:
        plan = below.plans[key] = _plan(cls, type(value), below.names(), tuple(more))  # type: ignore[arg-type]  # a class is hashable
    try:
        return plan(value, **more)  # type: ignore[no-any-return]
    except _UndescribedError:
        return None


@lru_cache(_PLANS)
def _plan(cls: type, input_cls: type, below: _Names, more: tuple[str, ...]) -> _Plan:
    attributes = attributes_of(cls)
    record_members = {member.attribute: member for member in members(cls)}
    input_members = members_of(input_cls).folded
    parts: dict[str, tuple[str, _Plan | None, bool]] = {}
    for field_name, further in below:
        attribute = attributes.get(field_name, "")
        if field_name == "__typename" or attribute in more or attribute in parts:
            continue
        field = record_members.get(attribute)
        argument = input_members.get(field.folded) if field is not None else None
        if field is None or argument is None:
            return _undescribed
        if (field.is_list, field.scalar) != (argument.is_list, argument.scalar):
            raise TypeError(f"{input_cls.__name__}.{argument.attribute} is no {cls.__name__}.{field.attribute}")
        nested = None
        if field.nested is not None and argument.nested is not None:
            nested = _plan(field.nested, argument.nested, further, ())
        parts[attribute] = (argument.attribute, nested, field.is_list)
    return projection(cls, parts, more, _UndescribedError)


def _undescribed(_value: Any, **_more: Any) -> Any:
    raise _UndescribedError
