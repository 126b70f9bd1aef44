"""The composed gateway in a wiring with its log, metrics and journal, and what one request made of each."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from app.apis import APIS
from app.bootstrap import Backends, create_app, create_sandbox
from app.config import parse_settings
from app.telemetry import logs
from tests.harness import fill, schema_of, serving
from tests.switch import SETTING

# What differs from one request to the next.
_ITS_OWN = {"time", "request_id", "duration_ms", "backend_ms"}
ENTRIES = """query($id: String) { updates(requestId: $id, first: 100) { nodes { idempotencyKey caller person mutation
  recordId sentFields outcome code reason backendStatus readBack replayed backend backendAccount position } } }"""


@contextlib.contextmanager
def written() -> Iterator[io.StringIO]:
    """Everything that is logged, as JSON lines."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("info", "json", [], stream)
    try:
        yield stream
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])


@dataclass
class Traces:
    """What one request left: its lines in the log, and the series that it counted up."""

    body: dict[str, Any]
    lines: list[dict[str, Any]]
    counted: Counter[tuple[str, ...]]


@dataclass
class Served:
    app: Starlette
    client: httpx.AsyncClient
    backends: Backends
    stream: io.StringIO

    async def post(self, query: str, variables: Mapping[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.client.post(
            "/graphql", json={"query": query, "variables": variables or {}}, headers=named
        )
        return response.json()

    async def traced(self, query: str, variables: Mapping[str, Any], request_id: str, **headers: str) -> Traces:
        before = self._counted()
        start = len(self._logged())
        body = await self.post(query, variables, x_request_id=request_id, **headers)
        counted = self._counted() - before
        found = [json.loads(line) for line in self._logged()[start:].splitlines()]
        lines = [
            {name: value for name, value in line.items() if name not in _ITS_OWN}
            for line in found
            if line["logger"] == "app.telemetry.operations"
        ]
        assert lines
        return Traces(body, lines, counted)

    def _logged(self) -> str:
        for handler in logging.getLogger().handlers:
            handler.flush()  # lines are written several at a time
        return self.stream.getvalue()

    async def entries(self, *request_ids: str) -> list[list[dict[str, Any]]]:
        """The entries of requests that should have left as many each; what nobody waits for is written a moment later."""
        journal = self.backends.recorder.journal
        assert journal is not None
        for turn in range(200):
            await journal.flush()
            found = [await self._entries(request_id) for request_id in request_ids]
            ended = all(entry["outcome"] for entries in found for entry in entries)
            if ended and len(set(map(len, found))) == 1 and (found[0] or turn > 1):
                break
            await asyncio.sleep(0.005)
        return found

    async def _entries(self, request_id: str) -> list[dict[str, Any]]:
        answer = await self.post(ENTRIES, {"id": request_id})
        found: list[dict[str, Any]] = answer["data"]["updates"]["nodes"]
        return sorted(found, key=lambda entry: entry["position"] or 0)

    def _counted(self) -> Counter[tuple[str, ...]]:
        assert self.backends.telemetry is not None
        shown = self.backends.telemetry.metrics.render().decode()
        return Counter(
            {
                (sample.name, *sample.labels.values()): int(sample.value)
                for family in text_string_to_metric_families(shown)
                if family.name.startswith("gateway")
                for sample in family.samples
                if sample.name.endswith(("_total", "_count")) and "documents" not in sample.name
            }
        )


@contextlib.asynccontextmanager
async def served(
    wiring: str, folder: Path, stream: io.StringIO, extra: Mapping[str, str] | None = None, url: str = ""
) -> AsyncIterator[Served]:
    """`url` is a backend's in place of the sandbox's."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'gateway.db'}", **SETTING, **(extra or {})}
    transports: dict[str, httpx.AsyncBaseTransport] = {}
    async with contextlib.AsyncExitStack() as stack:
        if url:
            variables = pointed_at(url) | variables
        elif wiring != "local":
            await fill(folder / "sandbox.db")
            sandbox = create_sandbox(parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'sandbox.db'}"}))
            url = "http://127.0.0.1:9"
            if wiring == "sandbox-in-process":
                await stack.enter_async_context(sandbox.router.lifespan_context(sandbox))
                transports = {api.name: httpx.ASGITransport(sandbox) for api in APIS}
            else:
                url = await stack.enter_async_context(serving(sandbox))
            variables = pointed_at(url) | variables
        settings = parse_settings(APIS, variables)
        backends = Backends(settings, transports=transports)
        app = create_app(settings, backends=backends, schema=schema_of(tuple(APIS)))
        await stack.enter_async_context(app.router.lifespan_context(app))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")
        yield Served(app, await stack.enter_async_context(client), backends, stream)


def pointed_at(url: str) -> dict[str, str]:
    return {
        f"GATEWAY_{api.name}_{name}".upper(): value for api in APIS for name, value in api.sandbox_settings(url).items()
    }
