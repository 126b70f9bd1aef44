"""The playground below a browser: what is prepared works, what is served fits, what is missing is survived."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import stat
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette

from app.apis import APIS
from app.apis.api import Example
from app.bootstrap import Backends, create_app
from app.config import parse_settings
from app.edge.application import build_app
from app.edge.playground import Playground, as_json, prepared
from app.edge.playground.fetch import PINNED_FILES, PackageFile, bring_in, present
from app.edge.settings import EdgeSettings
from tests.harness import fill, schema_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PREPARED = prepared(APIS)
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def package_file(path: str, content: bytes) -> PackageFile:
    digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
    return PackageFile("pictures", "1.2.3", path, f"sha384-{digest}")


CONTENTS = {"umd/pictures.js": b"window.pictures = 1;", "pictures.css": b"body { color: red }"}
FILES = [package_file(path, content) for path, content in CONTENTS.items()]


def client_of(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway over the seeded local store."""
    await fill(tmp_path / "gateway.db")
    backends = Backends(parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"}))
    await backends.open()
    async with client_of(build_app(apis=APIS, backends=backends.by_name, schema=schema_of(tuple(APIS)))) as opened:
        yield opened
    await backends.aclose()


@pytest.mark.parametrize("operation", PREPARED, ids=lambda operation: operation.title)
async def test_prepared_operation_does_what_its_tab_says_each_time(
    client: httpx.AsyncClient, operation: Example
) -> None:
    tab = as_json(operation)
    headers = json.loads(tab["headers"] or "{}")
    for _ in range(2):
        answer = await client.post(
            "/graphql", json={"query": tab["query"], "variables": json.loads(tab["variables"])}, headers=headers
        )
        body = answer.json()
        reasons = {error["extensions"]["reason"] for error in body.get("errors", ())}
        assert ({operation.reason} if operation.reason else set()) == reasons
        assert (operation.reason is None) == all(body["data"].values())


def test_every_tab_has_a_name_of_its_own() -> None:
    names = [re.search(r"^(?:query|mutation) (\w+)", operation.operation, re.MULTILINE)[1] for operation in PREPARED]
    assert len(set(names)) == len(names)


def test_every_mutation_has_a_succeeding_tab_and_they_come_first() -> None:
    succeeding = [operation for operation in PREPARED if operation.reason is None]
    assert list(PREPARED[: len(succeeding)]) == succeeding
    for mutation in (mutation for api in APIS for mutation in api.mutations):
        assert any(f" {mutation}(" in operation.operation for operation in succeeding), mutation


def test_the_page_opens_with_an_operation_that_writes_nothing() -> None:
    writes = [re.search(r"^mutation\b", operation.operation, re.MULTILINE) is not None for operation in PREPARED]
    assert not writes[0]
    assert set(writes) == {True, False}


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, ["<strong>Basecone: LOCAL STORE</strong>", "<strong>BokaMera: LOCAL STORE</strong>"]),
        (
            {
                "GATEWAY_BASECONE_MODE": "rest",
                "GATEWAY_BOKAMERA_MODE": "rest",
                "GATEWAY_BOKAMERA_URL": "http://[::1]:8001/x",
            },
            [
                '<strong class="rest">Basecone: REST api.basecone.com</strong>',
                '<strong class="rest">BokaMera: REST [::1]:8001</strong>',
            ],
        ),
    ],
    ids=["local", "rest"],
)
async def test_the_page_says_where_it_writes(settings: dict[str, str], shown: list[str]) -> None:
    async with client_of(create_app(parse_settings(APIS, settings))) as http:
        page = await http.get("http://127.0.0.1/graphql", headers=HTML)
    # Those of further APIs stand behind.
    assert f">Writes go to {' '.join(shown)}" in page.text


async def test_the_first_tabs_lead_from_one_to_the_next(client: httpx.AsyncClient) -> None:
    """Find, read, change: the ids of the next tab are those that the one before shows, also when it was changed."""
    assert [operation.title for operation in PREPARED[:3]] == ["Find a supplier", "Read it", "Change it"]
    for _ in range(2):
        answers = [
            (await client.post("/graphql", json={"query": tab.operation, "variables": tab.variables})).json()["data"]
            for tab in PREPARED[:3]
        ]
        [found, read, changed] = answers
        [supplier_id] = {tab.variables["id"] for tab in PREPARED[1:3]}
        assert supplier_id in {node["id"] for node in found["suppliers"]["nodes"]}
        assert read["supplier"]["id"] == changed["patchSupplier"]["supplier"]["id"] == supplier_id
        assert read["supplier"]["company"]["companyId"] == PREPARED[0].variables["companyId"]


def test_some_failures_come_by_data_and_some_by_header() -> None:
    refused = [operation for operation in PREPARED if operation.reason is not None]
    assert {bool(operation.headers) for operation in refused} == {True, False}


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    for file, content in zip(FILES, CONTENTS.values(), strict=True):
        (tmp_path / file.name).write_bytes(content)
    return tmp_path


def settings_in(html: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="settings">(.*?)</script>', html)[1])


async def served(playground: Playground) -> tuple[httpx.Response, httpx.AsyncClient]:
    app = Starlette(routes=playground.routes)
    app.add_route("/graphql", playground.page)
    opened = client_of(app)
    return await opened.get("/graphql", headers=HTML), opened


async def test_built_files_are_served_from_the_own_origin_alone(assets: Path) -> None:
    page, opened = await served(Playground(APIS, assets, FILES))
    assert "http" not in page.headers["content-security-policy"]
    settings = settings_in(page.text)
    for file, content in zip(settings["files"], CONTENTS.values(), strict=True):
        answer = await opened.get(file["url"])
        assert content == answer.content
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert [
        (await opened.get(file["url"])).headers["content-type"].partition(";")[0] for file in settings["files"]
    ] == ["text/javascript", "text/css"]


@pytest.mark.parametrize("damage", ["missing", "changed"])
async def test_without_a_whole_set_the_page_asks_the_cdn_by_digest(assets: Path, damage: str) -> None:
    if damage == "missing":
        (assets / FILES[0].name).unlink()
    else:
        (assets / FILES[0].name).write_bytes(b"something else")
    page, _ = await served(Playground(APIS, assets, FILES))
    files = settings_in(page.text)["files"]
    assert [file.integrity for file in FILES] == [file["integrity"] for file in files]
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert f"'self' {files[0]['url']}" == policy["script-src"]
    assert f"'self' {files[1]['url']}" == policy["style-src"]


async def test_page_has_neither_inline_code_nor_a_file_that_is_not_served(tmp_path: Path) -> None:
    page, opened = await served(Playground(APIS, tmp_path))
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"\son\w+=|\sstyle=|<style", page.text)
    addresses = re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', page.text)
    own = [address for address in addresses if not address.startswith("data:")]
    assert len(own) == 5
    for address in own:
        assert not address.startswith("/"), "a gateway below a path of a proxy has its files below it too"
        assert (await opened.get(address)).status_code == 200


async def test_operation_cannot_end_the_data_it_stands_in(tmp_path: Path) -> None:
    page, _ = await served(Playground(APIS, tmp_path))
    data = re.search(r'id="settings">(.*?)</script>', page.text)[1]
    assert "<" not in data
    assert len(PREPARED) == len(settings_in(page.text)["operations"])


async def test_unknown_file_is_404(client: httpx.AsyncClient) -> None:
    assert (await client.get("/playground/assets/packages.json")).status_code == 404
    assert (await client.get("/playground/assets/..%2Ffetch.py")).status_code == 404


async def test_page_and_files_are_there_in_development_only() -> None:
    found = {}
    for production in (False, True):
        async with client_of(build_app(apis=APIS, backends={}, settings=EdgeSettings(production=production))) as opened:
            page = await opened.get("/graphql", headers=HTML)
            files = re.findall(r'"(playground/assets/[^"]+)"', page.text)
            found[production] = page.status_code, len(files) > 3
            if production:
                name = next(iter(Playground(APIS)._files))
                assert (await opened.get(f"/playground/assets/{name}")).status_code == 404
    assert found == {False: (200, True), True: (405, False)}


def fake_npm(folder: Path, script: str) -> str:
    """An npm that is a shell script: it packs what it is told to."""
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\nset -e\n{script}\n")
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    return str(npm)


def packing(contents: dict[str, bytes]) -> str:
    steps = ["mkdir -p package/umd"]
    steps += [f"printf '%s' '{content.decode()}' > package/{path}" for path, content in contents.items()]
    return "\n".join([*steps, "tar czf pictures-1.2.3.tgz package"])


def test_build_brings_the_files_in_once(tmp_path: Path) -> None:
    npm = fake_npm(tmp_path, packing(CONTENTS) + f"\necho run >> {tmp_path}/runs")
    folder = tmp_path / "assets"
    assert bring_in(folder, FILES, npm) == "playground: 2 files brought in from npm"
    assert present(folder, FILES)
    assert bring_in(folder, FILES, npm) == "playground: its files are there already"
    assert (tmp_path / "runs").read_text() == "run\n"


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        pytest.param("exit 1", "CalledProcessError", id="offline"),
        pytest.param("true", "FileNotFoundError", id="nothing-packed"),
        pytest.param("echo no archive > pictures-1.2.3.tgz", "ReadError", id="no-archive"),
        pytest.param(packing({"pictures.css": b"x"}), "KeyError", id="file-missing"),
        pytest.param(packing({**CONTENTS, "pictures.css": b"evil"}), "ValueError", id="another-content"),
    ],
)
def test_build_survives_an_npm_that_fails(tmp_path: Path, script: str, cause: str) -> None:
    folder = tmp_path / "assets"
    line = bring_in(folder, FILES, fake_npm(tmp_path, script))
    assert cause in line
    assert "\n" not in line
    assert not folder.exists()


def test_build_survives_a_machine_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("npm") is None
    assert "npm is not on this machine" in bring_in(tmp_path / "assets", FILES)


def test_wanted_files_load_in_the_order_they_need() -> None:
    assert [file.package for file in PINNED_FILES] == ["react", "react-dom", "graphiql", "graphiql"]
