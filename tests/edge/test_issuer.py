"""Fetching the keys of the callers' token issuer."""

from __future__ import annotations

import pytest

from app.edge.auth.authenticator import Entrance, KeysUnavailableError
from app.edge.settings import AuthSettings
from tests.upstream.bad_server import BadServer, answer, in_turn


@pytest.mark.parametrize("data", [answer(200, b"<html>"), answer(200, b"{}"), answer(302)])
async def test_an_answer_without_keys_ends_its_connection(data):
    keys = answer(
        200, b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
    )
    async with BadServer(in_turn(lambda at: at.send(data), lambda at: at.send(keys))) as server:
        url = f"{server.url}/keys"
        entrance = Entrance(AuthSettings(jwt_issuer="i", jwt_audience="a", jwt_algorithm="EdDSA", jwt_jwks_url=url))
        fetch = entrance.issuer._fetch
        with pytest.raises(KeysUnavailableError):
            await fetch()
        assert await fetch()
        await entrance.aclose()
        assert server.connections == 2
