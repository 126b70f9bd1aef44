"""`process_*` of all workers together, and the build that answers."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Gauge, Metric, ProcessCollector

# Of several workers the earliest start and the smallest limit count; all else is a sum.
_LEAST = ("process_start_time_seconds", "process_max_fds")


class _Processes:
    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = ids

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for process_id in self._ids:
            collector = ProcessCollector(pid=lambda: process_id, registry=None)  # noqa: B023 - called in this turn
            for family in collector.collect():
                merged = families.setdefault(family.name, family)
                if merged is not family:
                    join = min if family.name in _LEAST else sum
                    value = join((merged.samples[0].value, family.samples[0].value))
                    merged.samples[0] = merged.samples[0]._replace(value=value)
        yield from families.values()


def processes(ids: Sequence[int]) -> CollectorRegistry:
    """Created anew for each exposition: workers come and go. A process that is gone has no samples."""
    registry = CollectorRegistry()
    registry.register(_Processes(ids))
    build = Gauge("gateway_build_info", "Always 1; the labels say which build answers.", _BUILD, registry=registry)
    build.labels(*_BUILD.values()).set(1)
    return registry


def installed_version() -> str:
    try:
        return version("rest-update-gateway")
    except PackageNotFoundError:
        return "not installed"


VERSION = installed_version()
_BUILD = {
    "version": VERSION,
    "python": platform.python_version(),
    "implementation": platform.python_implementation(),
}
