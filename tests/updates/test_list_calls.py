"""What a list costs, what its records' further members cost, and lists as vendors may answer them."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from app.apis import APIS
from app.bootstrap import Backends
from app.call import CallContext
from app.config import parse_settings
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from tests.harness import check_error, gateway, schema_of
from tests.patience import given_time
from tests.updates.test_lists import A, operation

NAMES = "customers(companyId: $companyId, first: 40) { nodes { id code name } }"
CODES = "customers(companyId: $companyId, first: 40) { nodes { id code name vatCode { code } } }"
QUERY = "query($companyId: UUID!) { "


class Vendor(httpx.AsyncBaseTransport):
    """Answers by path; counts the calls, and how many were under way at a time."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []
        self.running = 0
        self.most = 0
        self.hangs = lambda _request: None

    async def handle_async_request(self, request):
        self.requests.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        for _ in range(5):  # others get their turn
            await asyncio.sleep(0)
        if (waiting := self.hangs(request)) is not None:
            await waiting
        self.running -= 1
        found = self.answers(request)
        status, body = found if isinstance(found, tuple) else (200, found)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content)

    def paths(self):
        return [request.url.path for request in self.requests]


@asynccontextmanager
async def asking(answers, extra=()):
    """A gateway in REST mode before vendors that a function answers for; gives a function that asks it."""
    vendor = Vendor(answers)
    settings = parse_settings(
        APIS,
        {
            "GATEWAY_BASECONE_MODE": "rest",
            "GATEWAY_BASECONE_URL": "http://127.0.0.1:9/v1",
            "GATEWAY_BASECONE_CLIENT_IDENTIFIER": A,
            "GATEWAY_BASECONE_API_ACCESS_KEY": A,
            "GATEWAY_BOKAMERA_MODE": "rest",
            "GATEWAY_BOKAMERA_URL": "http://127.0.0.1:9",
            "GATEWAY_BOKAMERA_API_KEY": A,
            **dict(extra),
        },
    )
    backends = Backends(settings, APIS, {api.name: vendor for api in APIS})
    await backends.open()
    engine = Engine(schema_of(tuple(APIS)))

    async def ask(query, variables=None, seconds=60):
        deadline = asyncio.get_running_loop().time() + seconds
        call = CallContext("test-request", {"bokamera": {"authorization": "Bearer someone", "x-api-key": A}}, deadline)
        result = await engine.execute(GraphQLRequest(query, variables or {}), Context(call, backends.by_name))
        body = result.body()
        for error in body.get("errors", ()):
            check_error(error)
        return body

    try:
        yield ask, vendor
    finally:
        await backends.aclose()


def identifier(number):
    return f"c0000000-0000-4000-8000-{number:012}"


def listed(count, **more):
    """Basecone's answer, a page of `count` customers."""

    def answers(request):
        if request.url.path == "/v1/customers":
            offset, limit = int(request.url.params["offset"]), int(request.url.params["limit"])
            items = [
                {"customersId" if number % 2 else "customerId": identifier(number), "code": f"C{number}", "name": "n"}
                for number in range(offset, min(count, offset + limit))
            ]
            return {"customers": items, "_links": [], "_metadata": {"total": count, "count": len(items)}}
        number = int(request.url.path[-12:])
        override = more.get(f"of_{number}")
        if override is not None:
            return override
        return {
            "customerId": identifier(number),
            "code": "read",
            "name": "read",
            "company": {},
            "vatCode": f"V{number}",
        }

    return answers


async def test_members_of_the_list_cost_one_call():
    async with asking(listed(200)) as (ask, vendor):
        body = await ask(QUERY + NAMES + "}", {"companyId": A})
        assert [node["id"] for node in body["data"]["customers"]["nodes"]] == [identifier(n) for n in range(40)]
        [request] = vendor.requests
        assert dict(request.url.params) == {"companyid": A, "sort": "name", "offset": "0", "limit": "40"}
        await ask(QUERY + NAMES.replace("id code name", "__typename") + "}", {"companyId": A})
        assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    "below", ["nodes { %s }", "edges { node { ...on Customer { %s } } }", "nodes { id } edges { node { %s } }"]
)
async def test_further_members_cost_one_read_for_each_record(below):
    query = f"{QUERY} customers(companyId: $companyId, first: 40) {{ {below % 'id code vatCode { code }'} }} }}"
    async with asking(listed(200)) as (ask, vendor):
        body = await ask(query, {"companyId": A})
        assert "errors" not in body
        assert vendor.paths() == ["/v1/customers", *(f"/v1/customers/{identifier(number)}" for number in range(40))]
        assert vendor.most == 8
        page = body["data"]["customers"]
        records = [edge["node"] for edge in page["edges"]] if "edges" in page else page["nodes"]
        # All members of a node come from its read, in the order of the list.
        assert records == [
            {"id": identifier(number), "code": "read", "vatCode": {"code": f"V{number}"}} for number in range(40)
        ]


async def test_what_is_skipped_costs_nothing():
    query = "query($companyId: UUID!, $all: Boolean!) { customers(companyId: $companyId) { nodes { id vatCode @include(if: $all) { code } } } }"
    async with asking(listed(3)) as (ask, vendor):
        for all_members, calls in ((False, 1), (True, 4)):
            vendor.requests.clear()
            await ask(query, {"companyId": A, "all": all_members})
            assert len(vendor.requests) == calls


async def test_eight_reads_of_all_lists_of_a_request_run_at_a_time():
    async with asking(listed(30)) as (ask, vendor):
        await ask(f"{QUERY} a: {CODES} b: {CODES.replace('40', '30')} }}", {"companyId": A})
        assert (len(vendor.requests), vendor.most) == (62, 8)


MISSING = (404, {"code": "resource_not_found", "message": "No."})
BROKEN = {
    "documented 404": (MISSING, "RESOURCE_NOT_FOUND"),
    "another 404": ((404, b"<html>nothing</html>"), "RESOURCE_NOT_FOUND"),
    "500": ((500, {"message": "An error"}), "BACKEND_FAILED"),
    "403": ((403, {"code": "unauthorized", "message": "User does not have access to the company provided."}), "COMPANY_ACCESS_DENIED"),
    "cut off": ((200, b'{"customerId": '), "ANSWER_UNREADABLE"),
    "another record": ((200, {"customerId": identifier(77), "name": "x", "company": {}}), "ANSWER_UNREADABLE"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "reason"), BROKEN.values(), ids=BROKEN)
async def test_a_record_that_cannot_be_read_is_null_alone(answer, reason):
    async with asking(listed(5, of_2=answer)) as (ask, vendor):
        body = await ask(QUERY + CODES + "}", {"companyId": A})
        nodes = body["data"]["customers"]["nodes"]
        assert [node and node["id"] for node in nodes] == [
            identifier(0),
            identifier(1),
            None,
            identifier(3),
            identifier(4),
        ]
        [error] = body["errors"]
        assert error["path"] == ["customers", "nodes", 2]
        assert error["extensions"]["reason"] == reason
        assert "input" not in error["extensions"]
        assert len(vendor.requests) == 6


async def test_reading_ends_with_the_deadline():
    """Those under way and those not begun: each has its error, and the list's own members are lost with them."""
    hanging = asyncio.Event()

    async def attempt(seconds: float) -> None:
        async with asking(listed(20)) as (ask, vendor):
            vendor.hangs = lambda request: (
                hanging.wait() if request.url.path[-3:].isdigit() and request.url.path[-3:] >= "003" else None
            )
            body = await ask(QUERY + CODES + "}", {"companyId": A}, seconds=seconds)
        codes = {error["extensions"]["code"] for error in body["errors"]}
        assert codes <= {"BACKEND_TIMEOUT", "BACKEND_UNAVAILABLE"}
        assert body["data"]["customers"] is not None
        nodes = body["data"]["customers"]["nodes"]
        assert [node and node["id"] for node in nodes[:3]] == [identifier(number) for number in range(3)]
        assert nodes[3:] == [None] * 17
        assert len(body["errors"]) == 17

    await given_time(attempt, 0.5)


def companies(*access):
    items = [
        {"companyId": identifier(number), "name": f"n{number}", **({} if spelled is None else {"hasAccess": spelled})}
        for number, spelled in enumerate(access)
    ]
    return lambda _: {"companies": items, "_metadata": {"total": 50}}


@pytest.mark.parametrize("spelled", [True, "true", "True", " TRUE ", 1, "1", "yes", None], ids=repr)
async def test_access_is_a_boolean_however_it_is_spelled(spelled):
    async with asking(companies(spelled, "false", False, "False", 0, "no")) as (ask, _):
        body = await ask("{ companies(first: 6) { nodes { companyId hasAccess } pageInfo { hasNextPage endCursor } } }")
        assert body["data"]["companies"]["nodes"] == [{"companyId": identifier(0), "hasAccess": True}]
        assert body["data"]["companies"]["pageInfo"]["hasNextPage"] is True


async def test_a_page_of_companies_without_access_can_still_be_gone_on_from():
    async with asking(companies("false", "false")) as (ask, vendor):
        query = "query($after: String) { companies(first: 2, after: $after) { nodes { name } pageInfo { hasNextPage startCursor endCursor } } }"
        info = (await ask(query))["data"]["companies"]["pageInfo"]
        assert (info["hasNextPage"], info["startCursor"]) == (True, None)
        await ask(query, {"after": info["endCursor"]})
        assert vendor.requests[-1].url.params["offset"] == "2"


ODD_LISTS = {
    "no list": {"customers": None, "_metadata": {"total": 1}},
    "another envelope": {"items": []},
    "a list": [],
    "text": b"hello",
}


@pytest.mark.parametrize("body", ODD_LISTS.values(), ids=ODD_LISTS)
async def test_an_answer_that_is_no_list_is_an_error(body):
    async with asking(lambda _: body) as (ask, _):
        answer = await ask(QUERY + NAMES + "}", {"companyId": A})
        assert answer["data"] == {"customers": None}
        assert [error["extensions"]["reason"] for error in answer["errors"]] == ["ANSWER_UNREADABLE"]
        assert answer["errors"][0]["extensions"]["backend"]["status"] == 200


async def test_an_item_without_an_id_is_null_alone():
    items = [
        {"customersId": identifier(1), "name": "n"},
        {"name": "n"},
        {"customerId": "x"},
        7,
        None,
        {"CustomerID": identifier(2)},
    ]
    async with asking(lambda _: {"customers": items}) as (ask, _):
        body = await ask(QUERY + NAMES + "}", {"companyId": A})
        nodes = body["data"]["customers"]["nodes"]
        assert [node and node["id"] for node in nodes] == [identifier(1), None, None, None, None, identifier(2)]
        assert {error["extensions"]["reason"] for error in body["errors"]} == {"ANSWER_UNREADABLE"}
        assert [error["path"][-1] for error in body["errors"]] == [1, 2, 3, 4]


TOTALS = {"none": None, "text": "12", "negative": -1, "true": True, "an object": {}}


@pytest.mark.parametrize("total", TOTALS.values(), ids=TOTALS)
async def test_a_total_that_is_none_is_null(total):
    items = [{"customerId": identifier(number)} for number in range(2)]
    async with asking(lambda _: {"customers": items, "_metadata": {"total": total}}) as (ask, _):
        query = QUERY + "customers(companyId: $companyId, first: 2) { totalCount pageInfo { hasNextPage } } }"
        page = (await ask(query, {"companyId": A}))["data"]["customers"]
        assert page == {"totalCount": None, "pageInfo": {"hasNextPage": True}}


async def test_a_vendor_that_gives_fewer_or_more_than_asked():
    """The next offset is the offset plus the records received; what is more than asked is not shown."""
    items = [{"customerId": identifier(number)} for number in range(30)]
    query = "query($companyId: UUID!, $first: Int!, $after: String) { customers(companyId: $companyId, first: $first, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }"
    async with asking(lambda _: {"customers": items, "_metadata": {"total": 90}}) as (ask, vendor):
        for first, shown in ((50, 30), (10, 10)):
            page = (await ask(query, {"companyId": A, "first": first}))["data"]["customers"]
            assert len(page["nodes"]) == shown
            assert page["pageInfo"]["hasNextPage"] is True
            await ask(query, {"companyId": A, "first": first, "after": page["pageInfo"]["endCursor"]})
            assert vendor.requests[-1].url.params["offset"] == str(shown)
    # A list that ended before its total: nobody asks for ever.
    async with asking(lambda _: {"customers": [], "_metadata": {"total": 90}}) as (ask, _):
        page = (await ask(query, {"companyId": A, "first": 10}))["data"]["customers"]
        assert page["pageInfo"] == {"hasNextPage": False, "endCursor": None}


BOOKING = "bookingCustomers(first: 2) { nodes { id firstname %s } totalCount pageInfo { hasNextPage } }"


@pytest.mark.parametrize(
    ("wrap", "total"), [(lambda items: items, None), (lambda items: {"Offset": 0, "Total": 9, "Results": items}, 9)]
)
@pytest.mark.parametrize(("given", "more"), [(1, False), (3, True)])
async def test_a_bare_list_or_an_envelope(wrap, total, given, more):
    items = [{"Id": identifier(number), "Firstname": f"f{number}"} for number in range(given)]
    async with asking(lambda _: wrap(items)) as (ask, vendor):
        page = (await ask("{" + BOOKING % "" + "}"))["data"]["bookingCustomers"]
        assert [node["firstname"] for node in page["nodes"]] == ["f0", "f1"][:given]
        assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (total, more or total is not None)
        assert dict(vendor.requests[0].url.params) == {"Skip": "0", "Take": "3"}


async def test_only_what_is_selected_is_asked_of_bokamera():
    async with asking(lambda _: []) as (ask, vendor):
        await ask("{" + BOOKING % "accessKeys { id } comments { id }" + "}")
        flags = {name for name in vendor.requests[0].url.params if name.startswith("Include")}
        assert flags == {"IncludeAccessKeys", "IncludeComments"}
        await ask('{ bookingCustomers(search: "Å & co", companyId: "%s") { totalCount } }' % A)  # noqa: UP031
        assert dict(vendor.requests[1].url.params) == {"Search": "Å & co", "CompanyId": A, "Skip": "0", "Take": "51"}


async def test_modules_are_asked_for_where_they_are_selected():
    async with asking(companies("true")) as (ask, vendor):
        await ask("{ companies { nodes { name modules { code } } } }")
        assert vendor.requests[0].url.params["fields"] == "modules"
        await ask("{ companies { nodes { name } } }")
        assert "fields" not in vendor.requests[1].url.params


@pytest.mark.parametrize("wiring", ["local", "sandbox-in-process"])
async def test_a_list_that_changes_while_it_is_paged(wiring, tmp_path):
    """Records are shown, twice or not at all; never another company's, and never a fault."""
    rename = """mutation($id: UUID!, $name: String!, $company: UUID!) { updateCustomer(id: $id,
      input: {company: {companyId: $company}, name: $name}) { customer { id } } }"""
    async with gateway(wiring, tmp_path) as wired:
        every = await wired.execute(operation("customers"), {"companyId": A, "first": 100})
        ids = {node["id"] for node in every["data"]["customers"]["nodes"]}
        seen, after = [], None
        for number in range(1, 40):
            body = await wired.execute(operation("customers"), {"companyId": A, "first": 7, "after": after})
            assert "errors" not in body
            page = body["data"]["customers"]
            assert page["totalCount"] == len(ids)
            seen += [node["id"] for node in page["nodes"]]
            if not page["pageInfo"]["hasNextPage"]:
                break
            after = page["pageInfo"]["endCursor"]
            # One behind goes to the front, the one just shown to the end.
            for record_id, name in ((identifier(1001 + number), "AAA"), (page["nodes"][-1]["id"], f"zzz {number}")):
                assert "errors" not in await wired.execute(rename, {"id": record_id, "name": name, "company": A})
        assert set(seen) <= ids
        assert len(set(seen)) > len(ids) / 2
