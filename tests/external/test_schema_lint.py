"""Two linters find nothing in the schema. Beside each rule that is switched off stands why."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.external.tools import HERE, SCHEMA, Tools

pytestmark = pytest.mark.external

DEFINITIONS = HERE / "federation.graphql"
# The names that federation's specification gives.
FEDERATION = {"_Any", "_Entity", "_Service", "_entities", "_service"}

SWITCHED_OFF = {
    # Fields stand in the order in which the vendors document them, and reasons beside their likes: that is what a
    # reader looks for.
    "enum-values-sorted-alphabetically",
    "input-object-fields-sorted-alphabetically",
    "interface-fields-sorted-alphabetically",
    "type-fields-sorted-alphabetically",
    # Nothing here is paged, so there is nothing that a PageInfo could tell.
    "relay-page-info-spec",
}
IGNORED = {"fields-are-camel-cased": ["Query._entities", "Query._service"], "types-are-capitalized": ["_Service"]}


def test_only_federation_names_begin_with_an_underscore() -> None:
    assert set(re.findall(r'(?<![\w"`])_[A-Za-z]\w*', SCHEMA.read_text())) == FEDERATION


def test_graphql_eslint_finds_nothing(tools: Tools) -> None:
    # Beside the script: ESLint takes no file from outside its folder.
    for file in (SCHEMA, DEFINITIONS):
        shutil.copy(file, tools.folder)
    assert tools.node("lint.mjs", SCHEMA.name, DEFINITIONS.name) == []


def test_graphql_schema_linter_finds_nothing(tools: Tools) -> None:
    rules = tools.packages / "node_modules/graphql-schema-linter/lib/rules"
    every = {file.stem.replace("_", "-") for file in rules.glob("*.js")}
    assert every >= SWITCHED_OFF
    chosen = ",".join(sorted(every - SWITCHED_OFF))
    options = ["--rules", chosen, "--ignore", json.dumps(IGNORED), "--format", "json"]
    said = tools.run("graphql-schema-linter", *options, str(DEFINITIONS), str(SCHEMA), fails=True)
    assert json.loads(said) == {"errors": []}
