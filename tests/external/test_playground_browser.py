"""The playground in a real browser, with every host but this machine out of reach. Pictures go to the test's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from app.apis import APIS
from app.apis.api import Example
from app.edge.playground import CDN, prepared
from app.edge.playground.fetch import PINNED_FILES, bring_in
from tests.external.tools import ROOT, Tools, need, serving

pytestmark = pytest.mark.external

PREPARED = prepared(APIS)
# One that succeeds, one refused by data, one by header: what a person would click on.
CHOSEN = [
    next(operation for operation in PREPARED if operation.reason is None and "\nmutation " in operation.operation),
    next(operation for operation in PREPARED if operation.reason and not operation.headers),
    next(operation for operation in PREPARED if operation.reason and operation.headers),
]


@pytest.fixture(scope="module")
def browser() -> str:
    return need("chromium")


def source_tree(folder: Path) -> Path:
    """A copy of the program, without what a build may have brought in here."""
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    return folder


TITLES = [operation.title for operation in PREPARED]
BY_TITLE = {operation.title: operation for operation in CHOSEN}
MAY_HAVE_HAPPENED = "The connection was lost. The write may have happened: read the record before you run it again."


def check_lines(seen: dict) -> None:
    """What stands above each answer."""
    for title, operation in BY_TITLE.items():
        line = seen["said"][title]
        assert line.startswith("HTTP 200 · ")
        assert (f"{operation.reason} NOT_APPLIED" if operation.reason else "no errors") in line
    assert seen["lost"].startswith(MAY_HAVE_HAPPENED)
    assert "at " not in seen["lost"].removeprefix(MAY_HAVE_HAPPENED)


def check_answers(answers: dict, by_title: dict[str, Example]) -> None:
    assert set(answers) == set(by_title)
    for title, operation in by_title.items():
        reasons = [error["extensions"]["reason"] for error in answers[title].get("errors", ())]
        assert reasons == ([operation.reason] if operation.reason else []), title


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_graphiql_works_from_the_built_files(tools: Tools, browser: str, tmp_path: Path, theme: str) -> None:
    tree = source_tree(tmp_path / "tree")
    program = "from app.edge.playground.fetch import bring_in; print(bring_in())"
    said = subprocess.run([sys.executable, "-c", program], cwd=tree, capture_output=True, text=True, check=True)
    assert f"{len(PINNED_FILES)} files brought in" in said.stdout
    with serving(tmp_path, tree) as url:
        seen = tools.node("playground.mjs", url, str(tmp_path), theme, *BY_TITLE, env={"CHROMIUM": browser})
    assert seen["page"] == "graphiql"
    assert (seen["tabs"], seen["listed"]) == ([], TITLES)
    assert seen["first"] == PREPARED[0].operation
    assert (seen["schemaDocs"], seen["keyboard"]) == (True, True)
    check_lines(seen)
    # Nothing was asked of another host, and the content security policy stopped nothing.
    assert (seen["outside"], seen["complaints"]) == ([], [])
    check_answers(seen["answers"], BY_TITLE)
    last = list(BY_TITLE)[-1]
    check_answers({last: seen["afterReload"]}, {last: BY_TITLE[last]})


def cdn(folder: Path, *, tampered: bool) -> str:
    """A list of addresses and files, with the files: what the CDN would answer."""
    bring_in(folder)
    files = {f"{CDN}{file.package}@{file.version}/{file.path}": folder / file.name for file in PINNED_FILES}
    if tampered:
        with (folder / PINNED_FILES[-2].name).open("ab") as script:
            script.write(b"\nconsole.error('not what was pinned')")
    listed = folder / "cdn.json"
    listed.write_text(json.dumps({address: str(file) for address, file in files.items()}))
    return str(listed)


def test_graphiql_works_from_the_cdn(tools: Tools, browser: str, tmp_path: Path) -> None:
    """Digests, cross-origin loading and the content security policy fit together."""
    tree = source_tree(tmp_path / "tree")
    environment = {"CHROMIUM": browser, "NETWORK": cdn(tmp_path / "cdn", tampered=False)}
    with serving(tmp_path, tree) as url:
        seen = tools.node("playground.mjs", url, str(tmp_path), "light", *BY_TITLE, env=environment)
    assert (seen["page"], seen["complaints"]) == ("graphiql", [])
    assert set(seen["outside"]) == {f"{CDN}{file.package}@{file.version}/{file.path}" for file in PINNED_FILES}
    check_answers(seen["answers"], BY_TITLE)


@pytest.mark.parametrize(("network", "theme"), [("", "light"), ("silent", "dark"), ("tampered", "light")])
def test_own_page_works_where_nothing_else_does(
    tools: Tools, browser: str, tmp_path: Path, network: str, theme: str
) -> None:
    tree = source_tree(tmp_path / "tree")
    found = cdn(tmp_path / "cdn", tampered=True) if network == "tampered" else network
    environment = {"CHROMIUM": browser, "NETWORK": found}
    with serving(tmp_path, tree) as url:
        seen = tools.node("playground.mjs", url, str(tmp_path), theme, *BY_TITLE, env=environment)
    assert seen["page"] == "own"
    assert seen["listed"] == TITLES
    check_lines(seen)
    assert (seen["keyboard"], seen["barriers"], seen["overlaps"]) == (True, [], [])
    assert len(PINNED_FILES) == len(seen["outside"])
    expected = {"": "ERR_INTERNET_DISCONNECTED", "silent": "", "tampered": "'integrity' attribute"}[network]
    assert [text for text in seen["complaints"] if not expected or expected not in text] == []
    assert bool(expected) == bool(seen["complaints"])
    check_answers(seen["answers"], BY_TITLE)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_narrow_window_has_the_own_page_with_run_and_answer_in_reach(
    tools: Tools, browser: str, tmp_path: Path, theme: str
) -> None:
    environment = {"CHROMIUM": browser, "WIDTH": "390"}
    with serving(tmp_path, basecone_mode="local", bokamera_mode="rest") as url:
        seen = tools.node("playground.mjs", url, str(tmp_path), theme, *list(BY_TITLE)[:2], env=environment)
    assert (seen["page"], seen["outside"], seen["inReach"]) == ("own", [], True)
    assert seen["writes"] == "Writes go to Basecone: LOCAL STORE BokaMera: REST api.bokamera.se"
    assert (seen["keyboard"], seen["barriers"], seen["overlaps"], seen["complaints"]) == (True, [], [], [])


@pytest.mark.parametrize("npm", [True, False])
def test_package_is_built_with_and_without_npm(tmp_path: Path, npm: bool) -> None:
    need("npm")
    tree = source_tree(tmp_path / "tree")
    shutil.copy(ROOT / "pyproject.toml", tree)
    (tree / "README.md").write_text("The gateway.")
    path = os.environ["PATH"]
    if not npm:
        folders = [folder for folder in path.split(os.pathsep) if not (Path(folder) / "npm").exists()]
        path = os.pathsep.join(folders)
    command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "-w", str(tmp_path), str(tree)]
    environment = {**os.environ, "PATH": path}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    folder = "app/edge/playground/"
    assert {
        folder + name for name in ("packages.json", "static/page.js", "static/start.js", "static/page.css")
    } <= names
    brought = {f"{folder}assets/{file.name}" for file in PINNED_FILES}
    assert (brought if npm else set()) == brought & names
    lines = [line for line in ran.stderr.splitlines() if "playground: " in line]
    assert len(lines) == 1, lines
    assert ("brought in from npm" if npm else "npm is not on this machine") in lines[0]
