"""TypeScript types from the schema, with the configuration that the README documents, under `tsc --strict`."""

from __future__ import annotations

import json
import shutil

import pytest

from app.apis import APIS
from app.edge.playground import prepared
from tests.external.tools import SCHEMA, Tools, snippet

pytestmark = pytest.mark.external

# Reads what the generated types promise: a field is nullable, a scalar has its TypeScript type, an input is checked.
PROGRAM = """
import { graphql } from "./generated/index.js";
import type {
  ErrorCatalogueQuery,
  Outcome,
  UpdateCustomerInput,
  ReplaceCustomerMutation,
  ReplaceCustomerMutationVariables,
} from "./generated/graphql.js";

const document = graphql(`%s`);
export const catalogue = graphql(`%s`);

const input: UpdateCustomerInput = {
  company: { companyId: "a0000000-0000-4000-8000-000000000001" },
  name: "Anna Bakery",
  bankAccounts: [{ default: true, iban: "NL91ABNA0417164300" }],
};
export const variables: ReplaceCustomerMutationVariables = { id: "c0000000-0000-4000-8000-000000000001", input };
export const name = (data: ReplaceCustomerMutation): string | null | undefined => data.updateCustomer?.customer?.name;
export const outcome: Outcome = "NOT_APPLIED";
export const safe = (data: ErrorCatalogueQuery): boolean | undefined => data.errorCatalog[0]?.retrySafe;
// @ts-expect-error the company is required
export const incomplete: UpdateCustomerInput = { name: "Anna Bakery" };
// @ts-expect-error a customer may be null
export const certain = (data: ReplaceCustomerMutation): string => data.updateCustomer.customer.name;
export const vatCode = (data: ReplaceCustomerMutation): string | null | undefined =>
  data.updateCustomer?.customer?.vatCode?.code;
export default document;
"""
STRICT = {
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "exactOptionalPropertyTypes": True,
    "noImplicitOverride": True,
    "isolatedModules": True,
    "verbatimModuleSyntax": True,
    "noEmit": True,
    "target": "es2022",
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "skipLibCheck": False,
    "types": [],
}


def operation(part: str) -> str:
    return next(item.operation for item in prepared(APIS) if part in item.operation)


def test_documented_configuration_compiles_strictly(tools: Tools) -> None:
    configuration = snippet("codegen: codegen.ts")
    source = tools.folder / "src"
    source.mkdir()
    (tools.folder / "package.json").write_text('{"type": "module"}')
    (tools.folder / "codegen.ts").write_text(configuration)
    shutil.copy(SCHEMA, tools.folder)
    (source / "main.ts").write_text(PROGRAM % (operation(" updateCustomer("), operation(" errorCatalog(")))
    (tools.folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "include": ["src"]}))
    tools.run("graphql-codegen", "--config", "codegen.ts")
    tools.run("tsc", "--project", ".")
