"""Decides which operations are compiled, and runs one.

An operation is compiled once for each choice of its `@skip` and `@include`. graphql-core's own collection of fields
does that, and has finished before a request runs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from graphql import (
    DirectiveNode,
    NullValueNode,
    VariableNode,
    Visitor,
    is_non_null_type,
    type_from_ast,
    visit,
)
from graphql.execution import ExecutionResult
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Undefined
from graphql.utilities import coerce_input_value
from msgspec import Struct

from app.graphql.compiled.executions import Execution
from app.graphql.compiled.fields import Member, Resolved
from app.graphql.compiled.inputs import ABSENT, FallbackError, Inputs, NotCompiledError, RawVariables, Reader
from app.graphql.compiled.outputs import Outputs, gathered
from app.graphql.compiled.running import Run, is_awaitable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphql import DocumentNode, GraphQLSchema

    from app.graphql.context import Context
    from app.graphql.documents import Document, Operation
    from app.graphql.schema import Schema

log = logging.getLogger(__name__)

# Sixteen booleans make 65,536 choices. If a client sends more than these, graphql-core runs its operation.
MAX_CHOICES = 16


class Compiled(Struct):
    """One operation for one choice. `checks` are the variables that no argument of a root field reads."""

    mutation: bool
    root: str
    members: Sequence[Member | Resolved]
    resolved: Sequence[Resolved]
    checks: list[tuple[str, Any]]
    never_null: tuple[str, ...]
    defaulted: frozenset[str]

    def read(self, variables: RawVariables) -> dict[str, dict[str, Any]]:
        """The arguments of all root fields, by response key. Raises FallbackError."""
        for name in self.never_null:
            if variables.get(name, ABSENT) is None:
                raise FallbackError
        for name, type_ in self.checks:
            # A default was validated with the document.
            if name in variables and coerce_input_value(variables[name], type_) is Undefined:
                raise FallbackError
            if name not in variables and is_non_null_type(type_) and name not in self.defaulted:
                raise FallbackError
        return {item.key: item.read(variables) for item in self.resolved}

    async def run(self, run: Run) -> dict[str, Any]:
        data: dict[str, Any] = {}
        started = ((item.key, item.complete(None, run, (None, item.key, self.root))) for item in self.members)
        if self.mutation:
            for key, result in started:
                data[key] = await result if is_awaitable(result) else result
            return data
        gathering = gathered(data, started, run)
        return data if gathering is data else await gathering  # type: ignore[no-any-return]


class _Conditions(Visitor):
    """Collects the variables of `@skip` and `@include`."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value in {"skip", "include"}:
            self.names |= {
                item.value.name.value for item in node.arguments or () if isinstance(item.value, VariableNode)
            }


class CompiledOperations:
    """Compiles and runs the operations of a schema. Keeps nothing of a request."""

    def __init__(self, schema: Schema, max_list: int) -> None:
        self._schema: GraphQLSchema = schema._schema  # noqa: SLF001 - Strawberry's only handle on the graphql-core schema
        self._config = schema.config
        self._max_list = max_list
        self._object_readers: dict[tuple[str, Any, bool], Reader] = {}

    async def execute(
        self, document: Document, operation: Operation, variables: Mapping[str, Any], context: Context
    ) -> tuple[Execution, ExecutionResult | None]:
        """The result is None where graphql-core has to run the operation. Then no resolver was called."""
        try:
            compiled = self._compiled(document, operation, variables)
            arguments = compiled.read(variables)
        except NotCompiledError as error:
            return error.execution, None
        except FallbackError:
            return Execution.VARIABLES, None
        run = Run(self._schema, document.ast, operation.name, variables, context, operation.mutation, arguments)
        try:
            data = await compiled.run(run)
        except Exception:  # noqa: BLE001 - graphql-core tells what it is, over the same results
            return Execution.COMPLETED, await run.completed_by_core()
        errors: Any = run.errors  # a field's error has the read parts of a GraphQLError
        return Execution.COMPILED, ExecutionResult(data, errors)

    def _compiled(self, document: Document, operation: Operation, variables: RawVariables) -> Compiled:
        by_choice = operation.compiled
        conditions = by_choice.get("conditions")
        if conditions is None:
            conditions = by_choice["conditions"] = self._conditions(document.ast, operation)
        choice = tuple([_condition(name, default, variables) for name, default in conditions])
        compiled = by_choice.get(choice)
        if compiled is None:
            if len(by_choice) > MAX_CHOICES:
                raise NotCompiledError(Execution.MANY_CONDITIONS)
            try:
                names = (name for name, _ in conditions)
                compiled = self._compile(document, operation, dict(zip(names, choice, strict=True)))
            except NotCompiledError as error:
                compiled = error
            except Exception:
                log.exception("an operation could not be compiled; graphql-core runs it")
                compiled = NotCompiledError(Execution.SURPRISE)
            by_choice[choice] = compiled
        if isinstance(compiled, NotCompiledError):
            # A new error each time: one that is raised repeatedly would collect frames.
            raise NotCompiledError(compiled.execution)
        assert isinstance(compiled, Compiled)
        return compiled

    def _conditions(self, ast: DocumentNode, operation: Operation) -> list[tuple[str, Any]]:
        """The conditional variables of the operation with their defaults; ABSENT where there is none."""
        conditions = _Conditions()
        visit(ast, conditions)
        return [
            (item.variable.name.value, getattr(item.default_value, "value", ABSENT))
            for item in operation.node.variable_definitions or ()
            if item.variable.name.value in conditions.names
        ]

    def _compile(self, document: Document, operation: Operation, choice: Mapping[str, bool]) -> Compiled:
        node = operation.node
        root = self._schema.get_root_type(operation.kind)
        assert root is not None
        definitions = {item.variable.name.value: item for item in node.variable_definitions or ()}
        chosen: Any = get_variable_values(self._schema, [definitions[name] for name in choice], dict(choice))
        assert isinstance(chosen, VariableValues)
        inputs = Inputs(self._schema, self._config, definitions, self._object_readers, self._max_list)
        outputs = Outputs(
            self._schema,
            self._config,
            inputs,
            node,
            {name: FragmentDetails(item) for name, item in document.fragments.items()},
            document.fragments,
            chosen,
        )
        collected = collect_fields(self._schema, outputs.fragments, chosen, root, node, hide_suggestions=True)
        members = outputs.members(root, collected.grouped_field_set)
        resolved = [member for member in members if isinstance(member, Resolved)]
        if any(isinstance(member, Member) and member.attribute != "__class__" for member in members):
            raise NotCompiledError(Execution.RESOLVER)
        read = {name for member in resolved for name in member.variables}
        if any(isinstance(definitions[name].default_value, NullValueNode) for name in operation.never_null):
            raise NotCompiledError(Execution.LITERAL)
        return Compiled(
            operation.mutation,
            root.name,
            members,
            resolved,
            [
                (name, type_from_ast(self._schema, item.type))
                for name, item in definitions.items()
                if name not in read and name not in choice
            ],
            operation.never_null,
            frozenset(name for name, item in definitions.items() if item.default_value is not None),
        )


def _condition(name: str, default: Any, variables: RawVariables) -> bool:
    value = variables.get(name, default)
    if type(value) is not bool:
        raise FallbackError
    return value
