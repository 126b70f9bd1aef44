"""Who may call: right tokens in, every wrong one refused alike, and no backend the wiser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from app.apis import APIS
from app.bootstrap import create_app
from app.config import SettingsError, check_settings, parse_settings
from app.edge.auth.authenticator import (
    Authenticator,
    KeysUnavailableError,
    StaticToken,
    StaticTokens,
    TokenRefusedError,
)
from app.edge.auth.issuer import FetchedKeys, FixedKeys, SignedTokens
from app.edge.settings import AuthSettings, EdgeSettings
from app.graphql.request_errors import RequestError
from app.graphql.schema import build_schema
from app.redaction import Redaction
from tests.edge.serving import notebook_app, serve
from tests.telemetry.running import BOOKING_CUSTOMER, CUSTOMER, SUPPLIER, running, update

ISSUER, AUDIENCE = "https://issuer.example", "gateway"
KEY = RSAKey.generate_key(2048, parameters={"kid": "one"})
OTHER = RSAKey.generate_key(2048, parameters={"kid": "one"})
SECRET = "a-static-token-of-the-tests"
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what must be refused
ALL = "customers:read customers:write suppliers:read suppliers:write booking-customers:read booking-customers:write"


def claims(**changes: Any) -> dict[str, Any]:
    """Good for a day: the tables below are made when the file is loaded, long before the last test of a slow machine."""
    now = int(time.time())
    found = {"iss": ISSUER, "aud": AUDIENCE, "sub": "jan@example.nl", "exp": now + 86_400, "iat": now, "scope": ALL}
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "RS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"alg": algorithm, "kid": "one", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jwt.encode(head, claims(**changes), key, registry=registry)


def unsigned(header: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims()))
    return ".".join(parts) + "." + signature


def confused() -> str:
    """Signed by HMAC, with the public key as the secret."""
    content = unsigned({"alg": "HS256", "kid": "one"}).rstrip(".")
    made = hmac.digest(KEY.as_pem(private=False), content.encode(), "sha256")
    return content + "." + base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def changed(token: str) -> str:
    head, payload, signature = token.split(".")
    return ".".join([head, payload[:-4] + "AAAA", signature])


def jwks(*keys: Any) -> bytes:
    return json.dumps(KeySet(list(keys)).as_dict(private=False)).encode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(jwks(KEY))
    return path


def jwt_settings(key_file: Path) -> dict[str, str]:
    return {
        "GATEWAY_JWT_ISSUER": ISSUER,
        "GATEWAY_JWT_AUDIENCE": AUDIENCE,
        "GATEWAY_JWT_KEY_FILE": str(key_file),
    }


WRONG = {
    "no token": None,
    "empty": "",
    "another scheme": "Basic " + base64.b64encode(b"user:password").decode(),
    "no scheme": SECRET,
    "an unknown static token": "Bearer not-the-token",
    "the hash instead of the token": f"Bearer {DIGEST}",
    "two tokens": f"Bearer {SECRET} {SECRET}",
    "not a JWT": "Bearer a.b.c",
    "a token cut off": "Bearer " + signed()[:-20],
    "expired": "Bearer " + signed(exp=int(time.time()) - 60),
    "not yet valid": "Bearer " + signed(nbf=int(time.time()) + 43_200),
    "without expiry": "Bearer " + signed(exp=None),
    "signed by another key": "Bearer " + signed(OTHER),
    "an unknown key": "Bearer " + signed(header={"kid": "two"}),
    "alg none": "Bearer " + unsigned({"alg": "none", "kid": "one"}),
    "alg None with a signature": "Bearer " + unsigned({"alg": "None", "kid": "one"}, "AAAA"),
    "no alg": "Bearer " + unsigned({"kid": "one"}),
    "HMAC with the public key": "Bearer " + confused(),
    "another algorithm of the same key": "Bearer " + signed(algorithm="RS512"),
    "wrong audience": "Bearer " + signed(aud="another"),
    "no audience": "Bearer " + signed(aud=None),
    "wrong issuer": "Bearer " + signed(iss="https://other.example"),
    "a changed payload": "Bearer " + changed(signed()),
    "a critical header": "Bearer " + unsigned({"alg": "RS256", "kid": "one", "crit": ["x"], "x": 1}, "AAAA"),
    "a key inside the header": "Bearer " + signed(OTHER, header={"jwk": OTHER.as_dict(private=False)}),
    "far too long": "Bearer " + "a" * 9000,
}


UNKNOWN = "unknown token: no static token has its hash; "
CAUSES = {
    "no token": "missing",
    "empty": "malformed",
    "another scheme": "malformed",
    "no scheme": "malformed",
    "an unknown static token": UNKNOWN + "malformed",
    "the hash instead of the token": UNKNOWN + "malformed",
    "two tokens": "malformed",
    "not a JWT": UNKNOWN + "malformed",
    "a token cut off": UNKNOWN + "signature",
    "expired": UNKNOWN + "expired",
    "not yet valid": UNKNOWN + "not yet valid",
    "without expiry": UNKNOWN + "expired",
    "signed by another key": UNKNOWN + "signature",
    "an unknown key": UNKNOWN + "unknown key: the issuer has no RSA key two",
    "alg none": UNKNOWN + "algorithm",
    "alg None with a signature": UNKNOWN + "algorithm",
    "no alg": UNKNOWN + "malformed",
    "HMAC with the public key": UNKNOWN + "algorithm",
    "another algorithm of the same key": UNKNOWN + "algorithm: RS512",
    "wrong audience": UNKNOWN + "audience: aud is another",
    "no audience": UNKNOWN + "audience",
    "wrong issuer": UNKNOWN + "issuer: iss is https://other.example",
    "a changed payload": UNKNOWN + "signature",
    "a critical header": UNKNOWN + "malformed",
    "a key inside the header": UNKNOWN + "signature",
    "far too long": UNKNOWN + "malformed",
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_token_is_refused_alike_and_calls_no_backend(
    wrong: str, tmp_path: Path, key_file: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    given = {**jwt_settings(key_file), "GATEWAY_CALLER_TOKENS": f"app:{DIGEST}"}
    headers = {} if WRONG[wrong] is None else {"authorization": WRONG[wrong]}
    async with running(tmp_path, given, rest=True) as gateway:
        answer = await gateway.post(update(), **headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer realm="gateway"')
        (error,) = answer.json()["errors"]
        assert "data" not in answer.json()
        assert error["message"] == "The request needs a valid bearer token for this gateway."
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
        assert set(error["extensions"]) == {"code", "reason", "requestId"}
        assert gateway.requests == []
    (line,) = [record for record in caplog.records if record.getMessage() == "request refused"]
    assert line.members["detail"].startswith(CAUSES[wrong])
    assert Redaction()(line.members["detail"]) == line.members["detail"]  # the log shows it whole
    assert line.levelno == logging.INFO
    assert SECRET not in line.members["detail"]


async def test_two_authorization_headers_are_refused(tmp_path: Path):
    async with running(tmp_path, {"GATEWAY_CALLER_TOKENS": f"app:{DIGEST}"}) as gateway:
        given = [("authorization", f"Bearer {SECRET}"), ("authorization", "Bearer other")]
        assert (await gateway.client.post("/graphql", json=update(), headers=given)).status_code == 401


RIGHT = {
    "static": lambda: SECRET,
    "signed": signed,
    "signed, audience among several": lambda: signed(aud=["other", AUDIENCE]),
    "signed, scopes as a list": lambda: signed(scope=None, scp=ALL.split()),
    "signed, without a key id": lambda: signed(header={"kid": None}),
    "signed, of more than 8 KB": lambda: signed(groups=[f"group-{index}" for index in range(2000)]),
    "signed, with a long header of unknown members": lambda: signed(header={"nonce": "n" * 2000, "x5c": ["MII" * 700]}),
    "signed, not before a fraction": lambda: signed(nbf=time.time() - 1.5),
    "signed, just expired within the leeway": lambda: signed(exp=int(time.time()) - 5),
}


@pytest.mark.parametrize("right", RIGHT)
async def test_a_right_token_updates(right: str, tmp_path: Path, key_file: Path):
    given = {**jwt_settings(key_file), "GATEWAY_CALLER_TOKENS": f"app:{DIGEST}"}
    async with running(tmp_path, given) as gateway:
        answer = await gateway.post(update("Renamed"), authorization=f"bearer {RIGHT[right]()}")
        assert answer.json() == {"data": {"updateCustomer": {"customer": {"id": CUSTOMER, "name": "Renamed"}}}}


FIELDS = {
    "updateCustomer": (
        "customers:write",
        f'mutation($i: UpdateCustomerInput!) {{ f: updateCustomer(id: "{CUSTOMER}", input: $i) {{ customer {{ id }} }} }}',
    ),
    "updateSupplier": (
        "suppliers:write",
        f'mutation($i: UpdateSupplierInput!) {{ f: updateSupplier(id: "{SUPPLIER}", input: $i) {{ supplier {{ id }} }} }}',
    ),
    "updateBookingCustomer": (
        "booking-customers:write",
        f'mutation($i: UpdateBookingCustomerInput!) {{ f: updateBookingCustomer(id: "{BOOKING_CUSTOMER}", input: $i) {{ bookingCustomer {{ id }} }} }}',
    ),
    "customer": ("customers:read", f'{{ f: customer(id: "{CUSTOMER}") {{ id }} }}'),
    "supplier": ("suppliers:read", f'{{ f: supplier(id: "{SUPPLIER}") {{ id }} }}'),
    "bookingCustomer": ("booking-customers:read", f'{{ f: bookingCustomer(id: "{BOOKING_CUSTOMER}") {{ id }} }}'),
}


def token_for(scopes: str) -> dict[str, str]:
    return {"GATEWAY_CALLER_TOKENS": f"app:{DIGEST}:{scopes}"}


@pytest.mark.parametrize("name", FIELDS)
async def test_a_missing_scope_is_that_fields_error_and_calls_no_backend(name: str, tmp_path: Path):
    needed, document = FIELDS[name]
    others = "+".join(scope for scope, _ in FIELDS.values() if scope != needed)
    given = {} if "Booking" in name else {"company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": "x"}
    async with running(tmp_path, token_for(others), rest=True) as gateway:
        variables = {"i": given} if name.startswith("update") else {}
        answer = await gateway.post({"query": document, "variables": variables}, authorization=f"Bearer {SECRET}")
        assert answer.status_code == 200
        (error,) = answer.json()["errors"]
        assert answer.json()["data"] == {"f": None}
        assert error["path"] == ["f"]
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert error["extensions"].get("outcome") == ("NOT_APPLIED" if name.startswith("update") else None)
        assert needed in error["message"]
        assert gateway.requests == []


@pytest.mark.parametrize("name", FIELDS)
async def test_the_one_scope_suffices(name: str, tmp_path: Path):
    needed, document = FIELDS[name]
    given = {} if "Booking" in name else {"company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": "x"}
    async with running(tmp_path, token_for(needed)) as gateway:
        variables = {"i": given} if name.startswith("update") else {}
        answer = await gateway.post({"query": document, "variables": variables}, authorization=f"Bearer {SECRET}")
        assert "FORBIDDEN" not in answer.text
        assert answer.json()["data"]["f"] is not None


async def test_one_forbidden_field_leaves_its_neighbour_alone(tmp_path: Path):
    async with running(tmp_path, token_for("customers:read")) as gateway:
        query = f'{{ customer(id: "{CUSTOMER}") {{ id }} supplier(id: "{SUPPLIER}") {{ id }} }}'
        body = (await gateway.post({"query": query}, authorization=f"Bearer {SECRET}")).json()
        assert body["data"] == {"customer": {"id": CUSTOMER}, "supplier": None}
        assert [error["path"] for error in body["errors"]] == [["supplier"]]


async def test_entities_are_forbidden_one_by_one(tmp_path: Path):
    async with running(tmp_path, token_for("customers:read"), rest=True) as gateway:
        query = (
            "query($r: [_Any!]!) { _entities(representations: $r) { ... on Customer { id } ... on Supplier { id } } }"
        )
        wanted = [{"__typename": "Customer", "id": CUSTOMER}, {"__typename": "Supplier", "id": SUPPLIER}]
        body = (
            await gateway.post({"query": query, "variables": {"r": wanted}}, authorization=f"Bearer {SECRET}")
        ).json()
        assert body["data"] == {"_entities": [{"id": CUSTOMER}, None]}
        assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [
            (["_entities", 1], "FORBIDDEN")
        ]
        assert len(gateway.requests) == 1


async def test_a_signed_token_without_scopes_may_do_nothing(tmp_path: Path, key_file: Path):
    async with running(tmp_path, jwt_settings(key_file)) as gateway:
        body = (await gateway.post(update(), authorization=f"Bearer {signed(scope=None)}")).json()
        assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert (
            await gateway.post({"query": "{ __typename }"}, authorization=f"Bearer {signed(scope=None)}")
        ).json() == {"data": {"__typename": "Query"}}


async def test_health_stays_open_and_metrics_need_their_scope(tmp_path: Path):
    given = {
        "GATEWAY_CALLER_TOKENS": f"app:{DIGEST}:customers:read,prometheus:{hashlib.sha256(b'scrape').hexdigest()}:metrics:read"
    }
    async with running(tmp_path, given) as gateway:
        statuses = [
            (await gateway.client.get(path)).status_code for path in ("/health/live", "/health/ready", "/metrics")
        ]
        assert statuses == [200, 200, 401]
        tokens = {token: {"authorization": f"Bearer {token}"} for token in (SECRET, "scrape")}
        assert (await gateway.client.get("/metrics", headers=tokens[SECRET])).status_code == 403
        assert (await gateway.client.get("/metrics", headers=tokens["scrape"])).status_code == 200


async def test_metrics_can_be_opened(tmp_path: Path):
    given = {"GATEWAY_CALLER_TOKENS": f"app:{DIGEST}", "GATEWAY_METRICS_OPEN": "true"}
    async with running(tmp_path, given) as gateway:
        assert (await gateway.client.get("/metrics")).status_code == 200


def test_every_root_field_and_entity_of_an_api_has_a_scope():
    schema = build_schema(APIS)
    own = {"_service", "_entities", "errorCatalog", "update", "updates"}
    roots = schema._schema
    fields = {*roots.query_type.fields, *roots.mutation_type.fields} - own
    assert set(schema.scopes) == fields
    assert set(schema.entities) <= set(schema.entity_scopes)


def test_an_api_whose_field_has_no_scope_is_refused():
    from dataclasses import replace

    with pytest.raises(TypeError, match="customers has no scope"):
        build_schema(
            [
                replace(
                    APIS[0],
                    roots=replace(
                        APIS[0].roots,
                        scopes={"customer": "customers:read", "supplier": "suppliers:read", "companies": "x"},
                    ),
                )
            ]
        )


REST = {
    "GATEWAY_BASECONE_MODE": "rest",
    "GATEWAY_BASECONE_CLIENT_IDENTIFIER": "id",
    "GATEWAY_BASECONE_API_ACCESS_KEY": "key",
}
MODES = {"GATEWAY_BASECONE_MODE": "local", "GATEWAY_BOKAMERA_MODE": "local"}
STARTS = {
    "credentials beyond loopback": ({**REST, "GATEWAY_HOST": EVERYWHERE}, "GATEWAY_HOST"),
    "credentials on every IPv6 address": ({**REST, "GATEWAY_HOST": "::"}, "GATEWAY_HOST"),
    "production": ({"GATEWAY_PRODUCTION": "true", **MODES}, "GATEWAY_PRODUCTION"),
    "production without modes": (
        {"GATEWAY_PRODUCTION": "true", **token_for("customers:read")},
        "GATEWAY_BASECONE_MODE",
    ),
    "an issuer alone": ({"GATEWAY_JWT_ISSUER": ISSUER}, "GATEWAY_JWT_AUDIENCE"),
    "no issuer": ({"GATEWAY_JWT_AUDIENCE": AUDIENCE, "GATEWAY_JWT_JWKS_URL": "https://x/"}, "GATEWAY_JWT_ISSUER"),
    "keys without https": (
        {
            "GATEWAY_JWT_ISSUER": ISSUER,
            "GATEWAY_JWT_AUDIENCE": AUDIENCE,
            "GATEWAY_JWT_JWKS_URL": "http://issuer.example/keys",
        },
        "GATEWAY_JWT_JWKS_URL",
    ),
    "an unknown scope": (token_for("customers:delete"), "GATEWAY_CALLER_TOKENS"),
}


@pytest.mark.parametrize("case", STARTS)
def test_a_start_that_would_be_robbed_is_refused_in_one_line(case: str):
    given, name = STARTS[case]
    with pytest.raises(SettingsError) as refused:
        check_settings(parse_settings(APIS, given), APIS)
    assert str(refused.value).startswith(f"{name}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "given", [{"GATEWAY_HOST": EVERYWHERE}, REST, {**REST, "GATEWAY_HOST": EVERYWHERE, **token_for("customers:read")}]
)
def test_other_starts_are_not(given: dict[str, str]):
    check_settings(parse_settings(APIS, given), APIS)


@pytest.mark.parametrize("text", ["app", "app:123", f"app {DIGEST}", f":{DIGEST}", f"app:{DIGEST}:", SECRET])
def test_a_malformed_token_setting_is_named_and_not_shown(text: str):
    with pytest.raises(SettingsError, match="GATEWAY_CALLER_TOKENS") as refused:
        parse_settings(APIS, {"GATEWAY_CALLER_TOKENS": text})
    assert DIGEST not in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"keys": 5}', "-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----"]
)
def test_an_unusable_key_file_stops_the_start(content: str, tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(SettingsError, match="GATEWAY_JWT_KEY_FILE"):
        create_app(parse_settings(APIS, jwt_settings(path)))


async def test_production_turns_off_what_is_for_development(tmp_path: Path):
    async with running(
        tmp_path, {"GATEWAY_PRODUCTION": "true", **MODES, "GATEWAY_CALLER_TOKENS": f"app:{DIGEST}"}
    ) as gateway:
        bearer = {"authorization": f"Bearer {SECRET}"}
        page = await gateway.client.get("/graphql", headers={"accept": "text/html", **bearer})
        assert page.status_code == 405
        assert (await gateway.client.get("/graphql?query={__typename}", headers=bearer)).status_code == 405
        introspection = await gateway.post({"query": "{ __schema { queryType { name } } }"}, **bearer)
        assert introspection.json()["errors"][0]["extensions"]["reason"] == "INTROSPECTION_DISABLED"
        simulated = await gateway.post(update(), x_simulate="CONCURRENT_REQUEST", **bearer)
        assert simulated.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert (await gateway.post(update(), **bearer)).json()["data"]["updateCustomer"] is not None


async def asked(checker: Any, token: str) -> Any:
    return await Authenticator([checker]).caller(f"Bearer {token}")


def checker(keys: Any, algorithm: str = "RS256", **settings: Any) -> SignedTokens:
    return SignedTokens(
        AuthSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_algorithm=algorithm, **settings), keys
    )


async def test_a_pem_file_holds_the_one_key_whatever_its_id(key_file: Path):
    key_file.write_bytes(KEY.as_pem(private=False))
    assert (await asked(checker(FixedKeys(key_file)), signed())).scopes == frozenset(ALL.split())


async def test_elliptic_keys_work_and_other_kinds_are_left_out(key_file: Path):
    key = ECKey.generate_key("P-256", parameters={"kid": "one"})
    content = json.loads(jwks(key, KEY))
    content["keys"] += [{"kty": "oct", "k": "AAAA", "kid": "one"}, {"kty": "new", "kid": "x"}]
    key_file.write_text(json.dumps(content))
    assert (await asked(checker(FixedKeys(key_file), "ES256"), signed(key, "ES256"))).name.startswith("sub:")


async def test_the_callers_name_is_the_client_and_never_the_person(key_file: Path):
    keys = FixedKeys(key_file)
    assert (await asked(checker(keys), signed(client_id="shop"))).name == "shop"
    assert "jan" not in (await asked(checker(keys), signed())).name


class Issuer:
    """A JWKS URL that counts, and answers when it is let."""

    def __init__(self, *keys: Any) -> None:
        self.keys = keys
        self.asked = 0
        self.let = asyncio.Event()
        self.let.set()
        self.now = 0.0

    async def fetch(self) -> bytes:
        self.asked += 1
        await self.let.wait()
        if not self.keys:
            raise KeysUnavailableError("status 500")
        return jwks(*self.keys)

    def source(self) -> FetchedKeys:
        return FetchedKeys(self.fetch, lifetime=600, pause=30, clock=lambda: self.now)


async def test_keys_are_fetched_once_however_many_wait():
    issuer = Issuer(KEY)
    issuer.let.clear()
    source = checker(issuer.source())
    tasks = [asyncio.create_task(asked(source, signed())) for _ in range(20)]
    while not issuer.asked:
        await asyncio.sleep(0)
    tasks[0].cancel()
    issuer.let.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert issuer.asked == 1
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(caller.scopes for caller in found[1:])


async def test_an_unknown_key_id_asks_again_but_not_for_every_token():
    issuer = Issuer(KEY)
    source = checker(issuer.source())
    await asked(source, signed())
    for _ in range(50):
        with pytest.raises(RequestError):
            await asked(source, signed(header={"kid": "forged"}))
    assert issuer.asked == 1
    issuer.now = 31.0
    new = RSAKey.generate_key(2048, parameters={"kid": "new"})
    issuer.keys = (KEY, new)
    assert (await asked(source, signed(new, header={"kid": "new"}))).scopes
    assert issuer.asked == 2


async def test_an_issuer_out_of_reach_matters_only_without_keys():
    issuer = Issuer()
    source = checker(issuer.source())
    with pytest.raises(RequestError) as refused:
        await asked(source, signed())
    assert refused.value.row.http_status == 503
    assert refused.value.headers == {"retry-after": "5"}
    assert refused.value.errors[0].formatted("r")["extensions"]["retry"] == {"afterSeconds": 5}
    issuer.keys, issuer.now = (KEY,), 31.0
    await asked(source, signed())
    issuer.keys, issuer.now = (), 10_000.0
    assert (await asked(source, signed())).scopes
    await asyncio.sleep(0)
    assert issuer.asked == 3


async def test_a_known_key_never_waits_for_an_issuer_that_hangs():
    """It hung for as long as a call may take, and with it every caller, again and again."""
    issuer = Issuer(KEY)
    keys = issuer.source()
    source = checker(keys)
    await asked(source, signed())
    issuer.let.clear()
    issuer.now = 601.0
    for _ in range(3):
        assert (await asked(source, signed())).scopes
        await asyncio.sleep(0)
    assert issuer.asked == 2
    new = RSAKey.generate_key(2048, parameters={"kid": "new"})
    waiting = asyncio.create_task(asked(source, signed(new, header={"kid": "new"})))
    await asyncio.sleep(0)
    assert not waiting.done()
    issuer.keys = (KEY, new)
    issuer.let.set()
    assert (await waiting).scopes
    assert (issuer.asked, {key.kid for key in await keys.get("new")}) == (2, {KEY.kid, "new"})


async def test_the_jwks_url_of_the_settings_is_fetched():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=jwks(KEY))

    from app.bootstrap import entrance_of

    given = {
        "GATEWAY_JWT_ISSUER": ISSUER,
        "GATEWAY_JWT_AUDIENCE": AUDIENCE,
        "GATEWAY_JWT_JWKS_URL": "https://issuer.example/realm/keys",
    }
    callers = entrance_of(parse_settings(APIS, given), APIS, httpx.MockTransport(answer))
    assert callers.authenticator is not None
    assert (await callers.authenticator.caller(f"Bearer {signed()}")).scopes
    assert [str(request.url) for request in seen] == ["https://issuer.example/realm/keys"]
    await callers.aclose()


async def test_static_tokens_are_all_compared():
    tokens = [StaticToken.parse(f"t{index}:{hashlib.sha256(f'{index}'.encode()).hexdigest()}") for index in range(3)]
    for index in range(3):
        assert (await asked(StaticTokens(tokens), f"{index}")).name == f"t{index}"
    assert DIGEST not in repr(StaticToken.parse(f"app:{DIGEST}"))


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_hanging_issuer_holds_nobody_but_those_with_unknown_keys(chunked: bool):
    """On a socket, by both ways in: they took every place, and known callers got 503."""
    issuer = Issuer(KEY)
    source = FetchedKeys(issuer.fetch, wait=600, clock=lambda: issuer.now)
    await source.get(KEY.kid)
    issuer.let.clear()
    issuer.now = 60.0
    authenticator = Authenticator([StaticTokens([StaticToken.parse(f"app:{DIGEST}")]), checker(source)])
    app = notebook_app(EdgeSettings(max_operations=3), authenticator=authenticator)
    body = b'{"query": "{ __typename }"}'

    async def status(token: str) -> int:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        answer = await http.post("/graphql", headers=headers, content=chunks(body) if chunked else body)
        return answer.status_code

    async with serve(app) as (url, _), httpx.AsyncClient(base_url=url, timeout=600) as http:
        waiting = []
        for index in range(20):
            waiting.append(asyncio.create_task(status(signed(header={"kid": f"forged-{index}"}))))
            while source._waiting <= index:
                await asyncio.sleep(0)
        assert [await status(known) for known in (SECRET, signed())] == [200, 200]
        issuer.let.set()
        assert set(await asyncio.gather(*waiting)) == {401}
    assert issuer.asked == 2


async def chunks(body: bytes):
    yield body


async def test_waiting_for_a_key_has_an_end_and_so_has_the_number_of_those_who_wait():
    issuer = Issuer(KEY)
    issuer.let.clear()
    source = FetchedKeys(issuer.fetch, wait=0.01, clock=lambda: issuer.now)
    tasks = [asyncio.create_task(asked(checker(source), signed(header={"kid": f"k{n}"}))) for n in range(150)]
    refusals = await asyncio.gather(*tasks, return_exceptions=True)
    assert {refusal.row.http_status for refusal in refusals} == {503}
    assert len([item for item in refusals if "too many" in item.detail]) == 50
    assert issuer.asked == 1
    issuer.let.set()
    await asyncio.sleep(0)


async def test_a_key_id_that_was_unknown_does_not_ask_again_for_a_while_and_others_are_bounded():
    issuer = Issuer(KEY)
    source = FetchedKeys(issuer.fetch, clock=lambda: issuer.now)
    for index in range(4):
        issuer.now += 10.0
        await source.get(f"forged-{index % 2}")
    assert issuer.asked == 2
    for index in range(1500):
        source._unknown[f"k{index}"] = True
    assert len(source._unknown) == 1000


SCOPES = {
    "scope as a text": ({}, {"scope": "customers:read suppliers:read"}, {"customers:read", "suppliers:read"}),
    "scp as a list": ({}, {"scp": ["customers:read"]}, {"customers:read"}),
    "both": ({}, {"scope": "customers:read", "scp": ["suppliers:read"]}, {"customers:read", "suppliers:read"}),
    "roles": ({"jwt_scope_claim": ("roles",)}, {"roles": ["customers:read"], "scope": "suppliers:read"}, {"customers:read"}),
    "permissions": ({"jwt_scope_claim": ("permissions",)}, {"permissions": ["customers:read", 7]}, {"customers:read"}),
    "a prefix": (
        {"jwt_scope_prefix": "https://api.example/"},
        {"scope": "https://api.example/customers:read suppliers:read https://other.example/customers:write"},
        {"customers:read"},
    ),
    "neither list nor text": ({}, {"scope": {"customers:read": True}}, set()),
}  # fmt: skip


@pytest.mark.parametrize(("options", "changes", "scopes"), SCOPES.values(), ids=SCOPES)
async def test_scopes_are_read_as_issuers_write_them(
    options: dict[str, Any], changes: dict[str, Any], scopes: set[str], key_file: Path
):
    source = checker(FixedKeys(key_file), **options)
    assert (await source.find(signed(**{"scope": None, **changes}))).scopes == scopes


async def test_the_audience_may_stand_in_another_claim(key_file: Path):
    source = checker(FixedKeys(key_file), jwt_audience_claim="client_id")
    assert (await source.find(signed(aud=None, client_id=AUDIENCE))).name == AUDIENCE
    for changes in ({"aud": AUDIENCE}, {"aud": AUDIENCE, "client_id": "another"}):
        with pytest.raises(TokenRefusedError, match=r"^audience"):
            await source.find(signed(**changes))


def entry(token: str, scopes: str = "") -> str:
    return f"{token}:{hashlib.sha256(token.encode()).hexdigest()}{scopes}"


BAD_FILES = {
    "nothing": "",
    "comments alone": "# none\n\n",
    "a token instead of its hash": "app:a-static-token\n",
    "an unknown scope": entry("one", ":customers:raed"),
    "one token twice": entry("one") + "\n" + entry("one"),
    "a token of the setting": entry("given"),
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("bad", BAD_FILES)
async def test_the_file_of_tokens_is_read_again_and_a_bad_one_is_not_taken(
    bad: str, tmp_path: Path, key_file: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "tokens"
    path.write_bytes(
        f"\ufeff# who may call\r\n{entry('one')}  # the first\r\n\r\n{entry('two', ':customers:read')}\r\n".encode()
    )
    given = jwt_settings(key_file) | {"GATEWAY_CALLER_TOKENS": entry("given"), "GATEWAY_CALLER_TOKENS_FILE": str(path)}
    new = RSAKey.generate_key(2048, parameters={"kid": "new"})

    async def statuses(*tokens: str) -> list[int]:
        return [
            (await gateway.post({"query": "{ __typename }"}, authorization=f"Bearer {token}")).status_code
            for token in tokens
        ]

    async with running(tmp_path, given) as gateway:
        tokens = ("given", "one", "two", "three", signed(), signed(new, header={"kid": "new"}))
        assert await statuses(*tokens) == [200, 200, 200, 401, 200, 401]
        path.write_bytes(BAD_FILES[bad].encode("utf-8", "surrogateescape"))
        key_file.write_bytes(b"{}")
        gateway.app.state.reload()
        assert await statuses(*tokens) == [200, 200, 200, 401, 200, 401]
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert [line.partition(":")[0] for line in errors] == ["GATEWAY_CALLER_TOKENS_FILE", "GATEWAY_JWT_KEY_FILE"]
        assert "a-static-token" not in caplog.text
        path.write_text(entry("three"))
        key_file.write_bytes(jwks(new))
        gateway.app.state.reload()
        assert await statuses(*tokens) == [200, 401, 401, 200, 401, 200]
    path.write_bytes(BAD_FILES[bad].encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match="GATEWAY_CALLER_TOKENS_FILE"):
        create_app(parse_settings(APIS, given))
