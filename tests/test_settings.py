"""Settings as people paste them: trimmed, or refused by name and never shown. Every field is in the tables."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from app.apis import APIS
from app.config import SettingsError, check_settings, parse_settings, read_settings
from tests.readme_tables import fields

DIGEST = hashlib.sha256(b"token").hexdigest()
# A value of each setting that can be used.
VALUES = {
    "GATEWAY_BASECONE_MODE": "rest",
    "GATEWAY_BASECONE_URL": "https://api.example/v1",
    "GATEWAY_BASECONE_CLIENT_IDENTIFIER": "identifier",
    "GATEWAY_BASECONE_API_ACCESS_KEY": "access-key",
    "GATEWAY_BASECONE_WKBELGIUM_CLIENTS": "one,two",
    "GATEWAY_BOKAMERA_MODE": "rest",
    "GATEWAY_BOKAMERA_URL": "https://api.example",
    "GATEWAY_BOKAMERA_API_KEY": "api-key",
    "GATEWAY_BOKAMERA_FORMAT": "jsv",
    "GATEWAY_BOKAMERA_TOKEN_URL": "https://login.example/token",
    "GATEWAY_BOKAMERA_CLIENT_ID": "client",
    "GATEWAY_BOKAMERA_USERNAME": "jan jansen",
    "GATEWAY_BOKAMERA_PASSWORD": "pass word",
    "GATEWAY_HOST": "127.0.0.1",
    "GATEWAY_SANDBOX_HOST": "localhost",
    "GATEWAY_STORE_URL": "sqlite:///other.db",
    "GATEWAY_ROUTER_SECRET": "a secret",
    "GATEWAY_JOURNAL_SECRET": "a secret of some length",
    "GATEWAY_PRODUCTION": "true",
    "GATEWAY_CALLER_TOKENS": f"app:{DIGEST}",
    "GATEWAY_CALLER_TOKENS_FILE": "tokens.txt",
    "GATEWAY_JWT_ISSUER": "https://issuer.example/",
    "GATEWAY_JWT_AUDIENCE": "gateway",
    "GATEWAY_JWT_AUDIENCE_CLAIM": "client_id",
    "GATEWAY_JWT_SCOPE_CLAIM": "roles,scp",
    "GATEWAY_JWT_SCOPE_PREFIX": "https://api.example/",
    "GATEWAY_JWT_JWKS_URL": "https://issuer.example/keys?p=1",
    "GATEWAY_JWT_KEY_FILE": "keys.json",
    "GATEWAY_JWT_ALGORITHM": "ES256",
    "GATEWAY_LOG_LEVEL": "debug",
    "GATEWAY_LOG_FORMAT": "json",
    "GATEWAY_CORS_ORIGINS": "https://app.example,http://localhost:3000",
    "GATEWAY_CORS_HEADERS": "x-one,x-two",
    "GATEWAY_ALLOWED_HOSTS": "gateway.example,[::1]",
    "GATEWAY_TRUSTED_DOCUMENTS": "documents",
    "GATEWAY_PROXY_URL": "http://proxy.example:3128",
    "GATEWAY_CA_FILE": "authorities.pem",
    "GATEWAY_HTTP_STATUSES": "2026-09",
}
FIELDS = dict(fields())


def value_of(name: str) -> str:
    if name in VALUES:
        return VALUES[name]
    kind = str(FIELDS[name].annotation)
    return "true" if "bool" in kind else "7"


# What shells, secret stores, editors and env files leave around a value.
AROUND = {
    "a newline": "{}\n",
    "a Windows line end": "{}\r\n",
    "spaces": "  {} ",
    "a tab": "\t{}",
    "a byte order mark": "\ufeff{}",
    "no-break spaces": "\u00a0{}\u202f",
    "zero-width spaces": "\u200b{}\u200d",
    "a direction mark": "\u200e{}\u200f",
    "a word joiner and a NUL": "{}\u2060\x00",
    "a line separator": "{}\u2028",
}


@pytest.mark.parametrize("around", AROUND)
def test_what_stands_around_a_value_is_taken_away(around: str):
    for name in FIELDS:
        plain = {**token_source(name), name: value_of(name)}
        pasted = plain | {name: AROUND[around].format(value_of(name))}
        assert parse_settings(APIS, pasted) == parse_settings(APIS, plain), name


def token_source(name: str) -> dict[str, str]:
    """The settings that BokaMera's token settings cannot be without."""
    names = [f"GATEWAY_BOKAMERA_{part}" for part in ("TOKEN_URL", "CLIENT_ID", "USERNAME", "PASSWORD")]
    return {other: VALUES[other] for other in names} if name in names else {}


INSIDE = {
    "blank": " \n\t",
    "marks alone": "\ufeff\u200b",
    "quotes": '"{}"',
    "single quotes": "'{}'",
    "typographic quotes": "\u201c{}\u201d",
    "quotes and a newline": '"{}"\n',
    "its own name": "{name}={}",
    "an export": "export {name}={}",
    "two lines": "{}\n{}",
    "a zero-width space inside": "{0[0]}\u200b{0}",
    "a no-break space inside": "{0[0]}\u00a0{0}",
    "a byte order mark inside": "{0[0]}\ufeff{0}",
    "a control character inside": "{0[0]}\x07{0}",
    "half of a character": "{}\udcff{}",
}


@pytest.mark.parametrize("inside", INSIDE)
def test_what_cannot_be_trimmed_is_refused_by_name(inside: str):
    for name in FIELDS:
        value = INSIDE[inside].format(*[value_of(name)] * 2, name=name)
        with pytest.raises(SettingsError) as refused:
            parse_settings(APIS, {**token_source(name), name: value})
        assert str(refused.value).startswith(f"{name}: ")
        assert "\n" not in str(refused.value)
        if any(part in name for part in ("SECRET", "PASSWORD", "KEY")):
            assert value_of(name) not in str(refused.value)


# Well formed at first sight, and never of any effect.
USELESS = [
    ("GATEWAY_HOST", "http://0.0.0.0"),
    ("GATEWAY_HOST", "localhost:8000"),
    ("GATEWAY_HOST", "[::1]"),
    ("GATEWAY_HOST", "*"),
    ("GATEWAY_SANDBOX_HOST", "127.0.0.1/"),
    ("GATEWAY_STORE_URL", "gateway.db"),
    ("GATEWAY_STORE_URL", "sqlite://gateway.db"),
    ("GATEWAY_STORE_URL", "mysql://a/b"),
    ("GATEWAY_ROUTER_SECRET", "s\u00e9same"),
    ("GATEWAY_CALLER_TOKENS", ","),
    ("GATEWAY_CALLER_TOKENS", f"a:{DIGEST},b:{DIGEST}"),
    ("GATEWAY_CALLER_TOKENS", f"a:{hashlib.sha256(b'').hexdigest()}"),
    ("GATEWAY_CALLER_TOKENS", f"a:{DIGEST}:customers:read+"),
    ("GATEWAY_CALLER_TOKENS", f"a:{DIGEST}:customers:raed"),
    ("GATEWAY_JWT_ISSUER", "https://issuer.example/.well-known/openid-configuration"),
    ("GATEWAY_JWT_ISSUER", "https://issuer.example/?tenant=1"),
    ("GATEWAY_JWT_ISSUER", "https://issuer.example/#a"),
    ("GATEWAY_JWT_ISSUER", "https://user@issuer.example/"),
    ("GATEWAY_JWT_ISSUER", "https://issuer.example /"),
    ("GATEWAY_JWT_AUDIENCE", "one,two"),
    ("GATEWAY_JWT_AUDIENCE", "one two"),
    ("GATEWAY_JWT_AUDIENCE_CLAIM", "client id"),
    ("GATEWAY_JWT_AUDIENCE_CLAIM", "iss"),
    ("GATEWAY_JWT_AUDIENCE_CLAIM", "exp"),
    ("GATEWAY_JWT_SCOPE_CLAIM", ","),
    ("GATEWAY_JWT_SCOPE_CLAIM", "scope scp"),
    ("GATEWAY_JWT_SCOPE_PREFIX", "api /"),
    ("GATEWAY_JWT_JWKS_URL", "issuer.example/keys"),
    ("GATEWAY_JWT_JWKS_URL", "https:///keys"),
    ("GATEWAY_JWT_JWKS_URL", "https://user:pass@issuer.example/keys"),
    ("GATEWAY_JWT_JWKS_URL", "https://issuer.example/keys#one"),
    ("GATEWAY_JWT_ALGORITHM", "HS256"),
    ("GATEWAY_CORS_ORIGINS", ","),
    ("GATEWAY_CORS_ORIGINS", "app.example"),
    ("GATEWAY_CORS_ORIGINS", "https://app.example/"),
    ("GATEWAY_CORS_ORIGINS", "https://app.example:443"),
    ("GATEWAY_CORS_ORIGINS", "http://app.example:80"),
    ("GATEWAY_CORS_ORIGINS", "https://app.example:"),
    ("GATEWAY_CORS_ORIGINS", "https://*.example"),
    ("GATEWAY_CORS_ORIGINS", "https://user@app.example"),
    ("GATEWAY_CORS_ORIGINS", "https://b\u00fccher.example"),
    ("GATEWAY_CORS_ORIGINS", "https://a.example https://b.example"),
    ("GATEWAY_CORS_ORIGINS", "null"),
    ("GATEWAY_CORS_HEADERS", "x one"),
    ("GATEWAY_CORS_HEADERS", "x-one: two"),
    ("GATEWAY_CORS_HEADERS", "*"),
    ("GATEWAY_ALLOWED_HOSTS", "https://gateway.example"),
    ("GATEWAY_ALLOWED_HOSTS", "gateway.example:8000"),
    ("GATEWAY_ALLOWED_HOSTS", "*.example"),
    ("GATEWAY_ALLOWED_HOSTS", "::1"),
    ("GATEWAY_ALLOWED_HOSTS", "gateway.example/graphql"),
    ("GATEWAY_BASECONE_URL", "https://user:pass@api.example/v1"),
    ("GATEWAY_BASECONE_URL", "https://api.example:99999/v1"),
    ("GATEWAY_BASECONE_URL", "https://api.example:port/v1"),
    ("GATEWAY_BASECONE_URL", "https:///v1"),
    ("GATEWAY_BASECONE_URL", "ftp://api.example"),
    ("GATEWAY_BASECONE_URL", "https://api.example/v1?key=1"),
    ("GATEWAY_BASECONE_URL", "https://api.exa mple/v1"),
    ("GATEWAY_BASECONE_CLIENT_IDENTIFIER", "identifier:key"),
    ("GATEWAY_BASECONE_CLIENT_IDENTIFIER", "iden tifier"),
    ("GATEWAY_BASECONE_API_ACCESS_KEY", "access key"),
    ("GATEWAY_BASECONE_API_ACCESS_KEY", "cl\u00e9"),
    ("GATEWAY_BOKAMERA_URL", "https://user@api.example"),
    ("GATEWAY_BOKAMERA_API_KEY", "api key"),
    ("GATEWAY_BOKAMERA_API_KEY", "nyckel\u00e5"),
    ("GATEWAY_BOKAMERA_CLIENT_ID", "client id"),
    ("GATEWAY_PROXY_URL", "proxy.example"),
    ("GATEWAY_PROXY_URL", "http://proxy.example/path"),
    ("GATEWAY_REQUEST_SECONDS", "nan"),
    ("GATEWAY_REQUEST_SECONDS", "inf"),
    ("GATEWAY_MAX_LIST", "0"),
    ("GATEWAY_PORT", "8000/tcp"),
]


@pytest.mark.parametrize(("name", "value"), USELESS)
def test_a_value_that_can_never_have_an_effect_stops_the_start(name: str, value: str):
    with pytest.raises(SettingsError) as refused:
        check_settings(parse_settings(APIS, {**token_source(name), name: value}), APIS)
    assert str(refused.value).startswith(f"{name}: ")


JWT = {
    "GATEWAY_JWT_ISSUER": "https://issuer.example/",
    "GATEWAY_JWT_AUDIENCE": "gateway",
    "GATEWAY_JWT_JWKS_URL": "https://issuer.example/keys",
}
TOGETHER = {
    "an algorithm without an issuer": ({"GATEWAY_JWT_ALGORITHM": "ES256"}, "GATEWAY_JWT_ALGORITHM"),
    "a scope claim without an issuer": ({"GATEWAY_JWT_SCOPE_CLAIM": "roles"}, "GATEWAY_JWT_SCOPE_CLAIM"),
    "a prefix without an issuer": ({"GATEWAY_JWT_SCOPE_PREFIX": "a/"}, "GATEWAY_JWT_SCOPE_PREFIX"),
    "an audience claim without an issuer": ({"GATEWAY_JWT_AUDIENCE_CLAIM": "aud"}, "GATEWAY_JWT_AUDIENCE_CLAIM"),
    "headers without origins": ({"GATEWAY_CORS_HEADERS": "x-one"}, "GATEWAY_CORS_HEADERS"),
    "a breaker that never opens": (
        {"GATEWAY_BREAKER_FAILURES": "9", "GATEWAY_BREAKER_WINDOW": "8"},
        "GATEWAY_BREAKER_FAILURES",
    ),
    "a URL without the mode": ({"GATEWAY_BASECONE_URL": "https://api.example"}, "GATEWAY_BASECONE_URL"),
    "a key without the mode": ({"GATEWAY_BOKAMERA_API_KEY": "key"}, "GATEWAY_BOKAMERA_API_KEY"),
    "production without modes": (
        {"GATEWAY_PRODUCTION": "true", "GATEWAY_CALLER_TOKENS": f"app:{DIGEST}", "GATEWAY_BASECONE_MODE": "local"},
        "GATEWAY_BOKAMERA_MODE",
    ),
}


@pytest.mark.parametrize(("given", "name"), TOGETHER.values(), ids=TOGETHER)
def test_a_setting_that_needs_another_stops_the_start(given: dict[str, str], name: str):
    with pytest.raises(SettingsError) as refused:
        check_settings(parse_settings(APIS, given), APIS)
    assert str(refused.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "given",
    [
        JWT | {"GATEWAY_JWT_ALGORITHM": "ES256", "GATEWAY_JWT_SCOPE_CLAIM": "roles"},
        {"GATEWAY_BASECONE_MODE": "local", "GATEWAY_BASECONE_API_ACCESS_KEY": "key"},
        {"GATEWAY_CORS_ORIGINS": "*"},
        {"GATEWAY_CORS_ORIGINS": "HTTPS://App.Example,http://[::1]:3000,chrome-extension://abc"},
        {"GATEWAY_HOST": "::1"},
        {"GATEWAY_BASECONE_MODE": "rest", "GATEWAY_BASECONE_URL": "HTTPS://api.example:8443/v1/"},
        {"GATEWAY_ROUTER_SECRET": 'it\'s a "secret"'},
    ],
)
def test_what_has_an_effect_starts(given: dict[str, str]):
    check_settings(parse_settings(APIS, given), APIS)


def test_what_browsers_and_urls_write_otherwise_is_normalised():
    given = {"GATEWAY_CORS_ORIGINS": "HTTPS://App.Example", "GATEWAY_BASECONE_URL": "HTTPS://api.example/v1/"}
    settings = parse_settings(APIS, given)
    assert settings.gateway.cors_origins == ("https://app.example",)
    assert settings.apis["basecone"].url == "https://api.example/v1"


REAL = [
    ("basecone", ""),
    ("bokamera", ""),
    ("basecone", "https://api.basecone.com/v1"),
    ("basecone", "HTTPS://API.Basecone.COM:443/v1"),
    ("basecone", "https://api.basecone.com./v1"),
    ("basecone", "https://basecone.com"),
    ("basecone", "http://eu.api.basecone.com/v1"),
    ("basecone", "https://api.bokamera.se"),
    ("bokamera", "https://www.bokamera.se"),
    ("bokamera", "https://api.bookmore.com"),
    ("bokamera", "https://api.basecone.com"),
]


@pytest.mark.parametrize("mode", ["rest", "local"])
@pytest.mark.parametrize(("api", "url"), REAL)
def test_a_vendors_own_host_is_no_sandbox(api: str, url: str, mode: str):
    prefix = f"GATEWAY_{api.upper()}_"
    given = {f"{prefix}MODE": mode, f"{prefix}SANDBOX": "true", **({f"{prefix}URL": url} if url else {})}
    with pytest.raises(SettingsError) as refused:
        check_settings(parse_settings(APIS, given), APIS)
    assert str(refused.value) == f"{prefix}SANDBOX: the URL is a vendor's own, which is no sandbox"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001/v1", "https://basecone.com.example", "https://notbasecone.com"])
def test_any_other_host_may_be_one(url: str):
    given = {"GATEWAY_BASECONE_MODE": "rest", "GATEWAY_BASECONE_SANDBOX": "true", "GATEWAY_BASECONE_URL": url}
    check_settings(parse_settings(APIS, given), APIS)


NAMES = [
    "export GATEWAY_PORT",
    "\ufeffGATEWAY_PORT",
    " GATEWAY_PORT",
    "GATEWAY_PORT ",
    "set GATEWAY_PORT",
    "GATEWAY_PORT\r",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_was_pasted_with_more_is_not_passed_over(name: str):
    with pytest.raises(SettingsError, match="GATEWAY_PORT"):
        read_settings(APIS, {name: "8001"}, None)


def test_two_spellings_of_one_name_are_refused_and_other_programs_left_alone():
    with pytest.raises(SettingsError, match="GATEWAY_PORT is given twice"):
        read_settings(APIS, {"GATEWAY_PORT": "1", "gateway_port": "2"}, None)
    settings = read_settings(APIS, {"MY_GATEWAY_PORT": "1", "API_GATEWAY_URL": "x", "gateway_port": "2"}, None)
    assert settings.gateway.port == 2


def test_every_setting_has_a_value_here():
    assert set(VALUES) <= set(FIELDS)
    assert (
        Path(VALUES["GATEWAY_JWT_KEY_FILE"])
        == parse_settings(APIS, {"GATEWAY_JWT_KEY_FILE": "keys.json\n"}).gateway.jwt_key_file
    )
