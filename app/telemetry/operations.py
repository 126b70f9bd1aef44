"""Observes one operation: its log line, its metrics, its span, and its undocumented answers.

It surrounds the execution and changes nothing. A failure in here is logged, and the answer goes out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from graphql import FieldNode, ValueNode

from app import notes
from app.call import CallContext
from app.errors import INTERNAL, Outcome
from app.notes import BackendCall, Notes
from app.telemetry.drift import Drift
from app.telemetry.lines import Line, tell
from app.telemetry.metrics import NONE, OK, PREVIEWED, Metrics
from app.telemetry.sent import ids_of, texts, texts_of

if TYPE_CHECKING:
    from app.telemetry.traces import Traces

log = logging.getLogger(__name__)

_MOST = 10  # ids, fields or reasons of one line
_NAME_LENGTH = 100
_MILLISECONDS = 1000
_NO_FIELDS: Mapping[str, str] = {}
_NO_OPERATION = (NONE,)
_ANSWERED, _REFUSED, _FAILED = (f"operation {end}" for end in ("answered", "refused", "failed"))
_APPLIED = (Outcome.APPLIED.value,)
_MUTATION = "mutation"

R = TypeVar("R", bound="Result")


class Context(Protocol):
    """`bulks` are those that have run: each has the field of its single update, its backend, and its items."""

    call: CallContext
    caller: str | None

    @property
    def bulks(self) -> Mapping[str, Any]: ...

    def item_at(self, path: Sequence[str | int] | None) -> Any: ...


class Result(Protocol):
    """What GraphQL says of an operation that ended; `operation` is None for a request that never was one."""

    error: Any
    operation: Any
    previews: list[str | int]

    @property
    def all_errors(self) -> list[dict[str, Any]]: ...
    @property
    def execution(self) -> str | None: ...


class _LogFields(NamedTuple):
    """A line's words about the operation itself: `backends` of its fields, `ids` from the arguments of that name."""

    operation: str | None
    kind: str | None
    field: str | None
    backends: str | None
    ids: tuple[ValueNode, ...]


_NO_LOG_FIELDS = _LogFields(None, None, None, None, ())


class Operations:
    """Called for every operation and every call to a backend. `owners` names the API of a root field."""

    def __init__(
        self, metrics: Metrics, owners: Mapping[str, str], drift: Drift | None = None, traces: Traces | None = None
    ) -> None:
        self.metrics = metrics
        self._owners = owners
        self._drift = drift
        self._traces = traces

    def on_call(self, name: str, method: str, status: int | None, reason: str | None, seconds: float) -> None:  # noqa: ARG002 - the protocol's
        notes.note_call(notes.BackendCall(name, status, reason, seconds))
        self.metrics.call(name, status, reason, seconds)

    def request_error(self, code: str, reason: str) -> None:
        """Records a request that became no operation."""
        try:
            self.metrics.answered(NONE, code, reason)
        except Exception:
            log.exception("a refusal could not be counted; its answer stands")

    async def operation(self, request: Any, context: Context, execution: Coroutine[Any, Any, R]) -> R:
        noted = notes.begin(context.call.request_id)
        self.metrics.begun()
        started = perf_counter()
        try:
            if self._traces is None:
                result = await execution
                self._ended(request, context, result, noted, perf_counter() - started)
                return result
            with self._traces.operation("operation") as span:
                result = await execution
                if result.operation is not None:
                    _describe(span, result)
                self._ended(request, context, result, noted, perf_counter() - started)
                return result
        finally:
            self.metrics.ended()

    def _ended(self, request: Any, context: Context, result: Result, noted: Notes, seconds: float) -> None:
        errors: Sequence[dict[str, Any]] = result.all_errors
        if context.bulks:
            errors = self._items_ended(context, result, errors)
        try:
            summary = _NO_OPERATION if result.operation is None else result.operation.summary
            counted = tuple(_errors(errors, result.previews)) if errors or result.previews else ()
            # A bulk's time is that of many updates, which have their own.
            duration = None if context.bulks else seconds
            self.metrics.operated(summary, result.execution, counted, duration, request_error=result.error is not None)
        except Exception:
            log.exception("an operation could not be counted; its answer stands")
        try:
            operation = result.operation
            log_fields = self._log_fields(operation)
            if errors or log.isEnabledFor(logging.INFO):
                extensions = [error["extensions"] for error in errors]
                ids = ids_of(log_fields.ids, request.variables) if log_fields.ids else ()
                outcomes = _outcomes(log_fields.kind, extensions, result.previews)
                if context.bulks:
                    outcomes = [*_outcomes_of(context.bulks.values()), *(outcomes if errors else ())]
                self._write(context, log_fields, ids, extensions, outcomes, noted, seconds)
            if noted.undocumented:
                fields = _NO_FIELDS if operation is None else operation.root_fields
                self._drifted(
                    noted, list(fields.values()), lambda: texts_of(request.variables, getattr(operation, "node", None))
                )
        except Exception:
            log.exception("an operation could not be told of; its answer stands")

    def _items_ended(
        self, context: Context, result: Result, errors: Sequence[dict[str, Any]]
    ) -> Sequence[dict[str, Any]]:
        """Records each item of a bulk like a single update. Returns the errors that belong to no item."""
        own: list[dict[str, Any]] = []
        below: dict[int, list[dict[str, Any]]] = {}
        for error in errors:
            item = context.item_at(error.get("path"))
            if item is None:
                own.append(error)
            elif not item.errors:  # else it is one of these
                below.setdefault(id(item), []).append(error)
        try:
            operation = self._log_fields(result.operation)
            for bulk in context.bulks.values():
                log_fields = operation._replace(field=bulk.mutation, backends=bulk.backend, ids=())
                for item in bulk.items:
                    self._item_ended(context, bulk, item, below.get(id(item), ()), log_fields)
        except Exception:
            log.exception("the items of a bulk could not be told of; its answer stands")
        return own

    def _item_ended(
        self, context: Context, bulk: Any, item: Any, below: Sequence[dict[str, Any]], log_fields: _LogFields
    ) -> None:
        extensions = [item_error.extensions for item_error in item.errors] or [error["extensions"] for error in below]
        noted = item.noted or notes.Notes()  # an item that was not begun has none
        previews = () if item.preview is None else (bulk.mutation,)
        errors = tuple((bulk.mutation, error["code"], error["reason"]) for error in extensions)
        errors += tuple((key, OK, PREVIEWED) for key in previews)
        summary = (log_fields.kind, (bulk.mutation, bulk.mutation))
        self.metrics.operated(summary, None, errors, item.seconds, request_error=False)
        outcomes = _outcomes(log_fields.kind, extensions, previews)
        self._write(context, log_fields, (item.change.id,), extensions, outcomes, noted, item.seconds or 0.0)
        self._drifted(noted, [bulk.mutation], lambda: texts([item.sent]))

    def _drifted(self, noted: Notes, fields: list[str], request_texts: Callable[[], list[str]]) -> None:
        for response in noted.undocumented:
            self.metrics.drifted(response.backend)
            if self._drift is not None:
                self._drift.met(response, fields, request_texts())

    def _write(
        self,
        context: Context,
        log_fields: _LogFields,
        ids: Sequence[str],
        extensions: Sequence[Mapping[str, Any]],
        outcomes: Sequence[str],
        noted: Notes,
        seconds: float,
    ) -> None:
        surprised = INTERNAL.reason in [error["reason"] for error in extensions]
        level = logging.ERROR if surprised else logging.INFO
        if not log.isEnabledFor(level):
            return
        calls = noted.calls
        backend: str | None
        status: str | None
        if len(calls) == 1 and not extensions:
            (call,) = calls
            backend, waited = call.backend, call.seconds
            status = call.reason if call.status is None else str(call.status)
        else:
            backend = _joined(_backends(extensions, calls)) or log_fields.backends
            waited = sum([call.seconds for call in calls]) or noted.store_seconds
            status = _joined([call.reason if call.status is None else call.status for call in calls])
        line = Line(
            request_id=context.call.request_id,
            caller=context.caller,
            operation=log_fields.operation,
            kind=log_fields.kind,
            field=log_fields.field,
            record=_joined(ids),
            backend=backend,
            status=status,
            outcome=_joined(outcomes),
            duration_ms=round(seconds * _MILLISECONDS, 3),
            backend_ms=round(waited * _MILLISECONDS, 3),
            detail=_joined(noted.details),
            trace_id=self._trace_id(),
        )
        if extensions:
            line.code = _joined([item["code"] for item in extensions])
            line.reason = _joined([item["reason"] for item in extensions])
        message = _FAILED if surprised else _REFUSED if extensions else _ANSWERED
        tell(log, level, message, line)

    def _log_fields(self, operation: Any) -> _LogFields:
        if operation is None:
            return _NO_LOG_FIELDS
        cached: _LogFields | None = operation.telemetry.get(_LogFields)
        if cached is not None:
            return cached
        names = list(dict.fromkeys(operation.root_fields.values()))
        log_fields = _LogFields(
            (operation.name or "")[:_NAME_LENGTH] or None,
            operation.node.operation.value,
            _joined(names),
            _joined([self._owners[name] for name in names if name in self._owners]),
            tuple(
                argument.value
                for node in operation.node.selection_set.selections
                if isinstance(node, FieldNode)
                for argument in node.arguments or ()
                if argument.name.value == "id"
            ),
        )
        operation.telemetry[_LogFields] = log_fields
        return log_fields

    def _trace_id(self) -> str | None:
        if self._traces is None:
            return None
        from app.telemetry.traces import trace_id  # noqa: PLC0415 - loaded already where there are traces

        return trace_id()


def _describe(span: Any, result: Result) -> None:
    kind = result.operation.kind.value
    span.update_name(f"GraphQL {kind}")
    span.set_attribute("graphql.operation.type", kind)
    codes = sorted({error["extensions"]["code"] for error in result.all_errors})
    if codes:
        span.set_attribute("graphql.error.codes", codes)


def _errors(errors: Sequence[Mapping[str, Any]], previews: Sequence[Any]) -> Iterator[tuple[str, str, str]]:
    """Response key, code and reason of each error."""
    for error in errors:
        path = error.get("path") or ("",)
        yield path[0], error["extensions"]["code"], error["extensions"]["reason"]
    for key in previews:
        yield str(key), OK, PREVIEWED


def _backends(extensions: Sequence[Mapping[str, Any]], calls: Sequence[BackendCall]) -> list[str]:
    return [item["backend"]["name"] for item in extensions if "backend" in item] + [call.backend for call in calls]


def _outcomes(kind: str | None, extensions: Sequence[Mapping[str, Any]], previews: Sequence[Any]) -> Sequence[str]:
    """The outcomes of a mutation. Without an error it was applied."""
    if kind != _MUTATION:
        return ()
    if not extensions and not previews:
        return _APPLIED
    return [item["outcome"] for item in extensions if "outcome" in item] + [PREVIEWED for _ in previews]


def _outcomes_of(bulks: Iterable[Any]) -> Iterator[str]:
    for bulk in bulks:
        for item in bulk.items:
            yield item.outcome if item.preview is None else PREVIEWED


def _joined(values: Sequence[Any]) -> str | None:
    """Different values in their order; None for none."""
    if not values:
        return None
    if len(values) == 1:
        return str(values[0]) or None
    return ",".join(list(dict.fromkeys(map(str, values)))[:_MOST]) or None
