"""The whole gateway in REST mode in front of a backend that misbehaves on real sockets.

The neighbour is the sandbox behind a `BadServer`: a PUT reaches the sandbox's store, or not, and is then answered as a
fault's script says. So what the gateway tells of a write can be compared with what became of it.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

import app.apis
from app.apis import APIS
from app.apis.api import Api
from app.apis.basecone.seed import CUSTOMERS
from app.apis.bokamera.seed import CUSTOMERS as BOOKING_CUSTOMERS
from app.apis.bokamera.seed import bearer_of
from app.bootstrap import create_app, create_sandbox, open_store_for
from app.config import parse_settings
from app.store.engine import SqlStore
from tests.harness import check_error, fill, schema_of, share_inputs
from tests.processes import ROOT
from tests.upstream.bad_server import BadServer, Exchange, Script, answer

# The API of a newcomer, who says nothing of what proves an update.
app.apis.__path__.append(str(ROOT / "tests/further"))
LIBRARY = importlib.import_module("app.apis.library").API
CUSTOMER = "c0000000-0000-4000-8000-000000000001"
BOOKING_CUSTOMER = "b0000000-0000-4000-8000-000000000001"
COMPANY = "a0000000-0000-4000-8000-000000000001"
BOOK = "b1000000-0000-4000-8000-000000000001"
BEFORE = {"basecone": "Anna Bakery", "bokamera": "Anna"}
AFTER = "Changed"
_UPDATED = re.compile(rb'(?<="Updated":")(?!2026-01-15T10:00:00Z)[^"]+')
_HEADERS = {"x-bokamera-authorization": f"Bearer {bearer_of('administrator')}"}
_UPDATES = {
    "basecone": """mutation($id: UUID!, $input: UpdateCustomerInput!, $skip: Boolean!) {
      updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: $skip) { customer { name } } }""",
    "bokamera": """mutation($id: UUID!, $input: UpdateBookingCustomerInput!) {
      updateBookingCustomer(id: $id, input: $input) { bookingCustomer { firstname } } }""",
    "library": """mutation($id: UUID!, $input: UpdateBookInput!) {
      updateBook(id: $id, input: $input) { book { title } } }""",
}


def request(api: str, *, name: str = AFTER, skip: bool = False, **more: Any) -> dict[str, Any]:
    """An update that renames; `more` are further members of the input."""
    if api == "basecone":
        variables = {"id": CUSTOMER, "skip": skip, "input": {"company": {"companyId": COMPANY}, "name": name, **more}}
    elif api == "library":
        variables = {"id": BOOK, "input": {"title": name, **more}}
    else:
        variables = {"id": BOOKING_CUSTOMER, "input": {"firstname": name, **more}}
    return {"query": _UPDATES[api], "variables": variables}


@dataclass
class Neighbour:
    """`put` answers each PUT after `delivered` said whether the sandbox hears of it first; `get` replaces its reads.

    An update took `took` seconds: by so much later is the time that the record was changed at.
    """

    put: Script
    sandbox: httpx.AsyncClient
    store: SqlStore
    delivered: bool = False
    get: Script | None = None
    took: float = 0.0
    reads: int = 0
    written: list[int] = field(default_factory=list)

    async def script(self, exchange: Exchange) -> None:
        if exchange.method == "PUT":
            if self.delivered:
                self.written.append((await self._relayed(exchange)).status_code)
            await self.put(exchange)
        else:
            self.reads += 1
            if self.get is not None:
                await self.get(exchange)
            else:
                told = await self._relayed(exchange)
                date = format_datetime(datetime.now(UTC), usegmt=True)
                content = _UPDATED.sub(self._later, told.content)
                head = ("content-type: application/json", f"date: {date}")
                await exchange.send(answer(told.status_code, content, *head))

    def _later(self, match: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(match[0].decode()) + timedelta(seconds=self.took)
        return moment.isoformat().encode()

    async def _relayed(self, exchange: Exchange) -> httpx.Response:
        kept = {name: value for name, value in exchange.headers.items() if name not in {"host", "content-length"}}
        return await self.sandbox.request(exchange.method, exchange.target, headers=kept, content=exchange.body)

    async def name(self, api: str) -> str:
        """What the record is called in the sandbox's store now."""
        collection, record_id = (CUSTOMERS, CUSTOMER) if api == "basecone" else (BOOKING_CUSTOMERS, BOOKING_CUSTOMER)
        record = await self.store.get(collection, record_id)
        assert record is not None
        return str(record.document["name" if api == "basecone" else "Firstname"])


@dataclass
class Gatewayed:
    """A gateway, and the server that it calls."""

    app: Starlette
    client: httpx.AsyncClient
    server: BadServer
    neighbour: Neighbour

    async def update(self, api: str, *, headers: dict[str, str] | None = None, **given: Any) -> dict[str, Any]:
        """The answer's body; every error in it is checked for what all errors promise."""
        told = await self.client.post("/graphql", json=request(api, **given), headers=_HEADERS | (headers or {}))
        assert told.status_code == 200, told.text
        body: dict[str, Any] = told.json()
        for error in body.get("errors", ()):
            check_error(error)
        return body

    async def error(self, api: str, **given: Any) -> dict[str, Any]:
        body = await self.update(api, **given)
        [error] = body["errors"]
        return error


def applied(api: str, body: dict[str, Any]) -> bool:
    """Whether the answer is that of a success."""
    if "errors" in body:
        return False
    [record] = next(iter(body["data"].values())).values()
    return bool(record[{"basecone": "name", "library": "title"}.get(api, "firstname")] == AFTER)


@contextlib.asynccontextmanager
async def gatewayed(
    folder: Path,
    put: Script,
    *,
    delivered: bool = False,
    get: Script | None = None,
    took: float = 0.0,
    url: str | None = None,
    raw: bool = False,
    eager: bool = True,
    tls: Any = None,
    settings: dict[str, str] | None = None,
    others: dict[str, Any] | None = None,
    apis: Sequence[Api] = APIS,
) -> AsyncIterator[Gatewayed]:
    """`url` replaces the server's, or is "https" for its own under that scheme; `others` holds a URL by API name."""
    local = parse_settings(apis, {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'sandbox.db'}"})
    await fill(folder / "sandbox.db", apis)
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store_for(local, apis)
        stack.push_async_callback(store.aclose)
        sandbox = create_sandbox(local, apis, store)
        await stack.enter_async_context(sandbox.router.lifespan_context(sandbox))
        relay = await stack.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(sandbox), base_url="http://sandbox.test")
        )
        neighbour = Neighbour(put, relay, store, delivered, get, took)
        script = put if raw else neighbour.script
        server = await stack.enter_async_context(BadServer(script, raw=raw, eager=eager, tls=tls))
        base = server.url.replace("http:", "https:") if url == "https" else url or server.url
        given = rest_settings({api.name: (others or {}).get(api.name, base) for api in apis}, apis)
        given |= {"GATEWAY_STORE_URL": f"sqlite:///{folder / 'gateway.db'}", **(settings or {})}
        await fill(folder / "gateway.db", ())
        app = create_app(parse_settings(apis, given), apis, schema=schema_of(tuple(apis)))
        share_inputs(app, tuple(apis))
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        client = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        )
        yield Gatewayed(app, client, server, neighbour)


def rest_settings(urls: dict[str, str], apis: Sequence[Api] = APIS) -> dict[str, str]:
    """Each API in REST mode under a URL of its own. Callers bring BokaMera's bearer: no token endpoint is asked."""
    token = {"token_url", "client_id", "username", "password"}
    return {
        f"GATEWAY_{api.name}_{name}".upper(): value
        for api in apis
        for name, value in api.sandbox_settings(urls[api.name]).items()
        if name not in token
    }
