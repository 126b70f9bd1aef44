"""The program as often as it is asked for, each time in a process of its own, without the time to load it anew.

A process loads all modules once and forks. What the fork runs is `python -m app`, from its first line.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_ROOT = Path(__file__).parent.parent
_ONE_AT_A_TIME = threading.Lock()


class Fork:
    """What of `subprocess.Popen` a test uses. The process is its keeper's child, which tells of its end."""

    def __init__(self, status: BinaryIO) -> None:
        self._status = status
        self.pid = int(status.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("app", timeout or 0)
            with self._status:
                self.returncode = int(self._status.readline())
        return self.returncode

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(folder: Path, arguments: Sequence[str], environment: Mapping[str, str], out: int, err: int) -> Fork:
    """`python -m app` in `folder`, which prints to these files."""
    ends, told = os.pipe()
    order = json.dumps([str(folder), list(arguments), dict(environment)]).encode()
    with _ONE_AT_A_TIME:
        socket.send_fds(_loaded(), [order], [out, err, told])
        os.close(told)
        return Fork(os.fdopen(ends, "rb", buffering=0))


@functools.cache
def _loaded() -> socket.socket:
    """The way to the process that has everything loaded. It ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        loaded = subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(theirs.fileno())],
            cwd=_ROOT,
            env={
                name: value for name, value in os.environ.items() if not name.upper().startswith(("GATEWAY_", "OTEL_"))
            }
            | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    atexit.register(loaded.wait)
    atexit.register(ours.close)  # before that: the last one is called first
    return ours


def _obey(orders: socket.socket) -> None:
    import app.__main__  # noqa: F401

    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        order, files, _, _ = socket.recv_fds(orders, 1 << 20, 3)
        if not order:
            return
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            orders.close()
            _keep(*json.loads(order), *files)
        for file in files:
            os.close(file)


def _keep(folder: str, arguments: list[str], environment: dict[str, str], out: int, err: int, status: int) -> None:
    process = os.fork()
    if process:
        os.close(out)
        os.close(err)
        os.write(status, f"{process}\n".encode())
        ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            os.write(status, f"{ended}\n".encode())
        os._exit(0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for file in (out, err, status):
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    del sys.modules["app.__main__"]  # it is `__main__` now, as after `python -m`
    runpy.run_module("app", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _obey(socket.socket(fileno=int(sys.argv[1])))
