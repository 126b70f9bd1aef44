"""Lines that each request writes: formatted once, checked for credentials at once, and written in groups.

A line waits for a tenth of a second at most. Any other log line, and the process's end, come after it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TextIO

from msgspec import Struct
from msgspec.structs import asdict

from app.json_codec import encode_json
from app.redaction import Redaction

_SECONDS = 0.1
_MOST = 500  # lines
_LEVELS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_HEAD = ("time", "level", "logger", "message")
_ROOT = logging.getLogger()


class Line(Struct, omit_defaults=True):
    """The members of a line in order, without those that are None. `tell` knows the first four."""

    time: str = ""
    level: str = ""
    logger: str = ""
    message: str = ""
    request_id: str | None = None
    caller: str | None = None
    operation: str | None = None
    kind: str | None = None
    field: str | None = None
    record: str | None = None
    backend: str | None = None
    status: str | None = None
    code: str | None = None
    reason: str | None = None
    outcome: str | None = None
    duration_ms: float | None = None
    backend_ms: float | None = None
    detail: str | None = None
    trace_id: str | None = None


class LineRecord(logging.LogRecord):
    """A line for other handlers: `members` are those after its message."""

    def __init__(self, logger: str, level: int, message: str, line: Line) -> None:
        super().__init__(logger, level, "", 0, message, None, None)
        self.members = {name: value for name, value in asdict(line).items() if name not in _HEAD}


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes records as they come, after the waiting lines. Those are JSON: without `redaction` there are none."""

    def __init__(self, stream: TextIO, redaction: Redaction | None) -> None:
        super().__init__(stream)
        self._redaction = redaction
        self._waiting: list[bytes] = []
        self._second, self._date = 0, ""

    def takes(self, line: Line, *, at_once: bool) -> bool:
        """Whether the line needs no formatter. Then it is written, soon or at once."""
        if self._redaction is None:
            return False
        # All other members are the gateway's own words.
        foreign = f"{line.request_id}\n{line.caller}\n{line.operation}\n{line.record}\n{line.detail}\n{line.trace_id}"
        if not self._redaction.needless_in(foreign):
            return False
        line.time = self._time(time.time())
        try:
            data = encode_json(line)
        except UnicodeError:  # half a character, for instance
            return False
        with self.lock or nullcontext():
            self._waiting.append(data)
            count = len(self._waiting)
        if at_once or count >= _MOST:
            self.flush()
        elif count == 1:
            try:
                asyncio.get_running_loop().call_later(_SECONDS, self.flush)
            except RuntimeError:
                self.flush()
        return True

    def _time(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._second, self._date = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._date}.{int((now - second) * 1000):03d}+00:00"

    def emit(self, record: logging.LogRecord) -> None:
        self._write()
        super().emit(record)

    def flush(self) -> None:
        self._write()
        super().flush()

    def _write(self) -> None:
        with self.lock or nullcontext():
            if not self._waiting:
                return
            waiting, self._waiting = self._waiting, []
            try:
                self.stream.write(b"\n".join([*waiting, b""]).decode())
            except Exception:  # noqa: BLE001 - as a handler does: who logs is not to fail
                self.handleError(logging.makeLogRecord({"msg": f"{len(waiting)} lines were not written"}))


def tell(log: logging.Logger, level: int, message: str, line: Line) -> None:
    """Like `log.log`, for lines that each request writes."""
    if not log.isEnabledFor(level):
        return
    handlers = _ROOT.handlers
    if len(handlers) == 1 and isinstance(handler := handlers[0], LineHandler):
        line.level, line.logger, line.message = _LEVELS[level], log.name, message
        if handler.takes(line, at_once=level > logging.INFO):
            return
    # To look up the calling function would cost as much as everything else.
    log.handle(LineRecord(log.name, level, message, line))
