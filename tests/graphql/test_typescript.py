"""The TypeScript module has every error of the schema, and inputs only where a record fills all of them."""

from __future__ import annotations

import re

from app.apis import APIS
from app.errors import Code
from app.graphql.typescript import print_typescript
from tests.harness import schema_of

SCHEMA = schema_of(APIS)._schema
MODULE = print_typescript(SCHEMA, APIS)


def values(constant: str) -> list[str]:
    block = re.search(rf"export const {constant} = \[(.*?)\] as const;", MODULE, re.DOTALL)
    assert block
    return re.findall(r'"(\w+)"', block[1])


def test_enums_are_the_schemas() -> None:
    assert values("ERROR_REASONS") == sorted(SCHEMA.type_map["ErrorReason"].values)
    assert values("OUTCOMES") == list(SCHEMA.type_map["Outcome"].values)
    assert values("ERROR_CODES") == list(Code)


def test_every_reason_has_a_text_in_english() -> None:
    assert sorted(re.findall(r'^  "gateway\.(\w+)": ".+",$', MODULE, re.MULTILINE)) == values("ERROR_REASONS")


def test_only_inputs_that_a_record_fills_are_made_of_one() -> None:
    assert re.findall(r"export function (to\w+Input)\(record: (\w+)\): (\w+)", MODULE) == [
        ("toCustomerInput", "CustomerRecord", "UpdateCustomerInput"),
        ("toSupplierInput", "SupplierRecord", "UpdateSupplierInput"),
    ]
