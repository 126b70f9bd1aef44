"""Whom the gateway trusts: a private authority, a wrong name, a self-signed one, for each connection that it opens."""

from __future__ import annotations

import contextlib
import json
import ssl
from dataclasses import replace

import pytest
import trustme

from app.apis import APIS
from app.bootstrap import entrance_of, limits_of
from app.call import CallContext
from app.config import SettingsError, check_settings, read_settings
from app.edge.auth.authenticator import KeysUnavailableError
from app.errors import NOT_CONNECTED, TOKEN_UNAVAILABLE, GatewayError, Outcome
from app.upstream.messages import BackendRequest
from app.upstream.tokens import TokenSource
from app.upstream.upstream import Upstream
from tests.upstream.bad_server import BadServer, answer

TOKEN = json.dumps({"access_token": "t", "expires_in": 300}).encode()
CALL = CallContext("r")


class Authority:
    """A private certificate authority in files, as an operator has them."""

    def __init__(self, folder) -> None:
        self.ca = trustme.CA()
        self.file = folder / "authority.pem"
        self.ca.cert_pem.write_to_path(str(self.file))
        self.folder = folder / "authorities"
        self.folder.mkdir()
        (self.folder / "authority.pem").write_bytes(self.file.read_bytes())
        # OpenSSL finds a certificate in a folder by the hash of its subject.
        context = ssl.create_default_context(cafile=self.file)
        assert context.get_ca_certs()
        (self.folder / f"{_subject_hash(self.file)}.0").write_bytes(self.file.read_bytes())
        self.empty = folder / "empty"
        self.empty.mkdir()

    def server(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(name).configure_cert(context)
        return context


def _subject_hash(file) -> str:
    import subprocess

    command = ["openssl", "x509", "-hash", "-noout", "-in", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"))


# What the operator says, which authority signs the server's certificate, its name; whether it is trusted.
TABLE = {
    "GATEWAY_CA_FILE": ({"GATEWAY_CA_FILE": "file"}, "authority", "127.0.0.1", True),
    "SSL_CERT_FILE": ({"SSL_CERT_FILE": "file"}, "authority", "127.0.0.1", True),
    "SSL_CERT_DIR": ({"SSL_CERT_DIR": "folder"}, "authority", "127.0.0.1", True),
    "several folders": ({"SSL_CERT_DIR": "empty:folder"}, "authority", "127.0.0.1", True),
    "file and folder": ({"SSL_CERT_FILE": "other file", "SSL_CERT_DIR": "folder"}, "authority", "127.0.0.1", True),
    "one further": ({"SSL_CERT_FILE": "other file", "GATEWAY_CA_FILE": "file"}, "authority", "127.0.0.1", True),
    "nothing said": ({}, "authority", "127.0.0.1", False),
    "an empty variable": ({"SSL_CERT_FILE": ""}, "authority", "127.0.0.1", False),
    "another authority": ({"GATEWAY_CA_FILE": "other file"}, "authority", "127.0.0.1", False),
    "another authority's file": ({"SSL_CERT_FILE": "other file"}, "authority", "127.0.0.1", False),
    "a wrong name": ({"GATEWAY_CA_FILE": "file"}, "authority", "somewhere.test", False),
    "a wrong address": ({"SSL_CERT_FILE": "file"}, "authority", "127.0.0.2", False),
    "self-signed": ({"GATEWAY_CA_FILE": "file"}, "self-signed", "127.0.0.1", False),
}


def settings_of(said: dict[str, str], authority: Authority, stranger: Authority, **more: str):
    files = {
        "file": authority.file,
        "folder": authority.folder,
        "other file": stranger.file,
        "empty:folder": f"{authority.empty}:{authority.folder}",
        "": "",
    }
    environment = {name: str(files[value]) for name, value in said.items()}
    settings = read_settings(APIS, environment | more, None)
    check_settings(settings, APIS)
    return settings


async def backend(url: str, settings) -> None:
    async with Upstream("x", url, limits_of(settings)) as upstream:
        assert (await upstream.send(BackendRequest("PUT", "/x", body=b"{}"), CALL)).status == 200


async def token_endpoint(url: str, settings) -> None:
    async with TokenSource(f"{url}/token", "c", "u", "p", limits=limits_of(settings)) as source:
        assert await source.bearer(CALL) == "t"


async def issuer(url: str, settings) -> None:
    given = settings.gateway.model_copy(update={"jwt_issuer": "i", "jwt_audience": "a", "jwt_jwks_url": f"{url}/keys"})
    entrance = entrance_of(replace(settings, gateway=given), APIS)
    try:
        with contextlib.suppress(KeysUnavailableError):
            await entrance.issuer.keys.get(None)
    finally:
        await entrance.aclose()


CALLED = {"backend": backend, "token endpoint": token_endpoint, "issuer": issuer}


@pytest.mark.parametrize("who", CALLED)
@pytest.mark.parametrize("case", TABLE)
async def test_only_a_certificate_of_a_trusted_authority_and_of_the_name_is_taken(
    who, case, authority, stranger, tmp_path
):
    said, signed_by, name, trusted = TABLE[case]
    signer = authority if signed_by == "authority" else Authority(tmp_path)
    settings = settings_of(said, authority, stranger)
    asked = []

    async def script(exchange) -> None:
        asked.append(exchange.method)
        await exchange.send(answer(200, TOKEN, "content-type: application/json"))

    async with BadServer(script, tls=signer.server(name)) as server:
        if trusted or who == "issuer":
            await CALLED[who](server.url, settings)
        else:
            with pytest.raises(GatewayError) as caught:
                await CALLED[who](server.url, settings)
            assert caught.value.row is (NOT_CONNECTED if who == "backend" else TOKEN_UNAVAILABLE)
            assert caught.value.outcome is Outcome.NOT_APPLIED
    assert bool(asked) == trusted


WRONG = {
    "GATEWAY_CA_FILE": ["missing", "folder", "text"],
    "SSL_CERT_FILE": ["missing", "folder", "text"],
    "SSL_CERT_DIR": ["missing", "text"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_what_holds_no_authority_stops_the_start_by_its_name(name, value, tmp_path, authority):
    text = tmp_path / "text"
    text.write_text("no certificate")
    values = {"missing": tmp_path / "missing", "folder": authority.folder, "text": text}
    settings = read_settings(APIS, {name: str(values[value]), "GATEWAY_BASECONE_MODE": "rest"}, None)
    with pytest.raises(SettingsError) as caught:
        check_settings(settings, APIS)
    assert caught.value.problems == (f"{name}: no certificate authority can be read from it",)


def test_no_setting_turns_the_check_off():
    assert not any(
        word in name
        for api in APIS
        for model in (type(read_settings(APIS, {}, None).gateway), api.settings)
        for name in model.model_fields
        for word in ("verify", "insecure", "skip_tls", "untrusted")
    )
