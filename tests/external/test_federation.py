"""The schema as a subgraph: three composers take it, and two real federated gateways pass everything on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.apis import APIS
from app.edge.playground import as_json, prepared
from tests.external.tools import HERE, SCHEMA, Tools, serving, snippet

pytestmark = pytest.mark.external

OTHER = HERE / "orders.graphql"
PREPARED = prepared(APIS)
ROUTERS = ("apollo", "hive")
COMPOSERS = ("apollo", "theguild", "wundergraph")
MUTATIONS = [mutation for api in APIS for mutation in api.mutations]
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
    tools: Tools, router: str, url: str, requests: Sequence[Mapping[str, Any]], secret: str = ""
) -> list[dict[str, Any]]:
    file = tools.folder / "requests.json"
    file.write_text(json.dumps(requests))
    return tools.node("federation.mjs", router, url, str(SCHEMA), str(OTHER), str(file), env={"ROUTER_SECRET": secret})


def test_three_composers_take_the_schema(tools: Tools) -> None:
    said = tools.node("compose.mjs", str(SCHEMA), str(OTHER), *MUTATIONS)
    expected = {"errors": [], "mutations": MUTATIONS}
    assert said == dict.fromkeys(COMPOSERS, expected)


def test_the_documented_stub_of_an_entity_composes_and_one_with_an_id_does_not(tools: Tools) -> None:
    listed = tools.folder / "supergraph.yaml"
    listed.write_text(snippet("router: supergraph.yaml"))
    subgraphs = tools.node("yaml.mjs", str(listed))["subgraphs"]
    stub = tools.folder / Path(subgraphs["orders"]["schema"]["file"]).name
    assert subgraphs["updates"]["schema"]["file"] == f"./{SCHEMA.name}"
    stub.write_text(snippet("router: stub"))
    said = tools.node("compose.mjs", str(SCHEMA), str(stub), *MUTATIONS)
    assert said == {key: {"errors": [], "mutations": MUTATIONS} for key in COMPOSERS}
    stub.write_text(snippet("router: stub").replace("id: UUID!", "id: ID!"))
    said = tools.node("compose.mjs", str(SCHEMA), str(stub), *MUTATIONS)
    assert all(any("Customer.id" in error for error in said[composer]["errors"]) for composer in COMPOSERS)


def request_of(operation: Any) -> dict[str, Any]:
    tab = as_json(operation)
    headers = json.loads(tab["headers"] or "{}") | {"x-request-id": "federation-check"}
    return {"query": tab["query"], "variables": json.loads(tab["variables"]), "headers": headers}


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("settings", [{}, {"http_statuses": "2026-09"}], ids=["default statuses", "2026-09"])
def test_answers_and_errors_arrive_as_they_are_given(
    tools: Tools, tmp_path: Path, settings: dict[str, str], router: str
) -> None:
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
        answers = through_router(tools, router, gateway, requests)
        unrouted = direct_answers()
    for operation, routed, direct in zip(PREPARED, answers, unrouted, strict=True):
        assert _errors(routed) == _errors(direct), operation.title
        assert _stable(routed["data"]) == _stable(direct["data"]), operation.title
        assert bool(direct.get("errors")) == (operation.reason is not None)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("settings", [{}, {"http_statuses": "2026-09"}], ids=["default statuses", "2026-09"])
def test_what_a_router_makes_of_a_request_that_is_never_executed(
    tools: Tools, tmp_path: Path, settings: dict[str, str], router: str
) -> None:
    """As the table of clients.md says."""
    never = {"query": AS_DATA, "variables": {"id": "no", "patch": {}}}
    with serving(tmp_path, **settings) as gateway:
        (answer,) = through_router(tools, router, gateway, [never])
    (error,) = answer["errors"]
    hidden = bool(settings) and router == "apollo"
    assert error["extensions"]["code"] == ("INTERNAL_SERVER_ERROR" if hidden else "BAD_USER_INPUT")
    ours = error["extensions"]["response"]["body"]["errors"][0] if hidden else error
    assert ours["extensions"]["reason"] == "VARIABLE_INVALID"
    assert answer["data"] == {"patchSupplier": None}


@pytest.mark.parametrize("router", ROUTERS)
def test_entities_work_through_the_router(tools: Tools, gateway: str, router: str) -> None:
    update = next(operation for operation in PREPARED if " updateCustomer(" in operation.operation)
    entities, both = through_router(
        tools, router, gateway, [{"query": ENTITIES}, {"query": BOTH_WAYS, "variables": dict(update.variables)}]
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
        (answer,) = through_router(tools, "apollo", url, [{"query": ENTITIES}], sent)
    assert reached == ("errors" not in answer)
    if not reached:
        assert {error["extensions"]["code"] for error in answer["errors"]} == {"UNAUTHENTICATED"}


AS_DATA = """mutation($id: UUID!, $patch: SupplierPatch!) {
  patchSupplier(id: $id, patch: $patch) {
    supplier { name }
    userErrors { message code reason inputPath outcome retrySafe backend { name status code } requestId }
    replayed
  }
}"""
AS_ERRORS = AS_DATA.replace(AS_DATA[AS_DATA.index("userErrors") : AS_DATA.index("replayed")], "")


def test_faults_selected_as_data_arrive_where_errors_are_redacted(tools: Tools, gateway: str) -> None:
    """And an idempotency key that the router passes on is the same key here."""
    headers = {"x-request-id": "federation-check"}
    supplier = "50000000-0000-4000-8000-000000000001"
    wrong = {"variables": {"id": supplier, "patch": {"vatCode": {"code": "NL99"}}}, "headers": headers}
    right = {
        "query": AS_DATA,
        "variables": {"id": supplier, "patch": {"email": "orders@example.com"}},
        "headers": headers | {"idempotency-key": "order-4711"},
    }
    requests = [{"query": AS_DATA, **wrong}, {"query": AS_ERRORS, **wrong}, right, right]
    as_data, as_errors, once, again = through_router(tools, "redacting", gateway, requests)
    fault = {
        "message": "The VatCode value provided is invalid.",
        "code": "BAD_USER_INPUT",
        "reason": "VAT_CODE_INVALID",
        "inputPath": ["patch", "vatCode", "code"],
        "outcome": "NOT_APPLIED",
        "retrySafe": False,
        "backend": {"name": "basecone", "status": 400, "code": "invalid_request_payload"},
        "requestId": "federation-check",
    }
    assert as_data == {"data": {"patchSupplier": {"supplier": None, "userErrors": [fault], "replayed": False}}}
    assert as_errors["data"] == {"patchSupplier": None}
    assert as_errors["errors"] == [{"message": "Subgraph errors redacted", "path": ["patchSupplier"]}]
    replays = [answer["data"]["patchSupplier"]["replayed"] for answer in (once, again)]
    assert replays == [False, True]


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
