"""The gateway while the PostgreSQL of its local backends cannot be reached: not ready, truthful, and well again after."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import asyncpg
import httpx

from app.apis import APIS
from app.bootstrap import create_app
from app.config import parse_settings
from tests.harness import check_error
from tests.resilience.neighbour import request
from tests.store.test_loss import Proxy


async def cut_off(url: str) -> None:
    """Every connection but this one ends."""
    administrator = await asyncpg.connect(url)
    await administrator.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await administrator.close()


async def asked_until(client: httpx.AsyncClient, status: int) -> httpx.Response:
    while (ready := await client.get("/health/ready")).status_code != status:
        await asyncio.sleep(0)
    return ready


async def test_not_ready_while_the_store_cannot_be_reached(postgres: Path, postgres_url: str):
    proxy = Proxy(postgres)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://postgres@127.0.0.1:{port}/test?sslmode=disable"
    app = create_app(parse_settings(APIS, {"GATEWAY_STORE_URL": url}))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        )
        assert (await client.get("/health/ready")).status_code == 200
        proxy.open = False
        await cut_off(postgres_url)
        # The store is tried once a second, whoever asks.
        ready = await asked_until(client, 503)
        assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "part": "store"})
        assert (await client.get("/health/live")).status_code == 200
        for api in ("basecone", "bokamera"):
            [error] = (await client.post("/graphql", json=request(api))).json()["errors"]
            check_error(error)
            told = error["extensions"]
            assert (told["code"], told["reason"]) == ("BACKEND_UNAVAILABLE", "STORE_UNAVAILABLE")
            assert (told["outcome"], told["retry"]) == ("NOT_APPLIED", {"safe": True})
        proxy.open = True
        await asked_until(client, 200)
        assert "errors" not in (await client.post("/graphql", json=request("basecone"))).json()
    server.close()
