"""Prometheus metrics. Every label has few values, known from the start: nothing from a caller becomes a label.

With several workers prometheus-client keeps the values in files of the folder `PROMETHEUS_MULTIPROC_DIR`, and any
worker answers for all; gauges are sums over the living workers.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.telemetry.processes import processes

# It would add a series for each metric, which nothing here reads.
disable_created_metrics()  # type: ignore[no-untyped-call]

CONTENT_TYPE = CONTENT_TYPE_LATEST
OK = "OK"
PREVIEWED = "PREVIEWED"
OTHER = "other"
NONE = "none"

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_KNOWN = (200, 204, 301, 302, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504)
_BREAKER_STATES = ("closed", "open", "half-open")
_STATUSES = {status: str(status) for status in _KNOWN}
_ENDS_KEPT = 1024
_NAMES_KEPT = 400  # characters
# An operation's kind, then key and name of each root field.
Summary = tuple[Any, ...]
# Response key, code and reason of each error.
Errors = tuple[tuple[str, str, str], ...]

_LIVE_FILE = re.compile(r"gauge_live\w*_([0-9]+)\.db")


class Metrics:
    """One set of metrics. `fields` are the schema's root fields, `reasons` all reasons of errors.

    `folder` is where several workers keep theirs together.
    """

    def __init__(
        self,
        fields: Iterable[str] = (),
        reasons: Iterable[str] = (),
        backends: Iterable[str] = (),
        folder: Path | None = None,
    ) -> None:
        self._folder = folder
        self.registry = CollectorRegistry()
        self._fields = frozenset(fields)
        self._reasons = frozenset(reasons)
        self._backends = frozenset(backends)
        self._upstreams: Mapping[str, Any] = {}
        self._documents: Any = None
        self._counted = [0, 0, 0]
        self._states: dict[str, str] = {}
        self._running = 0
        self._ends: dict[Any, tuple[Any, list[Any]]] = {}
        self._responses: dict[tuple[str, int], Any] = {}
        self.operations = self._counter(
            "gateway_operations", "Root fields answered, by what came of them.", "field", "code", "reason"
        )
        self.executions = self._counter(
            "gateway_executions", "Operations run, compiled or by graphql-core for a cause.", "way"
        )
        self.operation_seconds = self._histogram(
            "gateway_operation_duration_seconds", "Time of an operation inside the gateway.", _BUCKETS, "kind"
        )
        self.in_flight = self._gauge("gateway_operations_in_flight", "Operations that run.")
        self.backend_seconds = self._histogram(
            "gateway_backend_duration_seconds", "Time of a call to a backend.", _BUCKETS, "backend", "status"
        )
        self.breaker = self._gauge(
            "gateway_backend_breaker", "Workers whose breaker for the backend is in the state.", "backend", "state"
        )
        self.documents = self._counter("gateway_documents", "Documents looked up in the cache.", "result")
        self.documents_kept = self._gauge("gateway_documents_kept", "Documents in the cache.")
        self.store_seconds = self._histogram(
            "gateway_store_duration_seconds", "Time of a use of the local store.", _STORE_BUCKETS, "action", "result"
        )
        self.undocumented = self._counter(
            "gateway_undocumented_answers", "Answers of a backend that no documented row matches.", "backend"
        )
        self.journal_entries = self._gauge(
            "gateway_journal_open_entries", "Updates whose end the journal does not have yet."
        )
        self.journal_seconds = self._histogram(
            "gateway_journal_write_seconds", "Time until the intent of an update was durable.", _STORE_BUCKETS, "result"
        )
        self._journal_seconds = functools.cache(self.journal_seconds.labels)  # there are two results
        self.journal_closings = self._counter(
            "gateway_journal_closed", "Updates that a stopped process left behind, by what became of them.", "outcome"
        )
        self.replays = self._counter(
            "gateway_replays", "Updates answered from an earlier one with the same idempotency key."
        )
        for outcome in ("APPLIED", "UNKNOWN"):
            self.journal_closings.labels(outcome)
        for result in ("hit", "miss"):
            self.documents.labels(result)
        for backend in self._backends:
            self.undocumented.labels(backend)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)

    def watch(self, upstreams: Mapping[str, Any], documents: Any = None) -> None:
        """Adds objects whose state is read when the metrics are requested: each breaker's, the document cache's."""
        self._upstreams = upstreams
        self._documents = self._documents if documents is None else documents  # an empty cache is false
        self._look()

    def begun(self) -> None:
        self._running += 1
        if self._folder is not None:
            self.in_flight.set(self._running)

    def ended(self) -> None:
        self._running -= 1
        if self._folder is not None:  # other workers show this one's metrics, too
            self._look()

    def operated(
        self, summary: Summary, execution: str | None, errors: Errors, seconds: float | None, *, request_error: bool
    ) -> None:
        """Counts an operation that ended, and each of its root fields by its errors, or as free of errors."""
        key = (summary, execution, errors, request_error)
        series = self._ends.get(key)
        if series is None:
            series = self._series(summary, execution, errors, request_error=request_error)
            # Callers may use names of any number and length, so that old ones are dropped.
            if len(self._ends) >= _ENDS_KEPT:
                self._ends.clear()
            if sum(len(name) for name, *_ in (*summary[1:], *errors)) <= _NAMES_KEPT:
                self._ends[key] = series
        duration, counters = series
        if seconds is not None:
            duration.observe(seconds)
        for counter in counters:
            counter.inc()

    def _series(
        self, summary: Summary, execution: str | None, errors: Errors, *, request_error: bool
    ) -> tuple[Any, list[Any]]:
        kind, *fields = summary
        counters = [] if execution is None else [self.executions.labels(execution)]
        names, failed = dict(fields), {key for key, _, _ in errors}
        for key, code, reason in dict.fromkeys(errors):
            counters.append(self._response(NONE if request_error else names.get(key, OTHER), code, reason))
        if not request_error:
            counters += [self._response(name, OK, OK) for key, name in fields if key not in failed]
        return self.operation_seconds.labels(kind), counters

    def stored(self, action: str, result: str, seconds: float) -> None:
        self.store_seconds.labels(action, result).observe(seconds)

    def journal_wrote(self, seconds: float, result: str) -> None:
        self._journal_seconds(result).observe(seconds)

    def journal_open(self, entries: int) -> None:
        self.journal_entries.set(entries)

    def journal_closed(self, outcome: str) -> None:
        self.journal_closings.labels(outcome).inc()

    def replayed(self) -> None:
        self.replays.inc()

    def answered(self, field: str, code: str, reason: str) -> None:
        self._response(field, code, reason).inc()

    def _response(self, field: str, code: str, reason: str) -> Any:
        shown = field if field in self._fields or field == NONE else OTHER
        return self.operations.labels(shown, code, self._reason(reason))

    def _reason(self, reason: str) -> str:
        return reason if reason in self._reasons or reason in {OK, PREVIEWED} else OTHER

    def call(self, backend: str, status: int | None, reason: str | None, seconds: float) -> None:
        """Counts a call to a backend, by its status or by the reason why there is none."""
        if status is None:
            self.backend_seconds.labels(self._backend(backend), self._reason(reason or "")).observe(seconds)
            return
        histogram = self._responses.get((backend, status))
        if histogram is None:
            shown = _STATUSES.get(status) or f"{status // 100}xx"
            histogram = self.backend_seconds.labels(self._backend(backend), shown)
            if backend in self._backends:
                self._responses[backend, status] = histogram
        histogram.observe(seconds)

    def _backend(self, name: str) -> str:
        return name if name in self._backends else OTHER

    def drifted(self, backend: str) -> None:
        self.undocumented.labels(self._backend(backend)).inc()

    def _look(self) -> None:
        """Reads what others count: when the metrics are shown, and with several workers after each operation."""
        self.in_flight.set(self._running)
        for name, upstream in self._upstreams.items():
            current = upstream.breaker_state
            if self._states.get(name) != current:
                self._states[name] = current
                for state in _BREAKER_STATES:
                    self.breaker.labels(self._backend(name), state).set(state == current)
        if self._documents is None:
            return
        now = [self._documents.hits, self._documents.misses, len(self._documents)]
        if now != self._counted:
            self.documents.labels("hit").inc(now[0] - self._counted[0])
            self.documents.labels("miss").inc(now[1] - self._counted[1])
            self.documents_kept.set(now[2])
            self._counted = now

    def render(self) -> bytes:
        """The exposition of this process, or of all workers."""
        self._look()
        if self._folder is None:
            return generate_latest(self.registry) + generate_latest(processes([os.getpid()]))
        workers = set()
        for path in self._folder.iterdir():
            if (name := _LIVE_FILE.fullmatch(path.name)) is None:
                continue
            if _lives(process_id := int(name[1])):
                workers.add(process_id)
            else:  # it was killed, and had no time to remove the files of its gauges
                path.unlink(missing_ok=True)
        summed = CollectorRegistry()
        MultiProcessCollector(summed, path=str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(summed) + generate_latest(processes(sorted(workers)))


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
