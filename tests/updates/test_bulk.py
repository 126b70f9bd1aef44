"""An item of a bulk is the single update: its answer, its line in the log, what is counted of it, and its entry."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from app.apis import APIS
from tests.harness import WIRINGS, serving
from tests.test_contract import bulk_operation, example_of, operation, record_type, told, whole
from tests.updates.bulks import Served, served, written
from tests.updates.test_bulk_runs import UPDATE, Backend, items, refused

PAIRS = [(api, *pair) for api in APIS for pair in zip(api.mutations, api.bulks, strict=True)]
FAULTS = """userErrors { message code reason inputPath outcome retrySafe retryAfterSeconds readBack requestId
  backend { name status code message } }"""
COUNTS = "applied notApplied unknown previewed"


def rows_of(api: Any, mutation: str) -> list[Any]:
    """Those of the update, whose patch meets them, too."""
    update = next(item.mutation for item in api.resources if mutation in item.mutations)
    return [row for row in api.errors if update in row.mutations]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Served]]:
    async with AsyncExitStack() as stack:
        stream = stack.enter_context(written())
        yield {
            wiring: await stack.enter_async_context(served(wiring, tmp_path_factory.mktemp(wiring), stream))
            for wiring in WIRINGS
        }


async def differences(
    gateway: Served, mutation: str, bulk: str, variables: Any, selection: str = "", **headers: str
) -> dict[str, Any]:
    """What of an item is not as it is of the single update."""
    record, kind = record_type(mutation)
    one, other = (str(uuid.uuid4()) for _ in "12")
    shown = selection or whole(kind)
    if " updated " in shown:  # a time, which the revision holds, too
        shown = shown.replace(" updated ", " ").replace(" revision ", " ")
    single = await gateway.traced(operation(mutation, shown), variables, one, **headers)
    item = f"index id outcome replayed {record} {shown}"
    many = await gateway.traced(
        bulk_operation(bulk, f"results {{ {item} }} {COUNTS}"), {"items": [variables]}, other, **headers
    )
    entries, entries_of_bulk = await gateway.entries(one, other)
    data = await gateway.post(
        bulk_operation(bulk, f"results {{ {item} {FAULTS} }} {COUNTS}"),
        {"items": [variables]},
        x_request_id=one,
        **headers,
    )
    errors = single.body.get("errors", [])
    of_members = [error for error in errors if len(error["path"]) > 2]
    of_items = [error for error in errors if error not in of_members]
    outcome = errors[0]["extensions"]["outcome"] if errors else "APPLIED"
    answered = single.body["data"][mutation]
    result = {
        "index": 0,
        "id": variables["id"],
        "outcome": outcome,
        "replayed": False,
        record: answered and answered[record],
    }
    counts = {"applied": 0, "notApplied": 0, "unknown": 0, "previewed": 0}
    counts[{"APPLIED": "applied", "NOT_APPLIED": "notApplied", "UNKNOWN": "unknown"}[outcome]] = 1
    expected = {
        "data": ({bulk: {"results": [result], **counts}}, many.body["data"]),
        "errors": (
            [(error["message"], {**error["extensions"], "requestId": other}) for error in errors],
            [(error["message"], error["extensions"]) for error in many.body.get("errors", [])],
        ),
        "places": (
            [[bulk, "results", 0, record, *error["path"][2:]] for error in errors],
            [error["path"] for error in many.body.get("errors", [])],
        ),
        "as data": (
            {bulk: {"results": [{**result, "userErrors": [told(error) for error in of_items]}], **counts}},
            data["data"],
        ),
        "not as data": (
            [error["extensions"] for error in of_members],
            [error["extensions"] for error in data.get("errors", [])],
        ),
        "line": (single.lines, many.lines[:-1]),
        "line of the request": (single.lines[0]["outcome"], many.lines[-1]["outcome"]),
        "counted": (single.counted, many.counted - of_the_field(bulk)),
        "entries": ([{**entry, "position": 0} for entry in entries], entries_of_bulk),
    }
    return {name: pair for name, pair in expected.items() if pair[0] != pair[1]}


def of_the_field(bulk: str) -> Counter[tuple[str, ...]]:
    """The field itself is an answer of its own."""
    return Counter({("gateway_operations_total", "OK", bulk, "OK"): 1})


async def compared(gateway: Served, api: Any, mutation: str, bulk: str, rows: list[Any]) -> dict[str, Any]:
    found = {}
    for row in rows:
        differs = await differences(gateway, mutation, bulk, example_of(api, mutation), x_simulate=row.reason)
        if differs:
            found[row.reason] = differs
    return found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("api", "mutation", "bulk"), PAIRS, ids=[bulk for *_, bulk in PAIRS])
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_every_row_is_the_single_updates(wired: dict[str, Served], wiring, api, mutation, bulk):
    """Half of the rows, each in one wiring; the longer proof has all of them in each."""
    rows = rows_of(api, mutation)
    assert rows
    place = WIRINGS.index(wiring)
    assert await compared(wired[wiring], api, mutation, bulk, rows[place::6]) == {}


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("api", "mutation", "bulk"), PAIRS, ids=[bulk for *_, bulk in PAIRS])
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_all_rows_in_all_wirings(wired: dict[str, Served], wiring, api, mutation, bulk):
    assert await compared(wired[wiring], api, mutation, bulk, rows_of(api, mutation)) == {}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("api", "mutation", "bulk"), PAIRS, ids=[bulk for *_, bulk in PAIRS])
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_what_succeeds_is_the_single_updates(wired: dict[str, Served], wiring, api, mutation, bulk):
    variables = example_of(api, mutation)
    # These are made anew with each update.
    members = {**variables, **{name: without(value) for name, value in variables.items() if isinstance(value, dict)}}
    await wired[wiring].post(operation(mutation, whole(record_type(mutation)[1])), members)  # what is read once is kept
    assert await differences(wired[wiring], mutation, bulk, members) == {}


def without(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name != "accessKeys"}


@pytest.mark.parametrize("fault", ["reset", "cut-off", "html-500", "204-with-body"])
async def test_what_no_row_says_is_the_single_updates(tmp_path, fault):
    """Lost connections, answers that nobody documents: what is unknown, and what a read-back shows."""
    api, mutation, bulk = PAIRS[0]
    with written() as stream:
        async with served("sandbox-over-socket", tmp_path, stream) as gateway:
            await gateway.post(operation(mutation, whole(record_type(mutation)[1])), example_of(api, mutation))
            found = await differences(gateway, mutation, bulk, example_of(api, mutation), x_simulate=fault)
    assert found == {}


async def test_a_member_that_cannot_be_read_is_told_as_of_the_single_update(tmp_path):
    backend = Backend()
    backend.record = {"externalId": {"of": "another type"}}
    with written() as stream:
        async with serving(backend.app) as url, served("", tmp_path, stream, url=url) as gateway:
            found = await differences(
                gateway,
                "updateCustomer",
                "updateCustomers",
                items(1)[0],
                "{ id name externalId company { companyId } }",
            )
            assert "ANSWER_UNREADABLE" in stream.getvalue()
    assert found == {}


async def test_what_was_not_begun_has_its_line_and_is_counted_but_has_no_entry(tmp_path):
    backend = Backend()
    backend.answer = refused(0)
    settings = {"GATEWAY_BULK_CONCURRENCY": "1"}
    with written() as stream:
        async with serving(backend.app) as url, served("", tmp_path, stream, settings, url=url) as gateway:
            left = await gateway.traced(UPDATE, {"items": items(1, 2, 3), "on": "STOP"}, "stopped")
            [entries] = await gateway.entries("stopped")
    told = [(line["field"], line.get("record"), line.get("reason"), line.get("outcome")) for line in left.lines]
    assert told == [
        ("updateCustomer", items(1)[0]["id"], "VAT_CODE_INVALID", "NOT_APPLIED"),
        ("updateCustomer", items(2)[0]["id"], "NOT_BEGUN", "NOT_APPLIED"),
        ("updateCustomer", items(3)[0]["id"], "NOT_BEGUN", "NOT_APPLIED"),
        ("updateCustomers", None, None, "NOT_APPLIED"),
    ]
    assert left.counted["gateway_operations_total", "BACKEND_UNAVAILABLE", "updateCustomer", "NOT_BEGUN"] == 2
    assert left.counted["gateway_operation_duration_seconds_count", "mutation"] == 1
    assert [(entry["position"], entry["reason"]) for entry in entries] == [(0, "VAT_CODE_INVALID")]
