"""A read that is refused for several reasons: each is told, where a reader can see it, and none says more than it knows."""

from __future__ import annotations

import pytest

from app.apis import APIS
from app.apis.bokamera.errors import FIELD_EMAIL_INVALID, FIELD_EMPTY
from app.call import CallContext
from app.errors import GatewayErrors, refusal
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.json_codec import decode_json
from tests.harness import check_error, schema_of

SUPPLIER = "50000000-0000-4000-8000-000000000001"
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


class Answering(Refusing):
    """Reads answer `record`; one that is an exception is raised."""

    def __init__(self, record):
        self.record, self.updates = record, 0

    async def update(self, request, *, call):
        self.updates += 1
        return await super().update(request, call=call)

    async def read(self, *_, call):  # noqa: ARG002 - the port's
        if isinstance(self.record, Exception):
            raise self.record
        return self.record


async def asked(backend, document, api="bokamera"):
    context = Context(CallContext("request"), {api: backend})
    body = (await Engine(schema_of(tuple(APIS))).execute(GraphQLRequest(document), context)).body()
    for error in body.get("errors", ()):
        check_error(error)
    return body


async def revision_of(updated):
    """The revision, after the way of an update that expects another one."""
    backend = Answering({"Id": BOOKING, "Firstname": "Anna", "Updated": updated})
    change = f'mutation {{ r: updateBookingCustomer(id: "{BOOKING}", input: {{phone: "1"}}, expectedRevision: "v1:0") {{ replayed }} }}'
    (refused,) = (await asked(backend, change))["errors"]
    assert (refused["extensions"]["reason"], backend.updates) == ("REVISION_MISMATCH", 0)
    read = await asked(backend, f'{{ bookingCustomer(id: "{BOOKING}") {{ updated revision }} }}')
    assert read["data"]["bookingCustomer"]["revision"] == refused["extensions"]["currentRevision"]
    return read["data"]["bookingCustomer"]["revision"]


MOMENTS = {
    "the least, as it is": ("0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "/Date(-62135596800000)/"),
    "the least east of Greenwich": ("0001-01-01T00:00:00+01:00", "0001-01-01T00:30:00+01:30"),
    "further east": ("0001-01-01T00:00:00+14:00",),
    "the last": ("9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.999999Z"),
    "the last west of Greenwich": ("9999-12-31T23:59:59-01:00", "9999-12-31T23:29:59-01:30"),
    "further west": ("9999-12-31T23:59:59-12:00",),
    "any": ("2026-01-15T10:00:00Z", "2026-01-15T11:00:00+01:00"),
}


async def test_every_moment_that_a_record_may_have_has_a_revision():
    """One moment has one revision, also where its year is not one of UTC's."""
    revisions = [{await revision_of(text) for text in texts} for texts in MOMENTS.values()]
    assert [len(one) for one in revisions] == [1] * len(MOMENTS)
    assert len(set.union(*revisions)) == len(MOMENTS)


async def test_every_digit_of_a_number_counts_for_a_revision():
    numbers = ("1.00000000000000000000000000001", "1.00000000000000000000000000002", "1", "10", "0", "1e-30")
    equal = ("1.000000000000000000000000000010", "1.000000000000000000000000000020", "1.0", "1e1", "-0.00", "1.0e-30")
    revisions = {}
    for text in (*numbers, *equal):
        record = {
            "supplierId": SUPPLIER,
            "name": "A",
            "paymentDiscount": {"discountPercentage": decode_json(text.encode())},
        }
        read = await asked(Answering(record), f'{{ supplier(id: "{SUPPLIER}") {{ revision }} }}', "basecone")
        revisions[text] = read["data"]["supplier"]["revision"]
    assert len(set(revisions.values())) == len(numbers)
    assert [revisions[text] for text in numbers] == [revisions[text] for text in equal]


@pytest.mark.parametrize("change", ["updateBookingCustomer", "patchSupplier"])
async def test_a_surprise_before_an_update_was_sent_changed_nothing(change):
    values = 'input: {phone: "1"}, expectedRevision: "v1:0"' if change != "patchSupplier" else 'patch: {phone: "1"}'
    backend = Answering(RuntimeError("nobody expects it"))
    api = "basecone" if change == "patchSupplier" else "bokamera"
    answer = await asked(backend, f'mutation {{ r: {change}(id: "{BOOKING}", {values}) {{ replayed }} }}', api)
    extensions = answer["errors"][0]["extensions"]
    assert (extensions["reason"], extensions["outcome"], backend.updates) == ("INTERNAL", "NOT_APPLIED", 0)
