"""The processes that the benchmarks measure: gateways, the servers beside them and the stub behind all of them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from graphql import print_schema

from app.apis import APIS
from app.graphql.schema import build_schema
from tests.benchmarks.workloads import UPDATE, Workload

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CPUS = sorted(os.sched_getaffinity(0))


@dataclass
class Server:
    """A process on the first CPU. `{port}` in its command and its environment is the port it listens on."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> None:
        self.port = self.port or unused_port()
        environment = {name: value.format(port=self.port) for name, value in self.environment.items()}
        log_file = folder / f"{self.name.replace(' ', '-').replace('/', '-')}.log"
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [part.format(port=self.port) for part in self.command],
                cwd=folder,
                env={"PYTHONPATH": str(ROOT), **os.environ, "NODE_ENV": "production", **environment},
                stdout=log,
                stderr=log,
            )
        psutil.Process(self.process.pid).cpu_affinity([CPUS[0]])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                return self._try_once()
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not start: {log_file.read_text()[-1000:]}")

    def _try_once(self) -> None:
        response = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql",
            content=UPDATE.bodies[0],
            headers={"content-type": "application/json"},
        )
        if UPDATE.text not in response.text:
            raise RuntimeError(f"{self.name} answers {response.status_code} {response.text[:500]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def rss(self) -> float:
        """MB of the process and its children."""
        return float(sum(process.memory_info().rss for process in tree(self.pid))) / 2**20


def unused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children, from the scheduler, in nanosecond steps where it has them."""
    total = 0.0
    for process in tree(pid):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            try:
                total += int((thread / "schedstat").read_text().split()[0]) / 1e9
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total


def run_load(
    port: int,
    seconds: float,
    connections: int,
    workload: Workload,
    kind: str = "real",
    rate: float | None = None,
) -> dict[str, Any]:
    """One run of `load.py` on the last CPU, as fast as answers come or at a rate. Raises where an answer was wrong."""
    order = {"port": port, "seconds": seconds, "connections": connections, "cpu": CPUS[-1], **workload.order(kind)}
    order["rate"] = rate
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")], input=json.dumps(order).encode(), stdout=subprocess.PIPE, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout)
    if result["errors"]:
        raise RuntimeError(f"{result['errors']} wrong answers, {result['sample']}")
    return result


@contextlib.contextmanager
def stub() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.basecone_stub", str(CPUS[-1])], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def gateway(
    name: str, url: str, environment: dict[str, str] | None = None, *, checkout: Path = ROOT, script: str = ""
) -> Server:
    """The gateway of a checkout, in its own virtual environment where it has one; `script` serves it otherwise."""
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable]
    command += [str(HERE / "plain_ways.py"), script, "{port}"] if script else ["-m", "app", "serve"]
    settings = {
        "GATEWAY_PORT": "{port}",
        "GATEWAY_BASECONE_MODE": "rest",
        "GATEWAY_BASECONE_URL": f"{url}/v1",
        "GATEWAY_BASECONE_CLIENT_IDENTIFIER": "00000000-0000-4000-8000-0000000000aa",
        "GATEWAY_BASECONE_API_ACCESS_KEY": "00000000-0000-4000-8000-0000000000bb",
    }
    return Server(name, command, {"PYTHONPATH": str(checkout), **settings, **(environment or {})})


def node_servers(url: str, folder: Path, npm: Path) -> list[Server]:
    """Apollo Server and Mercurius, on the Node.js that `npm install` brought."""
    schema = folder / "schema.graphql"
    schema.write_text(print_schema(build_schema(APIS)._schema))
    for script in (HERE / "npm").glob("*.mjs"):
        shutil.copy(script, npm)
    node = npm / "node_modules" / ".bin" / "node"
    command = str(node) if node.exists() else "node"
    version = subprocess.run([command, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return [
        Server(f"{name}, Node {version[1:]}", [command, str(npm / script), str(schema), url, "{port}"])
        for name, script in (
            ("Apollo Server, RESTDataSource", "apollo.mjs"),
            ("Mercurius with JIT, undici", "mercurius.mjs"),
        )
    ]


def tailcall(url: str, folder: Path, npm: Path, program: str) -> Server | str:
    """Tailcall, or why it is left out. It spells no name as Basecone does, and it needs a body in the answer."""
    installed = npm / "node_modules" / "@tailcallhq" / "core-linux-x64-gnu" / "bin" / "tailcall"
    command = shlex.split(program) or [str(installed)]
    try:
        version = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except OSError as error:
        return f"Tailcall is left out: {error.strerror} ({command[0]})."
    except subprocess.CalledProcessError as error:
        return f"Tailcall is left out: {error.stderr.strip().splitlines()[-1].rpartition(': ')[2]}."
    configuration = folder / "tailcall.graphql"
    port = unused_port()
    configuration.write_text(
        (HERE / "npm" / "tailcall.graphql").read_text().replace("$PORT", str(port)).replace("$URL", url)
    )
    name = f"Tailcall {version.stdout.split()[-1].removeprefix('v')}"
    return Server(name, [*command, "start", str(configuration)], {"TAILCALL_TRACKER": "false"}, port=port)
