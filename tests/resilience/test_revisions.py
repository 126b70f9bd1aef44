"""Several people with one revision: one wins where the store compares; over REST a moment remains, as is said."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest

from tests.harness import gateway
from tests.processes import ROOT, program

COMPANY = {"companyId": "a0000000-0000-4000-8000-000000000001"}
RECORDS = {
    "updateCustomer": ("customer", "c0000000-0000-4000-8000-000000000001", "UpdateCustomerInput", "name"),
    "patchSupplier": ("supplier", "50000000-0000-4000-8000-000000000001", "SupplierPatch", "name"),
    "updateBookingCustomer": ("bookingCustomer", "b0000000-0000-4000-8000-000000000001", "UpdateBookingCustomerInput", "firstname"),
}  # fmt: skip


def change(mutation: str, name: str, revision: str, **more: str):
    field, record_id, input_, member = RECORDS[mutation]
    place = "patch" if mutation.startswith("patch") else "input"
    values = {member: name, **more, **({"company": COMPANY} if mutation == "updateCustomer" else {})}
    query = f"""mutation($id: UUID!, $revision: String!, $values: {input_}!) {{
      r: {mutation}(id: $id, {place}: $values, expectedRevision: $revision) {{
        {field} {{ {member} revision }} userErrors {{ reason outcome currentRevision }} }} }}"""
    return {"query": query, "variables": {"id": record_id, "revision": revision, "values": values}}


def read(mutation: str, more: str = ""):
    field, record_id, _, member = RECORDS[mutation]
    return {"query": f'{{ r: {field}(id: "{record_id}") {{ {member} revision {more} }} }}'}


@pytest.mark.slow
async def test_of_four_processes_with_one_revision_one_wins(url, tmp_path: Path):
    """In 1,000 tries, over the same store."""
    async with contextlib.AsyncExitStack() as stack:
        started = [stack.enter_context(program(tmp_path, GATEWAY_STORE_URL=url)) for _ in range(4)]
        http = await stack.enter_async_context(httpx.AsyncClient())

        async def asked(number: int, body):
            answer = (await http.post(f"{started[number % 4].url}/graphql", json=body)).json()
            assert "errors" not in answer
            return answer["data"]["r"]

        for round_ in range(1000):
            mutation = list(RECORDS)[round_ % 3]
            revision = (await asked(round_, read(mutation)))["revision"]
            told = await asyncio.gather(
                *(asked(number, change(mutation, f"{round_}-{number}", revision)) for number in range(4))
            )
            winners = [number for number, one in enumerate(told) if not one["userErrors"]]
            assert len(winners) == 1
            for one in told:
                for fault in one["userErrors"]:
                    assert (fault["reason"], fault["outcome"]) == ("REVISION_MISMATCH", "NOT_APPLIED")
                    assert fault["currentRevision"] != revision
            record = await asked(round_ + 1, read(mutation))
            assert record[RECORDS[mutation][3]] == f"{round_}-{winners[0]}"
            assert record["revision"] == told[winners[0]][RECORDS[mutation][0]]["revision"]


class FirstWaits(httpx.AsyncBaseTransport):
    """The first update stands at the service's door until `release` is set."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner, self.arrived, self.release = inner, asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request):
        if request.method == "PUT" and not self.arrived.is_set():
            self.arrived.set()
            await self.release.wait()
        return await self.inner.handle_async_request(request)


@pytest.mark.parametrize("mutation", ["updateCustomer", "patchSupplier"])
async def test_over_rest_a_moment_remains_between_the_read_and_the_update(mutation, tmp_path: Path):
    """Both read the revision that they expect; the one that comes last writes over the other, and neither is told."""
    async with gateway("sandbox-in-process", tmp_path) as wires:
        service = wires.transports["basecone"].inner = FirstWaits(wires.transports["basecone"].inner)

        async def asked(body):
            answer = await wires.execute(body["query"], body.get("variables"))
            assert "errors" not in answer
            return answer["data"]["r"]

        revision = (await asked(read(mutation)))["revision"]
        first = asyncio.create_task(asked(change(mutation, "First", revision)))
        await service.arrived.wait()
        second = await asked(change(mutation, "Second", revision, phone="2"))
        service.release.set()
        assert [second["userErrors"], (await first)["userErrors"]] == [[], []]
        left = await asked(read(mutation, "phone"))
        assert left["name"] == "First"
        assert left["phone"] != "2"
        # Who comes a moment later is refused.
        late = await asked(change(mutation, "Third", revision))
        assert late["userErrors"] == [
            {"reason": "REVISION_MISMATCH", "outcome": "NOT_APPLIED", "currentRevision": left["revision"]}
        ]


def test_the_description_says_so():
    text = (ROOT / "schema.graphql").read_text()
    assert text.count("Over REST a moment remains between that read and the update") == text.count("expectedRevision:")
