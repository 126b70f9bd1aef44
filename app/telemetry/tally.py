"""What is counted between two looks at the metrics: added up in plain numbers, and carried over together.

prometheus-client takes a lock for each number it changes, half a dozen of them for an operation.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# How old what other workers tell of this one may be.
_SECONDS = 0.2


class TalliedHistogram(Histogram):
    """A histogram that many observations can be added to at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """How many fell into each bucket, the open one included, and their sum."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


class _Observations:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Tally:
    """Series are named by their metric and its labels' values.

    With `shared`, other processes show what is carried over here: then that is done by itself, a moment later, after
    `before`. Without, whoever shows the metrics asks for it.
    """

    def __init__(self, before: Callable[[], None], *, shared: bool) -> None:
        self._before = before
        self._shared = shared
        self._waits = False
        self._counts: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self._observed: dict[tuple[TalliedHistogram, tuple[str, ...]], _Observations] = {}
        self._bounds: dict[TalliedHistogram, tuple[float, ...]] = {}
        self._children: dict[Any, Any] = {}

    def histogram(self, made: TalliedHistogram, buckets: tuple[float, ...]) -> TalliedHistogram:
        self._bounds[made] = buckets
        return made

    def count(self, metric: Counter, *labels: str, by: int = 1) -> None:
        key = (metric, labels)
        self._counts[key] = self._counts.get(key, 0) + by
        if self._shared:
            self.changed()

    def observe(self, metric: TalliedHistogram, value: float, *labels: str) -> None:
        key = (metric, labels)
        found = self._observed.get(key)
        bounds = self._bounds[metric]
        if found is None:
            found = self._observed[key] = _Observations(len(bounds))
        found.counts[bisect_left(bounds, value)] += 1
        found.total += value
        if self._shared:
            self.changed()

    def changed(self) -> None:
        """Something is to be carried over."""
        if not self._shared or self._waits:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.carry_over()
        else:
            self._waits = True
            loop.call_later(_SECONDS, self.carry_over)

    def carry_over(self) -> None:
        self._waits = True  # what is counted before is carried over now, and asks for no other time
        try:
            self._before()
        finally:
            self._waits = False
        counts, self._counts = self._counts, {}
        for key, count in counts.items():
            self._child(key).inc(count)
        observed, self._observed = self._observed, {}
        for series, found in observed.items():
            self._child(series).add(found.counts, found.total)

    def _child(self, key: tuple[Any, tuple[str, ...]]) -> Any:
        found = self._children.get(key)
        if found is None:
            metric, labels = key
            found = self._children[key] = metric.labels(*labels)
        return found
