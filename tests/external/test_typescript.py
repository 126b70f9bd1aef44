"""`python -m app typescript`: compiled with `tsc --strict` beside codegen's types, and run against the gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.external.test_codegen import STRICT
from tests.external.tools import HERE, ROOT, SCHEMA, Tools, serving, snippet

pytestmark = pytest.mark.external

_REFUSED = {
    "fields": {"vatCode.code": ["The VatCode value provided is invalid."]},
    "reasons": ["VAT_CODE_INVALID"],
    "codes": ["BAD_USER_INPUT"],
    "outcomes": ["NOT_APPLIED"],
}


@pytest.mark.parametrize("settings", [{}, {"http_statuses": "2026-09"}], ids=["default statuses", "2026-09"])
def test_a_page_finds_every_error_and_sends_a_record_back(
    tools: Tools, tmp_path: Path, settings: dict[str, str]
) -> None:
    source = tools.folder / "src"
    source.mkdir()
    (tools.folder / "package.json").write_text('{"type": "module"}')
    (tools.folder / "codegen.ts").write_text(snippet("codegen: codegen.ts"))
    shutil.copy(SCHEMA, tools.folder)
    shutil.copy(HERE / "page.ts", source)
    (source / "form.ts").write_text(snippet("typescript: form.ts"))
    (source / "process.d.ts").write_text(
        "declare const process: { argv: string[] };\ndeclare const console: Console;\n"
    )
    command = [sys.executable, "-m", "app", "typescript"]
    (source / "gateway.ts").write_bytes(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    options = {**STRICT, "noEmit": False, "outDir": "out", "skipLibCheck": True}
    options |= {"noUnusedLocals": True, "noPropertyAccessFromIndexSignature": True}
    (tools.folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "include": ["src"]}))
    tools.run("graphql-codegen", "--config", "codegen.ts")
    tools.run("tsc", "--project", ".")
    with serving(tmp_path, **settings) as url:
        answer = json.loads(tools.run("node", "out/page.js", url).splitlines()[-1])

    assert answer["refusals"] == dict.fromkeys(("apollo", "urql", "graphql-request"), _REFUSED)
    for client, summary in answer["requestErrors"].items():
        assert (client, summary["codes"], summary["outcomes"]) == (client, ["BAD_USER_INPUT"], [None])
    assert answer["unchanged"]
    assert answer["input"]["company"] == {"companyId": "a0000000-0000-4000-8000-000000000001"}
    assert None not in answer["input"].values()
    assert answer["lost"] == 0
    assert answer["fullPath"] == ["input.customFields.0.value"]
    assert answer["message"] == "'{PropertyName}' must not be empty."
    assert answer["userErrors"] == {"input.name": ["Wrong."], "": ["Late."]}
    assert answer["supplier"] == {
        "company": {"companyId": "a0000000-0000-4000-8000-000000000001"},
        "name": "Anna Supplies",
        "vatCode": {"code": "NL21"},
        "bankAccounts": [],
        "paymentDiscount": {"paymentDays": 8, "discountPercentage": "2.50"},
        "number": "",
        "metadata": {"colour": "red"},
    }
    assert "customer.company is not selected" in answer["notSelected"]
    assert answer["noCompany"] == "TypeError: customer.company is null, and an update needs it."
