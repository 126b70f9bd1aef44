"""What happened during one operation, noted where it happens and read when the operation ends.

A context variable holds the notes, so that no function needs a parameter for them. Outside an operation nothing is
noted.
"""

from __future__ import annotations

from contextvars import ContextVar

from msgspec import Struct

from app.errors import Undocumented


class BackendCall(Struct):
    """A call to a backend. `status` None: no response, and `reason` says why."""

    backend: str
    status: int | None
    reason: str | None
    seconds: float


class Notes(Struct):
    """`details` are for the log alone: what a failure's row does not say, without personal data or credentials."""

    request_id: str | None = None
    calls: list[BackendCall] = []
    store_seconds: float = 0.0
    details: list[str] = []
    undocumented: list[Undocumented] = []


_current: ContextVar[Notes | None] = ContextVar("notes", default=None)
_LIMIT = 100  # of each list


def begin(request_id: str | None = None) -> Notes:
    """New notes for the current task, and for every task that it starts."""
    notes = Notes(request_id)
    _current.set(notes)
    return notes


def current() -> Notes | None:
    return _current.get()


def note_call(call: BackendCall) -> None:
    notes = _current.get()
    if notes is not None and len(notes.calls) < _LIMIT:
        notes.calls.append(call)


def note_detail(detail: str | None, notes: Notes | None = None) -> None:
    notes = notes or _current.get()
    if notes is not None and detail and len(notes.details) < _LIMIT:
        notes.details.append(detail)


def note_undocumented(response: Undocumented) -> None:
    notes = _current.get()
    if notes is not None and len(notes.undocumented) < _LIMIT:
        notes.undocumented.append(response)
