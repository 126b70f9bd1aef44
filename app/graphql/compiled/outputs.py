"""Completes the resolvers' results into the answer's data, by one function for each selection.

Plain functions complete selections without resolvers. Fields with a resolver keep graphql-core's order: they are called
in the order of the document and awaited together, and their errors come in the order in which they end.
"""

from __future__ import annotations

from asyncio import gather
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    is_union_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_subfields
from graphql.pyutils import Undefined
from graphql.type import GraphQLBoolean, GraphQLString
from msgspec import Struct
from strawberry.types.cast import get_strawberry_type_cast

from app.graphql.compiled.executions import Execution
from app.graphql.compiled.fields import Completion, Member, Resolved
from app.graphql.compiled.inputs import FallbackError, Inputs, NotCompiledError
from app.graphql.compiled.running import Place, Run, is_awaitable
from app.mapping.generated import object_completion

if TYPE_CHECKING:
    from graphql import FragmentDefinitionNode, GraphQLField
    from graphql.execution.values import VariableValues
    from strawberry.schema.config import StrawberryConfig

Grouped = Mapping[str, list[FieldDetails]]

_EXACT: dict[str, type] = {GraphQLString.name: str, GraphQLBoolean.name: bool}
_OWN_RESOLVERS = "strawberry.schema.schema_converter"


class Outputs(Struct):
    """The completions of one operation, for one choice of its directives."""

    schema: GraphQLSchema
    config: StrawberryConfig
    inputs: Inputs
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDetails]
    fragment_definitions: Mapping[str, FragmentDefinitionNode]
    variables: VariableValues

    def members(self, type_: GraphQLObjectType, grouped: Grouped) -> list[Member | Resolved]:
        return [self._member(type_, key, details) for key, details in grouped.items()]

    def _member(self, type_: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Member | Resolved:
        name = details[0].node.name.value
        if name == "__typename":
            return Member(key, "__class__", Completion(lambda *_: type_.name))
        if name.startswith("__"):
            raise NotCompiledError(Execution.INTROSPECTION)
        definition = type_.fields[name]
        declared = definition.extensions.get("strawberry-definition")
        resolve, scope = _resolver(definition)
        if declared is None or declared.extensions or getattr(resolve, "__module__", "") != _OWN_RESOLVERS:
            raise NotCompiledError(Execution.RESOLVER)
        completion = self._completion(definition.type, details)
        if declared.is_basic_field:
            return Member(key, declared.python_name, completion)
        return Resolved(
            key=key,
            parent=type_,
            definition=definition,
            nodes=[item.node for item in details],
            shared=self,
            completion=completion,
            scope=scope,
        )

    def _completion(self, type_: Any, details: list[FieldDetails]) -> Completion:
        if is_non_null_type(type_):
            return _required(self._completion(type_.of_type, details))
        if is_list_type(type_):
            return _list(self._completion(type_.of_type, details))
        if is_leaf_type(type_):
            return _leaf(type_)
        if is_object_type(type_):
            return self._object(type_, details)
        if is_union_type(type_):
            return _union({_class_of(item): self._object(item, details) for item in type_.types})
        raise NotCompiledError(Execution.ABSTRACT_TYPE)

    def _object(self, type_: GraphQLObjectType, details: list[FieldDetails]) -> Completion:
        if type_.is_type_of is not None:
            raise NotCompiledError(Execution.ABSTRACT_TYPE)
        collected = collect_subfields(
            self.schema, self.fragments, self.variables, self.operation, type_, details, hide_suggestions=True
        )
        members = self.members(type_, collected.grouped_field_set)
        plain = [member for member in members if isinstance(member, Member) and not member.resolves]
        if len(plain) < len(members):
            return Completion(_resolving_object(_class_of(type_), type_.name, members), resolves=True)
        parts = [(item.key, item.attribute, item.completion.complete, item.completion.exact) for item in plain]
        return Completion(object_completion(_class_of(type_), parts, FallbackError))


def _resolver(definition: GraphQLField) -> tuple[Any, str | None]:
    """A field's resolver without the check that `app.graphql.scopes` puts before it, and the scope of that check."""
    resolve: Any = definition.resolve
    scope = getattr(resolve, "scope", None)
    return (resolve.checked, scope) if scope is not None else (resolve, None)


def _class_of(type_: GraphQLObjectType) -> type:
    origin: type = type_.extensions["strawberry-definition"].origin
    return origin


def _leaf(type_: Any) -> Completion:
    exact = _EXACT.get(type_.name)
    serialize = type_.coerce_output_value

    def leaf(value: Any, _run: Any = None, _place: Any = None) -> Any:
        if type(value) is exact or value is None:
            return value
        # A scalar must not make text of an exception or of an awaitable.
        if type(value) is not str and (isinstance(value, Exception) or is_awaitable(value)):
            raise FallbackError
        completed = serialize(value)
        if completed is None or completed is Undefined:
            raise FallbackError
        return completed

    return Completion(leaf, exact=exact)


def _resolving_object(class_: type, name: str, members: Sequence[Member | Resolved]) -> Callable[..., Any]:
    def complete(value: Any, run: Run, place: Place) -> Any:
        if type(value) is not class_:
            if value is None:
                return None
            raise FallbackError
        parts = ((member.key, member.complete(value, run, (place, member.key, name))) for member in members)
        return gathered({}, parts, run)

    return complete


def gathered(results: Any, parts: Iterable[tuple[Any, Any]], run: Run) -> Any:
    """Puts the parts into `results` by key. Returns these, or a coroutine that returns them."""
    waiting: list[Any] = []
    try:
        for key, result in parts:
            results[key] = result
            if is_awaitable(result):
                waiting.append(key)
    except Exception:
        run.abandoned += [results[key] for key in waiting]
        raise
    return _awaited(results, waiting) if waiting else results


async def _awaited(results: Any, waiting: Sequence[Any]) -> Any:
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
        return results
    # Each one runs to its end, whatever happens to another: graphql-core goes on from their results.
    ended = await gather(*(results[key] for key in waiting), return_exceptions=True)
    for key, result in zip(waiting, ended, strict=True):
        if isinstance(result, BaseException):
            raise result
        results[key] = result
    return results


def _required(inner: Completion) -> Completion:
    complete = inner.complete

    def required(value: Any, run: Any = None, place: Any = None) -> Any:
        completed = complete(value, run, place)
        if completed is None:
            raise FallbackError
        return completed

    return Completion(required, inner.resolves, inner.exact)


def _list(item: Completion) -> Completion:
    complete = item.complete

    def complete_list(value: Any, run: Any = None, place: Any = None) -> Any:
        if type(value) is not list:
            if value is None:
                return None
            raise FallbackError
        if not item.resolves:
            return [complete(part) for part in value]
        parts = ((index, complete(part, run, (place, index, None))) for index, part in enumerate(value))
        return gathered([None] * len(value), parts, run)

    return Completion(complete_list, item.resolves)


def _union(by_class: Mapping[type, Completion]) -> Completion:
    def complete(value: Any, run: Any = None, place: Any = None) -> Any:
        if value is None:
            return None
        completion = by_class.get(type(value))
        if completion is None or get_strawberry_type_cast(value) is not None:
            raise FallbackError
        return completion.complete(value, run, place)

    return Completion(complete, any(completion.resolves for completion in by_class.values()))
