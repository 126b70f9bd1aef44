"""The gateway in every wiring, for any test that asks for it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

import tests.bytecode  # noqa: F401 - before what it is for
from tests.harness import WAYS, WIRINGS, Gateway
from tests.harness import gateway as open_gateway

# A machine that stands still for a second says nothing about the code: no test is timed, a generated one neither.
# The longer proofs draw more. All draw the same each time, as one failure among thousands of tests refuses a change
# that has nothing to do with it; `--hypothesis-profile=anew` looks for what no draw has met yet.
settings.register_profile(
    "fixed", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("anew", settings.get_profile("fixed"), derandomize=False)
settings.load_profile("fixed")

# Constants of whatever program is loaded are among what hypothesis draws: each change of the program, and of the order
# of the tests, would draw anew.
_of_the_program = getattr(providers, "_get_local_constants", None)  # private: without it, so be it
providers._get_local_constants = lambda: (
    providers._local_constants if settings.default.derandomize else _of_the_program()
)

# httpx gives up after five seconds by itself.
for limit in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, limit, 600)


def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins elsewhere with loading the tests: what one has rewritten for its asserts, the others find."""
    places = [Path(argument.split("::")[0]) for argument in session.config.args]
    modules = sorted(file for place in places for file in (place.rglob("test_*.py") if place.is_dir() else [place]))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = len(modules) * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) // workers
    for module in modules[first:] + modules[:first] if workers > 1 else []:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection tells of it
            importlib.import_module(
                ".".join(module.absolute().relative_to(session.config.rootpath).with_suffix("").parts)
            )


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting of the machine, and no `.env` file of its working folder, reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("GATEWAY_"):
            monkeypatch.delenv(name)
    return


@pytest.fixture(scope="module", autouse=True)
def _short_collections() -> None:
    """What earlier modules left is not looked at again: a full collection stops a process of many tests for a second,
    long enough for a time-out to be over before the test has come to what it is about."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """How a test's operations were run goes with its report, for the summary of all."""
    before = Counter(WAYS)
    yield
    ways = {str(way or "refused"): count for way, count in (WAYS - before).items()}
    request.node.user_properties.append(("ways", ways))


@pytest.fixture(params=WIRINGS)
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
async def local_gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with open_gateway("local", tmp_path) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The contract suite's table as one line, rows x wirings, and how the operations of every suite were run."""
    nodes = "test_every_row_in_every_wiring["
    counts = {
        outcome: sum(
            nodes in report.nodeid for report in terminalreporter.stats.get(outcome, ()) if hasattr(report, "nodeid")
        )
        for outcome in ("passed", "failed")
    }
    if any(counts.values()):
        rows = sum(counts.values()) // len(WIRINGS)
        terminalreporter.write_line(
            f"contract: {rows} rows x {len(WIRINGS)} wirings: {counts['passed']} hold, {counts['failed']} do not"
        )
    ways: Counter[str] = Counter()
    for report in (report for found in terminalreporter.stats.values() for report in found):
        if getattr(report, "when", None) == "teardown":  # the only one that was made after the test
            ways.update(dict(report.user_properties).get("ways", {}))
    if ways:
        told = ", ".join(f"{count} {way}" for way, count in ways.most_common())
        terminalreporter.write_line(f"operations through the harness: {told}")
