"""One operation from outside: its log line, its metrics, its span, and what it met that nobody documented.

Stands around the execution and changes nothing about it; a failure in here is logged, and the answer goes out.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from graphql import FieldNode, OperationDefinitionNode, StringValueNode, VariableNode

from app.errors import INTERNAL, Outcome
from app.telemetry import journal
from app.telemetry.metrics import NONE, Metrics

if TYPE_CHECKING:
    from app.call import Call
    from app.telemetry.drift import Drift
    from app.telemetry.journal import Exchange, Journal
    from app.telemetry.traces import Traces

log = logging.getLogger(__name__)

_MOST = 10  # ids, fields or reasons of one line
_NAME_LENGTH = 100
_MILLISECONDS = 1000
_NO_FIELDS: Mapping[str, str] = {}
_NO_OPERATION = (NONE,)

R = TypeVar("R", bound="Result")


class Request(Protocol):
    @property
    def variables(self) -> Mapping[str, Any]: ...


class Context(Protocol):
    call: Call
    caller: str | None


class Operation(Protocol):
    @property
    def node(self) -> OperationDefinitionNode: ...
    @property
    def name(self) -> str | None: ...
    @property
    def root_fields(self) -> Mapping[str, str]: ...
    @property
    def summary(self) -> tuple[Any, ...]: ...


class Result(Protocol):
    errors: list[dict[str, Any]]
    refusal: Any
    operation: Any

    @property
    def way(self) -> str | None: ...


class Operations:
    """Told of every operation and of every call to a backend. `owners` names the API of a root field."""

    def __init__(
        self,
        metrics: Metrics,
        owners: Mapping[str, str],
        drift: Drift | None = None,
        traces: Traces | None = None,
    ) -> None:
        self.metrics = metrics
        self._owners = owners
        self._drift = drift
        self._traces = traces

    def on_exchange(self, name: str, method: str, status: int | None, reason: str | None, seconds: float) -> None:  # noqa: ARG002 - the protocol's
        journal.note_exchange(journal.Exchange(name, status, reason, seconds))
        self.metrics.exchange(name, status, reason, seconds)

    def refused(self, code: str, reason: str) -> None:
        """A request that became no operation."""
        try:
            self.metrics.answered(NONE, code, reason)
        except Exception:
            log.exception("a refusal could not be counted; its answer stands")

    async def operation(self, request: Request, context: Context, execution: Coroutine[Any, Any, R]) -> R:
        noted = journal.begin(context.call.request_id)
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

    def _ended(self, request: Request, context: Context, result: Result, noted: Journal, seconds: float) -> None:
        try:
            summary = _NO_OPERATION if result.operation is None else result.operation.summary
            faults = tuple(_faults(result)) if result.errors else ()
            self.metrics.operated(summary, result.way, faults, seconds, refused=result.refusal is not None)
        except Exception:
            log.exception("an operation could not be counted; its answer stands")
        try:
            fields = _NO_FIELDS if result.operation is None else result.operation.root_fields
            self._write(request, context, result, noted, fields, seconds)
            for answer in noted.undocumented:
                self.metrics.drifted(answer.backend)
                if self._drift is not None:
                    self._drift.met(answer, list(fields.values()), _given(request, result.operation))
        except Exception:
            log.exception("an operation could not be told of; its answer stands")

    def _write(
        self,
        request: Request,
        context: Context,
        result: Result,
        noted: Journal,
        fields: Mapping[str, str],
        seconds: float,
    ) -> None:
        surprised = False
        for error in result.errors:
            surprised = surprised or error["extensions"]["reason"] == INTERNAL.reason
        level = logging.ERROR if surprised else logging.INFO
        if not log.isEnabledFor(level):
            return
        operation = result.operation
        names = list(dict.fromkeys(fields.values()))
        extensions = [error["extensions"] for error in result.errors]
        backends = _backends(extensions, noted.exchanges) or [
            self._owners[name] for name in names if name in self._owners
        ]
        members = {
            "request_id": context.call.request_id,
            "caller": context.caller,
            "operation": (operation.name or "")[:_NAME_LENGTH] or None if operation is not None else None,
            "kind": operation.kind.value if operation is not None else None,
            "field": _joined(names),
            "record": _joined(_ids(operation, request.variables)),
            "backend": _joined(backends),
            "status": _joined(item.status if item.status is not None else item.reason for item in noted.exchanges),
            "code": _joined(item["code"] for item in extensions),
            "reason": _joined(item["reason"] for item in extensions),
            "outcome": _joined(_outcomes(operation, extensions)),
            "duration_ms": round(seconds * _MILLISECONDS, 3),
            "backend_ms": round(
                (sum(item.seconds for item in noted.exchanges) or noted.store_seconds) * _MILLISECONDS, 3
            ),
            "detail": _joined(noted.details),
            "trace_id": self._trace_id(),
        }
        message = "failed" if surprised else "refused" if extensions else "answered"
        log.log(
            level, "operation %s", message, extra={key: value for key, value in members.items() if value is not None}
        )

    def _trace_id(self) -> str | None:
        if self._traces is None:
            return None
        from app.telemetry.traces import trace_id  # noqa: PLC0415 - loaded already where there are traces

        return trace_id()


def _describe(span: Any, result: Result) -> None:
    kind = result.operation.kind.value
    span.update_name(f"GraphQL {kind}")
    span.set_attribute("graphql.operation.type", kind)
    codes = sorted({error["extensions"]["code"] for error in result.errors})
    if codes:
        span.set_attribute("graphql.error.codes", codes)


def _faults(result: Result) -> Iterator[tuple[str, str, str]]:
    """Response key, code and reason of each error."""
    for error in result.errors:
        path = error.get("path") or ("",)
        yield path[0], error["extensions"]["code"], error["extensions"]["reason"]


def _backends(extensions: Sequence[Mapping[str, Any]], exchanges: Sequence[Exchange]) -> list[str]:
    return [item["backend"]["name"] for item in extensions if "backend" in item] + [item.backend for item in exchanges]


def _outcomes(operation: Any, extensions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of a mutation; without an error it was applied."""
    if operation is not None and operation.mutation:
        yield from (item["outcome"] for item in extensions if "outcome" in item)
        if not extensions:
            yield Outcome.APPLIED.value


def _joined(values: Any) -> str | None:
    """Different values in their order; None for none."""
    return ",".join(list(dict.fromkeys(map(str, values)))[:_MOST]) or None


def _ids(operation: Operation | None, variables: Mapping[str, Any]) -> Iterator[str]:
    """The records that an operation names; nothing but a UUID, so that no caller writes anything else into the log."""
    for node in operation.node.selection_set.selections if operation is not None else ():
        for argument in node.arguments or () if isinstance(node, FieldNode) else ():
            if argument.name.value != "id":
                continue
            given = argument.value
            value = variables.get(given.name.value) if isinstance(given, VariableNode) else None
            try:
                yield str(uuid.UUID(given.value if isinstance(given, StringValueNode) else str(value)))
            except ValueError:
                continue


def _given(request: Request, operation: Operation | None) -> list[str]:
    """Every text that the caller sent, in variables and in the document."""
    found: list[str] = []
    waiting: list[Any] = [dict(request.variables)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif value is not None and not isinstance(value, bool):
            found.append(str(value))
    nodes: list[Any] = [operation.node] if operation is not None else []
    while nodes:
        node = nodes.pop()
        if isinstance(node, StringValueNode):
            found.append(node.value)
        elif isinstance(node, list | tuple):
            nodes += node
        elif hasattr(node, "keys"):
            nodes += [getattr(node, key, None) for key in node.keys if key != "loc"]
    return found
