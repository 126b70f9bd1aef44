"""The program as its users start it: real processes on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
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


# Reads a list of [folder, settings], and runs `serve` for each in a process of its own, which has all modules by then.
_EACH = """
import json, os, sys
from app.__main__ import main
for folder, settings in json.load(sys.stdin):
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        open(folder + ".code", "w").write(str(os.waitstatus_to_exitcode(status)))
        continue
    os.chdir(folder)
    os.environ.update(settings)
    for number, name in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(folder + name, os.O_WRONLY | os.O_CREAT), number)
    sys.exit(main(["serve"]))
"""


def run_each(folder: Path, cases: Sequence[Mapping[str, str]]) -> list[subprocess.CompletedProcess[str]]:
    """What `run` gives for each of the settings, without the time to load the program anew; in folders of their own."""
    folders = [folder / str(number) for number in range(len(cases))]
    for found in folders:
        found.mkdir()
    subprocess.run(
        [sys.executable, "-c", _EACH],
        input=json.dumps([[str(found), case] for found, case in zip(folders, cases, strict=True)]),
        env=environment({}),
        text=True,
        timeout=60,
        check=True,
    )
    return [
        subprocess.CompletedProcess(
            found.name,
            *(kind(Path(f"{found}.{end}").read_text()) for end, kind in (("code", int), ("out", str), ("err", str))),
        )
        for found in folders
    ]
