"""Conventions as tests: which way imports point, what an API folder holds, what the top level shows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from app.apis import APIS

ROOT = Path(__file__).parent.parent
APP = ROOT / "app"
MODULES = sorted(APP.rglob("*.py"))

# Layer -> what it may import of app. A longer prefix wins over a shorter one.
ALLOWED = {
    "app.errors": set(),
    "app.call": set(),
    "app.json_codec": set(),
    "app.redaction": set(),
    "app.notes": {"app.errors"},
    "app.mapping": {"app.mapping", "app.json_codec"},
    "app.updates": {"app.updates", "app.journal", "app.store.entry_table", "app.errors", "app.call", "app.redaction", "app.json_codec", "app.mapping", "app.store.records", "app.upstream"},
    "app.sandbox": {"app.sandbox", "app.updates", "app.errors", "app.call", "app.json_codec", "app.mapping", "app.store.records", "app.upstream"},
    "app.store": {"app.store", "app.errors", "app.json_codec"},
    "app.journal": {"app.journal", "app.store", "app.errors", "app.json_codec"},
    "app.upstream": {"app.upstream", "app.errors", "app.call", "app.notes", "app.redaction", "app.json_codec"},
    "app.telemetry": {"app.telemetry", "app.errors", "app.call", "app.notes", "app.redaction", "app.json_codec", "app.store"},
    "app.apis": {"app.apis", "app.settings", "app.errors", "app.call", "app.notes", "app.redaction", "app.json_codec", "app.mapping", "app.updates", "app.sandbox", "app.store.records", "app.upstream"},
    "app.graphql": {"app.settings", "app.graphql", "app.journal", "app.store.entry_table", "app.json_codec", "app.apis", "app.updates", "app.errors", "app.call", "app.notes", "app.mapping"},
    "app.edge": {"app.settings", "app.edge", "app.updates", "app.graphql", "app.apis", "app.errors", "app.call", "app.json_codec", "app.upstream", "app.telemetry", "app.server.direct"},
    "app.server": {"app.server"},
    "app.apply": {"app.apply", "app.graphql.bulk_documents", "app.json_codec"},
}  # fmt: skip
# Inside an API: which of its files may not import which. Rules know no HTTP and no GraphQL, rows know neither.
FORBIDDEN_INSIDE = {
    "store": {"resources", "sandbox", "types"},
    "errors": {"resources", "store", "sandbox", "settings", "types"},
    "types": {"resources", "store", "sandbox", "settings"},
    "resources": {"store", "seed", "sandbox", "settings"},
    "sandbox": {"types"},
}
NO_LIBRARY = {"app.errors", "app.call"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module.startswith("app")}
    return found


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def test_imports_point_one_way():
    modules = {name_of(path) for path in MODULES}
    offenders = []
    for path in MODULES:
        name = name_of(path)
        layers = [layer for layer in ALLOWED if below(name, layer)]
        allowed = ALLOWED[max(layers, key=len)] if layers else {"app"}
        imported_modules = {imported for imported in imports_of(path) if imported in modules and imported != "app"}
        offenders += [
            f"{name} imports {imported}"
            for imported in sorted(imported_modules)
            if not any(below(imported, prefix) for prefix in allowed)
        ]
    assert offenders == []


def test_apis_know_nothing_of_each_other_and_keep_their_files_apart():
    offenders = []
    for path in MODULES:
        parts = path.relative_to(APP).with_suffix("").parts
        if parts[0] != "apis" or len(parts) < 3:
            continue
        api, file = parts[1], parts[2]
        own = f"app.apis.{api}."
        others = {other.name for other in APIS} - {api}
        for imported in imports_of(path):
            foreign = any(below(imported, f"app.apis.{other}") for other in others)
            inside = imported.removeprefix(own).split(".")[0] if imported.startswith(own) else ""
            if foreign or inside in FORBIDDEN_INSIDE.get(file, set()):
                offenders.append(f"{name_of(path)} imports {imported}")
    assert offenders == []


@pytest.mark.parametrize("name", sorted(NO_LIBRARY))
def test_the_error_tree_imports_no_library(name):
    standard = {"__future__", "collections.abc", "dataclasses", "enum", "typing"}
    assert imports_of(ROOT / (name.replace(".", "/") + ".py")) <= standard


def test_only_the_composition_root_and_the_command_line_read_the_configuration():
    readers = {name_of(path) for path in MODULES if "app.config" in imports_of(path)}
    assert readers <= {"app.bootstrap", "app.__main__", "app.check", "app.config"}
    environment = {
        name_of(path) for path in MODULES if "os.environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert environment <= {"app.config"}


def test_every_api_folder_is_registered():
    folders = {path.name for path in (APP / "apis").iterdir() if (path / "__init__.py").is_file()}
    assert folders == {api.name for api in APIS}


def test_no_file_is_a_house_of_its_own():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
    vague = {"utils", "helpers", "common", "base"}
    assert not {name_of(path) for path in MODULES if path.stem in vague}


def test_the_top_level_shows_five_things():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    if not any(listed):
        pytest.skip("not a git checkout: what is committed cannot be listed")
    top = {name.split("/")[0] for name in listed if name}
    assert {name for name in top if not name.startswith(".")} == {
        "README.md",
        "app",
        "pyproject.toml",
        "schema.graphql",
        "tests",
    }


def test_a_server_without_a_service_to_call_loads_nothing_for_one():
    """A start is as long as what it loads: what only some settings need is loaded by them."""
    script = "import sys, app.__main__; print(*(name for name, made in sys.modules.items() if made))"
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    rarely = {"httpx", "httpcore", "rich", "authlib", "joserfc", "cryptography", "asyncpg", "opentelemetry", "uvloop"}
    rarely |= {"app.upstream.upstream", "certifi", "sqlalchemy.dialects.postgresql"}
    rarely |= {"app.server.workers", "pygments", "app.apply.run"}
    assert rarely & set(printed.split()) == set()
