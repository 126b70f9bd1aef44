"""`python -m app check`: every broken setting by its name, and nothing written anywhere."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.apis import APIS
from app.apis.api import Api
from app.bootstrap import create_sandbox
from app.check import Finding, check, findings, table, undocumented
from app.config import parse_settings
from tests.harness import fill, schema_of, serving
from tests.processes import environment
from tests.readme_tables import fields
from tests.telemetry.running import running, update


@dataclass
class Seen:
    """Every request of the sandbox, and a `Date` of its own if it is given one."""

    app: ASGIApp
    requests: list[tuple[str, str]] = field(default_factory=list)
    date: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.requests.append((scope["method"], scope["path"]))

        async def dated(message: Any) -> None:
            if message["type"] == "http.response.start" and self.date is not None:
                message["headers"] = [*message["headers"], (b"date", self.date.encode())]
            await send(message)

        await self.app(scope, receive, dated)


@dataclass
class Sandbox:
    url: str
    seen: Seen
    database: Path

    def settings(self, **changes: str) -> dict[str, str]:
        """What points a gateway here, with changes by a setting's name; an empty one takes it away."""
        given = {
            f"GATEWAY_{api.name}_{name}".upper(): value
            for api in APIS
            for name, value in api.sandbox_settings(self.url).items()
        }
        given |= {f"GATEWAY_{name}": value for name, value in changes.items()}
        return {name: value for name, value in given.items() if value}

    def content(self) -> dict[str, list[Any]]:
        """The whole store."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            return {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in tables}  # noqa: S608 - names of our own tables


@pytest.fixture
async def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "sandbox.db"
    await fill(database)
    app = create_sandbox(parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{database}"}))
    seen = Seen(app)
    outer = Starlette(middleware=[Middleware(lambda _app: seen)], lifespan=app.router.lifespan_context)
    async with serving(outer, date_header=False) as url:
        yield Sandbox(url, seen, database)


async def found_in(environment: Mapping[str, str], **transports: httpx.AsyncBaseTransport) -> dict[str, Finding]:
    return {item.subject: item for item in await findings(APIS, environment, None, transports, schema_of(APIS))}


def named(found: Mapping[str, Finding], state: str = "failed") -> set[str]:
    return {name for item in found.values() if item.state == state for name in item.settings}


async def test_everything_right_is_ok_and_nothing_is_written(sandbox: Sandbox):
    before = sandbox.content()
    found = await found_in(sandbox.settings())
    assert {item.subject: item.text for item in found.values() if item.state != "ok"} == {}
    assert found["basecone"].text == found["bokamera"].text == "reachable, credentials accepted"
    assert found["basecone rights"].text == (
        "may list companies, customers, suppliers, vatCodes, generalLedgers; may read customer, supplier; " + NOT_TOLD
    )
    assert found["bokamera rights"].text == f"may list bookingCustomers; may read bookingCustomer; {NOT_TOLD}"
    assert sandbox.content() == before
    assert {method for method, path in sandbox.seen.requests if path != "/token"} == {"GET"}
    assert not (sandbox.database.parent / "gateway.db").exists()


NOT_TOLD = "only an update tells of writing"
_COMPANIES = {
    "companies": [{"companyId": f"a0000000-0000-4000-8000-00000000000{n}", "hasAccess": "true"} for n in "12"]
}
_DENIED = (403, {"code": "unauthorized", "message": "User does not have access to the company provided."})
_CUSTOMERS = {"customers": [{"customersId": "c0000000-0000-4000-8000-000000000001"}]}
# What Basecone answers by path, and what is said of it. The other lists are empty; a record that is not named is none.
RIGHTS = {
    "only the second company has records": (
        {
            "companies": (200, _COMPANIES),
            "customers?000000000001": (200, {"customers": []}),
            "customers?000000000002": (200, _CUSTOMERS),
            "customers/c0000000-0000-4000-8000-000000000001": (
                200,
                {"customerId": "c0000000-0000-4000-8000-000000000001", "name": "Anna", "code": "C001"},
            ),
        },
        (
            "may list companies, customers, suppliers, vatCodes, generalLedgers; may read customer; "
            f"could not be tried: supplier; {NOT_TOLD}"
        ),
    ),
    "no company with access": (
        {"companies": (200, {"companies": [{**_COMPANIES["companies"][0], "hasAccess": "false"}]})},
        "may list companies; could not be tried: customers, customer, suppliers, supplier, vatCodes, generalLedgers; "
        + NOT_TOLD,
    ),
    "lists but no records": (
        {
            "companies": (200, _COMPANIES),
            "customers": (200, _CUSTOMERS),
            "customers/c0000000-0000-4000-8000-000000000001": _DENIED,
            "suppliers": _DENIED,
            "generalLedgers": (500, {"message": "An error occurred."}),
        },
        (
            "may list companies, customers, vatCodes; "
            "failed: customer (COMPANY_ACCESS_DENIED), suppliers (COMPANY_ACCESS_DENIED), generalLedgers (BACKEND_FAILED); "
            f"could not be tried: supplier; {NOT_TOLD}"
        ),
    ),
    "no list at all": (
        {"companies": _DENIED},
        (
            "failed: companies (COMPANY_ACCESS_DENIED); "
            f"could not be tried: customers, customer, suppliers, supplier, vatCodes, generalLedgers; {NOT_TOLD}"
        ),
    ),
}


@pytest.mark.parametrize("case", RIGHTS)
async def test_what_credentials_may_do_is_said_as_far_as_reads_tell(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    answers, text = RIGHTS[case]
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        path = request.url.path.removeprefix("/v1/")
        company = (request.url.params.get("companyid") or request.url.params.get("companyId") or "")[-12:]
        empty = (404, {"code": "resource_not_found", "message": "Not found."}) if "/" in path else (200, {path: []})
        if path == "vatcodes":
            empty = (200, {"vatCodes": []})
        status, body = answers.get(f"{path}?{company}") or answers.get(path) or empty
        return httpx.Response(status, json=body)

    given = {"BASECONE_MODE": "rest", "BASECONE_CLIENT_IDENTIFIER": WRONG_ID, "BASECONE_API_ACCESS_KEY": WRONG_ID}
    environment = {f"GATEWAY_{name}": value for name, value in given.items()}
    found = await found_in(environment, basecone=httpx.MockTransport(answer))
    assert (found["basecone"].state, found["basecone rights"].state) == ("ok", "warning")
    assert found["basecone rights"].text == text
    assert set(sent) == {"GET"}


WRONG_ID = "00000000-0000-4000-8000-000000000009"
# The change, and the settings that are named for it: the broken one is among them, and no other API's.
BROKEN = {
    "no host there": ({"BASECONE_URL": "http://127.0.0.1:9/v1"}, {"GATEWAY_BASECONE_URL"}),
    "no such host": ({"BASECONE_URL": "http://nobody.invalid/v1"}, {"GATEWAY_BASECONE_URL"}),
    "another path": ({"BASECONE_URL": "{url}/v2"}, {"GATEWAY_BASECONE_URL"}),
    "an unknown client": ({"BASECONE_CLIENT_IDENTIFIER": WRONG_ID}, {"GATEWAY_BASECONE_CLIENT_IDENTIFIER"}),
    "a wrong access key": ({"BASECONE_API_ACCESS_KEY": WRONG_ID}, {"GATEWAY_BASECONE_API_ACCESS_KEY"}),
    "a key that is no header": (
        {"BOKAMERA_API_KEY": "a\nb"},
        {"GATEWAY_BOKAMERA_API_KEY"},
    ),
    "no host of BokaMera": ({"BOKAMERA_URL": "http://127.0.0.1:9"}, {"GATEWAY_BOKAMERA_URL"}),
    "another path of BokaMera": ({"BOKAMERA_URL": "{url}/elsewhere"}, {"GATEWAY_BOKAMERA_URL"}),
    "a wrong API key": ({"BOKAMERA_API_KEY": WRONG_ID}, {"GATEWAY_BOKAMERA_API_KEY"}),
    "a wrong password": ({"BOKAMERA_PASSWORD": "wrong"}, {"GATEWAY_BOKAMERA_USERNAME", "GATEWAY_BOKAMERA_PASSWORD"}),
    "a wrong user": ({"BOKAMERA_USERNAME": "wrong"}, {"GATEWAY_BOKAMERA_USERNAME", "GATEWAY_BOKAMERA_PASSWORD"}),
    "an unknown client of the token endpoint": (
        {"BOKAMERA_CLIENT_ID": "wrong"},
        {"GATEWAY_BOKAMERA_CLIENT_ID"},
    ),
    "no token endpoint": ({"BOKAMERA_TOKEN_URL": "http://127.0.0.1:9/token"}, {"GATEWAY_BOKAMERA_TOKEN_URL"}),
    "another token path": ({"BOKAMERA_TOKEN_URL": "{url}/nothing"}, {"GATEWAY_BOKAMERA_TOKEN_URL"}),
    "an address of another machine": ({"HOST": "192.0.2.1", "CALLER_TOKENS": "a:" + "0" * 64}, {"GATEWAY_HOST"}),
    "a secret that is no header": ({"ROUTER_SECRET": "geheim-ü-und-lang-genug"}, {"GATEWAY_ROUTER_SECRET"}),
}


# Any text is well formed, and what it names is not tried: names of others, and the sandbox's own address.
UNTRIED = {"GATEWAY_SANDBOX_HOST", "GATEWAY_ALLOWED_HOSTS", "GATEWAY_JWT_ISSUER", "GATEWAY_JWT_AUDIENCE"}


OF_APIS = [
    (api, name) for api in APIS for name in api.sandbox_settings("http://127.0.0.1") if name not in {"mode", "sandbox"}
]


@pytest.mark.parametrize(("api", "name"), OF_APIS, ids=lambda value: getattr(value, "name", value))
async def test_each_setting_of_a_backend_is_named_where_it_is_wrong(api: Api, name: str, sandbox: Sandbox):
    """Of any API that is registered: something is put behind the right value."""
    before = sandbox.content()
    given = sandbox.settings()
    setting = f"GATEWAY_{api.name}_{name}".upper()
    found = await found_in({**given, setting: given[setting] + ("/elsewhere" if "://" in given[setting] else "-wrong")})
    assert setting in named(found)
    assert all(item.state == "ok" for subject, item in found.items() if api.name not in subject)
    assert sandbox.content() == before
    assert "PUT" not in {method for method, _ in sandbox.seen.requests}


@pytest.mark.parametrize("name", [name for name, _ in fields()])
async def test_every_setting_has_a_broken_value_that_names_it(name: str):
    """By its form, or as one of the tables here and the test below try it."""
    found = await findings(APIS, {name: "no such value"}, None)
    tried = {named for _, expected in BROKEN.values() for named in expected} | {named for _, named in LOCALLY.values()}
    tried |= {f"GATEWAY_{api.name}_{own}".upper() for api, own in OF_APIS}
    by_form = {named for item in found for named in item.settings if item.subject == "settings"}
    assert name in by_form | tried | UNTRIED


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_setting_is_named_and_nothing_is_written(case: str, sandbox: Sandbox):
    changes, expected = BROKEN[case]
    before = sandbox.content()
    given = sandbox.settings(**{name: value.format(url=sandbox.url) for name, value in changes.items()})
    found = await found_in(given)
    assert named(found) == expected
    assert sandbox.content() == before
    assert "PUT" not in {method for method, _ in sandbox.seen.requests}
    shown = "\n".join(table(list(found.values())))
    for value in changes.values():
        assert "URL" in " ".join(changes) or "HOST" in changes or value not in shown


LOCALLY = {
    "a store in no folder": ({"GATEWAY_STORE_URL": "sqlite:////no/such/folder/gateway.db"}, "GATEWAY_STORE_URL"),
    "a store that is none": ({"GATEWAY_STORE_URL": "sqlite:///text.db"}, "GATEWAY_STORE_URL"),
    "a database out of reach": ({"GATEWAY_STORE_URL": "postgresql://u:pw-secret@127.0.0.1:9/x"}, "GATEWAY_STORE_URL"),
    "another engine": ({"GATEWAY_STORE_URL": "mysql://x"}, "GATEWAY_STORE_URL"),
    "an unknown setting": ({"GATEWAY_PROT": "1"}, "GATEWAY_PROT"),
    "a malformed one": ({"GATEWAY_PORT": "x"}, "GATEWAY_PORT"),
    "one of an API": ({"GATEWAY_BASECONE_MODE": "remote"}, "GATEWAY_BASECONE_MODE"),
    "production without callers": (
        {"GATEWAY_PRODUCTION": "true", "GATEWAY_BASECONE_MODE": "local", "GATEWAY_BOKAMERA_MODE": "local"},
        "GATEWAY_PRODUCTION",
    ),
    "no documents": ({"GATEWAY_TRUSTED_DOCUMENTS": "/no/such/folder"}, "GATEWAY_TRUSTED_DOCUMENTS"),
    "no file of keys": (
        {"GATEWAY_JWT_ISSUER": "https://i", "GATEWAY_JWT_AUDIENCE": "a", "GATEWAY_JWT_KEY_FILE": "/no/such"},
        "GATEWAY_JWT_KEY_FILE",
    ),
    "keys out of reach": (
        {
            "GATEWAY_JWT_ISSUER": "https://i",
            "GATEWAY_JWT_AUDIENCE": "a",
            "GATEWAY_JWT_JWKS_URL": "http://127.0.0.1:9/k",
        },
        "GATEWAY_JWT_JWKS_URL",
    ),
}


@pytest.mark.parametrize("case", LOCALLY)
async def test_a_broken_setting_of_the_gateway_itself_is_named(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("this is no database at all, only text of some length" * 10)
    given, expected = LOCALLY[case]
    found = await found_in(given)
    assert expected in named(found)
    assert "pw-secret" not in "\n".join(table(list(found.values())))


async def test_every_broken_setting_is_named_at_once():
    found = await findings(APIS, {"GATEWAY_PORT": "x", "GATEWAY_WORKERS": "0", "GATEWAY_BOKAMERA_FORMAT": "xml"}, None)
    names = {name for item in found for name in item.settings}
    assert names == {"GATEWAY_PORT", "GATEWAY_WORKERS", "GATEWAY_BOKAMERA_FORMAT"}


async def test_missing_credentials_are_a_warning_since_callers_may_bring_theirs(sandbox: Sandbox):
    found = await found_in(sandbox.settings(BASECONE_API_ACCESS_KEY=""))
    assert found["basecone"].state == "warning"
    assert "callers must bring theirs" in found["basecone"].text


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (-20, "ok"), (300, "failed"), (-300, "failed")])
async def test_the_clock_is_compared_with_the_backends(seconds: int, state: str, sandbox: Sandbox):
    sandbox.seen.date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    found = await found_in(sandbox.settings())
    assert found["clock"].state == state


async def test_the_keys_of_the_issuer_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    keys = KeySet([RSAKey.generate_key(2048, parameters={"kid": "one"})]).as_dict(private=False)
    issuer = httpx.MockTransport(lambda _: httpx.Response(200, json=keys))
    given = {"GATEWAY_JWT_ISSUER": "https://i", "GATEWAY_JWT_AUDIENCE": "a", "GATEWAY_JWT_JWKS_URL": "https://i/keys"}
    assert (await found_in(given, issuer=issuer))["callers"].state == "ok"


@pytest.mark.slow
def test_traces_without_what_exports_them_are_named(tmp_path: Path):
    """The extra is not installed: a Python that finds nothing of OpenTelemetry."""
    program = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Nothing())
from app.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    platform, own = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, {"GATEWAY_TRACES": "true"}
    # A variable that a platform sets for every program is no reason not to start: the next fault ends this start.
    taken = {"GATEWAY_PORT": "1", "GATEWAY_HOST": "192.0.2.1"}
    for arguments, settings, code in (
        (["check"], platform, 0),
        (["check"], own, 1),
        ([], own, 2),
        ([], platform | taken, 2),
    ):
        variables = environment(settings)
        ended = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code
        assert "OpenTelemetry is not installed" in ended.stdout + ended.stderr
        assert "GATEWAY_TRACES" in ended.stdout + ended.stderr
        assert ("cannot listen" in ended.stderr) == (settings == platform | taken)


def test_the_command_writes_a_table_or_json_and_says_by_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    assert check(APIS, out, as_json=False) == 0
    assert out.getvalue().splitlines()[0].split() == ["ok", "settings", "known", "and", "well", "formed"]
    monkeypatch.setenv("GATEWAY_PORT", "x")
    out = io.StringIO()
    assert check(APIS, out, as_json=True) == 1
    (found,) = json.loads(out.getvalue())
    assert set(found) == {"subject", "state", "text", "settings"}
    assert (found["state"], found["settings"]) == ("failed", ["GATEWAY_PORT"])


async def _meet(folder: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(400, json={"code": "sanctioned", "message": "No."}))
    async with running(folder, {}, transport, rest=True) as gateway:
        await gateway.post(update())


def test_undocumented_answers_are_listed_as_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import asyncio

    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    assert undocumented(APIS, out, as_json=False) == 0
    assert out.getvalue() == "No undocumented answers were met.\n"
    assert not (tmp_path / "gateway.db").exists()
    asyncio.run(_meet(tmp_path))
    out = io.StringIO()
    undocumented(APIS, out, as_json=False)
    assert ",sanctioned," in out.getvalue()
    out = io.StringIO()
    undocumented(APIS, out, as_json=True)
    (entry,) = json.loads(out.getvalue())
    assert (entry["code"], entry["count"]) == ("sanctioned", 1)
