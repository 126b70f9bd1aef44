"""The program as its users start it: real processes on free ports."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from tests.forks import Fork, fork
from tests.switch import SETTING

ROOT = Path(__file__).parent.parent
# Seconds: only a process that hangs takes so long, on any machine.
PATIENCE = 600
_URL = re.compile(r"http://[^/\s]+:[0-9]+")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("GATEWAY_", "OTEL_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **SETTING, **extra}


@dataclass
class Program:
    """A running server: its URL, and what it printed so far."""

    process: Fork | subprocess.Popen[bytes]
    url: str
    printed: list[str] = field(default_factory=list)

    def output(self) -> str:
        return "".join(self.printed)


def _start(
    anew: bool, folder: Path, arguments: Sequence[str], settings: Mapping[str, str], out: int, err: int
) -> Fork | subprocess.Popen[bytes]:
    """`python -m app` in `folder`. Where it is `anew`, all of it is loaded again, which takes most of a second."""
    variables = environment(settings)
    if not anew:
        return fork(folder, arguments, variables, out, err)
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], cwd=folder, env=variables, stdout=out, stderr=err
    )


@contextlib.contextmanager
def program(folder: Path, *arguments: str, anew: bool = False, **settings: str) -> Iterator[Program]:
    """A server of the program on a free port; ended with SIGTERM."""
    ours, theirs = os.pipe()
    settings = {"GATEWAY_PORT": "0", "GATEWAY_SANDBOX_PORT": "0", **settings}
    process = _start(anew, folder, arguments, settings, theirs, theirs)
    os.close(theirs)
    lines = os.fdopen(ours)
    printed: list[str] = []
    url = ""
    for line in lines:
        printed.append(line)
        if not url and (found := _URL.search(line)):
            url = found[0]
        if "startup complete" in line:
            break
    drain = Thread(target=lambda: printed.extend(lines), daemon=True)
    drain.start()
    try:
        assert process.poll() is None, "".join(printed)
        yield Program(process, url, printed)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        drain.join(PATIENCE)
        lines.close()


UNREAD = ("full", "broken")


@contextlib.contextmanager
def unread(stream: str) -> Iterator[int]:
    """A standard output that nobody reads: on a full disk, or a pipe whose reader is gone."""
    if stream == "full":
        out = os.open("/dev/full", os.O_WRONLY)
    else:
        ours, out = os.pipe()
        os.close(ours)
    try:
        yield out
    finally:
        os.close(out)


def run(folder: Path, *arguments: str, anew: bool = False, **settings: str) -> subprocess.CompletedProcess[str]:
    """The program to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        ended = _start(anew, folder, arguments, settings, out.fileno(), err.fileno()).wait(PATIENCE)
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, ended, out.read(), err.read())
