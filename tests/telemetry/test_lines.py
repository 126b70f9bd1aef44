"""Lines that each request writes: the same text as any other line's, a moment later, and none of them lost."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from app.redaction import Redaction
from app.telemetry import logs
from app.telemetry.lines import Line, LineHandler, LineRecord, tell

log = logging.getLogger("app.lines")
SECRETS = ('pass\\word"1', "ключ-секрет", "d1000000-0000-4000-8000")
MESSAGE = "operation answered"
PARTS = (*SECRETS, "Basic dXNlcjpwYXNz", "api_key=1234567", "\u212aEY: 123456789", "x\n", '"', "\\", "é", "ordinary")
TEXTS = st.none() | st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=3).map("".join)
NAMES = ("request_id", "caller", "operation", "record", "detail", "trace_id")


@contextlib.contextmanager
def written() -> Iterator[io.StringIO]:
    """Not a fixture: pytest's own handlers come after those, and a line goes by itself to no other handler but ours."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", SECRETS, stream)
    yield stream
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)


@given(values=st.fixed_dictionaries(dict.fromkeys(NAMES, TEXTS)), spent=st.none() | st.floats(0, 1e6))
def test_a_line_that_is_taken_is_what_the_formatter_would_write(values, spent):
    redaction = Redaction(SECRETS)
    stream = io.StringIO()
    handler = LineHandler(stream, redaction)
    line = Line(level="info", logger=log.name, message=MESSAGE, duration_ms=spent, **values)
    record = LineRecord(log.name, logging.INFO, MESSAGE, line)
    expected = json.loads(logs.JsonFormatter(redaction).format(record))
    if handler.takes(line, at_once=True):
        assert {**json.loads(stream.getvalue()), "time": expected["time"]} == expected
        assert list(json.loads(stream.getvalue())) == list(expected)
        assert len(json.loads(stream.getvalue())["time"]) == len(expected["time"])
    else:
        assert stream.getvalue() == ""


def test_an_ordinary_line_is_taken():
    ordinary = Line(level="info", logger=log.name, message=MESSAGE, request_id="1", operation="Update", status="204")
    assert LineHandler(io.StringIO(), Redaction(SECRETS)).takes(ordinary, at_once=True)


async def test_lines_wait_for_each_other_and_nothing_else_waits_or_comes_before_them():
    with written() as stream:
        for number in range(3):
            tell(log, logging.INFO, MESSAGE, Line(request_id=f"request-{number}"))
        assert stream.getvalue() == ""
        log.warning("something else")
        told = [json.loads(text) for text in stream.getvalue().splitlines()]
        assert [line.get("request_id") for line in told] == ["request-0", "request-1", "request-2", None]
        tell(log, logging.ERROR, "operation failed", Line(request_id="request-4"))
        assert json.loads(stream.getvalue().splitlines()[-1])["level"] == "error"
        tell(log, logging.INFO, MESSAGE, Line(request_id="request-5"))
        while "request-5" not in stream.getvalue():
            await asyncio.sleep(0.01)


def test_outside_an_event_loop_a_line_is_written_at_once():
    with written() as stream:
        tell(log, logging.INFO, MESSAGE, Line(request_id="request-1"))
        assert json.loads(stream.getvalue())["request_id"] == "request-1"


async def test_a_foreign_handler_gets_each_line_as_a_record():
    with written() as stream:
        records: list[logging.LogRecord] = []

        class Foreign(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                records.append(record)

        logging.getLogger().addHandler(Foreign())
        tell(log, logging.INFO, MESSAGE, Line(request_id="request-1", status="204"))
        (record,) = records
        assert isinstance(record, LineRecord)
        assert {name: value for name, value in record.members.items() if value is not None} == {
            "request_id": "request-1",
            "status": "204",
        }
        assert json.loads(stream.getvalue())["status"] == "204"


def test_every_member_has_its_place():
    assert list(asdict(Line()))[:5] == ["time", "level", "logger", "message", "request_id"]


@pytest.mark.parametrize("end", ["return", "raise SystemExit(3)", "raise KeyError(1)"])
def test_the_last_lines_of_a_process_are_written(end: str):
    script = (
        "import asyncio, logging\nfrom app.telemetry import logs\nfrom app.telemetry.lines import Line, tell\n"
        "async def main():\n"
        "    for number in range(400):\n"
        "        tell(logging.getLogger('app'), logging.INFO, 'operation answered', Line(request_id=str(number)))\n"
        f"    {end}\n"
        "logs.configure('info', 'json')\nasyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    told = [json.loads(text)["request_id"] for text in done.stderr.splitlines() if text.startswith("{")]
    assert told == [str(number) for number in range(400)]
