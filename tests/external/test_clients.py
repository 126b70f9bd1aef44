"""The README's examples, run as they stand there but for the address. Each sends an update that is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.apis import APIS
from tests.external.tools import Tools, serving, snippet

pytestmark = pytest.mark.external

ADDRESS = "http://127.0.0.1:8000/graphql"
VAT = "BAD_USER_INPUT VAT_CODE_INVALID NOT_APPLIED input.vatCode.code The VatCode value provided is invalid.\n"
FIELD = (
    "BAD_USER_INPUT FIELD_EMPTY NOT_APPLIED input.customFields.0.value Please tell us what we should know about you.\n"
)
# What a router must pass on, in any case.
HEADERS = {
    "authorization",
    "x-request-id",
    "idempotency-key",
    "accept-language",
    "traceparent",
    "tracestate",
    *(header for api in APIS for header in api.caller_headers),
}
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


# What the table of clients.md says: the class of the error, and whether the data is at hand beside it.
MADE = {
    "apollo": ("CombinedGraphQLErrors", False),
    "apollo, errorPolicy all": ("CombinedGraphQLErrors", True),
    "urql": ("CombinedError", True),
    "graphql-request": ("ClientError", False),
}


@pytest.mark.parametrize(
    ("settings", "partial", "never"),
    [({}, 200, 400), ({"http_statuses": "2026-09"}, 294, 422)],
    ids=["default statuses", "2026-09"],
)
def test_what_three_clients_make_of_the_statuses(
    tools: Tools, tmp_path: Path, settings: dict[str, str], partial: int, never: int
) -> None:
    with serving(tmp_path, **settings) as url:
        made = tools.node("statuses.mjs", url)
    for client, (error, data) in MADE.items():
        assert made["partial"][client] == {
            "status": partial,
            "error": error,
            "reasons": ["COMPANY_ACCESS_DENIED"],
            "data": {"customer": True, "supplier": False} if data else None,
        }
        assert made["never"][client] == {
            "status": never,
            "error": error,
            "reasons": ["VARIABLE_INVALID"],
            "data": None,
        }


def settings_of(tools: Tools, router: str) -> Any:
    file = tools.folder / "router.yaml"
    file.write_text(snippet(f"router: {router}"))
    return tools.node("yaml.mjs", str(file))


def test_apollo_router_passes_the_extensions_on(tools: Tools) -> None:
    settings = settings_of(tools, "apollo")
    assert settings["include_subgraph_errors"] == {"all": False, "subgraphs": {"updates": True}}
    rules = settings["headers"]["subgraphs"]["updates"]["request"]
    assert {rule["propagate"]["named"] for rule in rules if "propagate" in rule} == HEADERS


def test_cosmo_router_passes_the_extensions_on(tools: Tools) -> None:
    settings = settings_of(tools, "cosmo")
    propagation = settings["subgraph_error_propagation"]
    assert propagation["enabled"]
    assert propagation["mode"] == "pass-through"
    assert set(propagation["allowed_extension_fields"]) == EXTENSIONS
    rules = settings["headers"]["subgraphs"]["updates"]["request"]
    assert {rule["named"].lower() for rule in rules if rule["op"] == "propagate"} == HEADERS


def test_hive_router_passes_the_extensions_on(tools: Tools) -> None:
    settings = settings_of(tools, "hive")
    assert settings["error_masking"] == {"subgraphs": {"updates": {"enabled": False}}}
    _, rule = settings["headers"]["subgraphs"]["updates"]["request"]
    assert {name.lower() for name in rule["propagate"]["named"]} == HEADERS
