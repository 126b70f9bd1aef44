"""The composed gateway over HTTP in one process: settings in, a client out. Backends are local, or a counted sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from app.apis import APIS
from app.bootstrap import Backends, create_app, create_sandbox
from app.config import Settings, parse_settings
from tests.harness import Recorder, fill, schema_of, share_inputs
from tests.switch import SETTING

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
SUPPLIER = "50000000-0000-4000-8000-000000000001"
BOOKING_CUSTOMER = "b0000000-0000-4000-8000-000000000001"
COMPANY = "a0000000-0000-4000-8000-000000000001"
UPDATE = """mutation Rename($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input) { customer { id name } } }"""


def update(name: str = "Jansen", **changes: Any) -> dict[str, Any]:
    given = {"company": {"companyId": COMPANY}, "name": name, **changes.pop("input", {})}
    return {"query": UPDATE, "variables": {"id": CUSTOMER, "input": given, **changes}}


@dataclass
class Running:
    """`requests` counts what left for a backend; only REST mode has any."""

    client: httpx.AsyncClient
    app: Starlette
    settings: Settings
    transports: Mapping[str, Recorder] = field(default_factory=dict)

    @property
    def requests(self) -> list[httpx.Request]:
        return [request for transport in self.transports.values() for request in transport.requests]

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/graphql", json=body, headers=named)


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    given: Mapping[str, str] | None = None,
    answer: httpx.AsyncBaseTransport | None = None,
    *,
    rest: bool = False,
    **parts: Any,
) -> AsyncIterator[Running]:
    """`rest` puts the sandbox in process behind each API, or `answer` in its place."""
    variables = {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'gateway.db'}", **SETTING, **(given or {})}
    async with contextlib.AsyncExitStack() as stack:
        transports: dict[str, Recorder] = {}
        if rest:
            await fill(folder / "sandbox.db")
            behind = {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'sandbox.db'}"}
            sandbox = create_sandbox(parse_settings(APIS, behind), **parts.pop("sandbox", {}))
            await stack.enter_async_context(sandbox.router.lifespan_context(sandbox))
            transports = {api.name: Recorder(answer or httpx.ASGITransport(sandbox)) for api in APIS}
            for api in APIS:
                named = api.sandbox_settings("http://127.0.0.1:9").items()
                variables = {f"GATEWAY_{api.name}_{name}".upper(): value for name, value in named} | variables
            # The token endpoint is behind a connection of its own; the tests bring their bearer themselves.
            for name in ("TOKEN_URL", "CLIENT_ID", "USERNAME", "PASSWORD"):
                variables.pop(f"GATEWAY_BOKAMERA_{name}", None)
        settings = parse_settings(APIS, variables)
        if settings.gateway.store_url == f"sqlite:///{folder / 'gateway.db'}" and settings.gateway.journal is not False:
            await fill(folder / "gateway.db", () if rest else APIS)
        app = create_app(
            settings, backends=Backends(settings, transports=transports), schema=schema_of(tuple(APIS)), **parts
        )
        share_inputs(app, tuple(APIS))
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        )
        yield Running(client, app, settings, transports)
