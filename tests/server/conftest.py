"""Over the event loop that the server uses, and where it matters over Python's own, too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Any]:
    loops: dict[str, Any] = {"uvloop": uvloop.new_event_loop}
    return loops | {"asyncio": asyncio.new_event_loop} if "both_loops" in item.keywords else loops
