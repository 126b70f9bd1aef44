"""A member of an answer that has another type than documented loses nothing but itself: every member of every record."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from app.apis import APIS
from app.apis.basecone.examples import CUSTOMER_ID, SUPPLIER_ID
from app.apis.basecone.seed import COMPANY_A
from app.apis.basecone.types import Customer, Supplier
from app.apis.bokamera.examples import CUSTOMER_ID as BOOKING_CUSTOMER_ID
from app.apis.bokamera.types import BookingCustomer
from app.bootstrap import Backends
from app.call import CallContext
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.mapping.members import Member, attributes_of, members
from app.mapping.scalars import UUID, DateTime, Decimal, StringMap
from tests.harness import _rest_settings, check_error, schema_of, serving

CREDENTIALS = {"bokamera": {"authorization": "Bearer token", "x-api-key": "key"}}
GOOD: dict[Any, Any] = {
    str: "text",
    int: 7,
    bool: True,
    UUID: "a0000000-0000-4000-8000-0000000000aa",
    Decimal: 2.5,
    DateTime: "2026-01-15T10:00:00Z",
    StringMap: {"key": "value"},
}
ODD: dict[Any, list[Any]] = {
    str: [True, [], {}, ["text"]],
    int: [12.5, "", "x", True, {}, 2**31, [7]],
    bool: ["", "yes", 1, {}, [True]],
    UUID: ["", "x", 7, True, {}],
    Decimal: ["", "2,5", True, {}, [2.5]],
    DateTime: ["", "Thu, 26 Nov 2026 13:00:00 GMT", 5, True, {}],
    StringMap: ["", [], 5, {"key": {}}, {"key": True}],
    None: ["", [], 5, True, [{}]],
}
ODD_LISTS = ["", {}, 5, True, "text"]
ODD_ITEMS = [None, 5, [], ""]


@dataclass
class Kind:
    """A record, and the fields that answer it."""

    cls: type
    id: str
    route: str
    query: str
    update: str
    input: dict[str, Any]
    payload: str
    vendor: str

    def sample(self) -> dict[str, Any]:
        record = sample(self.cls)
        record[id_name(self.cls)] = self.id
        return record


_BASECONE_INPUT = {"company": {"companyId": COMPANY_A}, "name": "N"}
KINDS = [
    Kind(Customer, CUSTOMER_ID, "/v1/customers", "customer", "updateCustomer", _BASECONE_INPUT, "customer", "basecone"),
    Kind(Supplier, SUPPLIER_ID, "/v1/suppliers", "supplier", "updateSupplier", _BASECONE_INPUT, "supplier", "basecone"),
    Kind(
        BookingCustomer,
        BOOKING_CUSTOMER_ID,
        "/customers",
        "bookingCustomer",
        "updateBookingCustomer",
        {"firstname": "text"},
        "bookingCustomer",
        "bokamera",
    ),
]


def id_name(cls: type) -> str:
    return next(member.name for member in members(cls) if member.attribute == "id")


def sample(cls: type) -> dict[str, Any]:
    return {member.name: value_of(member) for member in members(cls)}


def value_of(member: Member) -> Any:
    values = [copy.deepcopy(GOOD[member.scalar]) if member.nested is None else sample(member.nested) for _ in range(2)]
    return values if member.is_list else values[0]


def selection(cls: type) -> str:
    by_attribute = {member.attribute: member for member in members(cls)}
    parts = []
    for name, attribute in attributes_of(cls).items():
        nested = by_attribute[attribute].nested
        if not attribute.startswith("known_") or name == "code":
            parts.append(name if nested is None else f"{name} {{ {selection(nested)} }}")
    return " ".join(parts)


@dataclass
class Case:
    """`json` is the place of the odd value in the answer, `nulled` what GraphQL makes null, `path` where its error is."""

    json: tuple[Any, ...]
    value: Any
    nulled: tuple[Any, ...]
    path: tuple[Any, ...]


def cases(
    cls: type, json_path: tuple[Any, ...] = (), path: tuple[Any, ...] = (), nullable: tuple[Any, ...] = ()
) -> Iterator[Case]:
    """`nullable` is the nearest place above that may be null: a required member nulls that."""
    fields = {attribute: name for name, attribute in attributes_of(cls).items()}
    for attribute, name in list(fields.items()):
        if attribute.startswith("known_") and name != "code":
            del fields[attribute]
    for member in members(cls):
        if member.attribute == "id" and not path:
            continue  # who the record is: below
        here, shown = (*json_path, member.name), (*path, fields.get(member.attribute, "code"))
        nulled = nullable if member.required else shown
        odd = ODD_LISTS if member.is_list else ODD[member.scalar]
        odd = [*odd, None] if member.required else odd
        for value in odd:
            if value != "" or not member.code_as_text:
                yield Case(here, value, nulled, shown)
        if member.is_list:
            for value in ODD_ITEMS:
                yield Case((*here, 1), value, nulled, (*shown, 1))
        if member.nested is not None:
            item = (0,) if member.is_list else ()
            yield from cases(member.nested, (*here, *item), (*shown, *item), nulled)


def put_at(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(data)
    at = data
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return data


@dataclass
class Vendor:
    """Answers every read, and BokaMera's updates, with one record."""

    record: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None

    def app(self) -> Starlette:
        async def answer(request: HttpRequest) -> Response:
            if request.method == "PUT" and request.url.path.startswith("/v1"):
                return Response(status_code=204)
            text = self.raw if self.raw is not None else json.dumps(self.record)
            if request.method == "GET" and not request.url.path.startswith("/v1"):
                text = f'{{"Results":[{text}]}}'
            return Response(text, media_type="application/json")

        return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "PUT"])])


@dataclass
class Asked:
    vendor: Vendor
    backends: Backends
    engines: dict[bool, Engine]

    async def ask(self, kind: Kind, fields: str, *, compiled: bool, update: bool) -> dict[str, Any]:
        """The whole answer, `data` being the record."""
        if update:
            query = f"mutation($id: UUID!, $input: {kind.update[0].upper()}{kind.update[1:]}Input!) {{ "
            query += f"{kind.update}(id: $id, input: $input) {{ {kind.payload} {{ {fields} }} }} }}"
            variables = {"id": kind.id, "input": kind.input}
        else:
            query = f"query($id: UUID!) {{ {kind.query}(id: $id) {{ {fields} }} }}"
            variables = {"id": kind.id}
        result = await self.engines[compiled].execute(
            GraphQLRequest(query, variables), Context(CallContext("r", CREDENTIALS), self.backends.by_name)
        )
        body = result.body()
        for error in body.get("errors", ()):
            check_error(error)
        data = body["data"][kind.update if update else kind.query]
        return {"record": data[kind.payload] if update and data is not None else data, "errors": body.get("errors", [])}


@contextlib.asynccontextmanager
async def asking() -> AsyncIterator[Asked]:
    vendor = Vendor()
    async with serving(vendor.app()) as url:
        backends = Backends(_rest_settings(APIS, url, {}), APIS)
        await backends.open()
        try:
            yield Asked(
                vendor, backends, {compiled: Engine(schema_of(APIS), compiled=compiled) for compiled in (True, False)}
            )
        finally:
            await backends.aclose()


def described(error: dict[str, Any], start: int) -> Any:
    extensions = error["extensions"]
    return (
        tuple(error["path"][start:]),
        extensions["code"],
        extensions["reason"],
        extensions["backend"],
        extensions.get("outcome"),
    )


@pytest.mark.parametrize("step", [pytest.param(1, id="all", marks=pytest.mark.slow), pytest.param(3, id="some")])
@pytest.mark.parametrize("update", [False, True], ids=["query", "update"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.query)
async def test_an_odd_member_is_null_with_an_error_where_it_is_selected_and_ignored_elsewhere(
    kind: Kind, update: bool, step: int
):
    """A member has more than three odd values, so that every third case still has every member."""
    everything = selection(kind.cls)
    executors = (True,) if update else (True, False)
    wrong = []
    async with asking() as asked:
        asked.vendor.record = kind.sample()
        good = await asked.ask(kind, everything, compiled=True, update=update)
        assert good["errors"] == []
        table = list(cases(kind.cls))[::step]
        for case in table:
            asked.vendor.record = put_at(kind.sample(), case.json, case.value)
            other = await asked.ask(kind, "id", compiled=True, update=update)
            answers = [await asked.ask(kind, everything, compiled=compiled, update=update) for compiled in executors]
            expected = put_at(good["record"], case.nulled, None)
            error = (
                case.path,
                "BACKEND_ERROR",
                "ANSWER_UNREADABLE",
                {"name": kind.vendor, "status": 200},
                "APPLIED" if update else None,
            )
            shown = [
                (answer["record"], [described(item, 2 if update else 1) for item in answer["errors"]])
                for answer in answers
            ]
            if shown != [(expected, [error])] * len(answers) or answers[0] != answers[-1]:
                wrong.append((case, shown))
            if other != {"record": {"id": kind.id}, "errors": []}:
                wrong.append((case, other))
    assert len(table) > 100 // step
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.query)
async def test_a_member_in_two_casings_is_unreadable_and_two_ids_are_no_record(kind: Kind):
    name = next(member.name for member in members(kind.cls) if member.attribute in {"name", "firstname"})
    async with asking() as asked:
        for pair in ((name.upper(), name.title()), (name, name.upper()), (name.upper(), name)):
            record = {key: value for key, value in kind.sample().items() if key != name}
            asked.vendor.record = {**record, pair[0]: "one", pair[1]: "other"}
            answer = await asked.ask(kind, f"id {name}", compiled=True, update=False)
            assert answer["record"] == {"id": kind.id, name: None}
            assert [error["path"] for error in answer["errors"]] == [[kind.query, name]]
        own = id_name(kind.cls)
        for value in ("a0000000-0000-4000-8000-0000000000bb", kind.id):
            asked.vendor.record = {**kind.sample(), own.upper(): value}
            for update in (False, True):
                answer = await asked.ask(
                    kind, "id email" if not update else selection(kind.cls), compiled=True, update=update
                )
                assert answer["record"] is None
                assert [error["extensions"]["reason"] for error in answer["errors"]] == ["ANSWER_UNREADABLE"]


@pytest.mark.parametrize("value", ["a0000000-0000-4000-8000-0000000000bb", "x", True, 7, {}])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.query)
async def test_another_record_is_not_the_asked_one(kind: Kind, value: Any):
    async with asking() as asked:
        asked.vendor.record = {**kind.sample(), id_name(kind.cls): value}
        answer = await asked.ask(kind, "id email", compiled=True, update=False)
        assert answer["record"] is None
        assert [error["extensions"]["reason"] for error in answer["errors"]] == ["ANSWER_UNREADABLE"]


@pytest.mark.parametrize("digits", ["1e400", "1e9999999999999999999999", "-1E+101", "1e-400"])
async def test_a_number_out_of_range_is_one_unreadable_member(digits: str):
    kind = KINDS[1]
    async with asking() as asked:
        asked.vendor.raw = json.dumps(put_at(kind.sample(), ("paymentDiscount", "discountPercentage"), "?")).replace(
            '"?"', digits
        )
        answer = await asked.ask(kind, "name paymentDiscount { discountPercentage }", compiled=True, update=False)
    assert answer["record"] == {"name": "text", "paymentDiscount": {"discountPercentage": None}}
    assert [error["extensions"]["reason"] for error in answer["errors"]] == ["ANSWER_UNREADABLE"]
