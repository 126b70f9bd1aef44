"""What is told of an update whose outcome is not known: six ways of not knowing it, records of every kind, on real sockets.

The backend of the property does what is drawn: it applies an update or not, answers it in some way, and somebody else
may change the record at any moment. What may be told is decided from what happened, not from the gateway's own rules.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.patience import given_time
from tests.resilience.neighbour import _HEADERS as BEARER
from tests.resilience.neighbour import APIS, BOOK, BOOKING_CUSTOMER, COMPANY, CUSTOMER, LIBRARY, applied, gatewayed
from tests.upstream.bad_server import Exchange, Script, answer, says, status

HTML = "content-type: text/html"
JSON = "content-type: application/json"
WAYS: dict[str, Script] = {
    "500": status(500, b"<html>", HTML),
    "reset": says(b"", then="reset"),
    "a redirection to a login": status(302, b"", "location: https://login.invalid/"),
    "200 HTML": status(200, b"<html>Please log in</html>", HTML),
    "a head cut off": says(b"HTTP/1.1 20", then="close"),
    "a proxy's time-out": status(504, b"<html>", HTML),
    "nothing in time": says(b"", then="hang"),
}
LATE = {"a proxy's time-out", "nothing in time"}
LEFT_OUT = {
    "phone": "1",
    "vatNumber": "NL1",
    "address": {"city": "X"},
    "bankAccounts": [{"default": True, "iban": "I"}],
}


def basecone(**more: Any) -> dict[str, Any]:
    """What `neighbour.request` makes of the record, with all that a read has beside, and `more`."""
    company = {"companyId": COMPANY, "companyCode": "A"}
    return {"customerId": CUSTOMER, "name": "Changed", "company": company, "code": "C1", "externalId": "E", **more}


def bokamera(*, later: float = 5.0, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC) + timedelta(seconds=later)
    return {"Id": BOOKING_CUSTOMER, "Firstname": "Changed", "Phone": "1", "Updated": now.isoformat(), **more}


def read(data: Any, *headers: str) -> Script:
    """`data` is made when it is asked for: it may hold the time."""

    async def script(exchange: Exchange) -> None:
        date = f"date: {format_datetime(datetime.now(UTC), usegmt=True)}"
        await exchange.send(answer(200, json.dumps(data()).encode(), JSON, *(headers or (date,))))

    return script


# The API, what is read, and what is told of it where the write cannot be on its way any more; None is a success.
RECORDS: dict[str, tuple[str, dict[str, Any], Script, str | None]] = {
    "exactly as asked": ("basecone", {"skip": True}, read(basecone), None),
    "the accounting system was asked, too": ("basecone", {"skip": False}, read(basecone), "SAME"),
    "another name": ("basecone", {"skip": True}, read(lambda: basecone(name="Other")), "DIFFERS"),
    **{
        f"{name} is still there": ("basecone", {"skip": True}, read(partial(basecone, **{name: value})), "DIFFERS")
        for name, value in LEFT_OUT.items()
    },
    "not there": ("basecone", {"skip": True}, status(404, b'{"code":"resource_not_found"}', JSON), "MISSING"),
    "a proxy's 404": ("basecone", {"skip": True}, status(404, b"<html>", HTML), "FAILED"),
    "a member that is needed cannot be read": ("basecone", {"skip": True}, read(lambda: basecone(name=[1])), "FAILED"),
    "a member that is not needed cannot be read": ("basecone", {"skip": True}, read(lambda: basecone(externalId=[1])), None),
    # Before any other of BokaMera's: a date that was seen is remembered.
    "BokaMera: no date": ("bokamera", {}, read(lambda: [bokamera()], "x-date: none"), "SAME"),
    "BokaMera: a cache's date": ("bokamera", {}, read(lambda: [bokamera()], "date: Thu, 01 Jan 2026 00:00:00 GMT", "age: 9"), "SAME"),
    "BokaMera: changed since": ("bokamera", {}, read(lambda: [bokamera()]), None),
    "BokaMera: changed long ago": ("bokamera", {}, read(lambda: [bokamera(later=-1e6)]), "SAME"),
    "BokaMera: another name": ("bokamera", {}, read(lambda: [bokamera(Firstname="Other")]), "DIFFERS"),
    "BokaMera: not there": ("bokamera", {}, read(list), "MISSING"),
    # A merge that leaves no mark: what equals may be an earlier one's.
    "library: equal": ("library", {}, read(lambda: {"id": BOOK, "Title": "Changed"}), "SAME"),
    "library: another title": ("library", {}, read(lambda: {"id": BOOK, "Title": "Other"}), "DIFFERS"),
    "library: not there": ("library", {}, status(404, b'{"code":"not_found","message":"There is no such book."}', JSON), "MISSING"),
    "library: a proxy's 404": ("library", {}, status(404, b"<html>", HTML), "FAILED"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
async def test_each_record_after_each_way_of_not_knowing(way: str, tmp_path: Path):
    """One gateway for each way: the pauses and the breaker of one are not the next one's."""

    async def within(seconds: float) -> None:
        folder = tmp_path / str(seconds)
        folder.mkdir()
        await each_record(way, folder, seconds)

    await (given_time(within, 0.3) if way == "nothing in time" else within(60))


async def each_record(way: str, folder: Path, seconds: float) -> None:
    """Only the caller's time, of so many seconds, ends what hangs."""
    limits = {"GATEWAY_REQUEST_SECONDS": "900", "GATEWAY_BACKEND_SECONDS": "900"}
    settings = {"GATEWAY_BREAKER_FAILURES": "20", "GATEWAY_BREAKER_WINDOW": "20", **limits}
    async with gatewayed(folder, WAYS[way], settings=settings, apis=(*APIS, LIBRARY)) as gateway:
        # What hangs costs its time: of those every second record.
        records = dict(list(RECORDS.items())[:: 2 if way == "nothing in time" else 1])
        for name, (api, given, get, told) in records.items():
            gateway.neighbour.get = get
            headers = {"x-request-timeout": f"{1000 * seconds:.0f}"}
            body = await gateway.update(api, headers=headers, **given)
            expected = "SAME" if told is None and way in LATE else told
            if expected is None:
                assert applied(api, body), (name, body)
                continue
            [error] = body["errors"]
            shown = error["extensions"]
            assert (shown["outcome"], shown.get("readBack"), shown["retry"]["safe"]) == (
                "UNKNOWN",
                expected,
                False,
            ), name
            assert body["data"] == {next(iter(body["data"])): None}
        assert gateway.neighbour.reads == gateway.server.puts == len(records)


def merged(record: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    return {**record, **sent}


def replaced(record: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    kept = {name: record.get(name) for name in ("customerId", "externalId", "company")}
    return {**kept, **sent, "company": record["company"]}


@dataclass
class Vendor:
    """One record, and what is drawn for the next update. `clock` is by how much its clock is ahead."""

    api: str
    random: random.Random
    record: dict[str, Any] = field(default_factory=dict)
    put: str = ""
    clock: float = 0.0
    did: bool = False
    seen: dict[str, Any] | None = None
    sent: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    applies: bool = True
    others: tuple[bool, bool] = (False, False)
    late: bool = False

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock)

    def write(self, sent: dict[str, Any], *, took: float) -> None:
        change = replaced if self.api == "basecone" else merged
        self.record = change(self.record, sent)
        if self.api == "bokamera":
            self.record["Updated"] = (self.now() + timedelta(seconds=took)).isoformat()

    def somebody_else(self) -> None:
        """Writes another record, or the very same."""
        self.write(self.sent if self.random.random() < 0.4 else drawn_body(self.api, self.random), took=0)

    async def script(self, exchange: Exchange) -> None:
        if exchange.method == "PUT":
            if self.others[0]:
                self.somebody_else()
            if self.applies and not self.late:
                self.write(json.loads(exchange.body), took=self.random.choice([0.0, 0.5, 3.0]))
                self.did = True
            if self.others[1]:
                self.somebody_else()
            await self.answered(exchange)
            return
        self.seen = deepcopy(self.record)
        data = self.record if self.api == "basecone" else {"Results": [self.record]}
        date = f"date: {format_datetime(self.now(), usegmt=True)}"
        await exchange.send(answer(200, json.dumps(data).encode(), JSON, date))
        if self.late and self.applies:
            # The update lands after the record was read, over whatever is there by then.
            self.write(self.sent, took=0)
            self.did = True

    async def answered(self, exchange: Exchange) -> None:
        if self.put == "success":
            data = b"" if self.api == "basecone" else json.dumps(self.record).encode()
            await exchange.send(answer(204 if self.api == "basecone" else 200, data, JSON))
        elif self.put == "refused":
            await exchange.send(answer(403, b'{"code":"forbidden"}', JSON))
        else:
            await WAYS[self.put](exchange)


TEXTS = ["", "a", "b"]
OPTIONAL = {
    "basecone": {"phone": TEXTS, "code": ["C1", "C2"], "vatCode": [None, {"code": "V1"}], "Email": [None, *TEXTS]},
    "bokamera": {"Lastname": TEXTS, "Phone": TEXTS, "SubscribedToNewsletter": [False, True]},
}


def drawn_body(api: str, random: random.Random) -> dict[str, Any]:
    sent = {name: random.choice(values) for name, values in OPTIONAL[api].items() if random.random() < 0.4}
    if api == "basecone":
        return {"company": {"companyId": COMPANY}, "name": random.choice(["N", "M"]), **sent}
    return {"Firstname": random.choice(["N", "M"]), **sent} if random.random() < 0.9 else sent


def drawn(vendor: Vendor) -> dict[str, Any]:
    """Draws the next update and all that happens to it; gives its variables."""
    draw, api = vendor.random, vendor.api
    vendor.sent = drawn_body(api, draw)
    ways = [*["success"] * 3, "refused", *(way for way in WAYS if way != "nothing in time")]
    vendor.put = draw.choice(ways) if draw.random() > 0.01 else "nothing in time"
    vendor.late = vendor.put in LATE and draw.random() < 0.5
    vendor.applies = vendor.put == "success" or (vendor.put != "refused" and draw.random() < 0.6)
    vendor.others = (draw.random() < 0.3, draw.random() < 0.3)
    vendor.did, vendor.seen = False, None
    base = basecone(code=None) if api == "basecone" else bokamera(later=-1e6)
    vendor.record = {**base, **drawn_body(api, draw)}
    vendor.clock = draw.choice([0.0, 0.0, 3600.0, -3600.0])
    names = {"Email": "email", "Firstname": "firstname", "Lastname": "lastname", "Phone": "phone"}
    given = {names.get(name, name[0].lower() + name[1:]): value for name, value in vendor.sent.items()}
    return {"input": given, "skip": draw.random() < 0.8}


def asked(api: str, given: dict[str, Any]) -> dict[str, Any]:
    """With errors as data beside, which must tell the same."""
    if api == "basecone":
        query = """mutation($id: UUID!, $input: UpdateCustomerInput!, $skip: Boolean!) {
          updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: $skip) { customer { name } } }"""
        return {"query": query, "variables": {"id": CUSTOMER, **given}}
    query = """mutation($id: UUID!, $input: UpdateBookingCustomerInput!) {
      updateBookingCustomer(id: $id, input: $input) { bookingCustomer { firstname } } }"""
    return {"query": query, "variables": {"id": BOOKING_CUSTOMER, "input": given["input"]}}


def empty(value: Any) -> bool:
    return value in (None, "", [], {})


def as_made(vendor: Vendor, seen: dict[str, Any]) -> bool:
    """Whether the record is exactly what this update makes of it, by the model's own words."""
    folded = {name.casefold(): value for name, value in seen.items()}
    for name, value in vendor.sent.items():
        there = folded.get(name.casefold())
        there = {"companyId": there["companyId"]} if name == "company" else there
        if there != value and not (empty(there) and empty(value)) and not (value is False and there is None):
            return False
    if vendor.api == "bokamera":
        return True
    left_out = {name.casefold() for name in OPTIONAL["basecone"]} - {name.casefold() for name in vendor.sent} - {"code"}
    return all(empty(folded.get(name)) for name in left_out)


ENTRY = "query($request: String!) { updates(requestId: $request) { nodes { outcome readBack } } }"


async def one(gateway: Any, vendor: Vendor, told: Counter[str]) -> None:
    given = drawn(vendor)
    if vendor.put != "nothing in time":
        await told_truly(gateway, vendor, told, given, {})
        return
    before = deepcopy(vendor)

    async def within(seconds: float) -> None:
        vars(vendor).update(vars(deepcopy(before)))
        await told_truly(gateway, vendor, told, given, {"x-request-timeout": f"{1000 * seconds:.0f}"})

    await given_time(within, 0.3)


def never(lie: bool, case: Any) -> None:
    """What may not be told however long it took."""
    if lie:
        pytest.fail(repr(case))


async def told_truly(
    gateway: Any, vendor: Vendor, told: Counter[str], given: dict[str, Any], headers: dict[str, str]
) -> None:
    gateway.server.requests.clear()
    reply = await gateway.client.post("/graphql", json=asked(vendor.api, given), headers=BEARER | headers)
    body = reply.json()
    errors = body.get("errors", [])
    outcome = errors[0]["extensions"]["outcome"] if errors else "SUCCESS"
    told[f"{vendor.api} {outcome}"] += 1
    case = (vendor.put, given, vendor.applies, vendor.others, vendor.late, vendor.record, vendor.seen, body)
    if outcome == "SUCCESS":
        if vendor.put != "success":
            never(vendor.late or vendor.put in LATE, case)
            never(not vendor.did and (vendor.seen is None or not as_made(vendor, vendor.seen)), case)
        never(not vendor.did and vendor.put == "success", case)
    elif outcome == "NOT_APPLIED":
        never(vendor.did, case)
    else:
        assert outcome == "UNKNOWN", case
        read_back = errors[0]["extensions"].get("readBack")
        if read_back in {"SAME", "DIFFERS"} and vendor.seen is not None:
            assert (read_back == "SAME") == as_made(vendor, vendor.seen), case
        # Applied and provable: told as unknown in the cases alone that are named.
        provable = vendor.did and vendor.seen is not None and as_made(vendor, vendor.seen)
        if provable and vendor.api == "basecone" and vendor.put not in LATE:
            assert read_back == "FAILED" or not given["skip"], case
    puts = [exchange for exchange in gateway.server.requests if exchange.method == "PUT"]
    never(len(puts) > 1, case)
    # The journal tells the same, and of every update that left.
    asked_for = {"query": ENTRY, "variables": {"request": reply.headers["x-request-id"]}}
    entries = (await gateway.client.post("/graphql", json=asked_for)).json()["data"]["updates"]["nodes"]
    noted = {"outcome": "APPLIED" if outcome == "SUCCESS" else outcome, "readBack": None}
    if errors:
        noted["readBack"] = errors[0]["extensions"].get("readBack")
    elif vendor.put != "success":
        noted["readBack"] = "SAME"
    assert entries == [noted] * len(puts), case


@pytest.mark.parametrize("runs", [150, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("api", ["basecone", "bokamera"])
async def test_nothing_is_told_that_did_not_happen(api: str, runs: int, tmp_path: Path):
    vendor = Vendor(api, random.Random(f"{api} {runs}"))
    told: Counter[str] = Counter()
    settings = {"GATEWAY_BREAKER_WINDOW": "10000", "GATEWAY_BREAKER_FAILURES": "10000", "GATEWAY_BACKEND_SECONDS": "60"}
    async with gatewayed(tmp_path, WAYS["500"], settings=settings) as gateway:
        gateway.server.script = vendor.script
        for _ in range(runs // (1 if runs < 1000 else 2)):
            await one(gateway, vendor, told)
    assert {f"{api} SUCCESS", f"{api} NOT_APPLIED", f"{api} UNKNOWN"} <= set(told)
