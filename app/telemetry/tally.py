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


class _Counted:
    """What is to be added to one series of a counter."""

    __slots__ = ("_child", "added")

    def __init__(self, child: Any) -> None:
        self._child = child
        self.added = 0

    def carry_over(self) -> None:
        if self.added:
            added, self.added = self.added, 0
            self._child.inc(added)


class _Observed:
    """What is to be added to one series of a histogram."""

    __slots__ = ("_bounds", "_child", "_counts", "_total")

    def __init__(self, child: Any, bounds: tuple[float, ...]) -> None:
        self._child = child
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def carry_over(self) -> None:
        if any(self._counts):
            counts, self._counts = self._counts, [0] * len(self._counts)
            total, self._total = self._total, 0.0
            self._child.add(counts, total)


class Tally:
    """Series are named by their metric and its labels' values, and can be kept: `counted`, `observed`.

    With `shared`, other processes show what is carried over here: then that is done by itself, a moment later, after
    `before`; whoever adds to a kept series says so (`changed`). Without, whoever shows the metrics asks for it.
    """

    def __init__(self, before: Callable[[], None], *, shared: bool) -> None:
        self._before = before
        self._shared = shared
        self._waits = False
        self._counted: dict[tuple[Counter, tuple[str, ...]], _Counted] = {}
        self._observed: dict[tuple[TalliedHistogram, tuple[str, ...]], _Observed] = {}
        self._bounds: dict[TalliedHistogram, tuple[float, ...]] = {}

    def histogram(self, made: TalliedHistogram, buckets: tuple[float, ...]) -> TalliedHistogram:
        self._bounds[made] = buckets
        return made

    def counted(self, metric: Counter, *labels: str) -> _Counted:
        found = self._counted.get((metric, labels))
        if found is None:
            found = self._counted[metric, labels] = _Counted(metric.labels(*labels) if labels else metric)
        return found

    def observed(self, metric: TalliedHistogram, *labels: str) -> _Observed:
        found = self._observed.get((metric, labels))
        if found is None:
            found = self._observed[metric, labels] = _Observed(
                metric.labels(*labels) if labels else metric, self._bounds[metric]
            )
        return found

    def count(self, metric: Counter, *labels: str, by: int = 1) -> None:
        self.counted(metric, *labels).added += by
        self.changed()

    def observe(self, metric: TalliedHistogram, value: float, *labels: str) -> None:
        self.observed(metric, *labels).add(value)
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
        all_series: list[_Counted | _Observed] = [*self._counted.values(), *self._observed.values()]
        for series in all_series:
            series.carry_over()
