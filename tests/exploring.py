"""Runs a state machine over a store, each example over an empty one, until it has compared often enough."""

from __future__ import annotations

import tempfile
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store.postgres_server import address, empty


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

    while compared < least:
        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=examples,
                stateful_step_count=60,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
