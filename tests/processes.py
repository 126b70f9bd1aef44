"""The program as its users start it: real processes on free ports."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from tests.switch import SETTING

ROOT = Path(__file__).parent.parent
_URL = re.compile(r"http://[^/\s]+:[0-9]+")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("GATEWAY_", "OTEL_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **SETTING, **extra}


@dataclass
class Program:
    """A running server: its URL, and what it printed so far."""

    process: subprocess.Popen[str]
    url: str
    printed: list[str] = field(default_factory=list)

    def output(self) -> str:
        return "".join(self.printed)


@contextlib.contextmanager
def program(folder: Path, *arguments: str, **settings: str) -> Iterator[Program]:
    """`python -m app` in `folder`, on a free port; ended with SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=folder,
        env=environment({"GATEWAY_PORT": "0", "GATEWAY_SANDBOX_PORT": "0", **settings}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed: list[str] = []
    url = ""
    for line in process.stdout:
        printed.append(line)
        if not url and (found := _URL.search(line)):
            url = found[0]
        if "startup complete" in line:
            break
    drain = Thread(target=lambda: printed.extend(process.stdout or ()), daemon=True)
    drain.start()
    try:
        assert process.poll() is None, "".join(printed)
        yield Program(process, url, printed)
    finally:
        process.terminate()
        process.wait(60)
        drain.join(10)
        process.stdout.close()


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """`python -m app` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=folder,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
