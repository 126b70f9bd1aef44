"""The schema as a subgraph: three composers take it, and a real federated gateway passes everything on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.apis import APIS
from app.edge.playground.operations import prepared
from tests.external.tools import HERE, SCHEMA, Tools, serving

pytestmark = pytest.mark.external

OTHER = HERE / "orders.graphql"
PREPARED = prepared(APIS)
# What Apollo's gateway adds of its own to an error of a subgraph.
ADDED = {"serviceName"}
ENTITIES = """{
  orders {
    number
    customer { id name vatCode { code } openOrders }
    supplier { name }
    bookingCustomer { firstname accessKeys { value } }
  }
}"""
BOTH_WAYS = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input) { customer { name openOrders } }
}"""


def through_router(
    tools: Tools, url: str, requests: Sequence[Mapping[str, Any]], secret: str = ""
) -> list[dict[str, Any]]:
    file = tools.folder / "requests.json"
    file.write_text(json.dumps(requests))
    return tools.node("federation.mjs", url, str(SCHEMA), str(OTHER), str(file), env={"ROUTER_SECRET": secret})


def test_three_composers_take_the_schema(tools: Tools) -> None:
    said = tools.node("compose.mjs", str(SCHEMA), str(OTHER))
    mutations = [mutation for api in APIS for mutation in api.mutations]
    expected = {"errors": [], "mutations": mutations}
    assert said == dict.fromkeys(("apollo", "theguild", "wundergraph"), expected)


def request_of(operation: Any) -> dict[str, Any]:
    tab = operation.as_json()
    headers = json.loads(tab["headers"] or "{}") | {"x-request-id": "federation-check"}
    return {"query": tab["query"], "variables": json.loads(tab["variables"]), "headers": headers}


@pytest.mark.parametrize("settings", [{}, {"http_statuses": "2026-09"}], ids=["default statuses", "2026-09"])
def test_answers_and_errors_arrive_as_they_are_given(tools: Tools, tmp_path: Path, settings: dict[str, str]) -> None:
    """The same operations, once through the router and once without it. Times and new ids differ, and nothing else."""
    requests = [request_of(operation) for operation in PREPARED]
    with serving(tmp_path, **settings) as gateway:

        def direct_answers() -> list[dict[str, Any]]:
            return [
                httpx.post(
                    gateway,
                    json={name: request[name] for name in ("query", "variables")},
                    headers=request["headers"],
                ).json()
                for request in requests
            ]

        direct_answers()  # so that what the updates change is changed before either of the two is compared
        answers = through_router(tools, gateway, requests)
        unrouted = direct_answers()
    for operation, routed, direct in zip(PREPARED, answers, unrouted, strict=True):
        assert _errors(routed) == _errors(direct), operation.title
        assert _stable(routed["data"]) == _stable(direct["data"]), operation.title
        assert bool(direct.get("errors")) == (operation.reason is not None)


def test_entities_work_through_the_router(tools: Tools, gateway: str) -> None:
    update = next(operation for operation in PREPARED if " updateCustomer(" in operation.query)
    entities, both = through_router(
        tools, gateway, [{"query": ENTITIES}, {"query": BOTH_WAYS, "variables": dict(update.variables)}]
    )
    expected = {
        "customer": {
            "id": "c0000000-0000-4000-8000-000000000001",
            "name": "Anna Bakery",
            "vatCode": {"code": "NL21"},
            "openOrders": 2,
        },
        "supplier": {"name": "Anna Bakery"},
        "bookingCustomer": {"firstname": "Anna", "accessKeys": [{"value": "1001"}]},
    }
    assert entities == {"data": {"orders": [{"number": number, **expected} for number in (1, 2)]}}
    name = update.variables["input"]["name"]
    assert both == {"data": {"updateCustomer": {"customer": {"name": name, "openOrders": 2}}}}


@pytest.mark.parametrize(("sent", "reached"), [("the secret", True), ("another", False), ("", False)])
def test_router_brings_its_secret(tools: Tools, tmp_path: Path, sent: str, reached: bool) -> None:
    with serving(tmp_path, router_secret="the secret") as url:
        (answer,) = through_router(tools, url, [{"query": ENTITIES}], sent)
    assert reached == ("errors" not in answer)
    if not reached:
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"UNAUTHENTICATED"}


def _errors(answer: Mapping[str, Any]) -> list[Any]:
    """Errors without what the router adds, and without places in the document: it writes documents of its own."""
    return [
        {
            "message": error["message"],
            "path": error.get("path"),
            "extensions": {name: value for name, value in error["extensions"].items() if name not in ADDED},
        }
        for error in answer.get("errors", ())
    ]


def _stable(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _stable(value) for name, value in data.items() if name not in {"updated", "accessKeys"}}
    return [_stable(item) for item in data] if isinstance(data, list) else data
