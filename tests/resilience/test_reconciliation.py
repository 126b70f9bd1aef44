"""After an unknown outcome: the one read-back, what it proves, and the time that is kept for it. On real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.harness import serving
from tests.patience import given_time
from tests.resilience.neighbour import AFTER, BEFORE, Gatewayed, applied, gatewayed, request
from tests.resilience.test_sequences import Held
from tests.upstream import faults
from tests.upstream.bad_server import Script, answer, says, status

LOST = says(b"", then="reset")
KEY = "ba5e0000-0000-4000-8000-000000000001"
COMPANY = "ba000000-0000-4000-8000-000000000001"
EQUALS = "equals what was sent; whether the rest of the update happened is not known"
DIFFERS = "was read back and differs from what was sent"
UNREAD = "The record could not be read back"


TWO_REFUSALS = b'{"ResponseStatus":{"ErrorCode":"NotEmpty","Errors":[{"ErrorCode":"NotEmpty","FieldName":"Phone"},{"ErrorCode":"Email","FieldName":"Email"}]}}'


@dataclass
class Case:
    """`says` None stands for a success; else it is in the message of an error that stays UNKNOWN.

    An update took `took` seconds, as the record's own time says.
    """

    id: str
    says: str | None
    api: str = "basecone"
    delivered: bool = True
    get: Script | None = None
    skip: bool = True
    more: dict[str, Any] = field(default_factory=dict)
    put: Script = LOST
    took: float = 5.0
    waits: bool = False  # until the time that a call has is over


def booking(name: str, told: str | None, **more: Any) -> Case:
    return Case(name, told, "bokamera", more.pop("delivered", True), more=more)


CASES = [
    Case("equal, and nothing else asked for", None),
    Case("equal, but the accounting system", EQUALS, skip=False),
    Case("different", DIFFERS, delivered=False),
    Case("different, and the accounting system", DIFFERS, delivered=False, skip=False),
    Case("not found", "was not found when it was read back", get=status(404, b'{"code":"resource_not_found"}')),
    Case("a proxy's 404", UNREAD, get=status(404)),
    Case("refused", UNREAD, get=status(403)),
    Case("failing", UNREAD, get=status(500)),
    Case("closed", UNREAD, get=says(b"", then="close")),
    Case("HTML", UNREAD, get=status(200, b"<html>", "content-type: text/html")),
    Case("a list", UNREAD, get=status(200, b"[]")),
    Case("cut off", UNREAD, get=says(answer(200, b"{}", length=9), then="close")),
    Case("100 MB", UNREAD, get=faults.big(200, 100 * faults.MEBIBYTE)),
    Case("a member twice", UNREAD, get=status(200, b'{"name":"Changed","name":"Anna Bakery"}')),
    Case("hanging", UNREAD, get=says(b"", then="hang"), waits=True),
    Case("every kind of member equal", None, more={"phone": None, "address": {"city": "Baarn"}, "vatCode": {"code": "NL9"}, "bankAccounts": [{"default": True, "iban": "NL91ABNA0417164300"}]}),
    Case("an error is no proof either", None, put=status(500)),
    booking("BokaMera: equal", None, email="new@example.com", customFields=[{"id": 4, "value": "large"}]),
    Case("BokaMera: equal, but perhaps so before", EQUALS, "bokamera", took=-60),
    booking("BokaMera: different", DIFFERS, delivered=False),
    booking("BokaMera: an access key created", EQUALS, accessKeys=[{"accessKeyTypeId": 1, "value": "77"}]),
    booking("BokaMera: an access key changed", None, accessKeys=[{"id": KEY, "value": "77"}]),
    booking("BokaMera: an access key deleted", None, accessKeysToDelete=[{"id": KEY}]),
    booking("BokaMera: an access key not deleted", DIFFERS, delivered=False, accessKeysToDelete=[{"id": KEY}]),
    Case("BokaMera: not found", "was not found", "bokamera", get=status(200, b'{"Results":[]}')),
    Case("BokaMera: another customer", UNREAD, "bokamera", get=status(200, b'{"Results":[{"Id":"b0000000-0000-4000-8000-000000000003"}]}')),
    Case("BokaMera: HTML", UNREAD, "bokamera", get=status(200, b"<html>")),
    Case("BokaMera: the read is refused for two reasons", UNREAD, "bokamera", get=status(400, TWO_REFUSALS, "content-type: application/json")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_one_read_back_settles_the_outcome_or_is_told(case: Case, tmp_path: Path):
    async def within(seconds: float) -> None:
        folder = tmp_path / str(seconds)
        folder.mkdir()
        await judge(case, folder, {"GATEWAY_BACKEND_SECONDS": str(seconds)})

    await (given_time(within, 0.3) if case.waits else judge(case, tmp_path, {}))


async def judge(case: Case, folder: Path, settings: dict[str, str]) -> None:
    async with gatewayed(
        folder, case.put, delivered=case.delivered, get=case.get, took=case.took, settings=settings
    ) as gateway:
        body = await gateway.update(case.api, skip=case.skip, **case.more)
        assert (gateway.server.puts, gateway.neighbour.reads) == (1, 1)
        assert (AFTER if case.delivered else BEFORE[case.api]) == await gateway.neighbour.name(case.api)
        assert all(code in {200, 204} for code in gateway.neighbour.written)
    if case.says is None:
        assert applied(case.api, body)
        return
    [error] = body["errors"]
    assert case.says in error["message"]
    assert (error["extensions"]["outcome"], error["extensions"]["retry"]) == ("UNKNOWN", {"safe": False})
    told = {EQUALS: "SAME", DIFFERS: "DIFFERS", UNREAD: "FAILED"}
    assert error["extensions"]["readBack"] == told.get(case.says, "MISSING")


HANG = says(b"", then="hang")


@contextlib.asynccontextmanager
async def hanging(folder: Path, seconds: float, **more: Any) -> AsyncIterator[tuple[Gatewayed, dict[str, str]]]:
    """A gateway whose writes hang, and the headers of a caller with so many seconds, which alone end them."""
    folder /= str(seconds)
    folder.mkdir()
    own = {"GATEWAY_REQUEST_SECONDS": str(100 * seconds), "GATEWAY_BACKEND_SECONDS": str(50 * seconds)}
    async with gatewayed(folder, HANG, settings=own, **more) as gateway:
        try:
            async with asyncio.timeout(25 * seconds):
                yield gateway, {"x-request-timeout": f"{1000 * seconds:.0f}"}
        except TimeoutError:
            pytest.fail("the caller's time did not end it")


@pytest.mark.parametrize("api", ["basecone", "bokamera"])
async def test_time_for_the_read_back_is_kept_from_the_callers_own(api: str, tmp_path: Path):
    """The write hangs until its part of the caller's time is over; the rest suffices to read what became of it."""

    async def within(seconds: float) -> None:
        async with hanging(tmp_path, seconds, delivered=True) as (gateway, headers):
            error = await gateway.error(api, skip=True, headers=headers)
            # It may still be on its way, so that nothing is proven.
            assert (error["extensions"]["outcome"], error["extensions"]["readBack"]) == ("UNKNOWN", "SAME")
            assert (gateway.server.puts, gateway.neighbour.reads) == (1, 1)

    await given_time(within, 4)


async def test_a_caller_gets_an_answer_in_the_time_it_set(tmp_path: Path):
    """Both the write and the read-back hang."""

    async def within(seconds: float) -> None:
        async with hanging(tmp_path, seconds, get=HANG) as (gateway, headers):
            error = await gateway.error("basecone", headers=headers)
            assert (gateway.server.puts, gateway.neighbour.reads) == (1, 1)
        assert (error["extensions"]["code"], error["extensions"]["outcome"]) == ("BACKEND_TIMEOUT", "UNKNOWN")
        assert UNREAD in error["message"]

    await given_time(within, 2)


async def test_all_mutations_of_a_document_share_its_time(tmp_path: Path):
    """The first uses it up, so that the second is not sent."""
    both = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
      a: updateCustomer(id: $id, input: $input) { customer { name } }
      b: updateCustomer(id: $id, input: $input) { customer { name } } }"""
    given = request("basecone")["variables"]
    body = {"query": both, "variables": {"id": given["id"], "input": given["input"]}}

    async def within(seconds: float) -> None:
        async with hanging(tmp_path, seconds, get=HANG) as (gateway, headers):
            told = (await gateway.client.post("/graphql", json=body, headers=headers)).json()
            assert gateway.server.puts == 1
        outcomes = {error["path"][0]: error["extensions"]["outcome"] for error in told["errors"]}
        assert outcomes == {"a": "UNKNOWN", "b": "NOT_APPLIED"}

    await given_time(within, 2)


async def test_a_client_that_goes_away_does_not_abort_the_put(tmp_path: Path):
    """The backend hears the whole request and its answer is read, though nobody is left to hear of it."""
    held = Held(answer(204))
    async with gatewayed(tmp_path, held, delivered=True) as gateway:
        app = gateway.app
        async with serving(app, lifespan="off") as address:
            host, port = address.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            body = json.dumps(request("basecone")).encode()
            head = f"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await held.arrived.wait()
            [operation] = app.state.in_flight
            writer.transport.abort()
            # Once a later connection is answered, the server has seen the end of this one.
            reader, other = await asyncio.open_connection(host, int(port))
            other.write(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            await reader.read()
            other.close()
            assert not operation.done()
            held.release.set()
            await operation
        assert (gateway.server.puts, gateway.neighbour.reads) == (1, 0)
        assert await gateway.neighbour.name("basecone") == AFTER
