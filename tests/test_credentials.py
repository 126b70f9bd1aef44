"""Whose credentials leave with which request, through the whole application: never another caller's, never another API's."""

from __future__ import annotations

import asyncio

import httpx

from app.apis import APIS
from app.bootstrap import Backends, create_app
from app.config import parse_settings
from tests.test_contract import example_of, operation

SETTINGS = {
    "GATEWAY_BASECONE_MODE": "rest",
    "GATEWAY_BASECONE_URL": "https://basecone.test/v1",
    "GATEWAY_BASECONE_CLIENT_IDENTIFIER": "own",
    "GATEWAY_BASECONE_API_ACCESS_KEY": "own",
    "GATEWAY_BOKAMERA_MODE": "rest",
    "GATEWAY_BOKAMERA_URL": "https://bokamera.test",
    "GATEWAY_BOKAMERA_API_KEY": "own-key",
    "GATEWAY_BOKAMERA_TOKEN_URL": "https://identity.test/token",
    "GATEWAY_BOKAMERA_CLIENT_ID": "id",
    "GATEWAY_BOKAMERA_USERNAME": "name",
    "GATEWAY_BOKAMERA_PASSWORD": "word",
}
OWN = {
    "updateCustomer": {"authorization": "Basic b3duOm93bg==", "x-api-key": None},
    "updateBookingCustomer": {"authorization": "Bearer own-token", "x-api-key": "own-key"},
}
CALLERS = {
    "x-basecone-authorization": "Basic basecone-{}",
    "x-bokamera-authorization": "Bearer bokamera-{}",
    "x-bokamera-api-key": "key-{}",
}


class Backend:
    """Both services and the token endpoint: answers when its turn comes, and remembers who asked with what."""

    def __init__(self):
        self.seen = {}
        self.tokens = 0

    async def __call__(self, request):
        await asyncio.sleep(0)  # lets the other callers in between
        if request.url.host == "identity.test":
            self.tokens += 1
            return httpx.Response(200, json={"access_token": "own-token", "expires_in": 300})
        headers = {name: request.headers.get(name) for name in ("authorization", "x-api-key")}
        assert not [name for name in request.headers if name.startswith(("x-basecone", "x-bokamera"))]
        self.seen[request.headers["x-request-id"]] = (request.url.host, headers)
        return httpx.Response(204) if request.url.host == "basecone.test" else httpx.Response(200, json={"Phone": "1"})


async def test_two_hundred_callers_at_a_time_each_send_their_own():
    backend = Backend()
    settings = parse_settings(APIS, SETTINGS)
    transport = httpx.MockTransport(backend)
    backends = Backends(settings, APIS, {api.name: transport for api in APIS})
    app = create_app(settings, APIS, backends)
    variables = {mutation: example_of(api, mutation) for api in APIS for mutation in OWN if mutation in api.mutations}

    async def ask(client, number):
        mutation = list(OWN)[number % 2]
        given = CALLERS if number % 3 else {}
        answer = await client.post(
            "/graphql",
            json={"query": operation(mutation, "{ __typename }"), "variables": variables[mutation]},
            headers={name: value.format(number) for name, value in given.items()} | {"x-request-id": str(number)},
        )
        assert "errors" not in answer.json()

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        await asyncio.gather(*(ask(client, number) for number in range(200)))
    assert backend.tokens == 1
    assert len(backend.seen) == 200
    for number in range(200):
        host, headers = backend.seen[str(number)]
        if number % 3 == 0:
            assert headers == OWN[list(OWN)[number % 2]]
        elif number % 2 == 0:
            assert (host, headers) == (
                "basecone.test",
                {"authorization": f"Basic basecone-{number}", "x-api-key": None},
            )
        else:
            expected = {"authorization": f"Bearer bokamera-{number}", "x-api-key": f"key-{number}"}
            assert (host, headers) == ("bokamera.test", expected)
