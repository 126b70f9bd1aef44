"""Measures the store: the time of each use, for the metrics, the log line and the trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from app import notes
from app.errors import GatewayError
from app.store.engine import SqlStore
from app.store.records import StatementConflictError, UniqueConflictError, VersionConflictError
from app.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from app.telemetry.traces import Traces

_ACTIONS = dict.fromkeys(("get", "get_many", "find", "owned", "page", "count", "query"), "read")
_ACTIONS |= dict.fromkeys(("commit", "execute"), "commit")


def observed(store: SqlStore, metrics: Metrics | None = None, traces: Traces | None = None) -> SqlStore:
    """The store with its uses timed. Arguments, results and failures are passed on unchanged."""
    return cast("SqlStore", _ObservedStore(store, metrics, traces))


class _ObservedStore:
    def __init__(self, store: SqlStore, metrics: Metrics | None, traces: Traces | None) -> None:
        self._store = store
        self._metrics = metrics
        self._traces = traces
        for method, action in _ACTIONS.items():
            setattr(self, method, partial(self._timed, action, getattr(store, method)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)  # what is not timed

    async def _timed(self, action: str, use: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
        started = perf_counter()
        result = "ok"
        try:
            if self._traces is None:
                return await use(*arguments, **options)
            with self._traces.store(action):
                return await use(*arguments, **options)
        except (VersionConflictError, UniqueConflictError, StatementConflictError):
            result = "conflict"
            raise
        except GatewayError:
            result = "unavailable"
            raise
        except BaseException:
            result = "failed"
            raise
        finally:
            seconds = perf_counter() - started
            if (noted := notes.current()) is not None:
                noted.store_seconds += seconds
            if self._metrics is not None:
                self._metrics.stored(action, result, seconds)
