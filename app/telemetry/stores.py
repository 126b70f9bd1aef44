"""Measures the store: the time of each use, for the metrics, the log line and the trace."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

from app import notes
from app.errors import GatewayError
from app.store.records import StatementConflictError, UniqueConflictError, VersionConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    from sqlalchemy import Dialect

    from app.store.engine import Hold, SqlStore
    from app.store.records import Collection, Place, Record, Row, Selection, Statement, Write
    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Traces

T = TypeVar("T")


class ObservedStore:
    """Passes everything on unchanged, failures too."""

    def __init__(self, inner: SqlStore, metrics: Metrics | None = None, traces: Traces | None = None) -> None:
        self._inner = inner
        self._metrics = metrics
        self._traces = traces

    async def get(self, collection: Collection, record_id: str) -> Record | None:
        return await self._timed("read", self._inner.get(collection, record_id))

    async def get_many(self, keys: Iterable[tuple[Collection, str]]) -> dict[tuple[Collection, str], Record]:
        return await self._timed("read", self._inner.get_many(keys))

    async def find(self, collection: Collection, owner: str | None, unique: str) -> Record | None:
        return await self._timed("read", self._inner.find(collection, owner, unique))

    async def owned(self, collection: Collection, owner: str) -> list[Record]:
        return await self._timed("read", self._inner.owned(collection, owner))

    async def page(
        self,
        collection: Collection,
        selection: Selection,
        *,
        limit: int,
        offset: int = 0,
        after: Place | None = None,
        descending: bool = False,
    ) -> list[tuple[Record, Place]]:
        use = self._inner.page(collection, selection, limit=limit, offset=offset, after=after, descending=descending)
        return await self._timed("read", use)

    async def count(self, collection: Collection, selection: Selection) -> int:
        return await self._timed("read", self._inner.count(collection, selection))

    async def commit(
        self, writes: Sequence[Write], *, deadline: float | None = None, also: Sequence[Statement] = ()
    ) -> None:
        await self._timed("commit", self._inner.commit(writes, deadline=deadline, also=also))

    async def execute(self, statements: Sequence[Statement], *, deadline: float | None = None) -> list[Row]:
        return await self._timed("commit", self._inner.execute(statements, deadline=deadline))

    async def query(self, sql: str, *parameters: Any) -> list[Row]:
        return await self._timed("read", self._inner.query(sql, *parameters))

    async def hold(self, name: int) -> Hold:
        return await self._inner.hold(name)

    async def held(self, name: int) -> bool:
        return await self._inner.held(name)

    @property
    def dialect(self) -> Dialect:
        return self._inner.dialect

    async def ping(self) -> None:
        await self._inner.ping()

    async def try_writing(self) -> None:
        await self._inner.try_writing()

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _timed(self, action: str, use: Awaitable[T]) -> T:
        started = perf_counter()
        result = "ok"
        try:
            if self._traces is None:
                return await use
            with self._traces.store(action):
                return await use
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
