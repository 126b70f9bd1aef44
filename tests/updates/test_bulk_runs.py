"""How the items of a bulk run, before a backend on a real socket: order, bounds, STOP, time, pauses, a gone client."""

from __future__ import annotations

import asyncio
import io
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.harness import serving
from tests.patience import given_time
from tests.processes import program
from tests.updates.bulks import Served, pointed_at, served

COMPANY = "a0000000-0000-4000-8000-000000000001"
UPDATE = """mutation($items: [UpdateCustomerItem!]!, $on: OnFailure! = CONTINUE) {
  updateCustomers(items: $items, onFailure: $on) { applied notApplied unknown previewed
    results { index id outcome replayed customer { id name }
      userErrors { reason outcome retrySafe retryAfterSeconds readBack backend { status } } } } }"""
PATCH = UPDATE.replace("UpdateCustomerItem", "PatchCustomerItem").replace("updateCustomers(", "patchCustomers(")
SINGLE = """mutation($id: UUID!, $input: UpdateCustomerInput!) {
  updateCustomer(id: $id, input: $input) { customer { id } } }"""


def record(number: int) -> str:
    return f"c0000000-0000-4000-8000-{number:012}"


def items(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    """An update of each record, in order; its name is its place."""
    return [
        {"id": record(number), "input": {"company": {"companyId": COMPANY}, "name": str(place)}, **more}
        for place, number in enumerate(numbers)
    ]


Answer = Callable[[int], Awaitable[Response] | Response]


class Backend:
    """Answers PUTs with what `answer` says of the item's place; counts what it meets, and how much of it at a time."""

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}  # further members of a read
        self.answer: Answer = lambda _place: Response(status_code=204)
        self.places: list[int] = []
        self.running: Counter[str] = Counter()
        self.most = 0
        self.most_of_record = 0
        self.reads = 0
        self.together = asyncio.Event()
        self.waits_for = 0

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answered, methods=["GET", "PUT"])])

    async def answered(self, request: Request) -> Response:
        if request.method == "GET":
            self.reads += 1
            identifier = request.url.path.rpartition("/")[2]
            company = {"companyId": COMPANY, "companyCode": "A", "_links": []}
            return JSONResponse(
                {"customerId": identifier, "company": company, "code": "C", "name": "read", **self.record}
            )
        place = int((await request.json())["name"])
        self.places.append(place)
        path = request.url.path
        self.running[path] += 1
        self.most = max(self.most, self.running.total())
        self.most_of_record = max(self.most_of_record, self.running[path])
        if self.running.total() >= self.waits_for:
            self.together.set()
        await self.together.wait()
        try:
            answer = self.answer(place)
            return await answer if isinstance(answer, Awaitable) else answer
        finally:
            self.running[path] -= 1


@asynccontextmanager
async def before(backend: Backend, folder: Path, **settings: Any) -> AsyncIterator[Served]:
    extra = {f"GATEWAY_{name}".upper(): str(value) for name, value in settings.items()}
    async with serving(backend.app) as url, served("", folder, io.StringIO(), extra, url=url) as gateway:
        yield gateway


async def asked(
    gateway: Served, given: list[dict[str, Any]], query: str = UPDATE, on: str = "CONTINUE", **headers: str
) -> dict[str, Any]:
    body = await gateway.post(query, {"items": given, "on": on}, **headers)
    assert "errors" not in body
    payload: dict[str, Any] = body["data"]["updateCustomers" if query is UPDATE else "patchCustomers"]
    assert [result["index"] for result in payload["results"]] == list(range(len(given)))
    assert [result["id"] for result in payload["results"]] == [item["id"] for item in given]
    return payload


def reasons(payload: Mapping[str, Any]) -> list[str]:
    return [
        ",".join(error["reason"] for error in result["userErrors"]) or result["outcome"]
        for result in payload["results"]
    ]


def refused(*places: int) -> Answer:
    text = {"code": "invalid_request_payload", "message": "The VatCode value provided is invalid."}
    return lambda place: JSONResponse(text, 400) if place in places else Response(status_code=204)


@pytest.mark.parametrize("query", [UPDATE, PATCH], ids=["update", "patch"])
async def test_the_items_of_one_record_run_in_their_order_and_never_at_once(tmp_path, query):
    backend = Backend()
    numbers = [1, 2, 1, 1, 3, 4, 1, 1, 5, 6, 7, 8, 9]
    given = items(*numbers)
    if query is PATCH:
        given = [{"id": item["id"], "patch": {"name": item["input"]["name"]}} for item in given]
    async with before(backend, tmp_path) as gateway:
        payload = await asked(gateway, given, query)
    assert (payload["applied"], payload["notApplied"], payload["unknown"]) == (13, 0, 0)
    assert [place for place in backend.places if numbers[place] == 1] == [0, 2, 3, 6, 7]
    assert backend.most_of_record == 1
    assert sorted(backend.places) == list(range(13))


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, 8),
        ({"bulk_concurrency": 3}, 3),
        ({"max_in_flight": 5}, 2),
        ({"max_in_flight": 1, "bulk_concurrency": 4}, 1),
    ],
)
@pytest.mark.parametrize("bulks", [1, 3])
async def test_so_many_items_run_at_a_time_in_all_bulks_together(tmp_path, settings, most, bulks):
    backend = Backend()
    backend.waits_for = most
    async with before(backend, tmp_path, **settings) as gateway:
        payloads = await asyncio.gather(*(asked(gateway, items(*range(most * 2))) for _ in range(bulks)))
    assert [payload["applied"] for payload in payloads] == [most * 2] * bulks
    assert backend.most == most


async def test_one_bulk_does_not_wait_for_all_of_another(tmp_path):
    """Room is given in the order in which it is asked for, item by item."""
    backend = Backend()
    async with before(backend, tmp_path, bulk_concurrency=1) as gateway:
        long = asyncio.create_task(asked(gateway, items(*range(40))))
        await backend.together.wait()
        short = await asked(gateway, items(50))
        assert short["applied"] == 1
        assert not long.done()
        assert (await long)["applied"] == 40


async def test_stop_begins_nothing_more(tmp_path):
    backend = Backend()
    backend.answer = refused(1)
    async with before(backend, tmp_path, bulk_concurrency=1) as gateway:
        payload = await asked(gateway, items(1, 2, 3, 2, 4), on="STOP")
        assert reasons(payload) == ["APPLIED", "VAT_CODE_INVALID", *["NOT_BEGUN"] * 3]
        assert (payload["applied"], payload["notApplied"]) == (1, 4)
        [fault] = payload["results"][-1]["userErrors"]
        assert (fault["outcome"], fault["retrySafe"]) == ("NOT_APPLIED", True)
        assert backend.places == [0, 1]
        # Without it all are begun.
        assert (await asked(gateway, items(1, 2, 3)))["applied"] == 2


async def test_what_is_in_flight_ends_when_the_bulk_stops(tmp_path):
    backend = Backend()
    failed = asyncio.Event()

    async def answer(place: int) -> Response:
        if place == 1:
            return await _of(refused(1)(1))
        await failed.wait()
        return Response(status_code=204)

    backend.answer, backend.waits_for = answer, 3
    async with before(backend, tmp_path, bulk_concurrency=3) as gateway:
        task = asyncio.create_task(asked(gateway, items(*range(6)), on="STOP"))
        await backend.together.wait()
        while backend.running.total() > 2:
            await asyncio.sleep(0.005)
        failed.set()
        payload = await task
    assert reasons(payload) == ["APPLIED", "VAT_CODE_INVALID", "APPLIED", *["NOT_BEGUN"] * 3]


async def _of(answer: Any) -> Response:
    return answer


async def test_an_unknown_outcome_stops_a_bulk_too(tmp_path):
    backend = Backend()
    backend.answer = lambda place: Response(status_code=500 if place == 0 else 204)
    async with before(backend, tmp_path, bulk_concurrency=1) as gateway:
        payload = await asked(gateway, items(1, 2), on="STOP")
    assert reasons(payload) == ["BACKEND_FAILED", "NOT_BEGUN"]
    assert (payload["unknown"], payload["notApplied"]) == (1, 1)


async def test_what_the_deadline_finds_not_begun_is_told_so(tmp_path):
    async def attempt(seconds: float) -> None:
        backend, hanging = Backend(), asyncio.Event()

        async def answer(place: int) -> Response:
            if place > 1:
                await hanging.wait()
            return Response(status_code=204)

        backend.answer = answer
        folder = tmp_path / str(seconds)
        folder.mkdir()
        async with before(backend, folder, bulk_concurrency=2) as gateway:
            try:
                payload = await asked(gateway, items(*range(6)), x_request_timeout=f"{1000 * seconds:.0f}")
                assert reasons(payload) == ["APPLIED"] * 2 + ["ANSWER_TIMED_OUT"] * 2 + ["NOT_BEGUN"] * 2
                assert (payload["applied"], payload["unknown"], payload["notApplied"]) == (2, 2, 2)
                assert sorted(backend.places) == [0, 1, 2, 3]  # two at a time, each over a connection of its own
            finally:
                hanging.set()  # the backend ends when its answers do

    await given_time(attempt, 1.5)


async def test_a_bulk_that_finds_no_room_in_its_time_begins_nothing(tmp_path):
    backend = Backend()
    released = asyncio.Event()

    async def answer(_place: int) -> Response:
        await released.wait()
        return Response(status_code=204)

    backend.answer, backend.waits_for = answer, 2
    async with before(backend, tmp_path, bulk_concurrency=2) as gateway:
        long = asyncio.create_task(asked(gateway, items(1, 2)))
        await backend.together.wait()
        payload = await asked(gateway, items(3, 4), x_request_timeout="200")
        assert reasons(payload) == ["NOT_BEGUN"] * 2
        assert not long.done()
        released.set()
        assert (await long)["applied"] == 2
    assert len(backend.places) == 2


@pytest.mark.parametrize(
    ("status", "at_once", "reason", "safe"),
    [(429, 1, "RATE_LIMITED", True), (429, 3, "RATE_LIMITED", True), (503, 3, "BACKEND_FAILED", False)],
)
async def test_a_pause_is_waited_for_inside_the_deadline(tmp_path, status, at_once, reason, safe):
    """The item that met it is not sent again; no other is refused for it."""
    backend = Backend()
    backend.answer = lambda place: (
        Response(status_code=status, headers={"retry-after": "1"}) if place == 2 else Response(status_code=204)
    )
    async with before(backend, tmp_path, bulk_concurrency=at_once) as gateway:
        payload = await asked(gateway, items(*range(8)))
        assert reasons(payload) == ["APPLIED", "APPLIED", reason, *["APPLIED"] * 5]
        assert sorted(backend.places) == list(range(8))
        [fault] = payload["results"][2]["userErrors"]
        assert (fault["retrySafe"], fault["retryAfterSeconds"]) == (safe, 1)


@pytest.mark.parametrize("at_once", [1, 3])
async def test_a_pause_beyond_the_deadline_ends_the_bulk_at_once(tmp_path, at_once):
    backend = Backend()
    backend.waits_for = at_once
    backend.answer = lambda place: Response(status_code=429 if place == 0 else 204, headers={"retry-after": "900"})
    async with before(backend, tmp_path, bulk_concurrency=at_once, request_seconds=800) as gateway:
        async with asyncio.timeout(400):
            payload = await asked(gateway, items(*range(8)))
        told = reasons(payload)
        assert told[0] == "RATE_LIMITED"
        begun = len(backend.places)
        assert told[begun:] == ["NOT_BEGUN"] * (8 - begun)
        assert told[1:begun] == ["APPLIED"] * (begun - 1)
        [fault] = payload["results"][-1]["userErrors"]
        assert fault["retryAfterSeconds"] in range(600, 901)
        # One that begins under a pause waits for it as well, or says so.
        assert reasons(await asked(gateway, items(1))) == ["NOT_BEGUN"]
        # The single update is refused at once, as ever.
        body = await gateway.post(SINGLE, items(1)[0])
        assert body["errors"][0]["extensions"]["reason"] == "BACKEND_PAUSED"
        assert len(backend.places) == begun


async def test_a_read_that_is_paused_after_an_applied_update_sends_nothing_again(tmp_path):
    """The answer needs a read, and another call was asked for a pause meanwhile."""
    backend = Backend()
    backend.answer = lambda place: Response(status_code=429 if place == 1 else 204, headers={"retry-after": "900"})
    backend.waits_for = 2
    query = UPDATE.replace("id name }", "id name externalId }")
    async with before(backend, tmp_path, bulk_concurrency=2) as gateway:
        body = await gateway.post(query, {"items": items(0, 1)})
    first, second = body["data"]["updateCustomers"]["results"]
    assert second["userErrors"][0]["reason"] == "RATE_LIMITED"
    assert first["outcome"] == "APPLIED"
    assert [error["outcome"] for error in first["userErrors"]] in (["APPLIED"], [])
    assert sorted(backend.places) == [0, 1]


async def test_each_item_says_that_the_breaker_is_open(tmp_path):
    backend = Backend()
    backend.answer = lambda place: Response(status_code=500 if place > 1 else 204)
    async with before(backend, tmp_path, bulk_concurrency=1, breaker_window=5, breaker_failures=3) as gateway:
        payload = await asked(gateway, items(*range(12)))
    told = reasons(payload)
    begun = len(backend.places)
    assert told[:2] == ["APPLIED"] * 2
    assert told[2:begun] == ["BACKEND_FAILED"] * (begun - 2)
    assert begun < 12
    assert told[begun:] == ["BREAKER_OPEN"] * (12 - begun)
    assert payload["notApplied"] == 12 - begun


async def test_what_was_begun_ends_when_the_client_is_gone(tmp_path):
    backend = Backend()
    released = asyncio.Event()

    async def answer(_place: int) -> Response:
        await released.wait()
        return Response(status_code=204)

    backend.answer, backend.waits_for = answer, 3
    async with before(backend, tmp_path, bulk_concurrency=3) as gateway, serving(gateway.app) as url:
        async with httpx.AsyncClient() as client:
            body = {"query": UPDATE, "variables": {"items": items(*range(6))}}
            task = asyncio.create_task(client.post(f"{url}/graphql", json=body, headers={"x-request-id": "gone"}))
            await backend.together.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        released.set()
        while len(backend.places) < 6 or backend.running.total():
            await asyncio.sleep(0.005)
        entries: list[dict[str, Any]] = []
        while len(entries) < 6 or not all(entry["outcome"] for entry in entries):
            [entries] = await gateway.entries("gone")
    assert [entry["outcome"] for entry in entries] == ["APPLIED"] * 6
    assert [entry["position"] for entry in entries] == list(range(6))


@pytest.mark.parametrize(
    ("told", "at_once"),
    [(["APPLIED"] * 2, 2), pytest.param(["RATE_LIMITED"], 1, marks=pytest.mark.slow)],
    ids=["in-flight", "in-a-pause"],
)
async def test_a_gateway_that_stops_begins_no_item_more(tmp_path, told, at_once):
    """What is in flight ends, nobody waits for a pause, and the answer says what became of each item."""
    backend, released = Backend(), asyncio.Event()
    backend.waits_for = at_once

    async def answer(_place: int) -> Response:
        if at_once == 1:
            return Response(status_code=429, headers={"retry-after": "20"})
        await released.wait()
        return Response(status_code=204)

    backend.answer = answer
    async with serving(backend.app) as url:
        with program(tmp_path, **pointed_at(url), GATEWAY_BULK_CONCURRENCY=str(at_once)) as gateway:
            body = {"query": UPDATE, "variables": {"items": items(*range(6))}}
            async with httpx.AsyncClient() as client:
                asking = asyncio.create_task(client.post(f"{gateway.url}/graphql", json=body))
                await backend.together.wait()
                gateway.process.send_signal(signal.SIGTERM)
                while "Shutting down" not in gateway.output():
                    await asyncio.sleep(0.01)
                released.set()
                payload = (await asking).json()["data"]["updateCustomers"]
    assert reasons(payload) == [*told, *["NOT_BEGUN"] * (6 - at_once)]
    assert {fault["retrySafe"] for result in payload["results"][at_once:] for fault in result["userErrors"]} == {True}
    assert sorted(backend.places) == list(range(at_once))
    assert gateway.process.returncode == 0
