"""Who is told about the journal's work: the metrics. Knows none of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Counts the journal's work."""

    def journal_wrote(self, seconds: float, result: str) -> None: ...

    def journal_open(self, entries: int) -> None: ...

    def journal_closed(self, outcome: str) -> None: ...

    def replayed(self) -> None: ...


def tell(observer: Observer | None, event: Callable[[Observer], None]) -> None:
    """A failing observer does not change an update."""
    try:
        if observer is not None:
            event(observer)
    except Exception:
        log.exception("an observer failed; the update goes on")
