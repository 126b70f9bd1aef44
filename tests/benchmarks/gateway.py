"""The gateway against other servers, one forwarded mutation over one stub: `python -m tests.benchmarks.gateway`.

Servers take turns in short runs; the server is on the first CPU, load and stub are on the last. Prints CPU per request
(user + system time of the server's process tree), requests per second, p50 and p99 latency and RSS, each the median of
the runs, as a table. `--npm FOLDER` names a folder in which `npm install` was run with `npm/package.json`; without it the
two Node servers are left out. Nothing here is asserted: the machine decides the figures, read their ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from graphql import print_schema

from app.apis import APIS
from app.graphql.schema import build_schema

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CPUS = sorted(os.sched_getaffinity(0))
QUERY = """mutation Update($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input) {
    customer { id name vatNumber address { city } bankAccounts { iban default } }
  }
}"""
INPUT: dict[str, Any] = {
    "company": {"companyId": "a0000000-0000-4000-8000-000000000001"},
    "name": "Acme Wholesale and Retail Trading Company B.V.",
    "code": "C001",
    "vatNumber": "NL004495445B01",
    "chamberOfCommerce": "12345678",
    "phone": "+31 20 123 45 67",
    "fax": "+31 20 123 45 68",
    "number": "1001",
    "email": "invoices@acme-wholesale.example",
    "address": {
        "streetName": "Herengracht",
        "streetNumber": "182-184",
        "city": "Amsterdam",
        "postalCode": "1016 BR",
        "country": {"code": "NL"},
    },
    "vatCode": {"code": "NL21"},
    "payCollectType": {"code": "BANK"},
    "paymentCondition": {"code": "NET30"},
    "bankAccounts": [
        {
            "default": number == 0,
            "externalId": f"account-{number}",
            "iban": "NL91ABNA0417164300",
            "bicCode": "ABNANL2A",
            "bankName": "ABN AMRO",
            "country": {"code": "NL"},
        }
        for number in range(3)
    ],
}
VARIABLES = {"id": "c0000000-0000-4000-8000-000000000001", "input": INPUT}
BODY = json.dumps({"query": QUERY, "variables": VARIABLES})
REFUSED = json.dumps({"query": QUERY, "variables": {**VARIABLES, "input": {**INPUT, "vatCode": {"code": "REFUSE"}}}})


@dataclass
class Server:
    """`command` has `{port}`; `environment` adds to the process's. Another `body` measures the error path."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    body: str = BODY
    expect: str = "NL91ABNA0417164300"
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    runs: list[dict[str, float]] = field(default_factory=list)

    def start(self, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        command = [part.format(port=self.port) for part in self.command]
        with (folder / f"{self.name.replace(' ', '-')}.log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "NODE_ENV": "production", **self.environment},
                stdout=log,
                stderr=log,
            )
        psutil.Process(self.process.pid).cpu_affinity([CPUS[0]])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                answer = httpx.post(
                    f"http://127.0.0.1:{self.port}/graphql",
                    content=self.body,
                    headers={"content-type": "application/json"},
                    follow_redirects=True,
                )
                if self.expect in answer.text:
                    return
                raise RuntimeError(f"{self.name} answers {answer.status_code} {answer.text[:500]}")
            time.sleep(0.1)
        told = (folder / f"{self.name.replace(' ', '-')}.log").read_text()
        raise RuntimeError(f"{self.name} does not start: {told[-1000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def measure(self, seconds: float, connections: int, *, keep: bool = True) -> None:
        assert self.process is not None
        before = cpu_seconds(self.process.pid)
        load = run_load(self.port, seconds, connections, self.body, self.expect)
        spent = cpu_seconds(self.process.pid) - before
        if load["errors"]:
            raise RuntimeError(f"{self.name}: {load['errors']} wrong answers, {load['sample']}")
        latencies = load["latencies"]
        if keep:
            self.runs.append(
                {
                    "cpu": spent / load["requests"] * 1000,
                    "rate": load["requests"] / load["seconds"],
                    "p50": latencies[len(latencies) // 2] * 1000,
                    "p99": latencies[len(latencies) * 99 // 100] * 1000,
                    "rss": sum(item.memory_info().rss for item in tree(self.process.pid)) / 2**20,
                }
            )

    def row(self) -> str:
        median = {name: statistics.median(run[name] for run in self.runs) for name in self.runs[0]}
        spread = f"{min(run['cpu'] for run in self.runs):.3f}-{max(run['cpu'] for run in self.runs):.3f}"
        return (
            f"| {self.name} | {median['cpu']:.3f} ({spread}) | {median['rate']:,.0f} "
            f"| {median['p50']:.1f} | {median['p99']:.1f} | {median['rss']:.0f} |"
        )


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


def run_load(port: int, seconds: float, connections: int, body: str, expect: str) -> dict[str, Any]:
    given = {
        "port": port,
        "seconds": seconds,
        "connections": connections,
        "cpu": CPUS[-1],
        "body": body,
        "expect": expect,
    }
    done = subprocess.run(
        [sys.executable, str(HERE / "gateway_load.py")],
        input=json.dumps(given).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def stub() -> Any:
    process = subprocess.Popen([sys.executable, str(HERE / "gateway_stub.py"), str(CPUS[-1])], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def gateway(name: str, url: str, **more: Any) -> Server:
    environment = {
        "GATEWAY_BASECONE_MODE": "rest",
        "GATEWAY_BASECONE_URL": f"{url}/v1",
        "GATEWAY_BASECONE_CLIENT_IDENTIFIER": "00000000-0000-4000-8000-0000000000aa",
        "GATEWAY_BASECONE_API_ACCESS_KEY": "00000000-0000-4000-8000-0000000000bb",
        "GATEWAY_LOG_LEVEL": "warning",
        **more.pop("environment", {}),
    }
    start = (
        "import os, sys; os.environ['GATEWAY_PORT'] = '{port}'; "
        "from app.__main__ import main; sys.exit(main(['serve']))"
    )
    command = [sys.executable, "-c", start]
    return Server(name, more.pop("command", command), environment, **more)


def servers(url: str, folder: Path, npm: Path | None) -> list[Server]:
    found = [
        gateway("gateway", url),
        gateway("refused update", url, body=REFUSED, expect="VatCode value"),
        gateway("logging gateway", url, environment={"GATEWAY_LOG_LEVEL": "info"}),
        gateway("uncompiled gateway", url, environment={"GATEWAY_COMPILED": "false"}),
        gateway("plain Strawberry and httpx", url, command=[sys.executable, str(HERE / "gateway_plain.py"), "{port}"]),
    ]
    if npm is not None:
        schema = folder / "schema.graphql"
        schema.write_text(print_schema(build_schema(APIS)._schema))
        for script in (HERE / "npm").glob("*.mjs"):
            shutil.copy(script, npm)
        for name, script in (("Apollo Server, RESTDataSource", "apollo"), ("Mercurius with JIT, undici", "mercurius")):
            found.append(Server(name, ["node", str(npm / f"{script}.mjs"), str(schema), url, "{port}"]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npm", type=Path, help="folder with the Node packages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default="", help="comma-separated beginnings of server names")
    given = parser.parse_args()
    wanted = tuple(name.strip() for name in given.only.split(",") if name.strip())
    with stub() as url, tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as stack:
        chosen = [item for item in servers(url, Path(made), given.npm) if not wanted or item.name.startswith(wanted)]
        for server in chosen:
            stack.callback(server.stop)
            server.start(Path(made))
        for server in chosen:
            server.measure(min(2.0, given.seconds), given.connections, keep=False)
        for _ in range(given.rounds):
            for server in chosen:
                server.measure(given.seconds, given.connections)
        lines = [
            "| server | CPU ms per request (range) | requests/s | p50 ms | p99 ms | RSS MB |",
            "|---|--:|--:|--:|--:|--:|",
            *(server.row() for server in chosen),
        ]
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
