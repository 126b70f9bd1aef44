"""The gateway against other servers over one stub: `python -m tests.benchmarks.gateway --npm FOLDER`.

The realistic load has 512 bodies and ids, heads of a router's size, and a trace and an id of its own in each request and
each answer; the alike load beside it sends one request over and over. Servers take turns in short runs, each on the first
CPU, load and stub on the last. Then the gateway gets half of its best rate, and twice that rate. Prints the tables of
`.github/docs/speed.md`: CPU per item (user + system time of the server's process tree), medians of the rounds. Nothing is
asserted: read the ratios. Takes eight minutes with everything.

`--npm FOLDER` names a folder in which `npm install` was run with `npm/package.json`; without it Apollo Server, Mercurius and
Tailcall are left out. `--gateway PATH=label` measures another checkout in the same run. A short comparison:
`--only "gateway, default" --warm 1 --seconds 2 --rounds 2 --loads real`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.benchmarks.machine import machine_latencies
from tests.benchmarks.resilience import flood_from_outside
from tests.benchmarks.servers import CPUS, ROOT, Server, cpu_seconds, gateway, node_servers, run_load, stub, tailcall
from tests.benchmarks.workloads import BULK, LIST, PATCH, REFUSED, UPDATE, Workload
from tests.store.postgres_server import CannotStartError, create_database, postgres_server

LOADS = ("real", "alike")
POSTGRES = "postgresql:"  # stands for the server that is started where a row needs it
QUIET = {"GATEWAY_LOG_LEVEL": "warning"}
ALONE = {"GATEWAY_JOURNAL": "false"}
# A row of the gateway: its name, what it is sent, and the settings that make its process another one.
GATEWAY_ROWS: list[tuple[str, Workload, dict[str, str]]] = [
    ("default settings: log and journal on", UPDATE, {}),
    ("journal off", UPDATE, ALONE),
    ("log off", UPDATE, QUIET),
    ("log and journal off", UPDATE, QUIET | ALONE),
    ("journal in PostgreSQL", UPDATE, {"GATEWAY_STORE_URL": POSTGRES}),
    ("refused", REFUSED, {}),
    ("patch: a read and an update", PATCH, {}),
    ("bulk of 50, an item", BULK, {}),
    ("list of 50, a record", LIST, {}),
]
ALIKE = ("gateway, default", "gateway, log and journal off", "Mercurius", "Tailcall")
# A row, the row that it is compared with, and how many times that it is to cost at most.
GOALS = [
    ("gateway, default", "Mercurius", 1.3),
    ("gateway, journal off", "Mercurius", 0.9),
    ("gateway, log and journal off", "Mercurius", 0.75),
    ("gateway, log and journal off", "Tailcall", 1.3),
    ("gateway, refused", "gateway, default", 1.25),
    ("gateway, patch", "gateway, default", 2.2),
    ("gateway, bulk", "gateway, default", 0.8),
]
CALM, CROWDED = 64, 1000  # connections at half the best rate, and at twice


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
        return {
            "cpu": spent / (result["requests"] * self.workload.items) * 1000,
            "rate": result["requests"] / result["seconds"],
            **percentiles(result["latencies"]),
            "rss": self.server.rss,
        }

    def median(self, load: str, name: str) -> float:
        return statistics.median(run[name] for run in self.runs[load])

    def line(self, first: Row, load: str) -> str:
        values = [run["cpu"] for run in self.runs[load]]
        cells = [self.name, f"{statistics.median(values):.3f} ({min(values):.3f}-{max(values):.3f})"]
        cells += [f"{self.median(load, 'cpu') / first.median(load, 'cpu'):.2f}", f"{self.median(load, 'rate'):,.0f}"]
        cells += [f"{self.median(load, name):.1f}" for name in ("p50", "p99")]
        return f"| {' | '.join(cells)} | {self.median(load, 'rss'):.0f} |"


def percentiles(latencies: list[float]) -> dict[str, float]:
    return {"p50": latencies[len(latencies) // 2] * 1000, "p99": latencies[len(latencies) * 99 // 100] * 1000}


def gateway_rows(url: str, folder: Path, postgres: str | None, label: str, checkout: Path) -> list[Row]:
    """Rows with the same settings share a process; each process has a store of its own."""
    servers: dict[str, Server] = {}
    rows = []
    for name, workload, settings in GATEWAY_ROWS:
        if settings.get("GATEWAY_STORE_URL") == POSTGRES and postgres is None:
            continue
        store = f"sqlite:///{folder}/{label}-{len(servers)}.db".replace(" ", "-")
        own = {
            "GATEWAY_STORE_URL": (postgres or store) if "GATEWAY_STORE_URL" in settings else store,
            "GATEWAY_METRICS_OPEN": "true",
        }
        server = servers.setdefault(
            str(settings), gateway(f"{label}, {name}", url, {**settings, **own}, checkout=checkout)
        )
        rows.append(Row(f"{label}, {name}", server, workload))
    return rows


def rows_of(url: str, folder: Path, postgres: str | None, arguments: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """The rows, and why others are left out."""
    rows, missing = gateway_rows(url, folder, postgres, "gateway", ROOT), []
    for path, _, label in (other.partition("=") for other in arguments.gateway):
        rows += gateway_rows(url, folder, postgres, label or path, Path(path).resolve())
    quiet = QUIET | ALONE
    rows += [
        Row(server.name, server)
        for server in (
            gateway("gateway over plain ASGI, log and journal off", url, quiet, script="asgi"),
            gateway("gateway by graphql-core, log and journal off", url, {**quiet, "GATEWAY_COMPILED": "false"}),
            gateway("plain Strawberry and httpx", url, quiet, script="strawberry"),
        )
    ]
    if arguments.npm is None:
        missing.append("Apollo Server, Mercurius and Tailcall are left out: no `--npm`.")
    else:
        npm = arguments.npm.resolve()
        for peer in (*node_servers(url, folder, npm), tailcall(url, folder, npm, arguments.tailcall)):
            if isinstance(peer, str):
                missing.append(peer)
            else:
                rows.append(Row(peer.name, peer))
    labels = tuple(other.partition("=")[2] or other for other in arguments.gateway)
    wanted = tuple(name.strip() for name in arguments.only.split(";") if name.strip())
    chosen = []
    for row in rows:
        names = [
            row.name,
            *(f"gateway{row.name.removeprefix(label)}" for label in labels if row.name.startswith(label)),
        ]
        if not wanted or any(name.startswith(wanted) for name in names):
            chosen.append(row)
    return chosen, missing


def measure(rows: list[Row], url: str, arguments: argparse.Namespace) -> None:
    loads = arguments.loads.split(",")
    warm: set[int] = set()
    for row in rows:
        # A further row of a warm process.
        row.run("real", url, arguments.warm * (0.4 if row.server.port in warm else 1), arguments.connections)
        warm.add(row.server.port)
    for _ in range(arguments.rounds):
        for load in loads:
            for row in rows:
                if load == "real" or arguments.only or row.name.startswith(ALIKE):
                    row.runs[load].append(row.run(load, url, arguments.seconds, arguments.connections))
    for load in loads:
        measured = [row for row in rows if row.runs[load]]
        first = named(measured, "Mercurius") or measured[0]
        other = "the first" if first is measured[0] else "Mercurius"
        say(
            f"| {load} load | CPU ms per item (range) | of {other} | requests/s | p50 ms | p99 ms | RSS MB |",
            "|---|--:|--:|--:|--:|--:|--:|",
            *(row.line(first, load) for row in measured),
            "",
        )


def named(rows: list[Row], name: str) -> Row | None:
    return next((row for row in rows if row.name.startswith(name)), None)


def goals(rows: list[Row]) -> None:
    lines = []
    for name, other, most in GOALS:
        row, base = named(rows, name), named(rows, other)
        if row is not None and base is not None:
            ratio = row.median("real", "cpu") / base.median("real", "cpu")
            lines.append(f"| {row.name} | {base.name} | {ratio:.2f} | {most} |")
    if lines:
        say("| CPU per item | compared with | ratio | wanted at most |", "|---|---|--:|--:|", *lines, "")


def calm_and_crowded(rows: list[Row], url: str, arguments: argparse.Namespace) -> None:
    """Half of the best rate, at which times are told, and twice that rate, at which answers are counted."""
    httpx.post(f"{url}/answers/real")
    say("| load | p50 ms | p99 ms | p99 : p50 | the store's own p99 ms |", "|---|--:|--:|--:|--:|")
    for row in filter(None, (named(rows, "gateway, journal off"), named(rows, "gateway, default"))):
        rate = row.median("real", "rate") / 2
        before = store_seconds(row.server)
        runs = [
            percentiles(run_load(row.server.port, arguments.seconds, CALM, UPDATE, rate=rate)["latencies"])
            for _ in range(arguments.rounds)
        ]
        p50, p99 = (statistics.median(run[name] for run in runs) for name in ("p50", "p99"))
        store = p99_of(before, store_seconds(row.server))
        say(f"| {row.name}, {rate:,.0f}/s | {p50:.1f} | {p99:.1f} | {p99 / p50:.1f} | {store} |")
        busy = row.median("real", "cpu") / 1000
        runs = [percentiles(machine_latencies(CPUS, rate, busy, arguments.seconds)) for _ in range(arguments.rounds)]
        p50, p99 = (statistics.median(run[name] for run in runs) for name in ("p50", "p99"))
        say(f"| loops that compute as long, as often, on both cores | {p50:.1f} | {p99:.1f} | {p99 / p50:.1f} | - |")
    row = named(rows, "gateway, journal off")
    if row is None:
        return
    best, over = [], []
    for _ in range(min(3, arguments.rounds)):
        found = run_load(row.server.port, arguments.seconds, CALM, UPDATE)
        best.append(found["requests"] / found["seconds"])
        flooded = flood_from_outside(row.server.port, 2 * best[-1], 2 * arguments.seconds)
        over.append(flooded["whole"] / (2 * arguments.seconds))
    say(
        "",
        f"{row.name}: of twice its best rate, over at most {CROWDED:,} connections, it answers "
        f"{statistics.median(over):,.0f}/s, {statistics.median(over) / statistics.median(best):.0%} of that best "
        f"({statistics.median(best):,.0f}/s); at least 85 % is wanted.",
    )


def store_seconds(server: Server) -> dict[float, float]:
    """How many intents were durable after so many seconds at most, from the metrics."""
    counts = {}
    for line in httpx.get(f"http://127.0.0.1:{server.port}/metrics").text.splitlines():
        if line.startswith("gateway_journal_write_seconds_bucket") and 'result="ok"' in line:
            counts[float(line.partition('le="')[2].partition('"')[0])] = float(line.rpartition(" ")[2])
    return counts


def p99_of(before: dict[float, float], after: dict[float, float]) -> str:
    counts = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    total = max(counts.values(), default=0.0)
    bounds = [bound for bound, count in sorted(counts.items()) if total and count >= total * 0.99]
    return f"at most {bounds[0] * 1000:g}" if bounds else "-"


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
    parser.add_argument("--warm", type=float, default=8.0, help="seconds of load before the first round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.5, help="length of one run")
    parser.add_argument("--loads", default=",".join(LOADS), help="real, alike or both")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", default="", help="beginnings of rows' names, separated by semicolons")
    parser.add_argument("--calm", action="store_true", help="half and twice the best rate, with `--only` too")
    arguments = parser.parse_args()
    with stub() as url, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        postgres = None
        with contextlib.suppress(CannotStartError):
            server = stack.enter_context(postgres_server(durable=True))
            postgres = asyncio.run(create_database(server, "journal"))
        rows, missing = rows_of(url, Path(folder), postgres, arguments)
        for server in {row.server.name: row.server for row in rows}.values():
            stack.callback(server.stop)
            server.start(Path(folder))
        measure(rows, url, arguments)
        goals(rows)
        if arguments.calm or not arguments.only:
            calm_and_crowded(rows, url, arguments)
        say("", f"Python {platform.python_version()}, {arguments.rounds} rounds of {arguments.seconds:g} s.", *missing)


if __name__ == "__main__":
    main()
