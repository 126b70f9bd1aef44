"""The same gateway without one of its ways: `python plain_ways.py asgi|strawberry PORT`, settings in the environment.

`asgi` is the gateway behind uvicorn's own connection; `strawberry` is its schema on Strawberry's own ASGI view with every
default, and httpx to the backend.
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

from app.__main__ import worker_app
from app.apis import APIS
from app.bootstrap import Backends
from app.call import CallContext
from app.config import read_settings
from app.graphql.context import Context
from app.graphql.schema import build_schema


def strawberry_app() -> Starlette:
    settings = read_settings(APIS, env_file=None)
    transports = {api.name: httpx.AsyncHTTPTransport() for api in APIS if settings.apis[api.name].mode == "rest"}
    backends = Backends(settings, APIS, transports)

    class View(GraphQL):  # type: ignore[type-arg]
        async def get_context(self, *_: Any, **__: Any) -> Context:
            return Context(CallContext("benchmark"), backends.by_name)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> Any:
        await backends.open()
        yield
        await backends.aclose()

    return Starlette(routes=[Route("/graphql", View(build_schema(APIS)), methods=["POST"])], lifespan=lifespan)


if __name__ == "__main__":
    way, port = sys.argv[1:]
    app = {"asgi": worker_app, "strawberry": strawberry_app}[way]()
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), http="httptools", log_config=None, log_level="warning", access_log=False
    )
