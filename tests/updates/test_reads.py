"""A read that is refused for several reasons: each is told, where a reader can see it, and none says more than it knows."""

from __future__ import annotations

import pytest

from app.apis import APIS
from app.apis.bokamera.errors import FIELD_EMAIL_INVALID, FIELD_EMPTY
from app.call import CallContext
from app.errors import GatewayErrors, refusal
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from tests.harness import check_error, schema_of

BOOKING = "b0000000-0000-4000-8000-000000000001"
UPDATE = 'mutation($d: Boolean = false, $e: String) { r: updateBookingCustomer(id: $id, input: {phone: "1"}, dryRun: $d, expectedRevision: $e)'
ASKED = {
    "a query": ("query { r: bookingCustomer(id: $id) { id } }", {}, ["id"], None),
    "an entity": ('query { r: _entities(representations: [{__typename: "BookingCustomer", id: $id}]) { __typename } }', {}, ["representations", 0, "id"], None),
    "a list": ("query { r: bookingCustomers { nodes { id } } }", {}, None, None),
    "the read of an applied update": (f"{UPDATE} {{ bookingCustomer {{ revision }} }} }}", {}, ["id"], "APPLIED"),
    "the read before an update": (f"{UPDATE} {{ bookingCustomer {{ id }} }} }}", {"e": "v1:0"}, ["id"], "NOT_APPLIED"),
    "a dry run": (f"{UPDATE} {{ preview {{ changes {{ path }} }} }} }}", {"d": True}, ["id"], "NOT_APPLIED"),
}  # fmt: skip


class Refusing:
    """Updates are applied, reads refused for two reasons."""

    clock_ahead = None

    async def update(self, request, *, call):  # noqa: ARG002 - the port's
        return {"Id": request.id, "Phone": "1"}

    async def previewed(self, request, *, call):  # noqa: ARG002 - the port's
        return type("Sent", (), {"method": "PUT", "path": "/", "query": (), "body": b"{}"})

    async def read(self, *_, call):  # noqa: ARG002 - the port's
        raise GatewayErrors([refusal(FIELD_EMPTY, input_path=("input", "phone")), refusal(FIELD_EMAIL_INVALID)])

    page = read


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "graphql-core"])
@pytest.mark.parametrize("asked", ASKED)
async def test_each_reason_has_the_readers_place_and_the_updates_outcome(asked, compiled):
    document, variables, place, outcome = ASKED[asked]
    context = Context(CallContext("request"), {"bokamera": Refusing()}, trusted_router=True)
    run = GraphQLRequest(document.replace("$id", f'"{BOOKING}"'), variables)
    body = (await Engine(schema_of(tuple(APIS)), compiled=compiled).execute(run, context)).body()
    first, second = body["errors"]
    for error in (first, second):
        check_error(error)
        assert error["extensions"].get("outcome") == outcome
    assert first["extensions"].get("input", {}).get("path") == place
    assert [error["extensions"]["reason"] for error in (first, second)] == ["FIELD_EMPTY", "FIELD_EMAIL_INVALID"]
