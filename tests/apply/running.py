"""A gateway on a real socket for the command, and a sandbox that counts the PUTs which reach it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter

from app.apis import APIS
from app.bootstrap import create_app, create_sandbox
from app.config import parse_settings
from app.sandbox.faults import CONNECTION
from tests.harness import fill, schema_of, serving

SUPPLIERS = [f"50000000-0000-4000-8000-{number:012}" for number in (1, 2, 3, *range(1001, 1086))]


@contextlib.asynccontextmanager
async def gateway(folder, **settings):
    """The address of one over a local store in `folder`."""
    await fill(folder / "gateway.db")
    store = {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'gateway.db'}"}
    async with serving(create_app(parse_settings(APIS, store | settings), schema=schema_of(tuple(APIS)))) as url:
        yield f"{url}/graphql"


class CountingSandbox:
    """`puts` counts them by the e-mail address that they set. Each call takes `seconds`; `lost` PUTs have no answer."""

    def __init__(self, folder, seconds=0.0, lost=()):
        settings = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'sandbox.db'}"})
        self.app = create_sandbox(settings)
        self.seconds = seconds
        self.puts = Counter()
        self.lost = lost

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and self.seconds:
            await asyncio.sleep(self.seconds)
        if scope["type"] != "http" or scope["method"] != "PUT":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        email = json.loads(body).get("Email")
        self.puts[email] += 1
        messages = iter([{"type": "http.request", "body": bytes(body)}])

        async def again():
            return next(messages, None) or await receive()

        if email not in self.lost:
            await self.app(scope, again, send)
            return

        async def nowhere(_):
            pass

        await self.app(scope, again, nowhere)
        scope["extensions"][CONNECTION]["reset"]()

    @contextlib.asynccontextmanager
    async def serving(self):
        """The settings of a gateway in front of it."""
        async with serving(self) as url:
            yield {
                f"GATEWAY_{api.name}_{name}".upper(): value
                for api in APIS
                for name, value in api.sandbox_settings(url).items()
            }
