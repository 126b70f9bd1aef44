"""The same schema on plain Strawberry: its own ASGI view, every default, httpx to the backend.

Run by `gateway.py` with the gateway's settings in the environment; the argument is the port.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL

from app.apis import APIS
from app.bootstrap import Backends
from app.call import Call
from app.config import read_settings
from app.graphql.context import Context
from app.graphql.schema import build_schema


def create_app() -> Starlette:
    settings = read_settings(APIS, env_file=None)
    transports = {api.name: httpx.AsyncHTTPTransport() for api in APIS if settings.apis[api.name].mode == "rest"}
    backends = Backends(settings, APIS, transports)

    class View(GraphQL):  # type: ignore[type-arg]
        async def get_context(self, *_: Any, **__: Any) -> Context:
            return Context(Call("benchmark"), backends.by_name)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        await backends.open()
        yield
        await backends.aclose()

    return Starlette(routes=[Route("/graphql", View(build_schema(APIS)), methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
