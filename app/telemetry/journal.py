"""What happened during one operation, noted where it happens and read when the operation ends.

Reached through a context variable: the places that note something need no parameter for it, and nothing is noted
outside an operation.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from msgspec import Struct


class Exchange(Struct):
    """A call to a backend. `status` None: no answer, and `reason` says why."""

    backend: str
    status: int | None
    reason: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Undocumented:
    """An answer that no documented row matches. `body` is raw and must not be logged or kept as it is."""

    backend: str
    status: int
    code: str | None
    text: str | None
    media: str
    body: bytes = field(repr=False)


class Journal(Struct):
    """`details` are for the log alone: what a failure's row does not tell, without personal data or credentials."""

    request_id: str | None = None
    exchanges: list[Exchange] = []
    store_seconds: float = 0.0
    details: list[str] = []
    undocumented: list[Undocumented] = []


_current: ContextVar[Journal | None] = ContextVar("journal", default=None)
_MOST = 100  # of anything: an operation with more is told by its first


def begin(request_id: str | None = None) -> Journal:
    """A new journal for the task that this is called in, and for every task that it starts."""
    journal = Journal(request_id)
    _current.set(journal)
    return journal


def current() -> Journal | None:
    return _current.get()


def note_exchange(exchange: Exchange) -> None:
    journal = _current.get()
    if journal is not None and len(journal.exchanges) < _MOST:
        journal.exchanges.append(exchange)


def note_detail(detail: str | None) -> None:
    journal = _current.get()
    if journal is not None and detail and len(journal.details) < _MOST:
        journal.details.append(detail)


def note_undocumented(answer: Undocumented) -> None:
    journal = _current.get()
    if journal is not None and len(journal.undocumented) < _MOST:
        journal.undocumented.append(answer)
