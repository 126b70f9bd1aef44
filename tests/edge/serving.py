"""The notebook's gateway, in process or on a real port."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import httpx

from app.edge.application import build_app
from app.edge.settings import EdgeSettings
from app.server.serving import Config, Server
from tests.graphql.asking import schema
from tests.graphql.notebook import API, LocalNotebook
from tests.switch import COMPILED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECURE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def notebook_app(settings: EdgeSettings | None = None, notebook: LocalNotebook | None = None, **more: Any):
    backends = {"notebook": notebook or LocalNotebook()}
    settings = (settings or EdgeSettings()).model_copy(update={"compiled": COMPILED})
    return build_app(apis=[API], backends=backends, schema=schema(), settings=settings, **more)


async def _check(response: httpx.Response) -> None:
    """What holds of every answer, whatever was asked."""
    assert response.headers["x-request-id"]
    for name, value in SECURE.items():
        assert response.headers[name] == value
    assert "content-security-policy" in response.headers
    await response.aread()
    if "json" in response.headers.get("content-type", "") and b'"errors"' in response.content:
        body = response.json()
        for answer in body if isinstance(body, list) else [body]:
            for error in answer.get("errors", ()):
                assert error["extensions"]["requestId"] == response.headers["x-request-id"]
                assert error["extensions"]["code"]
                assert error["extensions"]["reason"]


@contextlib.asynccontextmanager
async def client(settings: EdgeSettings | None = None, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(notebook_app(settings, **more))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://gateway.test", event_hooks={"response": [_check]}
    ) as made:
        yield made


class _Server(Server):
    """Says when it listens."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextlib.asynccontextmanager
async def serve(app: Any, **options: Any) -> AsyncIterator[tuple[str, Server]]:
    """A real server on a free port; left, it has shut down."""
    server = _Server(Config(app, port=0, **options))
    running = asyncio.create_task(server.serve())
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({running, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.should_exit = True
        await running
