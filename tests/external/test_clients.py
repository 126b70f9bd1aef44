"""The README's examples, run as they stand there but for the address. Each sends an update that is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.external.tools import Tools, snippet

pytestmark = pytest.mark.external

ADDRESS = "http://127.0.0.1:8000/graphql"
VAT = "BAD_USER_INPUT VAT_CODE_INVALID NOT_APPLIED input.vatCode.code The VatCode value provided is invalid.\n"
FIELD = (
    "BAD_USER_INPUT FIELD_EMPTY NOT_APPLIED input.customFields.0.value Please tell us what we should know about you.\n"
)
EXTENSIONS = {"code", "reason", "backend", "input", "outcome", "retry", "requestId"}


@pytest.mark.parametrize(("client", "printed"), [("apollo", VAT), ("urql", VAT), ("graphql-request", FIELD)])
def test_javascript_client(tools: Tools, gateway: str, client: str, printed: str) -> None:
    program = snippet(f"client: {client}")
    assert ADDRESS in program
    (tools.folder / "example.mjs").write_text(program.replace(ADDRESS, gateway))
    assert printed == tools.run("node", "example.mjs")


def test_python_client(gateway: str, tmp_path: Path) -> None:
    program = snippet("client: gql")
    assert ADDRESS in program
    (tmp_path / "example.py").write_text(program.replace(ADDRESS, gateway))
    command = [sys.executable, "-W", "error", "example.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == (VAT, "")


def settings_of(tools: Tools, router: str) -> Any:
    file = tools.folder / "router.yaml"
    file.write_text(snippet(f"router: {router}"))
    return tools.node("yaml.mjs", str(file))


def test_apollo_router_passes_the_extensions_on(tools: Tools) -> None:
    settings = settings_of(tools, "apollo")
    assert settings["include_subgraph_errors"] == {"all": False, "subgraphs": {"updates": True}}
    assert "updates" in settings["headers"]["subgraphs"]


def test_cosmo_router_passes_the_extensions_on(tools: Tools) -> None:
    settings = settings_of(tools, "cosmo")
    propagation = settings["subgraph_error_propagation"]
    assert propagation["enabled"]
    assert propagation["mode"] == "pass-through"
    assert set(propagation["allowed_extension_fields"]) == EXTENSIONS
    assert "updates" in settings["headers"]["subgraphs"]


def test_hive_router_passes_the_extensions_on(tools: Tools) -> None:
    settings = settings_of(tools, "hive")
    assert settings["error_masking"] == {"subgraphs": {"updates": {"enabled": False}}}
    assert "updates" in settings["headers"]["subgraphs"]
