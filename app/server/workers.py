"""Several server processes on one socket: starts them, watches them, passes on signals, waits for their end."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Any

from app.server.serving import ABANDONED, STARTUP_FAILED, Server, configured

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_SILENT_SECONDS = 5.0  # a worker whose threads say nothing for this long hangs
_spawn = multiprocessing.get_context("spawn")


def _serve(app: str, listening: socket.socket, pipe: Pipe, options: dict[str, Any]) -> None:
    """Runs in the worker."""
    server = Server(configured(app, **options))
    threading.Thread(target=_tell, args=(server, pipe), daemon=True).start()
    server.run(sockets=[listening])
    if server.abandoned:
        sys.exit(ABANDONED)


def _tell(server: Server, pipe: Pipe) -> None:
    """Answers the supervisor whether the server has started. A worker without a supervisor ends."""
    try:
        while True:
            pipe.recv()
            pipe.send(server.started)
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


class _Worker:
    def __init__(self, app: str, listening: socket.socket, options: dict[str, Any]) -> None:
        self.pipe, theirs = _spawn.Pipe()
        self.process = _spawn.Process(target=_serve, args=(app, listening, theirs, options))
        # SIGHUP is blocked until the worker has a handler: the signal would end it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        theirs.close()

    def started(self) -> bool | None:
        """None where the worker does not answer: it is gone, or hangs."""
        try:
            self.pipe.send(None)
            return bool(self.pipe.recv()) if self.pipe.poll(_SILENT_SECONDS) else None
        except (OSError, EOFError):
            return None

    def tell(self, number: int) -> None:
        if self.process.pid is not None and self.process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class _Supervisor:
    """Ends all workers when one cannot start and none has ever served.

    After that, the store or a service may be away for a while: the other workers go on, and the failed one is replaced.
    """

    def __init__(self, app: str, listening: socket.socket, workers: int, options: dict[str, Any]) -> None:
        self._worker_arguments = (app, listening, options)
        self._workers = [_Worker(*self._worker_arguments) for _ in range(workers)]
        self._listening = listening
        self._wakened, self._waking = socket.socketpair()
        self._served = False

    def run(self) -> int:
        self._waking.setblocking(False)
        self._wakened.setblocking(False)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # its number comes by the wakeup descriptor
        signals = b""
        while (code := self._look(signals)) is None:
            signals = self._wait([worker.process.sentinel for worker in self._workers])
        # If it stayed open here, the kernel would accept connections that no worker serves.
        self._listening.close()
        for worker in self._workers:
            worker.tell(signal.SIGTERM)
        while alive := [worker.process.sentinel for worker in self._workers if worker.process.is_alive()]:
            self._pass_on(self._wait(alive))
        signal.set_wakeup_fd(-1)
        return ABANDONED if any(worker.process.exitcode == ABANDONED for worker in self._workers) else code

    def _wait(self, sentinels: list[int]) -> bytes:
        """Waits until a signal comes, a worker ends, or it is time to look. Returns the signals' numbers."""
        wait([self._wakened, *sentinels], _LOOK_SECONDS)
        with contextlib.suppress(BlockingIOError):
            return self._wakened.recv(4096)
        return b""

    def _pass_on(self, signals: bytes) -> None:
        for number in signals:
            for worker in self._workers:
                worker.tell(number)

    def _look(self, signals: bytes) -> int | None:
        """An exit code once the supervisor has to end."""
        if signal.SIGINT in signals or signal.SIGTERM in signals:
            return 0
        self._pass_on(signals)
        for index, worker in enumerate(self._workers):
            started = worker.started()
            if started is not None:
                self._served = self._served or started
                continue
            worker.process.kill()
            worker.process.join()
            code = worker.process.exitcode
            if code == STARTUP_FAILED and not self._served:
                return STARTUP_FAILED
            log.error("worker %s ended with exit code %s, another one takes its place", worker.process.pid, code)
            self._workers[index] = _Worker(*self._worker_arguments)
        return None


def run_workers(app: str, listening: socket.socket, workers: int, **options: Any) -> int:
    """Serves until a signal. Returns the exit code. `app` is the import string of a factory."""
    return _Supervisor(app, listening, workers, options).run()
