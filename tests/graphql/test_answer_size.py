"""A short request for the long texts of many records: its answer is bounded, and no outcome is lost for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.graphql.answer_size import MAX_BYTES
from tests.harness import Gateway, gateway

SUPPLIER = "50000000-0000-4000-8000-000000000001"
STORE = "mutation($id: UUID!, $patch: SupplierPatch!) { patchSupplier(id: $id, patch: $patch) { supplier { id } } }"
LONG = {"metadata": {f"k{number}": "v" * 4000 for number in range(200)}}
NAMES = " ".join(f"m{number}: metadata" for number in range(40))
ENTITIES = "query($all: [_Any!]!) { _entities(representations: $all) { ... on Supplier { %s } } }"
BULK = "mutation($items: [PatchSupplierItem!]!%s) { patchSuppliers(items: $items%s) { applied previewed results {"
TOO_LARGE = "The answer would be larger than 64 MB; ask for fewer records or members."
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway("local", tmp_path_factory.mktemp("large")) as opened:
        assert "errors" not in await opened.execute(STORE, {"id": SUPPLIER, "patch": LONG})
        yield opened


def representations(count: int) -> dict[str, Any]:
    return {"all": [{"__typename": "Supplier", "id": SUPPLIER}] * count}


@pytest.mark.parametrize(("members", "count"), [("metadata", 1000), (NAMES, 100), (NAMES, 2)])
async def test_a_query_is_refused_whole(local: Gateway, members: str, count: int):
    body = await local.execute(ENTITIES % members, representations(count))
    if count == 2:  # 64 million characters and their names
        assert len(json.dumps(body)) > MAX_BYTES * 0.9
        assert "errors" not in body
        return
    (error,) = body["errors"]
    assert "data" not in body
    assert (error["message"], error["extensions"]["reason"]) == (TOO_LARGE, "TOO_MANY_RECORDS")


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_bulk_keeps_its_outcomes(local: Gateway, dry_run: bool):
    shown = f"preview {{ {' '.join(f'b{number}: body' for number in range(40))} }}"
    selected = f"index outcome userErrors {{ reason }} {shown if dry_run else f'supplier {{ {NAMES} }}'}"
    query = BULK % (", $dry: Boolean!", ", dryRun: $dry") + f" {selected} }} }} }}"
    items = [{"id": SUPPLIER, "patch": {"email": f"{number}@example.com"}} for number in range(5)]
    body = await local.execute(query, {"items": items, "dry": dry_run})
    answer, member = body["data"]["patchSuppliers"], "preview" if dry_run else "supplier"
    outcome = "NOT_APPLIED" if dry_run else "APPLIED"
    assert (answer["applied"], answer["previewed"]) == ((0, 5) if dry_run else (5, 0))
    assert [result["outcome"] for result in answer["results"]] == [outcome] * 5
    taken = [index for index, result in enumerate(answer["results"]) if result[member] is None]
    assert taken == [2, 3, 4]
    assert [error["path"] for error in body["errors"]] == [
        ["patchSuppliers", "results", index, member] for index in taken
    ]
    assert {(error["message"], error["extensions"]["outcome"]) for error in body["errors"]} == {(TOO_LARGE, outcome)}
