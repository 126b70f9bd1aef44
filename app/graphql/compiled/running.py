"""One run of a compiled operation: the resolvers' results, and the fallback that completes them."""

from __future__ import annotations

import math
from asyncio import gather
from collections.abc import Awaitable, Mapping
from inspect import isawaitable
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError
from graphql.execution import ExecutionResult, Executor
from graphql.pyutils import Path
from msgspec import Struct
from strawberry.execution import optimized_is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphql import DocumentNode, FieldNode, GraphQLSchema

    from app.graphql.compiled.fields import Resolved
    from app.graphql.context import Context
    from app.graphql.formatting import FieldError
    from app.mapping.selection import Selected

PathKey = tuple[str | int, ...]
# A value's place: the place above, its key, and the type whose field it is. graphql-core's Path is the same as a named
# tuple, which takes several times as long to create.
Place = tuple[Any, str | int, str | None]

_PLAIN: set[type] = {type(None), bool, int, float, str, list, dict, tuple}


def is_awaitable(value: Any) -> bool:
    """Strawberry's check looks for an attribute in every object. This one remembers the schema's classes."""
    kind = type(value)
    if kind is CoroutineType:
        return True
    if kind in _PLAIN:
        return False
    if optimized_is_awaitable(value):
        return True
    if hasattr(kind, "__strawberry_definition__"):
        _PLAIN.add(kind)
    return False


def key_of(place: Place) -> PathKey:
    above, key, _ = place
    return (key,) if above is None else (*key_of(above), key)


def _path_of(place: Place) -> Path:
    above, key, name = place
    return Path(None if above is None else _path_of(above), key, name)


def build(
    schema: GraphQLSchema,
    document: DocumentNode,
    name: str | None,
    variables: Mapping[str, Any],
    context: Context,
    *middleware: Any,
) -> Executor[Any] | list[GraphQLError]:
    """graphql-core's executor of one operation, or what it has against the variables."""
    return Executor.build(
        schema,
        document,
        context_value=context,
        raw_variable_values=dict(variables),
        operation_name=name,
        # A plain bool, where a TypeGuard is declared.
        is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]
        hide_suggestions=True,
        middleware=middleware or None,
    )


class Run(Struct):
    """`results` holds what each resolver returned or raised, by place. No resolver is called twice.

    `arguments` are those of the root fields by response key, read before the first of them runs.
    `settled` holds the places of awaited resolvers in the order in which they ended.
    Errors below them come in that order. `built` is graphql-core's view of this run.
    """

    schema: GraphQLSchema
    document: DocumentNode
    name: str | None
    variables: Mapping[str, Any]
    context: Context
    mutation: bool
    arguments: dict[str, dict[str, Any]]
    built: Executor[Any] | None = None
    errors: list[GraphQLError | FieldError] = []
    results: list[tuple[Place, bool, Any]] = []
    settled: list[Place] = []
    abandoned: list[Awaitable[Any]] = []

    def _build(self, *middleware: Callable[..., Any]) -> Executor[Any]:
        executor = build(self.schema, self.document, self.name, self.variables, self.context, *middleware)
        assert isinstance(executor, Executor)  # the variables were read before
        return executor

    def core(self) -> Executor[Any]:
        """graphql-core's view of this run, for the parts of a resolver's `info` that only it has."""
        if self.built is None:
            self.built = self._build()
        return self.built

    async def completed_by_core(self) -> ExecutionResult:
        """Lets graphql-core complete the existing results and call the other resolvers."""
        if self.abandoned:
            await gather(*self.abandoned, return_exceptions=True)
        results = {key_of(place): (good, value) for place, good, value in self.results}
        ends = [key_of(place) for place in self.settled]

        def remembered(resolve: Callable[..., Any], source: Any, info: Any, **arguments: Any) -> Any:
            key = tuple(info.path.as_list())
            remembered_result = results.get(key)
            if remembered_result is None:
                result = resolve(source, info, **arguments)
                return _settling(result, key, ends) if optimized_is_awaitable(result) else result
            good, value = remembered_result
            if good:
                return value
            raise value

        outcome: Any = self._build(remembered).execute_operation()
        executed: ExecutionResult = await outcome if isawaitable(outcome) else outcome
        if executed.errors:
            executed.errors = self._in_order(executed.errors, ends)
        return executed

    def _in_order(self, errors: list[GraphQLError], settled: list[PathKey]) -> list[GraphQLError]:
        """Sorts errors as graphql-core alone would have met them: by the end of the awaited resolver above.

        Errors without such a resolver come first. The root fields of a mutation run one after the other.
        """
        ends = {path: place for place, path in enumerate(settled)}
        roots: dict[Any, int] = {}

        def place(error: GraphQLError) -> tuple[int, float]:
            path = tuple(error.path or ())
            root = roots.setdefault(path[:1], len(roots)) if self.mutation else 0
            above = (ends[path[:length]] for length in range(len(path), 0, -1) if path[:length] in ends)
            return root, next(above, -math.inf)

        return sorted(errors, key=place)


async def _settling(result: Awaitable[Any], key: PathKey, settled: list[PathKey]) -> Any:
    try:
        return await result
    finally:
        settled.append(key)


class Info:
    """The members of graphql-core's GraphQLResolveInfo. The costly ones are built when they are read."""

    __slots__ = ("_field", "_place", "_run")

    def __init__(self, field: Resolved, run: Run, place: Place) -> None:
        self._field = field
        self._run = run
        self._place = place

    def __getattr__(self, name: str) -> Any:
        field = self._field
        whole = self._run.core().build_resolve_info(field.definition, field.field_nodes, field.parent_type, self.path)
        return getattr(whole, name)

    @property
    def path(self) -> Path:
        return _path_of(self._place)

    @property
    def context(self) -> Context:
        return self._run.context

    @property
    def field_nodes(self) -> list[FieldNode]:
        return self._field.field_nodes

    @property
    def selected(self) -> Selected:
        return self._field.selected
