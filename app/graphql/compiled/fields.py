"""A selected field: it reads an attribute, or calls a resolver as Strawberry would."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from graphql import is_non_null_type
from graphql.error import located_error
from msgspec import Struct

from app.errors import INTERNAL, GatewayError, GatewayErrors
from app.graphql.compiled.executions import Execution
from app.graphql.compiled.inputs import ABSENT, FallbackError, NotCompiledError, RawVariables
from app.graphql.compiled.running import Info, Place, Run, is_awaitable, key_of
from app.graphql.formatting import FieldError, locations_of
from app.graphql.scopes import root_field_error, tells_long_lists
from app.mapping.selection import selected

if TYPE_CHECKING:
    from graphql import FieldNode, GraphQLField, GraphQLObjectType

    from app.graphql.compiled.outputs import Outputs


class Completion(Struct):
    """Completes a value with `complete(value, run, place)`. Where nothing below it `resolves`, the value is enough.

    A value of the type `exact` is complete already.
    """

    complete: Callable[..., Any]
    resolves: bool = False
    exact: type | None = None


class Member(Struct):
    """A field of a selected object that is one of its attributes."""

    key: str
    attribute: str
    completion: Completion

    @property
    def resolves(self) -> bool:
        return self.completion.resolves

    def complete(self, above: Any, run: Run, place: Place) -> Any:
        """The field of the object `above`, or a coroutine that returns it."""
        return self.completion.complete(getattr(above, self.attribute), run, place)


class Resolved:
    """A field with a resolver."""

    resolves = True

    def __init__(
        self,
        *,
        key: str,
        parent: GraphQLObjectType,
        definition: GraphQLField,
        nodes: list[FieldNode],
        shared: Outputs,
        completion: Completion,
        scope: str | None,
    ) -> None:
        self.key = key
        self.parent_type = parent
        self.definition = definition
        self.field_nodes = nodes
        self.scope = scope
        self._field = definition.extensions["strawberry-definition"]
        self._info_class = shared.config.info_class
        self._completion = completion
        self._required = is_non_null_type(definition.type)
        self.arguments = shared.inputs.arguments(definition, nodes[0], self._field)
        self.variables = shared.inputs.used
        self.locations = locations_of(nodes)
        self.selected = selected(nodes, shared.fragment_definitions, shared.variables)
        resolver = self._field.base_resolver
        self._call = resolver.wrapped_func
        if not callable(self._call):
            raise NotCompiledError(Execution.RESOLVER)
        self._reports_lists = tells_long_lists(self._call)
        self._takes_source = resolver.self_parameter is not None
        source_parameters = (resolver.parent_parameter, resolver.root_parameter)
        self._source_names = tuple(parameter.name for parameter in source_parameters if parameter is not None)
        self._info_name = resolver.info_parameter.name if resolver.info_parameter is not None else None

    def read(self, variables: RawVariables) -> dict[str, Any]:
        """The arguments by their Python names. Raises FallbackError."""
        values = {}
        for name, source, read, missing in self.arguments:
            value = source(variables)
            value = missing if value is ABSENT else read(value)
            if value is not ABSENT:
                values[name] = value
        return values

    def complete(self, source: Any, run: Run, place: Place) -> Any:
        # Removed from the run: they get an `info`, which refers to the run, and that would be a cycle.
        values = run.arguments.pop(self.key) if place[0] is None else self.read(run.variables)
        try:
            if place[0] is None:
                error = root_field_error(run.context, self.scope, self.key, reports_lists=self._reports_lists)
                if error is not None:
                    return self._failed(error, run, place)
            for name in self._source_names:
                values[name] = source
            if self._info_name is not None:
                values[self._info_name] = self._info_class(_raw_info=Info(self, run, place), _field=self._field)  # type: ignore[arg-type]
            result = self._call(source, **values) if self._takes_source else self._call(**values)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this field's error
            return self._failed(error, run, place)
        if is_awaitable(result):
            return self._finish(result, run, place)
        return self._completed(result, run, place)

    async def _finish(self, result: Awaitable[Any], run: Run, place: Place) -> Any:
        try:
            value = await result
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this field's error
            run.settled.append(place)
            return self._failed(error, run, place)
        run.settled.append(place)
        completed = self._completed(value, run, place)
        return await completed if is_awaitable(completed) else completed

    def _completed(self, value: Any, run: Run, place: Place) -> Any:
        run.results.append((place, True, value))
        return self._completion.complete(value, run, place)

    def _failed(self, error: Exception, run: Run, place: Place) -> None:
        run.results.append((place, False, error))
        documented = isinstance(error, GatewayErrors) or (isinstance(error, GatewayError) and error.row is not INTERNAL)
        if documented:
            _forget_frames(error)
        if self._required:
            raise FallbackError from error
        if documented:
            run.errors.append(FieldError(error, self.locations, key_of(place)))
        else:
            run.errors.append(located_error(error, self.field_nodes, list(key_of(place))))


def _forget_frames(error: BaseException | None) -> None:
    """Drops the frames of a documented error. They refer to the run, which refers to the error: a cycle."""
    # An error that was visited has no frames any more. The error that several fields wait for can be its own cause's
    # cause.
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
