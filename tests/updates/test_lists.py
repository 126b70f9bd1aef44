"""Six lists in three wirings: the same pages, the same refusals."""

from __future__ import annotations

import base64
import json

import pytest
import pytest_asyncio

from tests.harness import WIRINGS, gateway

A, B, C = (f"a0000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
UNKNOWN = "a0000000-0000-4000-8000-000000000099"
ZERO = "00000000-0000-0000-0000-000000000000"
BOOKING_1, BOOKING_2 = (f"ba000000-0000-4000-8000-00000000000{number}" for number in (1, 2))

# Field: declared arguments, arguments that show more than one page, members of a node, and how many there are.
LISTS = {
    "companies": ("", {}, "companyId name", 74),
    "customers": ("$companyId: UUID!", {"companyId": A}, "id code name externalId", 88),
    "suppliers": ("$companyId: UUID!", {"companyId": A}, "id code name externalId", 88),
    "vatCodes": ("$companyId: UUID!", {"companyId": A}, "vatCodeUniqueId code vatCodeType", 62),
    "generalLedgers": ("$companyId: UUID!", {"companyId": A}, "id code name", 66),
    "bookingCustomers": ("$companyId: UUID", {"companyId": BOOKING_1}, "id firstname lastname", 84),
}
OF_COMPANY = [name for name in LISTS if name != "companies"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(params=WIRINGS, scope="module", loop_scope="module")
async def wired(request, tmp_path_factory):
    async with gateway(request.param, tmp_path_factory.mktemp("lists")) as opened:
        yield opened


def operation(name, below=None):
    declared, _, members, _ = LISTS[name]
    variables = ", ".join(part for part in (declared, "$first: Int! = 50", "$after: String") if part)
    passed = "companyId: $companyId, " if declared else ""
    below = below or f"nodes {{ {members} }} edges {{ cursor node {{ {members} }} }} totalCount"
    info = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    return f"query({variables}) {{ {name}({passed}first: $first, after: $after) {{ {below} {info} }} }}"


async def page(wired, name, below=None, **variables):
    body = await wired.execute(operation(name, below), {**LISTS[name][1], **variables})
    assert "errors" not in body, body
    return body["data"][name]


@pytest.mark.parametrize("name", LISTS)
async def test_first_next_and_last_page(wired, name):
    total = LISTS[name][3]
    shown, cursors, after, pages = [], [], None, 0
    while True:
        found = await page(wired, name, after=after)
        assert [edge["node"] for edge in found["edges"]] == found["nodes"]
        assert found["totalCount"] == total
        info = found["pageInfo"]
        assert info["hasPreviousPage"] == (pages > 0)
        assert (info["startCursor"], info["endCursor"]) == (found["edges"][0]["cursor"], found["edges"][-1]["cursor"])
        shown += found["nodes"]
        cursors += [edge["cursor"] for edge in found["edges"]]
        after, pages = info["endCursor"], pages + 1
        if not info["hasNextPage"]:
            break
        assert len(found["nodes"]) == 50
    assert (len(shown), pages) == (total, 2)
    assert len({json.dumps(node) for node in shown}) == len(set(cursors)) == total
    beyond = await page(wired, name, after=cursors[-1])
    assert (beyond["nodes"], beyond["edges"]) == ([], [])
    assert beyond["pageInfo"] == {"hasNextPage": False, "hasPreviousPage": True, "startCursor": None, "endCursor": None}
    middle = await page(wired, name, first=3, after=cursors[9])
    assert middle["nodes"] == shown[10:13]
    bare = await page(wired, name, "nodes { __typename }", first=3, after=cursors[9])
    assert bare["pageInfo"] == middle["pageInfo"]


@pytest.mark.parametrize("first", [0, 1, 100])
@pytest.mark.parametrize("name", LISTS)
async def test_sizes_of_pages(wired, name, first):
    found = await page(wired, name, first=first)
    assert len(found["nodes"]) == min(first, LISTS[name][3])
    assert found["totalCount"] == LISTS[name][3]
    assert found["pageInfo"]["hasNextPage"] == (first < LISTS[name][3])


@pytest.mark.parametrize("first", [-1, 101, 2**31 - 1])
@pytest.mark.parametrize("name", LISTS)
async def test_other_sizes_are_refused(wired, name, first):
    error = await wired.error(operation(name), {**LISTS[name][1], "first": first})
    assert error["path"] == [name]
    assert error["extensions"]["reason"] == "PAGE_SIZE_INVALID"
    assert error["extensions"]["input"] == {"path": ["first"]}


EMPTY = {
    "companies": ('externalId: "nobody"', 0),
    "customers": (f'companyId: "{A}", externalId: "nobody"', 0),
    "suppliers": (f'companyId: "{A}", externalId: "nobody"', 0),
    "vatCodes": ('companyId: "a0000000-0000-4000-8000-000000001001"', 0),
    "generalLedgers": ('companyId: "a0000000-0000-4000-8000-000000001001"', 0),
    "bookingCustomers": ('search: "nobody at all"', 0),
}
ONE = {
    "companies": ('externalId: "EXT-C"', C),
    "customers": (f'companyId: "{A}", externalId: "EXT-C002"', "c0000000-0000-4000-8000-000000000002"),
    "suppliers": (f'companyId: "{A}", externalId: "EXT-S001"', "50000000-0000-4000-8000-000000000001"),
    "generalLedgers": (f'companyId: "{A}", externalId: "EXT-7000"', "f0000001-0000-4000-8000-000000000002"),
    "bookingCustomers": ('search: "SVENSSON"', "b0000000-0000-4000-8000-000000000001"),
}


@pytest.mark.parametrize("name", EMPTY)
async def test_empty_lists(wired, name):
    arguments, total = EMPTY[name]
    below = "nodes { __typename } edges { cursor } totalCount pageInfo { hasNextPage hasPreviousPage endCursor }"
    body = await wired.execute(f"{{ {name}({arguments}) {{ {below} }} }}")
    info = {"hasNextPage": False, "hasPreviousPage": False, "endCursor": None}
    assert body == {"data": {name: {"nodes": [], "edges": [], "totalCount": total, "pageInfo": info}}}


@pytest.mark.parametrize("name", ONE)
async def test_what_is_searched_is_found(wired, name):
    arguments, wanted = ONE[name]
    key = "companyId" if name == "companies" else "id"
    body = await wired.execute(f"{{ {name}({arguments}) {{ nodes {{ {key} }} totalCount }} }}")
    assert body == {"data": {name: {"nodes": [{key: wanted}], "totalCount": 1}}}


@pytest.mark.parametrize(
    "text", ["\0", "\0\0", "\n", "\r\n", "\t", "svensson\n", "svensson\0", "\ufffd", "\uffff", "%"], ids=repr
)
async def test_what_no_record_holds_is_not_found(wired, text):
    query = "query($text: String) { bookingCustomers(search: $text) { nodes { id } totalCount } }"
    body = await wired.execute(query, {"text": text})
    assert body == {"data": {"bookingCustomers": {"nodes": [], "totalCount": 0}}}


def encoded(*parts):
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


async def test_foreign_and_malformed_cursors(wired):
    ends = {name: (await page(wired, name, first=2))["pageInfo"]["endCursor"] for name in LISTS}
    for name, (_, arguments, _, _) in LISTS.items():
        version, field, digest, offset, *_ = json.loads(base64.urlsafe_b64decode(ends[name] + "==="))
        foreign = [cursor for other, cursor in ends.items() if other != name]
        malformed = [
            "", "x", "%%%", "é", "A" * 5000, encoded(), encoded(version, field, digest), encoded(2, field, digest, 1),
            encoded(version, field, digest, -1), encoded(version, field, digest, 10**12), encoded(version, field, digest, True),
            encoded(version, field, digest, "1"), encoded(version, field, digest, 1.5), encoded(version, field, digest, 1, "a"),
            encoded(version, field, digest, 1, "a", 2), encoded(version, field, digest, 1, "a", "b", "c"),
            encoded(version, field, "0" * 16, offset), encoded([version], field, digest, offset),
        ]  # fmt: skip
        for cursor in [*foreign, *malformed]:
            error = await wired.error(operation(name), {**arguments, "after": cursor})
            assert error["extensions"]["reason"] == "CURSOR_INVALID", (name, cursor)
            assert error["extensions"]["input"] == {"path": ["after"]}
        # A cursor without a place, or with one that is not in the list, is a place to begin at all the same.
        for parts in ([1], [1, "", ""], [1, "\0'", "%"]):
            await page(wired, name, after=encoded(version, field, digest, *parts))


async def test_a_cursor_of_other_arguments_is_refused_and_the_page_size_is_none(wired):
    end = (await page(wired, "customers", first=2))["pageInfo"]["endCursor"]
    for other in ({"companyId": C}, {"companyId": A, "externalId": "x"}):
        query = "query($companyId: UUID!, $externalId: String, $after: String) { customers(companyId: $companyId, externalId: $externalId, after: $after) { nodes { id } } }"
        error = await wired.error(query, {**other, "after": end})
        assert error["extensions"]["reason"] == "CURSOR_INVALID"
    # The same id in another form is the same argument.
    assert len((await page(wired, "customers", companyId=A.upper(), first=7, after=end))["nodes"]) == 7


DENIED = dict.fromkeys(OF_COMPANY[:-1], (B, "COMPANY_ACCESS_DENIED", "FORBIDDEN")) | {
    "bookingCustomers": (BOOKING_2, "ACTION_NOT_ALLOWED", "FORBIDDEN")
}
MISSING = dict.fromkeys(OF_COMPANY[:-1], (UNKNOWN, "COMPANY_NOT_FOUND", "BAD_USER_INPUT")) | {
    "bookingCustomers": (UNKNOWN, "ACTION_NOT_ALLOWED", "FORBIDDEN")
}
NONE_AT_ALL = dict.fromkeys(OF_COMPANY[:-1], (ZERO, "COMPANY_ID_EMPTY", "BAD_USER_INPUT"))


@pytest.mark.parametrize("table", [DENIED, MISSING, NONE_AT_ALL], ids=["no access", "unknown company", "zero id"])
@pytest.mark.parametrize("first", [0, 5])
async def test_refused_companies(wired, table, first):
    for name, (company, reason, code) in table.items():
        body = await wired.execute(operation(name), {"companyId": company, "first": first})
        [error] = body["errors"]
        assert body["data"] == {name: None}
        assert error["path"] == [name]
        extensions = error["extensions"]
        assert (extensions["reason"], extensions["code"]) == (reason, code), name
        assert "outcome" not in extensions
        if name != "bookingCustomers":
            assert extensions["input"] == {"path": ["companyId"]}


async def test_the_ledgers_list_has_codes_of_its_own(wired):
    for company, code in ((B, "NoAccessToCompany"), (UNKNOWN, "CompanyDoesNotExist")):
        error = await wired.error(operation("generalLedgers"), {"companyId": company})
        assert error["extensions"]["backend"]["code"] == code
        assert error["extensions"]["backend"]["status"] == 400


async def test_details_hold_what_the_vendors_lists_hold(wired):
    body = await wired.execute(
        """query($a: UUID!) {
          companies(externalId: "EXT-A") { nodes {
            companyId name email hasAccess totalDocumentsToAuthorize accountingSystem { type externalId companyCode }
            extraData { label value } modules { code status } } }
          vatCodes(companyId: $a, first: 1) { nodes {
            vatCodeUniqueId externalId code name isIcp vatCodeType isExclusive companyId
            percentages { id percentage startDate externalId name } } }
          generalLedgers(companyId: $a, externalId: "EXT-4000") { nodes {
            id code name externalId labels { culture label } metaData company { companyId companyCode } } }
        }""",
        {"a": A},
    )
    assert "errors" not in body
    [company] = body["data"]["companies"]["nodes"]
    assert company["hasAccess"] is True
    assert (company["companyId"], company["accountingSystem"]["companyCode"]) == (A, "A")
    assert company["extraData"]
    assert company["modules"]
    [code] = body["data"]["vatCodes"]["nodes"]
    assert (code["companyId"], code["percentages"][0]["startDate"]) == (A, "2019-01-01T00:00:00Z")
    assert None not in code.values()
    [ledger] = body["data"]["generalLedgers"]["nodes"]
    assert ledger["company"] == {"companyId": A, "companyCode": "A"}
    assert None not in ledger.values()


async def test_booking_customers_as_a_user_sees_them(wired):
    """Assumed: who administers nothing sees the records of the own account."""
    credentials = {
        "bokamera": {
            "authorization": "Bearer demo-user",
            "x-api-key": "e0000000-0000-4000-8000-000000000001",
        }
    }
    query = "{ bookingCustomers { nodes { id firstname customFieldValues { name } accessKeys { value } } totalCount } }"
    body = await wired.execute(query, credentials=credentials)
    [node] = body["data"]["bookingCustomers"]["nodes"]
    assert (node["id"], body["data"]["bookingCustomers"]["totalCount"]) == ("b0000000-0000-4000-8000-000000000002", 1)
    assert node["customFieldValues"]
    assert node["accessKeys"]


async def test_without_a_company_an_administrator_sees_the_own(wired):
    mine = await page(wired, "bookingCustomers", first=100)
    body = await wired.execute("{ bookingCustomers(first: 100) { nodes { id firstname lastname } } }")
    assert body["data"]["bookingCustomers"]["nodes"] == mine["nodes"]


async def test_records_of_a_request_are_counted_together(wired):
    for recorder in wired.transports.values():
        recorder.requests.clear()
    eleven = " ".join(
        f'a{number}: customers(companyId: "{A}", first: $first) {{ nodes {{ id }} }}' for number in range(10)
    )
    query = f"query($first: Int! = 100, $more: Boolean! = false) {{ {eleven} ...more @include(if: $more) }} fragment more on Query {{ companies(first: 1) {{ nodes {{ name }} }} }}"
    body = await wired.execute(query, {"more": True})
    assert "data" not in body
    [error] = body["errors"]
    assert (error["extensions"]["reason"], error["extensions"]["code"]) == ("TOO_MANY_RECORDS", "BAD_USER_INPUT")
    assert not any(recorder.requests for recorder in wired.transports.values())
    assert "errors" not in await wired.execute(query)
    # Pages of the default size, literals, and entities with them.
    twenty = " ".join(f'a{number}: suppliers(companyId: "{A}") {{ nodes {{ id }} }}' for number in range(19))
    entities = "query($r: [_Any!]!) { %s _entities(representations: $r) { __typename } }"
    fine = [{"__typename": "Customer", "id": UNKNOWN}] * 50
    assert "errors" not in await wired.execute(entities % twenty, {"r": fine})
    error = await wired.error(entities % twenty, {"r": [*fine, 7]})
    assert error["extensions"]["reason"] == "TOO_MANY_RECORDS"
    literal = 'b: suppliers(companyId: "%s", first: 51) { nodes { id } }' % A  # noqa: UP031
    error = await wired.error(f"{{ {twenty} {literal} }}")
    assert error["extensions"]["reason"] == "TOO_MANY_RECORDS"
    # What the request leaves out counts as what it gets instead: the field's default, or the variable's.
    unsaid = " ".join(f'a{number}: suppliers(companyId: "{A}", first: $n) {{ nodes {{ id }} }}' for number in range(21))
    listed = ",".join('{ __typename: "Customer", id: "%s" }' % UNKNOWN for _ in range(101))  # noqa: UP031
    ten = " ".join(f"e{number}: _entities(representations: $r) {{ __typename }}" for number in range(10))
    for query in (f"query($n: Int) {{ {unsaid} }}", f"query($r: [_Any!]! = [{listed}]) {{ {ten} }}"):
        assert (await wired.error(query))["extensions"]["reason"] == "TOO_MANY_RECORDS"
    # A merged field is one list; a size that its field refuses reads nothing.
    merged = " ".join([f'customers(companyId: "{A}", first: 100) {{ nodes {{ id }} }}'] * 11)
    assert "errors" not in await wired.execute(f"{{ {merged} }}")
    assert (await wired.error(f'{{ customers(companyId: "{A}", first: 2000) {{ nodes {{ id }} }} }}'))["extensions"][
        "reason"
    ] == "PAGE_SIZE_INVALID"


@pytest.mark.parametrize(
    ("name", "one", "arguments"),
    [
        ("customers", "customer", f'(companyId: "{A}", externalId: "EXT-C001")'),
        ("suppliers", "supplier", f'(companyId: "{A}", externalId: "EXT-S001")'),
        ("bookingCustomers", "bookingCustomer", '(search: "anna@example.com")'),
    ],
)
async def test_a_revision_in_a_list_is_the_records_own(wired, name, one, arguments):
    body = await wired.execute(f"{{ {name}{arguments} {{ nodes {{ id revision }} }} }}")
    assert "errors" not in body
    [node] = body["data"][name]["nodes"]
    read = await wired.execute(f"query($id: UUID!) {{ {one}(id: $id) {{ revision }} }}", {"id": node["id"]})
    assert read["data"][one]["revision"] == node["revision"]
