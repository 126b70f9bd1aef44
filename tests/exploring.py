"""Runs a state machine over a store, each example over an empty one, until it has compared often enough."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store.postgres_server import address, empty


def repeated(drawn: Any, run: Callable[[Any], None], enough: Callable[[], bool]) -> None:
    """`run` with `drawn` until it is enough, each time with other draws. Where draws are fixed, those of each time are."""
    for number in itertools.count():
        if enough():
            return
        run(seed(number)(drawn) if settings.default.derandomize else drawn)


def explore(machine: Any, least: int, examples: int, tmp_path: Any, postgres: Any = None) -> None:
    """`machine.compare` is what is counted: how long an example gets is drawn, so one run may fall short of `least`."""
    compared = 0

    class Here(machine):
        folder = tmp_path

        async def compare(self):
            nonlocal compared
            compared += 1
            await super().compare()

        @staticmethod
        async def new_url():
            if postgres is None:
                return f"sqlite:///{tempfile.mkdtemp(dir=tmp_path)}/store.db"
            return await empty(address(postgres, "test"))

    chosen = settings(
        max_examples=examples, stateful_step_count=60, suppress_health_check=list(HealthCheck), print_blob=True
    )
    repeated(Here, lambda drawn: run_state_machine_as_test(drawn, settings=chosen), lambda: compared >= least)
