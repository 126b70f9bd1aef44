"""No value of a record in the journal's table, in the files it is in, or in a log: searched for with drawn values."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.journal.entries import End
from app.store.entry_table import now
from tests.harness import gateway as open_gateway
from tests.journal.conftest import intent
from tests.store.test_open import execute

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
BOOKING = "b0000000-0000-4000-8000-000000000001"
SUPPLIER = "50000000-0000-4000-8000-000000000001"
QUERIES = {
    "updateCustomer": "mutation($id: UUID!, $input: UpdateCustomerInput!, $skip: Boolean = true) "
    "{ updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: $skip) { replayed } }",
    "patchSupplier": "mutation($id: UUID!, $patch: SupplierPatch!, $skip: Boolean = true) "
    "{ patchSupplier(id: $id, patch: $patch, skipCreationInAccountingSystem: $skip) { replayed } }",
    "updateBookingCustomer": "mutation($id: UUID!, $input: UpdateBookingCustomerInput!) "
    "{ updateBookingCustomer(id: $id, input: $input) { replayed } }",
}
# Long enough that none is found by chance.
values = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=10, max_size=18).map("Zq{}".format)


def updates(names):
    one, two, three, four = names
    company = {"companyId": "a0000000-0000-4000-8000-000000000001"}
    customer = {"company": company, "name": one, "address": {"city": two}, "vatCode": {"code": three}}
    return [
        ("updateCustomer", {"id": CUSTOMER, "input": customer}),
        ("updateCustomer", {"id": CUSTOMER, "input": {"company": company, "name": four, "phone": two}}),
        (
            "patchSupplier",
            {"id": SUPPLIER, "patch": {"metadata": {one: two}, "bankAccounts": [{"default": True, "iban": three}]}},
        ),
        (
            "updateBookingCustomer",
            {"id": BOOKING, "input": {"firstname": four, "customFields": [{"id": 2, "value": one}]}},
        ),
    ]


async def live(names, folder, wiring):
    async with open_gateway(wiring, folder) as gateway:
        for number, (mutation, variables) in enumerate(updates(names)):
            for key in (None, f"key-{number}", f"key-{number}"):
                await gateway.execute(QUERIES[mutation], variables, key=key)
        url = gateway.backends.settings.gateway.store_url
        journal = gateway.backends.recorder.journal
        identifier = await _open_entry(gateway, names)
        rows = await execute(url, "SELECT * FROM gateway_update_entry")
        assert len(rows) > len(updates(names))
        found = {name for name in names if name in repr(rows)}
        journal.end(identifier, End(at=now(), outcome="APPLIED"))
        await journal.flush()
        assert await execute(url, "SELECT count(proof), count(holder) FROM gateway_update_entry") == [(0, 0)]
        if wiring != "local":  # the local store's own tables hold records
            files = b"".join(path.read_bytes() for path in Path(folder).glob("journal.db*"))
            found |= {name for name in names if name.encode() in files}
        return found


async def _open_entry(gateway, names):
    """One that is on its way, with its proof."""
    journal = gateway.backends.recorder.journal
    return await journal.begin(intent(proof=journal.hashes.proof({"name": names[0], "city": names[1]}, whole=True)))


@pytest.mark.parametrize("examples", [1, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("wiring", ["local", "sandbox-in-process"])
def test_no_value_of_a_record_is_kept_or_logged(tmp_path, caplog, wiring, examples):
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(values, min_size=4, max_size=4, unique=True))
    def run(names):
        caplog.clear()
        found = asyncio.run(live(names, Path(tempfile.mkdtemp(dir=tmp_path)), wiring))
        text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("app"))
        assert not found
        assert not {name for name in names if name in text}

    caplog.set_level(logging.INFO)
    run()
