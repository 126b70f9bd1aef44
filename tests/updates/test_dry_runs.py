"""A dry run writes nothing, sends nothing, tells no credential, and refuses what the update itself would be refused."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio

from app.apis.basecone.examples import CUSTOMER_ID, SUPPLIER_ID
from tests.harness import WIRINGS, gateway
from tests.store.test_open import execute

COMPANY = {"companyId": "a0000000-0000-4000-8000-000000000001"}
BOOKING_ID = "b0000000-0000-4000-8000-000000000001"
LEDGER = "4afa8d3e-0000-4000-8000-000000000000"
FAULT = "message code reason inputPath outcome retrySafe currentRevision backend { name status code message }"
# A mutation: its record, the name of its values, their type, and values that are taken.
MUTATIONS = {
    "updateCustomer": ("customer", CUSTOMER_ID, "input", "UpdateCustomerInput", {"company": COMPANY, "name": "New"}),
    "updateSupplier": ("supplier", SUPPLIER_ID, "input", "UpdateSupplierInput", {"company": COMPANY, "name": "New"}),
    "patchCustomer": ("customer", CUSTOMER_ID, "patch", "CustomerPatch", {"phone": "7"}),
    "patchSupplier": ("supplier", SUPPLIER_ID, "patch", "SupplierPatch", {"paymentDiscount": {"paymentDays": 3}}),
    "updateBookingCustomer": ("bookingCustomer", BOOKING_ID, "input", "UpdateBookingCustomerInput", {"phone": "7"}),
}
# What is refused: the mutation, the values in place of those above.
REFUSED = {
    "e-mail": ("updateBookingCustomer", {"email": "no"}),
    "a field's length and another's pattern": (
        "updateBookingCustomer",
        {"customFields": [{"id": 2, "value": "x" * 21}, {"id": 3, "value": "abc"}, {"id": 4, "value": "huge"}, {"id": 1, "value": ""}]},
    ),
    "a field that there is not": ("updateBookingCustomer", {"customFields": [{"id": 99, "value": "x"}]}),
    "keys": (
        "updateBookingCustomer",
        {"accessKeys": [{"accessKeyTypeId": 9, "value": ""}, {"id": LEDGER}], "accessKeysToDelete": [{"id": LEDGER}]},
    ),
    "null where it is none": ("updateBookingCustomer", {"firstname": None, "invoiceAddress": {"invoiceCity": None}}),
    "a name that is none": ("updateCustomer", {"company": COMPANY, "name": " "}),
    "a code of the patch": ("patchSupplier", {"vatCode": {"code": "NO"}}),
    "a name cleared by a patch": ("patchCustomer", {"name": None}),
    "the accounting system": ("patchSupplier", {"vatNumber": "NL000000000B00"}),
    "a VAT number without an end": ("patchSupplier", {"vatNumber": "NL" + "9" * 10_000}),
    "an IBAN without an end": ("patchSupplier", {"bankAccounts": [{"default": True, "iban": "NL" + "9" * 10_000}]}),
    "another company": ("updateCustomer", {"company": {"companyId": "a0000000-0000-4000-8000-000000000002"}, "name": "N"}),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(tmp_path_factory):
    async with AsyncExitStack() as stack:
        opened = {}
        for wiring in WIRINGS:
            folder = tmp_path_factory.mktemp(wiring)
            opened[wiring] = await stack.enter_async_context(gateway(wiring, folder))
            opened[wiring].folder = folder
        yield opened


async def asked(wires, mutation, values=None, *, dry_run=True, number="1", **caller):
    record, record_id, place, type_, taken = MUTATIONS[mutation]
    record_id = record_id[:-1] + number
    document = f"""mutation($id: UUID!, $values: {type_}!) {{ r: {mutation}(id: $id, {place}: $values, dryRun: {str(dry_run).lower()}) {{
      {record} {{ id }} preview {{ method path body changes {{ path before after }} }} userErrors {{ {FAULT} }} }} }}"""
    answer = await wires.execute(document, {"id": record_id, "values": taken if values is None else values}, **caller)
    assert "errors" not in answer
    return answer["data"]["r"]


async def written(wires):
    """What counts the writes: every record's version, the journal's entries, the updates that were sent."""
    url = f"sqlite:///{wires.folder / 'gateway.db'}"
    versions = [
        (await execute(url, f"SELECT sum(version) FROM {table}"))[0][0]  # noqa: S608 - our own names
        for table in ("basecone_customers", "basecone_suppliers", "bokamera_customers")
    ]
    own = wires.backends.settings.gateway.store_url
    [[entries]] = await execute(own, "SELECT count(*) FROM gateway_update_entry")
    return versions, entries, sum(transport.count("PUT") for transport in wires.transports.values())


@pytest.mark.parametrize("wiring", WIRINGS)
async def test_nothing_is_written_sent_recorded_or_told_of_a_credential(wiring, tmp_path):
    """Over a store of its own, where nobody has made these changes before."""
    pair = b"d0000000-0000-4000-8000-000000000001:d1000000-0000-4000-8000-000000000001"
    basic = base64.b64encode(pair).decode()
    callers = {
        "basecone": {"authorization": f"Basic {basic}"},
        "bokamera": {"authorization": "Bearer demo-administrator"},
    }
    async with gateway(wiring, tmp_path) as wires:
        wires.folder = tmp_path
        before = await written(wires)
        for mutation in MUTATIONS:
            for credentials in (None, callers):
                told = await asked(wires, mutation, credentials=credentials)
                assert (told["userErrors"], told[MUTATIONS[mutation][0]]) == ([], None)
                assert told["preview"]["method"] == "PUT"
                assert told["preview"]["changes"]
                shown = repr(told).casefold()
                for secret in (
                    basic,
                    "d1000000",
                    "demo-administrator",
                    "e0000000-0000-4000-8000-000000000001",
                    "authorization",
                    "127.0.0.1",
                ):
                    assert secret.casefold() not in shown
        assert await written(wires) == before


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", REFUSED)
async def test_what_the_store_refuses_it_refuses_dry(wired, case):
    """The same faults in the same order; over REST what is known without writing."""
    mutation, values = REFUSED[case]
    for wiring in WIRINGS:
        wires = wired[wiring]
        before = await written(wires)
        dry = await asked(wires, mutation, values)
        assert await written(wires) == before
        wet = await asked(wires, mutation, values, dry_run=False)
        assert wet["userErrors"]
        if wiring == "local" or not any(fault["backend"] for fault in wet["userErrors"]):
            assert dry == wet
        else:
            assert dry["userErrors"] == []


WHOLE = """code name phone address { city streetName } bankAccounts { iban } paymentCondition { code } email vatNumber
  payCollectType { code } vatCode { code } chamberOfCommerce fax number"""
BOOKED = "firstname phone customFieldValues { id value } accessKeys { value } subscribedToNewsletter invoiceAddress { invoiceCity }"
CLERK = base64.b64encode(b"d0000000-0000-4000-8000-000000000002:d1000000-0000-4000-8000-000000000002").decode()
# In this order: what one leaves, the next one meets.
CHANGING = {
    "everything that is left out": ("updateCustomer", {"company": COMPANY, "name": "Left"}, None),
    "no address, written as one of nothing": ("updateCustomer", {"company": COMPANY, "name": "Left", "address": {"city": None}}, None),
    "a list cleared that is empty": ("patchCustomer", {"bankAccounts": None}, None),
    "a code": ("patchCustomer", {"code": "C901"}, None),
    "a code left out by who may not send it": ("updateCustomer", {"company": COMPANY, "name": "Left"}, {"basecone": {"authorization": f"Basic {CLERK}"}}),
    "a code left out by who may": ("updateCustomer", {"company": COMPANY, "name": "Left"}, None),
    "the same once more": ("updateCustomer", {"company": COMPANY, "name": "Left"}, None),
    "a field and a key": ("updateBookingCustomer", {"customFields": [{"id": 2, "value": "v"}], "accessKeys": [{"accessKeyTypeId": 1, "value": "9"}]}, None),
    "a part of an address": ("updateBookingCustomer", {"invoiceAddress": {"invoiceCity": "Malm\u00f6"}}, None),
    "nothing": ("updateBookingCustomer", {}, None),
}  # fmt: skip


async def shown(wires, record, number):
    fields = BOOKED if record == "bookingCustomer" else WHOLE
    record_id = next(item[1] for item in MUTATIONS.values() if item[0] == record)[:-1] + number
    return (await wires.execute(f'{{ r: {record}(id: "{record_id}") {{ {fields} }} }}'))["data"]["r"]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_told_to_change_changes_and_nothing_else(wired):
    wires = wired["local"]
    for case, (mutation, values, credentials) in CHANGING.items():
        record = MUTATIONS[mutation][0]
        number = "1" if record == "bookingCustomer" else "2"
        before = await shown(wires, record, number)
        dry = await asked(wires, mutation, values, number=number, credentials=credentials)
        wet = await asked(wires, mutation, values, number=number, credentials=credentials, dry_run=False)
        assert (dry["userErrors"], wet["userErrors"]) == ([], []), case
        after = await shown(wires, record, number)
        members = [(name, before[name], after[name]) for name in before]
        nothing = (None, [], {"city": None, "streetName": None})
        changed = {name for name, was, is_ in members if was != is_ and not (was in nothing and is_ in nothing)}
        assert {change["path"][0] for change in dry["preview"]["changes"]} == changed, case


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_fault_of_the_records_own_company_has_no_place_in_a_patch(wired, dry_run):
    for wiring in WIRINGS if not dry_run else WIRINGS[:1]:
        told = await asked(wired[wiring], "patchCustomer", number="5", dry_run=dry_run)
        [fault] = told["userErrors"]
        assert (fault["reason"], fault["inputPath"]) == ("ACCOUNTING_SYSTEM_ACCESS_DENIED", None)
        assert fault["message"].count("The value is the record's own") == 1


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("mutation", ["updateSupplier", "patchSupplier"])
@pytest.mark.parametrize(
    "ledger",
    [
        httpx.Response(500),
        httpx.Response(404, json={"code": "resource_not_found"}),
        httpx.Response(200, json={"id": LEDGER}),
        None,
    ],
    ids=["failing", "unknown", "without-code", "lost"],
)
async def test_what_a_dry_run_cannot_read_was_not_applied(wired, mutation, ledger):
    """The record names a ledger by id, and its code is asked for."""
    wires = wired["sandbox-in-process"]
    recorder = wires.transports["basecone"]

    async def service(request):
        if "generalLedgers" in request.url.path:
            if ledger is None:
                raise httpx.ReadError("lost")
            return ledger
        discount = {"paymentDays": 1, "generalLedger": {"generalLedgerId": LEDGER}}
        return httpx.Response(
            200, json={"supplierId": SUPPLIER_ID, "name": "N", "company": COMPANY, "paymentDiscount": discount}
        )

    inner, recorder.inner = recorder.inner, httpx.MockTransport(service)
    try:
        told = await asked(wires, mutation)
    finally:
        recorder.inner = inner
    assert [(fault["outcome"], fault["retrySafe"]) for fault in told["userErrors"]] == [("NOT_APPLIED", False)]


ACCOUNT = {"default": True, "iban": "NL91ABNA0417164300"}
# What the record is patched with, what it is patched with again, and what that would change, or nothing.
SAME_AGAIN = {
    "a whole number": (0, "0", None),
    "a number's text": ("0.00", 0, None),
    "zeros at the end": ("1.50", "1.5", None),
    "an exponent": (100, "1e2", None),
    "another number": (0, "0.10", ("0", "0.10")),
    "no number": (1, None, ("1", None)),
    "a first number": (None, 1, (None, "1")),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("case", SAME_AGAIN)
async def test_a_number_changes_where_its_value_does_and_is_shown_as_text(wired, wiring, case):
    """As the scalar Decimal is answered, whether the backend wrote a whole number or not."""
    before, after, change = SAME_AGAIN[case]
    wires = wired[wiring]

    def values(percentage):
        return {"paymentDiscount": {"paymentDays": 3, "discountPercentage": percentage}}

    assert not (await asked(wires, "patchSupplier", values(before), dry_run=False))["userErrors"]
    changes = (await asked(wires, "patchSupplier", values(after)))["preview"]["changes"]
    place = ["paymentDiscount", "discountPercentage"]
    assert changes == ([] if change is None else [{"path": place, "before": change[0], "after": change[1]}])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_a_null_within_a_list_is_as_absent(wired, wiring):
    wires = wired[wiring]
    assert not (await asked(wires, "patchCustomer", {"bankAccounts": [ACCOUNT]}, dry_run=False))["userErrors"]
    for account, changed in (({"number": None}, False), ({"country": None}, False), ({"number": "1"}, True)):
        changes = (await asked(wires, "patchCustomer", {"bankAccounts": [ACCOUNT | account]}))["preview"]["changes"]
        assert [one["path"] for one in changes] == [["bankAccounts"]] * changed
        assert all(one["after"] == [ACCOUNT | account] for one in changes)
