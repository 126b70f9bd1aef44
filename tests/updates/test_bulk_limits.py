"""What refuses a whole bulk before anything is sent, what refuses one item, and where each is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.apis import APIS
from app.bootstrap import edge_settings
from app.call import CallContext
from app.config import parse_settings
from app.graphql.compiled import Execution
from app.graphql.context import Context
from app.graphql.execution import GraphQLRequest
from tests.harness import WAYS, Gateway
from tests.harness import gateway as open_gateway
from tests.switch import COMPILED
from tests.telemetry.running import running

COMPANY = "a0000000-0000-4000-8000-000000000001"
UPDATE = """mutation($items: [UpdateCustomerItem!]!) {
  updateCustomers(items: $items) { applied notApplied results { outcome replayed customer { name } userErrors {
    reason code outcome inputPath message requestId currentRevision } } } }"""
ITEMS = "$items: [UpdateCustomerItem!]!"
UNTOLD = f"mutation({ITEMS}) {{ updateCustomers(items: $items) {{ applied }} }}"
NAMES = """{ a: customer(id: "c0000000-0000-4000-8000-000000000001") { name }
  b: customer(id: "c0000000-0000-4000-8000-000000000002") { name } }"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


def item(number: int = 1, name: str = "Written", key: str | None = None, **members: Any) -> dict[str, Any]:
    written = {"company": {"companyId": COMPANY}, "name": name, **members}
    found = {"id": f"c0000000-0000-4000-8000-{number:012}", "input": written}
    return found if key is None else {**found, "idempotencyKey": key}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with open_gateway("local", tmp_path_factory.mktemp("bulk")) as opened:
        yield opened


async def refused(
    gateway: Gateway, query: str, variables: dict[str, Any], keys: int = 1, **more: Any
) -> dict[str, Any]:
    """The one error of each bulk field of a request that wrote nothing."""
    before = await gateway.execute(NAMES)
    body = await gateway.execute(query, variables, **more)
    assert await gateway.execute(NAMES) == before
    assert len(body["errors"]) == keys
    assert all(body["data"][error["path"][0]] is None for error in body["errors"])
    told = body["errors"][0]["extensions"]
    assert told["outcome"] == "NOT_APPLIED"
    return dict(told)


FRAGMENT = "fragment F on Mutation { updateCustomers(items: $items) { applied } }"
MANY = {
    "one field": (UNTOLD, 501, 1),
    "two fields": (
        f"mutation({ITEMS}) {{ a: updateCustomers(items: $items) {{ applied }} b: updateCustomers(items: $items) {{ applied }} }}",
        251,
        2,
    ),
    "in a fragment": (f"mutation({ITEMS}) {{ ...F }} {FRAGMENT}", 501, 1),
    "in a condition": (
        f"mutation({ITEMS}) {{ ... @include(if: true) {{ updateCustomers(items: $items) {{ applied }} }} }}",
        501,
        1,
    ),
    "faults as data": (UPDATE, 501, 1),
}


@pytest.mark.parametrize("case", MANY)
async def test_too_many_items_are_refused_whole(local, case):
    query, count, fields = MANY[case]
    told = await refused(local, query, {"items": [item()] * count}, fields)
    assert (told["reason"], told["code"]) == ("TOO_MANY_ITEMS", "BAD_USER_INPUT")
    assert told["input"] == {"path": ["items"]}


async def test_items_of_a_field_that_is_not_run_do_not_count(local):
    query = f"""mutation({ITEMS}, $no: Boolean!) {{ updateCustomers(items: $items) {{ applied }}
      b: updateCustomers(items: $items) @include(if: $no) {{ applied }} }}"""
    body = await local.execute(query, {"items": [item(9)] * 251, "no": False})
    assert body["data"] == {"updateCustomers": {"applied": 0}}
    told = await refused(local, query, {"items": [item()] * 251, "no": True}, 2)
    assert told["reason"] == "TOO_MANY_ITEMS"


async def test_items_that_are_too_many_are_not_even_looked_at(local):
    """What is wrong with them would cost more than the refusal."""
    told = await refused(local, UNTOLD, {"items": [{"no": "item"}] * 501})
    assert told["reason"] == "TOO_MANY_ITEMS"


async def test_another_field_beside_a_refused_bulk_is_its_own(local):
    query = f"""mutation({ITEMS}, $id: UUID!, $input: UpdateCustomerInput!) {{ updateCustomers(items: $items) {{ applied }}
      updateCustomer(id: $id, input: $input) {{ customer {{ name }} }} }}"""
    body = await local.execute(query, {"items": [item()] * 501, **item(3, "Beside")})
    assert body["data"] == {"updateCustomers": None, "updateCustomer": {"customer": {"name": "Beside"}}}


async def test_a_bulk_may_be_longer_than_other_lists(local):
    body = await local.execute(UNTOLD, {"items": [item(9)] * 500})
    assert body["data"] == {"updateCustomers": {"applied": 0}}
    assert len(body["errors"]) == 500


@pytest.mark.parametrize("written", ["variable", "input"])
@pytest.mark.parametrize("place", [0, 1])
async def test_a_list_of_an_item_that_is_too_long_refuses_the_whole(local, place, written):
    accounts = [{"default": False, "iban": "NL91ABNA0417164300"}] * 201
    given = [item(), item(2)]
    given[place] = item(place + 1, bankAccounts=accounts)
    if written == "variable":
        query, variables = UPDATE, {"items": given}
    else:
        query = """mutation($a: UpdateCustomerItem!, $b: UpdateCustomerItem!) {
          updateCustomers(items: [$a, $b]) { applied } }"""
        variables = {"a": given[0], "b": given[1]}
    told = await refused(local, query, variables)
    assert told["reason"] == "LIST_TOO_LONG"
    assert told["input"] == {"path": ["items", place, "input", "bankAccounts"]}
    if written == "variable":  # one item stands for a list of one
        told = await refused(local, UPDATE, {"items": given[place]})
        assert (told["reason"], told["input"]) == ("LIST_TOO_LONG", {"path": ["items", "input", "bankAccounts"]})


async def test_a_key_that_two_items_have_refuses_the_whole(local):
    told = await refused(local, UPDATE, {"items": [item(), item(2, key="k"), item(3), item(1, key="k")]})
    assert (told["reason"], told["code"]) == ("IDEMPOTENCY_KEY_REPEATED", "BAD_USER_INPUT")
    assert told["input"] == {"path": ["items", 3, "idempotencyKey"]}


async def test_a_body_that_is_too_large_is_refused(tmp_path):
    async with running(tmp_path) as gateway:
        given = [item(number, "n" * 2500) for number in range(500)]
        response = await gateway.post({"query": UNTOLD, "variables": {"items": given}})
        assert response.status_code == 413
        assert response.json()["errors"][0]["extensions"]["reason"] == "BODY_TOO_LARGE"


async def test_the_settings_bound_a_bulk():
    settings = parse_settings(
        APIS, {"GATEWAY_MAX_BULK": "7", "GATEWAY_BULK_CONCURRENCY": "5", "GATEWAY_MAX_IN_FLIGHT": "4"}
    )
    edge = edge_settings(settings.gateway)
    assert (edge.max_bulk, edge.bulk_concurrency) == (7, 2)


# Keys.


async def test_items_under_keys_are_answered_again_and_not_sent_again(local):
    given = {
        "items": [item(1, "Keyed", key="one"), item(2, "Keyed", key="two", vatCode={"code": "none"}), item(3, "Plain")]
    }
    first = (await local.execute(UPDATE, given))["data"]["updateCustomers"]
    assert [result["replayed"] for result in first["results"]] == [False, False, False]
    await local.execute(UNTOLD, {"items": [item(1, "Later")]})
    again = (await local.execute(UPDATE, given))["data"]["updateCustomers"]
    assert [result["replayed"] for result in again["results"]] == [True, True, False]
    assert [result["outcome"] for result in again["results"]] == ["APPLIED", "NOT_APPLIED", "APPLIED"]
    assert again["results"][1]["userErrors"] == first["results"][1]["userErrors"]
    names = await local.execute(NAMES)
    assert names["data"]["a"] == {"name": "Later"}


@pytest.mark.parametrize("key", ["", "é", "x" * 256, "a\nb"])
async def test_a_malformed_key_is_its_items_fault(local, key):
    payload = (await local.execute(UPDATE, {"items": [item(1, key=key), item(2)]}))["data"]["updateCustomers"]
    assert [result["outcome"] for result in payload["results"]] == ["NOT_APPLIED", "APPLIED"]
    assert payload["results"][0]["userErrors"][0]["reason"] == "IDEMPOTENCY_KEY_MALFORMED"


async def test_a_key_of_another_request_is_its_items_fault(local):
    await local.execute(UPDATE, {"items": [item(1, "First", key="used")]})
    payload = (await local.execute(UPDATE, {"items": [item(1, "Second", key="used")]}))["data"]["updateCustomers"]
    assert payload["results"][0]["userErrors"][0]["reason"] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_key_of_the_request_is_for_a_single_update(local):
    body = await local.execute(UNTOLD, {"items": [item()]}, key="header")
    assert body["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert "data" not in body


async def test_the_key_of_a_single_update_is_the_items_too(local):
    """An item is the single update: what a retry sends alone is the same request."""
    await local.execute(UPDATE, {"items": [item(1, "Alone", key="both")]})
    single = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
      updateCustomer(id: $id, input: $input) { replayed } }"""
    body = await local.execute(single, item(1, "Alone"), key="both")
    assert body["data"]["updateCustomer"] == {"replayed": True}


# One item.


@pytest.mark.parametrize(
    ("selected", "place"),
    [
        ("applied", ["updateCustomers", "results", 1, "customer"]),
        ("results { id }", ["updateCustomers", "results", 1, "customer"]),
        ("r: results { c: customer { name } }", ["updateCustomers", "r", 1, "c"]),
        (
            "...{ results { ...on UpdateCustomerResult { found: customer { id } } } }",
            ["updateCustomers", "results", 1, "found"],
        ),
    ],
)
async def test_a_fault_that_is_not_selected_is_among_the_responses_errors(local, selected, place):
    query = UNTOLD.replace("applied", selected)
    body = await local.execute(query, {"items": [item(1), item(9), item(2)]})
    [error] = body["errors"]
    assert error["path"] == place
    assert error["extensions"]["reason"] == "RESOURCE_NOT_FOUND"
    assert error["locations"]


async def test_errors_stand_by_field_and_by_item(local):
    two = f"mutation({ITEMS}) {{ {' '.join(f'f{n}: updateCustomers(items: $items) {{ unknown }}' for n in range(2))} }}"
    body = await local.execute(two, {"items": [item(9)] * 50})
    assert [error["path"][0] for error in body["errors"]] == ["f0"] * 50 + ["f1"] * 50
    assert [error["path"][2] for error in body["errors"]] == [*range(50)] * 2


class Broken:
    """A backend with a fault of the gateway's own."""

    compares_revisions = False
    clock_ahead = None

    async def update(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the gateway")


@pytest.mark.parametrize("query", [UPDATE, UNTOLD], ids=["as data", "as errors"])
async def test_a_surprise_is_its_items_fault_and_its_story_is_in_the_log(local, caplog, query):
    backends, working = local.backends.by_name, local.backends.by_name["basecone"]
    backends["basecone"] = Broken()
    try:
        body = await local.execute(query, {"items": [item(1), item(2)]})
    finally:
        backends["basecone"] = working
    stories = [line for line in caplog.records if line.exc_info]
    assert [str(line.exc_info[1]) for line in stories] == ["a secret of the gateway"] * 2
    assert "secret" not in str(body)
    if query is UPDATE:
        assert "errors" not in body
        told = [result["userErrors"] for result in body["data"]["updateCustomers"]["results"]]
        assert [(fault["reason"], fault["outcome"]) for [fault] in told] == [("INTERNAL", "UNKNOWN")] * 2
    else:
        assert [error["extensions"]["reason"] for error in body["errors"]] == ["INTERNAL"] * 2


async def test_scopes_are_the_single_updates(local):
    write = frozenset({"customers:write"})
    body = await local.execute(UPDATE, {"items": [item()]}, scopes=frozenset({"customers:read"}))
    assert [(error["path"], error["extensions"]["reason"]) for error in body["errors"]] == [
        (["updateCustomers"], "SCOPE_MISSING")
    ]
    patch = "mutation { patchCustomers(items: []) { applied } }"
    assert (await local.error(patch, scopes=write))["extensions"]["reason"] == "SCOPE_MISSING"
    dry = UPDATE.replace("items: $items)", "items: $items, dryRun: true)")
    assert (await local.error(dry, {"items": [item()]}, scopes=write))["extensions"]["reason"] == "SCOPE_MISSING"
    # An expected revision is read for, which concerns its item alone.
    given = [item(1), {**item(2), "expectedRevision": "v1:none"}]
    payload = (await local.execute(UPDATE, {"items": given}, scopes=write))["data"]["updateCustomers"]
    assert [result["outcome"] for result in payload["results"]] == ["APPLIED", "NOT_APPLIED"]
    assert payload["results"][1]["userErrors"][0]["reason"] == "SCOPE_MISSING"


async def test_an_expected_revision_is_each_items_own(local):
    given = [{**item(1), "expectedRevision": "v1:none"}, item(2, "Guarded")]
    payload = (await local.execute(UPDATE, {"items": given}))["data"]["updateCustomers"]
    [fault] = payload["results"][0]["userErrors"]
    assert fault["reason"] == "REVISION_MISMATCH"
    assert fault["currentRevision"].startswith("v1:")
    assert payload["results"][1]["customer"] == {"name": "Guarded"}


async def test_a_dry_run_previews_each_item_and_writes_nothing(local):
    query = UPDATE.replace("items: $items)", "items: $items, dryRun: true)")
    query = query.replace("applied", "applied unknown previewed", 1).replace(
        "replayed", "replayed preview { method body }"
    )
    before = await local.execute(NAMES)
    body = await local.execute(
        query, {"items": [item(1, "Never", key="dry"), item(2, "Never"), item(9, "Never"), item(3)]}
    )
    payload = body["data"]["updateCustomers"]
    methods = [result["preview"] and result["preview"]["method"] for result in payload["results"]]
    assert methods == ["PUT", "PUT", None, "PUT"]
    assert [result["outcome"] for result in payload["results"]] == ["NOT_APPLIED"] * 4
    assert [payload[name] for name in ("applied", "notApplied", "unknown", "previewed")] == [0, 1, 0, 3]
    assert await local.execute(NAMES) == before


async def test_an_empty_bulk_is_answered(local):
    body = await local.execute(UPDATE, {"items": []})
    assert body == {"data": {"updateCustomers": {"applied": 0, "notApplied": 0, "results": []}}}


async def test_a_bulk_is_run_compiled(local):
    before = WAYS[Execution.COMPILED]
    await local.execute(UPDATE, {"items": [item(1), item(9)]})
    await local.execute(UPDATE.replace("$items)", "$items, onFailure: STOP)"), {"items": [item(1), item(9)]})
    assert WAYS[Execution.COMPILED] - before == 2 * COMPILED


async def test_a_bulk_that_is_written_out_is_no_long_list(local):
    written = ", ".join(f'{{id: "c0000000-0000-4000-8000-{number:012}", patch: {{}}}}' for number in range(10, 211))
    body = await local.execute(f"mutation {{ patchCustomers(items: [{written}]) {{ applied notApplied }} }}")
    assert body["data"] == {"patchCustomers": {"applied": 0, "notApplied": 201}}


async def test_a_bulk_is_traced_for_a_router(local):
    context = Context(
        CallContext("traced"), local.backends.by_name, trusted_router=True, recorder=local.backends.recorder
    )
    result = await local.engine.execute(GraphQLRequest(UPDATE, {"items": [item(1), item(9)]}, traced=True), context)
    assert result.errors == []
    assert result.extensions is not None
    outcomes = [found["outcome"] for found in result.data["updateCustomers"]["results"]]
    assert outcomes == ["APPLIED", "NOT_APPLIED"]
