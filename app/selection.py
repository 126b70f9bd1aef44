"""What a client selected below a field, and the record that an accepted request describes, as far as that.

Knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
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
from strawberry import UNSET

from app.wire import builder, getter, members

T = TypeVar("T")
Selection = Mapping[str, "Selected"]


@dataclass(slots=True)
class Selected:
    """The fields below a field, by name, those of its aliases together. `plans` is what is made of them by class."""

    fields: dict[str, Selected] = field(default_factory=dict)
    plans: dict[tuple[type, type], _Plan | None] = field(default_factory=dict, repr=False)


def selected(
    nodes: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode], variables: VariableValues
) -> Selected:
    """What stands below the field `nodes` and is included; `variables` decide that."""
    found = Selected()
    for node in nodes:
        if node.selection_set is not None:
            _select(found, node.selection_set.selections, fragments, variables)
    return found


def _select(
    found: Selected,
    nodes: Iterable[SelectionNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    variables: VariableValues,
) -> None:
    for node in nodes:
        if not _included(node, variables):
            continue
        if isinstance(node, FieldNode):
            below = found.fields.setdefault(node.name.value, Selected())
            if node.selection_set is not None:
                _select(below, node.selection_set.selections, fragments, variables)
        elif isinstance(node, InlineFragmentNode):
            _select(found, node.selection_set.selections, fragments, variables)
        elif isinstance(node, FragmentSpreadNode):
            _select(found, fragments[node.name.value].selection_set.selections, fragments, variables)


def _included(node: SelectionNode, variables: VariableValues) -> bool:
    if not node.directives:
        return True
    skip = get_directive_values(GraphQLSkipDirective, node, variables)
    if skip and skip["if"]:
        return False
    include = get_directive_values(GraphQLIncludeDirective, node, variables)
    return include is None or bool(include["if"])


def selection_of(info: GraphQLResolveInfo[Any]) -> Selected:
    """What is selected below the field that `info` is of. A compiled operation knows it already."""
    known = getattr(info, "selected", None)
    if isinstance(known, Selected):
        return known
    return selected(info.field_nodes, info.fragments, info.variable_values)


def described(cls: type[T], value: Any, below: Selected, **more: Any) -> T | None:
    """The record of class `cls` that the input `value` describes, with `more`, as far as it is selected.

    None where something is selected that the input leaves out. What is not selected has its default.
    """
    key = (cls, type(value))
    plan = below.plans.get(key, _UNPLANNED)
    if plan is _UNPLANNED:
        plan = below.plans[key] = _plan(cls, type(value), below, tuple(more))
    return None if plan is None else plan.made(value, more)


@dataclass(frozen=True, slots=True)
class _Plan:
    """`plain` attributes are as the input has them; `nested` ones have a plan of their own."""

    plain: tuple[str, ...]
    plain_of: Callable[[Any], tuple[Any, ...]]
    nested: tuple[tuple[str, Callable[[Any], Any], _Plan, bool], ...]
    build: Callable[[dict[str, Any]], Any]

    def made(self, value: Any, more: Mapping[str, Any]) -> Any:
        found = self.plain_of(value)
        if UNSET in found:
            return None
        values = dict(zip(self.plain, found, strict=True))
        values.update(more)
        for attribute, given, plan, is_list in self.nested:
            item = given(value)
            if item is UNSET:
                return None
            if item is None:
                values[attribute] = None
            elif is_list:
                parts = values[attribute] = [None if part is None else plan.made(part, _NOTHING) for part in item]
                # A part that cannot be made is None; so is one that was given as null.
                if None in parts and parts.count(None) != item.count(None):
                    return None
            else:
                part = values[attribute] = plan.made(item, _NOTHING)
                if part is None:
                    return None
        return self.build(values)


_NOTHING: Mapping[str, Any] = {}
_UNPLANNED: Any = object()


def _plan(cls: type, given: type, below: Selected, more: tuple[str, ...]) -> _Plan | None:
    """None where something is selected that no such input has."""
    names = attributes_of(cls)
    out = {member.attribute: member for member in members(cls)}
    inputs = {member.folded: member for member in members(given)}
    plain: dict[str, str] = {}
    nested = []
    for name, further in below.fields.items():
        if name == "__typename":
            continue
        attribute = names.get(name)
        if attribute in more:
            continue
        wanted = None if attribute is None else out.get(attribute)
        source = None if wanted is None else inputs.get(wanted.folded)
        if wanted is None or source is None:
            return None
        if (wanted.is_list, wanted.read, wanted.nested is None) != (source.is_list, source.read, source.nested is None):
            raise TypeError(f"{given.__name__}.{source.attribute} is no {cls.__name__}.{wanted.attribute}")
        if wanted.nested is None or source.nested is None:
            plain[wanted.attribute] = source.attribute
            continue
        plan = _plan(wanted.nested, source.nested, further, ())
        if plan is None:
            return None
        nested.append((wanted.attribute, attrgetter(source.attribute), plan, wanted.is_list))
    made = {*plain, *more, *(item[0] for item in nested)}
    return _Plan(tuple(plain), getter(tuple(plain.values())), tuple(nested), builder(cls, made))


@cache
def attributes_of(cls: type) -> dict[str, str]:
    """By GraphQL names. A field with a resolver of its own is answered by the attribute that `derived_from` names."""
    derived: dict[str, str] = getattr(cls, "derived_from", {})
    return derived | {member.graphql_name: member.attribute for member in members(cls)}
