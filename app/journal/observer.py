"""Who is told about the journal's work: the metrics. Knows none of them."""

from __future__ import annotations

import logging
from typing import Protocol

log = logging.getLogger(__name__)


class Observer(Protocol):
    """Counts the journal's work."""

    def journal_wrote(self, seconds: float, result: str) -> None: ...

    def journal_open(self, entries: int) -> None: ...

    def journal_closed(self, outcome: str) -> None: ...

    def replayed(self) -> None: ...


class SafeObserver:
    """Calls an observer. A failing observer does not change an update."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer

    def journal_wrote(self, seconds: float, result: str) -> None:
        self._tell("journal_wrote", seconds, result)

    def journal_open(self, entries: int) -> None:
        self._tell("journal_open", entries)

    def journal_closed(self, outcome: str) -> None:
        self._tell("journal_closed", outcome)

    def replayed(self) -> None:
        self._tell("replayed")

    def _tell(self, what: str, *values: object) -> None:
        if self._observer is None:
            return
        try:
            getattr(self._observer, what)(*values)
        except Exception:
            log.exception("an observer failed; the update goes on")
