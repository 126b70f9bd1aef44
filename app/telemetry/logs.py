"""The format of log lines, and what never stands in them. The standard library is enough for two formatters.

Every line of the process passes here, the server's too.
"""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from app import notes
from app.json_codec import encode_json
from app.redaction import Redaction
from app.telemetry.lines import LineHandler, LineRecord

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
# Even at debug these show headers and bodies, or nothing useful.
_QUIET = ("httpx", "httpcore", "asyncio", "urllib3", "opentelemetry", "hpack", "sqlalchemy", "asyncpg")
# asyncpg writes a traceback every two seconds while its server is away. The store's users log that in one line.
_SILENT = ("asyncpg.pool",)


_COLUMNS = 120
_INDENT = " " * 13  # below the level
_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31"}


class _Formatter(logging.Formatter):
    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def members(self, record: logging.LogRecord) -> dict[str, Any]:
        """The line's members in order, with everything from `extra`, and without credentials."""
        members: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (operation := notes.current()) is not None and operation.request_id is not None:
            members["request_id"] = operation.request_id  # for lines of code that knows no request
        if isinstance(record, LineRecord):
            members |= record.members
        else:
            members |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        members = {name: value for name, value in members.items() if value is not None}
        if self._redaction.needless(members.values()):
            return members
        return {name: self._clean(value) for name, value in members.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        if isinstance(value, Mapping):
            return {str(name): self._clean(item) for name, item in value.items()}
        return self._redaction(str(value))


class JsonFormatter(_Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        members = self.members(record)
        try:
            return encode_json(members).decode()
        except (TypeError, ValueError, UnicodeError):  # half a character, for instance
            return encode_json({name: ascii(value) for name, value in members.items()}).decode()


class TextFormatter(_Formatter):
    """For a terminal: time, level, message, then the rest as name=value, the request's id last, in 120 columns.

    Longer lines continue below, indented. Control characters are shown, not obeyed.
    """

    def __init__(self, redaction: Redaction, *, colour: bool = False) -> None:
        super().__init__(redaction)
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        members = self.members(record)
        exception = members.pop("exception", None)
        level = members.pop("level").upper()
        head = f"{members.pop('time')[11:23]} {level:<7} {_shown(members.pop('message'))}"
        del members["logger"]
        if "request_id" in members:
            members["request_id"] = members.pop("request_id")
        line = _wrapped(head, [f"{name}={_shown(value)}" for name, value in members.items()])
        if self._colour and level in _COLOURS:
            line = line.replace(level, f"\x1b[{_COLOURS[level]}m{level}\x1b[0m", 1)
        return line if exception is None else f"{line}\n{exception}"


def _wrapped(head: str, members: Sequence[str]) -> str:
    lines = _broken(head, "") if len(head) > _COLUMNS else [head]
    for member in members:
        if len(lines[-1]) + 1 + len(member) <= _COLUMNS:
            lines[-1] += f" {member}"
        else:
            lines += _broken(member, _INDENT)
    return "\n".join(lines)


def _broken(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _COLUMNS, initial_indent=indent, subsequent_indent=_INDENT, break_on_hyphens=False)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_shown, value))
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(value))


def configure(
    level: str,
    form: Literal["auto", "json", "text"],
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    *,
    colour: bool = True,
) -> None:
    """All loggers to `stream` (standard error by default). `auto` is text for a terminal, JSON for anything else."""
    # No line shows them: https://docs.python.org/3/howto/logging.html#optimization
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    stream = stream or sys.stderr
    text = form == "text" or (form == "auto" and stream.isatty())
    redaction = Redaction(secrets)
    handler = LineHandler(stream, None if text else redaction)
    handler.setFormatter(
        TextFormatter(redaction, colour=colour and stream.isatty()) if text else JsonFormatter(redaction)
    )
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        # Wherever its access log goes, uvicorn writes a line with the URL, and so the query, for each request.
        logger.propagate = name != "uvicorn.access"
        logger.setLevel(max(logging.INFO, root.level))
