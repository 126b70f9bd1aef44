"""An update and the journal in every wiring: what is recorded of it, what a key answers, who may ask."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from app.apis.basecone.resources import CUSTOMERS as CUSTOMER_RESOURCE
from app.apis.basecone.seed import CUSTOMERS
from app.errors import GatewayError
from app.journal.keeper import Keeper
from app.store.records import StoreUnavailableError
from app.updates.reading import Closing
from tests.harness import WIRINGS
from tests.harness import gateway as open_gateway
from tests.store.test_open import execute

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
BOOKING = "b0000000-0000-4000-8000-000000000001"
UPDATE = """mutation($id: UUID!, $input: UpdateCustomerInput!, $skip: Boolean = true) {
  updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: $skip) { replayed customer { name } }
}"""
BOOK = """mutation($id: UUID!, $input: UpdateBookingCustomerInput!) {
  updateBookingCustomer(id: $id, input: $input) { replayed bookingCustomer { firstname } }
}"""
ENTRIES = """query($record: UUID, $key: String, $outcome: Outcome) {
  updates(recordId: $record, idempotencyKey: $key, outcome: $outcome) {
    totalCount
    nodes { requestId idempotencyKey caller person mutation recordId sentFields outcome code reason backendStatus
      readBack replayed position backend backendAccount begun ended }
  }
}"""


def customer(name="Ann", **members):
    return {
        "id": CUSTOMER,
        "input": {"company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": name, **members},
    }


async def entries(gateway, **given):
    await gateway.backends.recorder.journal.flush()
    for _ in range(200):  # what nobody waits for is written a moment later
        body = await gateway.execute(ENTRIES, given)
        nodes = body["data"]["updates"]["nodes"]
        if all(node["outcome"] for node in nodes) and nodes:
            break
        await asyncio.sleep(0.005)
    assert body["data"]["updates"]["totalCount"] == len(nodes)
    return nodes


def puts(gateway):
    return sum(transport.count("PUT") for transport in gateway.transports.values())


async def test_an_applied_update_is_recorded(gateway):
    assert "errors" not in await gateway.execute(UPDATE, customer(phone="1"), request_id="first")
    [entry] = await entries(gateway)
    account = entry.pop("backendAccount")
    assert len(account) == 64
    assert entry.pop("begun") <= entry.pop("ended")
    assert entry == {
        "requestId": "first",
        "idempotencyKey": None,
        "caller": None,
        "person": None,
        "mutation": "updateCustomer",
        "recordId": CUSTOMER,
        "sentFields": ["company", "name", "phone"],
        "outcome": "APPLIED",
        "code": None,
        "reason": None,
        "backendStatus": None,
        "readBack": None,
        "replayed": 0,
        "position": None,
        "backend": "BASECONE",
    }


async def test_a_refusal_is_recorded(gateway):
    error = await gateway.error(UPDATE, customer(vatCode={"code": "none"}))
    [entry] = await entries(gateway, outcome="NOT_APPLIED")
    assert entry["reason"] == error["extensions"]["reason"] == "VAT_CODE_INVALID"
    assert (entry["code"], entry["backendStatus"]) == ("BAD_USER_INPUT", 400)


async def test_what_is_refused_before_it_could_be_sent_has_no_entry_and_takes_no_key(gateway):
    refused = {"id": BOOKING, "input": {"firstname": None}}
    error = await gateway.error(BOOK, refused, key="k")
    assert error["extensions"]["reason"] == "NULL_NOT_SUPPORTED"
    assert "errors" not in await gateway.execute(BOOK, {"id": BOOKING, "input": {"firstname": "Ann"}}, key="k")
    [entry] = await entries(gateway)
    assert (entry["outcome"], entry["mutation"]) == ("APPLIED", "updateBookingCustomer")


@pytest.mark.parametrize("rounds", [1, 3])
async def test_the_same_under_a_key_is_sent_once(gateway, rounds):
    first = await gateway.execute(UPDATE, customer(), key="k")
    assert first["data"]["updateCustomer"] == {"replayed": False, "customer": {"name": "Ann"}}
    sent = puts(gateway)
    for _ in range(rounds):
        again = await gateway.execute(UPDATE, customer(), key="k")
        assert again["data"]["updateCustomer"] == {"replayed": True, "customer": {"name": "Ann"}}
    assert puts(gateway) == sent
    [entry] = await entries(gateway, key="k")
    assert (entry["replayed"], entry["idempotencyKey"]) == (rounds, "k")


async def test_a_merge_is_replayed_by_a_read(gateway):
    given = {"id": BOOKING, "input": {"firstname": "Ann"}}
    await gateway.execute(BOOK, given, key="k")
    await gateway.execute(BOOK, {"id": BOOKING, "input": {"firstname": "Bea"}})
    again = await gateway.execute(BOOK, given, key="k")
    assert again["data"]["updateBookingCustomer"] == {"replayed": True, "bookingCustomer": {"firstname": "Bea"}}


async def test_a_refusal_is_replayed_with_its_rows_text(gateway):
    given = customer(vatCode={"code": "none"})
    first = await gateway.error(UPDATE, given, key="k")
    sent = puts(gateway)
    again = await gateway.error(UPDATE, given, key="k")
    assert again["extensions"].pop("replayed") is True
    assert again == first
    assert puts(gateway) == sent


async def test_another_request_under_the_key_is_refused(gateway):
    await gateway.execute(UPDATE, customer(), key="k")
    sent = puts(gateway)
    error = await gateway.error(UPDATE, customer("Bea"), key="k")
    assert (error["extensions"]["reason"], error["extensions"]["outcome"]) == ("IDEMPOTENCY_KEY_REUSED", "NOT_APPLIED")
    assert puts(gateway) == sent


async def test_a_cause_that_may_pass_frees_the_key(gateway):
    error = await gateway.error(UPDATE, customer(), key="k", simulate="CONCURRENT_REQUEST")
    assert error["extensions"]["retry"]["safe"] is True
    again = await gateway.execute(UPDATE, customer(), key="k")
    assert again["data"]["updateCustomer"]["replayed"] is False


async def test_many_at_once_under_a_key_are_one_update(gateway):
    answers = await asyncio.gather(*(gateway.execute(UPDATE, customer(), key="k") for _ in range(12)))
    told = [
        answer["errors"][0]["extensions"]["reason"]
        if "errors" in answer
        else answer["data"]["updateCustomer"]["replayed"]
        for answer in answers
    ]
    assert told.count(False) == 1
    assert set(told) <= {False, True, "IDEMPOTENT_REQUEST_IN_PROGRESS"}
    assert puts(gateway) <= 1
    assert len(await entries(gateway, key="k")) == 1


SEVERAL = [
    (
        "mutation($id: UUID!, $input: UpdateCustomerInput!) { a: updateCustomer(id: $id, input: $input) { replayed } "
        "b: updateCustomer(id: $id, input: $input) { replayed } }"
    ),
    (
        "mutation($id: UUID!, $input: UpdateCustomerInput!) { a: updateCustomer(id: $id, input: $input) { replayed } "
        "...F } fragment F on Mutation { b: updateCustomer(id: $id, input: $input) { replayed } }"
    ),
    (
        "mutation($id: UUID!, $input: UpdateCustomerInput!) { ...F } fragment F on Mutation "
        "{ a: updateCustomer(id: $id, input: $input) { replayed } b: updateCustomer(id: $id, input: $input) { replayed } }"
    ),
]


@pytest.mark.parametrize("document", SEVERAL, ids=["fields", "fragment", "in a fragment"])
async def test_a_key_for_several_updates_is_refused_whole(local_gateway, document):
    body = await local_gateway.execute(document, customer(), key="k")
    assert "data" not in body
    assert body["errors"][0]["extensions"]["reason"] == "IDEMPOTENCY_KEY_NOT_SINGLE"


SINGLE = [
    (
        "mutation($id: UUID!, $input: UpdateCustomerInput!) { __typename a: updateCustomer(id: $id, input: $input) "
        "{ replayed } b: updateCustomer(id: $id, input: $input) @skip(if: true) { replayed } }"
    ),
    (
        "mutation($id: UUID!, $input: UpdateCustomerInput!) { a: updateCustomer(id: $id, input: $input) { replayed } "
        "a: updateCustomer(id: $id, input: $input) { customer { name } } }"
    ),
    "query { __typename }",
]


@pytest.mark.parametrize("document", SINGLE, ids=["skipped", "merged", "query"])
async def test_a_key_with_one_update_or_none_is_taken(local_gateway, document):
    assert "errors" not in await local_gateway.execute(document, {} if "query" in document else customer(), key="k")


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x7f"], ids=["empty", "long", "control"])
async def test_a_malformed_key_refuses_the_update(local_gateway, key):
    error = await local_gateway.error(UPDATE, customer(), key=key)
    assert (error["extensions"]["reason"], error["extensions"]["outcome"]) == (
        "IDEMPOTENCY_KEY_MALFORMED",
        "NOT_APPLIED",
    )


async def test_without_a_journal_keys_are_refused_and_updates_are_not(tmp_path):
    async with open_gateway("local", tmp_path, extra={"GATEWAY_JOURNAL": "false"}) as gateway:
        error = await gateway.error(UPDATE, customer(), key="k")
        assert error["extensions"]["reason"] == "IDEMPOTENCY_NOT_AVAILABLE"
        assert "errors" not in await gateway.execute(UPDATE, customer())
        error = await gateway.error("{ updates { totalCount } }")
        assert error["extensions"]["reason"] == "JOURNAL_NOT_AVAILABLE"


@pytest.mark.parametrize("wiring", WIRINGS[:2])
async def test_an_unwritable_journal_refuses_unsent_and_is_not_ready(tmp_path, wiring):
    async with open_gateway(wiring, tmp_path) as gateway:
        journal = gateway.backends.recorder.journal
        await journal.check()
        url = gateway.backends.settings.gateway.store_url
        await execute(url, "ALTER TABLE gateway_update_entry RENAME TO gone")
        sent = puts(gateway)
        error = await gateway.error(UPDATE, customer("Bea"))
        assert (error["extensions"]["reason"], error["extensions"]["outcome"]) == ("STORE_UNAVAILABLE", "NOT_APPLIED")
        assert puts(gateway) == sent
        with pytest.raises(GatewayError):
            await journal.check()
        assert await gateway.backends.ready() in {"store", "journal"}
        await execute(url, "ALTER TABLE gone RENAME TO gateway_update_entry")
        await journal.check()
        assert "errors" not in await gateway.execute(UPDATE, customer("Bea"))


class Hanging(httpx.AsyncBaseTransport):
    """Applies the first update, and answers it once `release` is set."""

    def __init__(self, inner):
        self.inner, self.applied, self.release = inner, asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request):
        answer = await self.inner.handle_async_request(request)
        if request.method == "PUT":
            self.applied.set()
            await self.release.wait()
        return answer


async def test_an_update_whose_operation_is_cancelled_has_an_end(tmp_path):
    """While the process lives on; what was sent goes on, too, and nobody hears of it."""
    async with open_gateway("sandbox-in-process", tmp_path) as gateway:
        recorder = gateway.transports["basecone"]
        hanging = recorder.inner = Hanging(recorder.inner)
        journal, url = gateway.backends.recorder.journal, gateway.backends.settings.gateway.store_url
        asking = asyncio.create_task(gateway.execute(UPDATE, customer("Gone")))
        await hanging.applied.wait()
        asking.cancel()
        await asyncio.wait({asking})
        hanging.release.set()
        keeper = Keeper(journal, Closing(journal, [CUSTOMER_RESOURCE], gateway.backends.by_name).prove)
        assert await keeper.close_abandoned() == 0  # its time is not over
        await execute(url, "UPDATE gateway_update_entry SET due = 0")
        assert await keeper.close_abandoned() == 1
        [entry] = await entries(gateway)
        assert (entry["outcome"], entry["readBack"]) == ("APPLIED", "SAME")


class Losing:
    """The local backend over a store that loses the answer to a commit, and cannot be read then."""

    clock_ahead = 0.0

    def __init__(self, inner, after, *, applies):
        self.inner, self.after, self.applies = inner, after, applies

    async def update(self, request, *, call):
        if self.applies:
            await self.inner.update(request, call=call)
        else:
            call.recording.committing()
        await self.after()
        raise StoreUnavailableError("lost", certain=False)

    async def read(self, *_, call):  # noqa: ARG002 - the port's
        raise StoreUnavailableError("away", certain=True)


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("applies", [True, False], ids=["applied", "not-applied"])
@pytest.mark.parametrize("away", [True, False], ids=["journal-away", "journal-there"])
async def test_a_lost_commit_is_told_by_its_entry_and_never_as_not_applied(local_gateway, key, applies, away):
    url = local_gateway.backends.settings.gateway.store_url
    inner = local_gateway.backends.by_name["basecone"]

    async def lost():
        if away:
            await execute(url, "ALTER TABLE gateway_update_entry RENAME TO gone")

    local_gateway.backends.by_name["basecone"] = Losing(inner, lost, applies=applies)
    answer = await local_gateway.execute(UPDATE, customer("Lost"), key=key)
    local_gateway.backends.by_name["basecone"] = inner
    if away:
        await execute(url, "ALTER TABLE gone RENAME TO gateway_update_entry")
    if applies and not away:
        # Entry and record are one transaction. The record itself cannot be read back.
        assert answer["data"]["updateCustomer"]["replayed"] is False
        assert {error["extensions"]["outcome"] for error in answer.get("errors", ())} <= {"APPLIED"}
    else:
        [error] = answer["errors"]
        assert (error["extensions"]["reason"], error["extensions"]["outcome"]) == ("STORE_LOST", "UNKNOWN")
        assert error["extensions"]["readBack"] == "FAILED"
    if not away:
        [entry] = await entries(local_gateway)
        assert entry["outcome"] == ("APPLIED" if applies else "UNKNOWN")
    if key is not None:
        # Once more under the key: told, or made where it is certain that it was not.
        again = await local_gateway.execute(UPDATE, customer("Lost"), key=key)
        expected = {"replayed": applies, "customer": {"name": "Lost"}}
        if applies or away:
            assert again == {"data": {"updateCustomer": expected}}
        else:
            assert again["errors"][0]["extensions"]["outcome"] == "UNKNOWN"
    record = await local_gateway.store.get(CUSTOMERS, CUSTOMER)
    assert (record.document["name"] == "Lost") == (applies or (away and key is not None))


# Who may ask


async def test_own_entries_and_everyones(local_gateway):
    callers = {
        "ann at the shop": {"caller": "shop", "subject": "ann", "scopes": frozenset({"updates:read"})},
        "bea at the shop": {"caller": "shop", "subject": "bea", "scopes": frozenset({"updates:read"})},
        "the shop": {"caller": "shop", "scopes": frozenset({"updates:read"})},
        "another": {"caller": "other", "subject": "ann", "scopes": frozenset({"updates:read"})},
    }
    for name, who in callers.items():
        writer = {**who, "scopes": frozenset({"customers:write"})}
        await local_gateway.execute(UPDATE, customer(), request_id=name.replace(" ", "-"), **writer)
    everything = {"caller": "auditor", "scopes": frozenset({"updates:read-all"})}
    asked = "{ updates { nodes { id requestId person } totalCount } }"
    for name, who in callers.items():
        page = (await local_gateway.execute(asked, **who))["data"]["updates"]
        assert ([node["requestId"] for node in page["nodes"]], page["totalCount"]) == ([name.replace(" ", "-")], 1)
    page = (await local_gateway.execute(asked, **everything))["data"]["updates"]
    assert page["totalCount"] == 4
    hashes = local_gateway.backends.recorder.journal.hashes
    assert {node["person"] for node in page["nodes"]} == {hashes.person("ann"), hashes.person("bea"), None}
    one = "query($id: ID!) { update(id: $id) { requestId } }"
    for node in page["nodes"]:
        seen = [
            name
            for name, who in callers.items()
            if (await local_gateway.execute(one, {"id": node["id"]}, **who))["data"]["update"] is not None
        ]
        assert [name.replace(" ", "-") for name in seen] == [node["requestId"]]
    error = await local_gateway.error(asked, caller="shop", scopes=frozenset({"customers:read"}))
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_pages_go_on_and_cursors_belong_to_their_arguments(local_gateway):
    for number in range(7):
        await local_gateway.execute(UPDATE, customer(), request_id=f"r{number}")
    asked = """query($first: Int!, $after: String, $record: UUID) {
      updates(first: $first, after: $after, recordId: $record) {
        nodes { requestId } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
    seen, after = [], None
    for _ in range(4):
        page = (await local_gateway.execute(asked, {"first": 3, "after": after}))["data"]["updates"]
        seen += [node["requestId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [f"r{number}" for number in reversed(range(7))]
    for given in ({"after": "nonsense"}, {"after": ""}, {"after": after, "record": CUSTOMER}):
        error = await local_gateway.error(asked, {"first": 3, **given})
        assert error["extensions"]["reason"] == "CURSOR_INVALID"
    for first in (-1, 101):
        error = await local_gateway.error(asked, {"first": first})
        assert error["extensions"]["reason"] == "PAGE_SIZE_INVALID"
    for record, follow in ((CUSTOMER, True), ("c0000000-0000-4000-8000-00000000ffff", False)):
        empty = (await local_gateway.execute(asked, {"first": 0, "record": record}))["data"]["updates"]
        assert (empty["nodes"], empty["pageInfo"]["hasNextPage"]) == ([], follow)
