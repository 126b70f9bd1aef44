"""Where a fault of an update is told: in the payload where that is selected, else in `errors`; never in both, never lost.

Every fault of the gateway's own x every way to select x both executions. The backends' rows are the contract suite's.
"""

from __future__ import annotations

import pytest

from app.apis import APIS
from app.call import CallContext
from app.errors import INTERNAL, LIST_TOO_LONG, OWN_ROWS, BackendDetails, GatewayError, GatewayErrors, Outcome
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.graphql.request_errors import CALLER_UNAUTHENTICATED, SCOPE_MISSING
from tests.harness import check_error, schema_of
from tests.test_contract import told

FAULT = """{ message code reason inputPath outcome retrySafe retryAfterSeconds readBack requestId
  backend { name status code message } }"""
CALL = 'updateCustomer(id: "c0000000-0000-4000-8000-000000000001", input: $input)'
HEAD = "mutation($input: UpdateCustomerInput!, $on: Boolean! = true, $off: Boolean! = false)"
FRAGMENT = f"fragment Faults on UpdateCustomerPayload {{ userErrors {FAULT} }}"
# The selections of the mutation, and for each response key where the faults are: under a name in the payload, or None.
WAYS = {
    "not at all": (f"r: {CALL} {{ customer {{ id }} replayed }}", {"r": None}),
    "plainly": (f"r: {CALL} {{ customer {{ id }} userErrors {FAULT} }}", {"r": "userErrors"}),
    "under an alias": (f"r: {CALL} {{ e: userErrors {FAULT} }}", {"r": "e"}),
    "in a fragment": (f"r: {CALL} {{ customer {{ id }} ...Faults }}", {"r": "userErrors"}),
    "in a fragment of fragments": (f"r: {CALL} {{ ... {{ ... on UpdateCustomerPayload {{ ...Faults }} }} }}", {"r": "userErrors"}),
    "included by a variable": (f"r: {CALL} {{ replayed userErrors @include(if: $on) {FAULT} }}", {"r": "userErrors"}),
    "excluded by a variable": (f"r: {CALL} {{ replayed userErrors @include(if: $off) {FAULT} }}", {"r": None}),
    "skipped by a variable": (f"r: {CALL} {{ replayed ...Faults @skip(if: $on) }}", {"r": None}),
    "in a skipped fragment that is included elsewhere": (
        f"r: {CALL} {{ ... @skip(if: $on) {{ ...Faults }} ...Faults @include(if: $on) }}", {"r": "userErrors"},
    ),
    "merged": (f"r: {CALL} {{ customer {{ id }} }} r: {CALL} {{ ...Faults }}", {"r": "userErrors"}),
    "merged with one that is skipped": (f"r: {CALL} {{ replayed }} r: {CALL} @skip(if: $on) {{ ...Faults }}", {"r": None}),
    "by one of two aliases": (f"a: {CALL} {{ customer {{ id }} }} b: {CALL} {{ ...Faults }}", {"a": None, "b": "userErrors"}),
    "in a fragment of the root": (f"... on Mutation {{ r: {CALL} {{ ...Faults }} }}", {"r": "userErrors"}),
}  # fmt: skip
# What the gateway has against its caller, and what it did not expect, are never data.
NEVER = [INTERNAL, SCOPE_MISSING, CALLER_UNAUTHENTICATED]
TWICE = GatewayErrors([GatewayError(row, backend=BackendDetails("basecone")) for row in OWN_ROWS[:2]])
FAULTS = {
    **{row.reason: GatewayError(row, backend=BackendDetails("basecone"), retry_after=2) for row in OWN_ROWS},
    **{row.reason: GatewayError(row, outcome=Outcome.NOT_APPLIED) for row in NEVER},
    "at a place": GatewayError(OWN_ROWS[0], input_path=("input", "bankAccounts", 1, "iban")),
    "several": TWICE,
    "one of them the caller's": GatewayErrors([*TWICE.errors, GatewayError(SCOPE_MISSING)]),
    "a surprise": ZeroDivisionError("a bug"),
}
ENGINES = {name: Engine(schema_of(tuple(APIS)), compiled=name == "compiled") for name in ("compiled", "graphql-core")}
INPUT = {"company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": "N"}


class Failing:
    """A backend whose every update raises the same."""

    clock_ahead = None

    def __init__(self, fault):
        self.fault, self.calls = fault, 0

    async def update(self, _request, *, call):  # noqa: ARG002 - the port's
        self.calls += 1
        if self.fault is None:
            return
        raise self.fault.changed() if isinstance(self.fault, GatewayError) else self.fault

    async def read(self, *_, call):  # noqa: ARG002 - the port's
        raise ZeroDivisionError("no read-back")


async def answered(engine, selections, fault, input_=INPUT, **caller):
    backend = Failing(fault)
    document = f"{HEAD} {{ {selections} }} {FRAGMENT if '...Faults' in selections else ''}"
    for name in ("on", "off"):
        if f"${name})" not in selections:
            default = {"on": ", $on: Boolean! = true", "off": ", $off: Boolean! = false"}[name]
            document = document.replace(default, "")
    context = Context(CallContext("request"), {"basecone": backend}, **caller)
    result = await ENGINES[engine].execute(GraphQLRequest(document, {"input": input_}), context)
    return result.body(), context, backend


def where_told(body, places):
    """By response key: the faults in `errors` as data has them, and those in the payload."""
    told_in = {}
    for key, name in places.items():
        errors = [error for error in body.get("errors", ()) if error["path"][0] == key]
        for error in errors:
            check_error(error)
        payload = (body.get("data") or {}).get(key)
        told_in[key] = ([told(error) for error in errors], payload[name] if payload and name else [])
    return told_in


@pytest.mark.parametrize("way", WAYS)
async def test_each_fault_is_told_where_it_is_wanted(way):
    selections, places = WAYS[way]
    for name, fault in FAULTS.items():
        of_caller = isinstance(fault, GatewayErrors) and len(fault.errors) > len(TWICE.errors)
        surprise = isinstance(fault, ZeroDivisionError) or of_caller or getattr(fault, "row", None) in NEVER
        bodies = []
        for engine in ENGINES:
            body, context, backend = await answered(engine, selections, fault)
            bodies.append(body)
            assert backend.calls == len(places), name
            plainly = where_told((await answered(engine, WAYS["not at all"][0], fault))[0], {"r": None})["r"][0]
            for key, (in_errors, in_payload) in where_told(body, places).items():
                expected = ([], plainly) if places[key] and not surprise else (plainly, [])
                assert (in_errors, in_payload) == expected, (name, engine)
                assert body["data"][key] is None or places[key]
            as_data = sum(1 for path, _ in context.errors_as_data if path.as_list()[0] in places)
            assert as_data == sum(len(one[1]) for one in where_told(body, places).values()), name
        assert bodies[0] == bodies[1], name


LONG = {
    "a list": ({**INPUT, "bankAccounts": [{"default": False}] * 201}, ["input", "bankAccounts"]),
    "a list of nulls": ({**INPUT, "bankAccounts": [None] * 201}, ["input", "bankAccounts"]),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_list_without_end_is_told_alike_and_nothing_is_called(way):
    selections, places = WAYS[way]
    for name, (input_, path) in LONG.items():
        bodies = []
        for engine in ENGINES:
            body, _, backend = await answered(engine, selections, None, input_)
            bodies.append(body)
            assert backend.calls == 0
            for key, told_in in where_told(body, places).items():
                [fault] = told_in[1] if places[key] else told_in[0]
                assert not (told_in[0] if places[key] else told_in[1])
                assert (fault["reason"], fault["outcome"], fault["inputPath"]) == (
                    LIST_TOO_LONG.reason,
                    "NOT_APPLIED",
                    path,
                ), name
        assert bodies[0] == bodies[1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scopes", [(), ("customers:read",)])
async def test_a_missing_scope_is_never_data(way, scopes):
    selections, places = WAYS[way]
    bodies = []
    for engine in ENGINES:
        body, _, backend = await answered(engine, selections, None, scopes=frozenset(scopes))
        bodies.append(body)
        assert backend.calls == 0
        for in_errors, in_payload in where_told(body, places).values():
            assert ([fault["reason"] for fault in in_errors], in_payload) == (["SCOPE_MISSING"], [])
    assert bodies[0] == bodies[1]


BULK = """mutation($items: [UpdateCustomerItem!]!) { r: updateCustomers(items: $items) {
  applied unknown results { outcome customer { externalId } userErrors { reason outcome retrySafe } } } }"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_surprise_while_an_applied_update_is_read_leaves_it_applied(engine):
    """The record's own error, at its place; never data, and never the update's failure."""
    for way in ("not at all", "plainly"):
        selections = WAYS[way][0].replace("customer { id }", "customer { externalId }")
        body, _, _ = await answered(engine, selections, None)
        [error] = body["errors"]
        check_error(error)
        shown = error["extensions"]
        assert (error["path"], shown["reason"], shown["outcome"]) == (["r", "customer"], "INTERNAL", "APPLIED")
        assert body["data"]["r"].get("userErrors", []) == []
    items = [{"id": "c0000000-0000-4000-8000-000000000001", "input": INPUT}]
    context = Context(CallContext("request"), {"basecone": Failing(None)})
    told_in = (await ENGINES[engine].execute(GraphQLRequest(BULK, {"items": items}), context)).body()["data"]["r"]
    fault = {"reason": "INTERNAL", "outcome": "APPLIED", "retrySafe": False}
    assert told_in == {
        "applied": 1,
        "unknown": 0,
        "results": [{"outcome": "APPLIED", "customer": None, "userErrors": [fault]}],
    }
