"""The gateway against other servers, one forwarded mutation over one stub: `python -m tests.benchmarks.gateway`.

The realistic load has 512 bodies and ids, heads of a router's size, and a trace and an id of its own in each request and
each answer; the alike load beside it sends one request over and over. Servers take turns in short runs, each on the first
CPU, load and stub on the last. Prints CPU per item (user + system time of the server's process tree), the ratio of that to
the first row, requests per second, latencies and RSS, medians of the rounds. Nothing is asserted: read the ratios.

`--npm FOLDER` names a folder in which `npm install` was run with `npm/package.json`; without it Apollo Server, Mercurius and
Tailcall are left out. `--gateway PATH=label` measures another checkout in the same run. A short comparison:
`--only gateway --warm 1 --seconds 2 --rounds 2 --loads real`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.benchmarks.servers import ROOT, Server, cpu_seconds, gateway, node_servers, run_load, stub, tailcall
from tests.benchmarks.workloads import REFUSED, UPDATE, Workload
from tests.store.postgres_server import CannotStartError, create_database, postgres_server

LOADS = ("real", "alike")
POSTGRES = "postgresql:"  # stands for the server that is started where a row needs it
# A row of the gateway: its name, what it is sent, and the settings that make its process another one.
GATEWAY_ROWS: list[tuple[str, Workload, dict[str, str]]] = [
    ("journal off", UPDATE, {"GATEWAY_JOURNAL": "false"}),
    ("default settings", UPDATE, {}),
    ("journal in PostgreSQL", UPDATE, {"GATEWAY_STORE_URL": POSTGRES}),
    ("log and journal off", UPDATE, {"GATEWAY_LOG_LEVEL": "warning", "GATEWAY_JOURNAL": "false"}),
    ("log off", UPDATE, {"GATEWAY_LOG_LEVEL": "warning"}),
    ("refused", REFUSED, {}),
    ("refused, log off", REFUSED, {"GATEWAY_LOG_LEVEL": "warning"}),
]


@dataclass
class Row:
    name: str
    server: Server
    workload: Workload = UPDATE
    runs: dict[str, list[dict[str, float]]] = field(default_factory=lambda: {load: [] for load in LOADS})

    def run(self, load: str, stub_url: str, seconds: float, connections: int) -> dict[str, float]:
        httpx.post(f"{stub_url}/answers/{load}")
        before = cpu_seconds(self.server.pid)
        result = run_load(self.server.port, seconds, connections, self.workload, load)
        spent = cpu_seconds(self.server.pid) - before
        latencies = result["latencies"]
        return {
            "cpu": spent / (result["requests"] * self.workload.items) * 1000,
            "rate": result["requests"] / result["seconds"],
            "p50": latencies[len(latencies) // 2] * 1000,
            "p99": latencies[len(latencies) * 99 // 100] * 1000,
            "rss": self.server.rss,
        }

    def median(self, load: str, name: str) -> float:
        return statistics.median(run[name] for run in self.runs[load])

    def cpu(self, load: str) -> str:
        values = [run["cpu"] for run in self.runs[load]]
        return f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})" if values else "-"

    def line(self, first: Row, load: str) -> str:
        cells = [self.name, self.cpu(load), f"{self.median(load, 'cpu') / first.median(load, 'cpu'):.2f}"]
        cells += [f"{self.median(load, 'rate'):,.0f}", *(f"{self.median(load, name):.1f}" for name in ("p50", "p99"))]
        return f"| {' | '.join(cells)} | {self.median(load, 'rss'):.0f} |"


def gateway_rows(url: str, folder: Path, postgres: str | None, label: str, checkout: Path) -> list[Row]:
    """Rows with the same settings share a process; each process has a store of its own."""
    servers: dict[str, Server] = {}
    rows = []
    for name, workload, settings in GATEWAY_ROWS:
        if settings.get("GATEWAY_STORE_URL") == POSTGRES and postgres is None:
            continue
        store = f"sqlite:///{folder}/{label}-{len(servers)}.db".replace(" ", "-")
        own = (
            {"GATEWAY_STORE_URL": postgres or store}
            if "GATEWAY_STORE_URL" in settings
            else {"GATEWAY_STORE_URL": store}
        )
        server = servers.setdefault(
            str(settings), gateway(f"{label}, {name}", url, {**settings, **own}, checkout=checkout)
        )
        rows.append(Row(f"{label}, {name}", server, workload))
    return rows


def rows_of(url: str, folder: Path, postgres: str | None, arguments: argparse.Namespace) -> list[Row]:
    rows = gateway_rows(url, folder, postgres, "gateway", ROOT)
    for path, _, label in (other.partition("=") for other in arguments.gateway):
        rows += gateway_rows(url, folder, postgres, label or path, Path(path).resolve())
    quiet = {"GATEWAY_LOG_LEVEL": "warning", "GATEWAY_STORE_URL": f"sqlite:///{folder}/quiet.db"}
    rows += [
        Row(server.name, server)
        for server in (
            gateway("plain ASGI, log off", url, quiet, script="asgi"),
            gateway("graphql-core, log off", url, {**quiet, "GATEWAY_COMPILED": "false"}),
            gateway("plain Strawberry and httpx", url, quiet, script="strawberry"),
        )
    ]
    if arguments.npm is not None:
        npm = arguments.npm.resolve()
        peers = [*node_servers(url, folder, npm), tailcall(url, folder, npm, arguments.tailcall)]
        rows += [Row(peer.name, peer) for peer in peers if isinstance(peer, Server)]
        say(*(peer for peer in peers if isinstance(peer, str)))
    labels = tuple(other.partition("=")[2] or other for other in arguments.gateway)
    wanted = tuple(name.strip() for name in arguments.only.split(";") if name.strip())
    return [
        row
        for row in rows
        if not wanted
        or row.name.startswith(wanted)
        or any(
            f"gateway{row.name.removeprefix(label)}".startswith(wanted)
            for label in labels
            if row.name.startswith(label)
        )
    ]


def measure(rows: list[Row], url: str, arguments: argparse.Namespace) -> None:
    loads = arguments.loads.split(",")
    for row in rows:
        for load in loads:
            row.run(load, url, arguments.warm, arguments.connections)
    for _ in range(arguments.rounds):
        for load in loads:
            for row in rows:
                row.runs[load].append(row.run(load, url, arguments.seconds, arguments.connections))
    for load in loads:
        say(
            f"\n| {load} load | CPU ms per item (range) | ratio | requests/s | p50 ms | p99 ms | RSS MB |",
            "|---|--:|--:|--:|--:|--:|--:|",
            *(row.line(rows[0], load) for row in rows),
        )


def say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npm", type=Path, help="folder with the Node packages")
    parser.add_argument("--tailcall", default="", help="another command that runs Tailcall (a loader and its libc)")
    parser.add_argument(
        "--gateway", action="append", default=[], metavar="PATH=LABEL", help="another checkout's gateway"
    )
    parser.add_argument("--warm", type=float, default=8.0, help="seconds of each load before the first round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run")
    parser.add_argument("--loads", default=",".join(LOADS), help="real, alike or both")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default="", help="beginnings of rows' names, separated by semicolons")
    arguments = parser.parse_args()
    with stub() as url, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        postgres = None
        with contextlib.suppress(CannotStartError):
            server = stack.enter_context(postgres_server(durable=True))
            postgres = asyncio.run(create_database(server, "journal"))
        rows = rows_of(url, Path(folder), postgres, arguments)
        for server in {row.server.name: row.server for row in rows}.values():
            stack.callback(server.stop)
            server.start(Path(folder))
        measure(rows, url, arguments)


if __name__ == "__main__":
    main()
