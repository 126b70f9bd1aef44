"""Every asynchronous test here runs on both event loops: what a broken connection raises differs between them."""

from __future__ import annotations

import asyncio

import uvloop


def pytest_asyncio_loop_factories(config, item):  # noqa: ARG001 - the hook's own names
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
