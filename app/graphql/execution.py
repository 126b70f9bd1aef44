"""Runs one request: persisted documents, the prepared document, its operation, its variables, graphql-core.

A compiled executor can stand in front of graphql-core: it needs `Documents`, and gives the same `Result`.
"""

from __future__ import annotations

from contextlib import nullcontext
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from graphql import OperationType
from graphql.execution import ExecutionResult
from msgspec import Struct, field
from msgspec.structs import replace

from app import notes
from app.graphql.answer_size import refuse_large, without_excess
from app.graphql.compiled import CompiledOperations, Execution
from app.graphql.compiled.running import build
from app.graphql.documents import Document, Documents, Operation
from app.graphql.formatting import error_as_data, format_errors, with_items
from app.graphql.limits import DocumentLimits
from app.graphql.lists import refuse_long
from app.graphql.persisted import PersistedDocuments
from app.graphql.request_errors import (
    IDEMPOTENCY_KEY_NOT_SINGLE,
    MUTATION_OVER_GET,
    OPERATION_NOT_FOUND,
    ROUTER_NOT_TRUSTED,
    VARIABLE_INVALID,
    ErrorEntry,
    RequestError,
    request_error,
)
from app.graphql.root_fields import RootFields
from app.graphql.tracing import FederatedTrace
from app.graphql.variables import null_errors, variable_errors
from app.updates.bulk import AT_ONCE, Rooms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.graphql.context import Context
    from app.graphql.schema import Schema

_FEDERATION = frozenset({"_service", "_entities"})


class GraphQLRequest(Struct):
    """A well-formed GraphQL request. `query` may be absent if `extensions` or `document_id` name a persisted one."""

    query: str | None
    variables: Mapping[str, Any] = field(default_factory=dict)
    operation_name: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)
    document_id: str | None = None
    read_only: bool = False
    traced: bool = False


class Result(Struct):
    """`refusal` is set when nothing was executed; then there is no data. `operation` is None when none was found.

    `errors_as_data` are the errors that a payload shows, `previews` the response keys of dry runs. `way` is how it was
    run, or would have been run; None where it was refused before that was decided.
    """

    data: dict[str, Any] | None = None
    errors: list[dict[str, Any]] = []
    error: RequestError | None = None
    operation: Operation | None = None
    extensions: dict[str, Any] | None = None
    execution: Execution | None = None
    errors_as_data: list[dict[str, Any]] = []
    previews: list[str | int] = []

    @property
    def all_errors(self) -> list[dict[str, Any]]:
        """The response's errors and those shown as data, for the log and the metrics."""
        return self.errors_as_data + self.errors if self.errors_as_data else self.errors

    def body(self) -> dict[str, Any]:
        """The response on the wire: request errors have no `data`, a success has no `errors`."""
        if self.error is not None:
            return {"errors": self.errors}
        body = {"errors": self.errors, "data": self.data} if self.errors else {"data": self.data}
        return body | {"extensions": self.extensions} if self.extensions else body


class Engine:
    """The schema with everything that outlives a request. `router_secret_set` closes federation's fields to others."""

    def __init__(
        self,
        schema: Schema,
        *,
        limits: DocumentLimits | None = None,
        introspection: bool = True,
        max_documents: int = 1000,
        persisted: PersistedDocuments | None = None,
        router_secret_set: bool = False,
        compiled: bool = True,
        bulk_concurrency: int = AT_ONCE,
    ) -> None:
        self.schema = schema
        self._graphql = schema._schema  # noqa: SLF001 - Strawberry's only handle on the graphql-core schema
        limits = limits or DocumentLimits()
        self._max_page = limits.max_page
        self._root_fields = RootFields(self._graphql, max_page=limits.max_page, max_bulk=limits.max_bulk)
        self.documents = Documents(self._graphql, limits, introspection=introspection, max_cached=max_documents)
        self.persisted = persisted if persisted is not None else PersistedDocuments()
        self._max_list = limits.max_list
        self.rooms = Rooms(notes.begin, bulk_concurrency)
        self._absent = tuple(kind for kind in OperationType if self._graphql.get_root_type(kind) is None)
        self._router_secret_set = router_secret_set
        self._compiled = CompiledOperations(schema, limits.max_list) if compiled else None

    async def execute(self, request: GraphQLRequest, context: Context) -> Result:
        """Never raises for anything that a client can cause: refusals come in the result."""
        result = Result()
        try:
            document, operation = self._chosen(request, context, result)
            self._root_fields.refuse_records(document, operation, request.variables)
            context.max_page = self._max_page
            request = self._bounded(document, operation, request, context)
            trace = FederatedTrace() if request.traced and context.trusted_router else None
            executed = await self._executed(document, operation, request, context, trace, result)
            if self._root_fields.holds_list(operation):
                refuse_large(executed.data)
        except RequestError as error:
            result.error = error
            result.errors = [entry.formatted(context.call.request_id) for entry in error.errors]
            return result
        if trace is not None:
            result.extensions = trace.get_results()
        result.data = executed.data
        result.previews = context.previews
        if context.errors_as_data:
            request_id = context.call.request_id
            result.errors_as_data = [error_as_data(error, path, request_id) for path, error in context.errors_as_data]
        errors: Any = executed.errors
        if context.bulks:
            excess = without_excess(result.data or {}, context.bulks)
            errors = with_items([*(errors or ()), *excess], context.bulks, result.data)
        if errors:
            result.errors = format_errors(
                errors, mutation=operation.mutation, request_id=context.call.request_id, item_at=context.item_at
            )
        return result

    def refuse_several(self, requests: Sequence[GraphQLRequest]) -> None:
        """Raises RequestError for a batch of several updates: the header `idempotency-key` stands for one."""
        count = 0
        for request in requests:
            try:
                source = self.persisted.source(request.query, request.extensions, request.document_id)
                document = self.documents.get(source)
                operation = document.operation(request.operation_name)
            except RequestError:
                count += 1  # an update, for all that is known
            else:
                count += self._root_fields.count_updates(document, operation, request.variables)
        if count > 1:
            raise request_error(IDEMPOTENCY_KEY_NOT_SINGLE)

    def _chosen(self, request: GraphQLRequest, context: Context, result: Result) -> tuple[Document, Operation]:
        """The document, operation and variables to run. Raises RequestError."""
        document = self.documents.get(self.persisted.source(request.query, request.extensions, request.document_id))
        if request.extensions:
            self.persisted.accepted(request.query, request.extensions)
        operation = document.operation(request.operation_name)
        result.operation = operation
        if request.read_only and operation.mutation:
            raise request_error(MUTATION_OVER_GET, allow="POST")
        if self._router_secret_set and not context.trusted_router and operation.root_names & _FEDERATION:
            raise request_error(ROUTER_NOT_TRUSTED)
        if operation.kind in self._absent:
            raise request_error(OPERATION_NOT_FOUND, f"This schema has no {operation.kind.value}s.")
        if context.call.idempotency_key is not None and operation.mutation:
            self._root_fields.refuse_several(document, operation, request.variables)
        return document, operation

    def _bounded(
        self, document: Document, operation: Operation, request: GraphQLRequest, context: Context
    ) -> GraphQLRequest:
        """The variables without the items of bulks that are too many, whose fields are refused."""
        if not self._root_fields.holds_bulk(operation):
            return request
        context.rooms = self.rooms
        context.too_long, variables = self._root_fields.refuse_items(document, operation, request.variables)
        return replace(request, variables=variables)

    async def _executed(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        context: Context,
        trace: FederatedTrace | None,
        result: Result,
    ) -> ExecutionResult:
        """Runs it compiled where that is possible. Raises RequestError."""
        compiled = self._compiled if trace is None else None
        result.execution = Execution.SWITCHED_OFF if trace is None else Execution.TRACED
        executed = None
        if compiled is not None and not operation.long_literals:
            result.execution, executed = await compiled.execute(document, operation, request.variables, context)
        if executed is not None:
            return executed
        # A compiled operation takes no list that is too long. The field of one is refused, and its variables emptied.
        too_long, variables = refuse_long(
            self._graphql, document.fragments, operation.node, request.variables, self._max_list
        )
        context.too_long = too_long | context.too_long
        request = replace(request, variables=variables)
        if compiled is not None and context.too_long:
            result.execution, executed = await compiled.execute(document, operation, variables, context)
        return executed or await self._by_graphql_core(document, operation, request, context, trace)

    async def _by_graphql_core(
        self,
        document: Document,
        operation: Operation,
        request: GraphQLRequest,
        context: Context,
        trace: FederatedTrace | None,
    ) -> ExecutionResult:
        traces = () if trace is None else (trace,)
        executor = build(self._graphql, document.ast, operation.name, request.variables, context, *traces)
        if isinstance(executor, list):
            errors = variable_errors(self._graphql, operation.node, request.variables)
            raise RequestError(errors or [ErrorEntry(VARIABLE_INVALID, error.message) for error in executor])
        coerced = executor.variable_values.coerced
        nulls = [name for name in operation.never_null if coerced.get(name, operation) is None]
        if nulls:
            raise RequestError(null_errors(operation.node, nulls))
        with nullcontext() if trace is None else trace.recording():
            outcome: Any = executor.execute_operation()
            executed: ExecutionResult = await outcome if isawaitable(outcome) else outcome
        return executed
