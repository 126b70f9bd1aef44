"""Backends that fail by script and remember what was asked of them: one script, two runs, the same calls."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import dataclass, field
from typing import Any

from app.apis import APIS
from app.errors import CONNECTION_LOST, NOT_CONNECTED, BackendDetails, GatewayError, GatewayErrors, refusal
from app.updates.listing import ListPage
from app.upstream.messages import BackendRequest

_ROWS = {api.name: list(api.errors) for api in APIS}
RECORD = {
    "code": "C001",
    "name": "Acme",
    "externalId": "x-1",
    "company": {"companyId": "a0000000-0000-4000-8000-000000000001", "companyCode": "A"},
    "address": {"streetName": "Street", "city": "Utrecht", "country": {"code": "NL"}},
    "vatCode": "NL21",
    "bankAccounts": [{"default": True, "iban": "NL91"}, {"default": False, "country": {"code": "BE"}}],
    "paymentDiscount": {"paymentDays": 8, "generalLedger": {"generalLedgerId": "50000000-0000-4000-8000-00000000000a"}},
    "substitutionGeneralLedger": {"generalLedgerId": "50000000-0000-4000-8000-00000000000b"},
    "metadata": {"key": "value"},
}
BOOKING = {
    "Id": "b0000000-0000-4000-8000-000000000001",
    "Firstname": "Eva",
    "CustomFields": [{"Id": 1, "Name": "Persons", "Values": [{"Value": "small"}]}],
    "CustomFieldValues": [{"Id": 1, "Value": "2"}],
    "AccessKeys": [{"Id": "b0000000-0000-4000-8000-0000000000aa", "Value": "1234"}],
    "Created": "2026-01-15T10:00:00Z",
    "SubscribedToNewsletter": True,
    "InvoiceAddress": {"InvoiceCity": "Lund"},
}
# What the answer of a call may be. The last ones are of types that the documentation does not allow.
OUTCOMES = ["good"] * 6 + [
    "missing",
    "refused",
    "several",
    "lost",
    "unsent",
    "bug",
    "odd list",
    "odd text",
    "odd number",
    *["odd member"] * 3,
]


def places(data: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of a record stands, to any depth."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in ((*above, key), *places(value, (*above, key)))]


def with_odd_member(record: dict[str, Any], number: int) -> dict[str, Any]:
    """A copy with one value replaced, another one for each `number`."""
    record = copy.deepcopy(record)
    at: Any = record
    listed = [place for place in places(record) if place != ("Id",)]
    *above, last = listed[number * 7 % len(listed)]
    for step in above:
        at = at[step]
    at[last] = ["", True, {}, [1], 12.5][number % 5]
    return record


@dataclass
class Script:
    """`outcomes` and `turns` (of the event loop, before the answer) are used in the order of the calls, around and around."""

    outcomes: list[str]
    turns: list[int]
    calls: list[Any] = field(default_factory=list)

    async def play(self, api: str, record: dict[str, Any] | None, *asked: Any) -> Any:
        number = len(self.calls)
        self.calls.append(copy.deepcopy((api, *asked)))
        for _ in range(self.turns[number % len(self.turns)]):
            await asyncio.sleep(0)
        outcome = self.outcomes[number % len(self.outcomes)]
        if outcome == "refused":
            raise refusal(_ROWS[api][number % len(_ROWS[api])])
        if outcome == "several":
            raise GatewayErrors([refusal(row) for row in _ROWS[api][:2]])
        if outcome in {"lost", "unsent"}:
            raise GatewayError(CONNECTION_LOST if outcome == "lost" else NOT_CONNECTED, backend=BackendDetails(api))
        if outcome == "bug":
            raise ZeroDivisionError("a bug")
        if record is None or outcome == "missing":
            return None
        if outcome == "odd member":
            return with_odd_member(record, number + len(str(asked)))
        odd = {"odd list": ("bankAccounts", 7), "odd text": ("name", {}), "odd number": ("Firstname", [1])}
        return {**record, **dict([odd[outcome]] if outcome in odd else [])}

    def backends(self) -> dict[str, Any]:
        return {api.name: Scripted(self, api.name) for api in APIS}


_RECORDS = {"customer": RECORD, "supplier": RECORD, "bookingCustomer": BOOKING}


@dataclass
class Scripted:
    """Basecone answers nothing to an update, BokaMera the record."""

    script: Script
    api: str
    clock_ahead = None

    async def omitted(self, _resource: Any, names: Any, *, call: Any) -> Any:  # noqa: ARG002 - the port's
        return names

    async def previewed(self, request: Any, *, call: Any) -> Any:
        await self.script.play(self.api, {}, "preview", request.resource.name, request.id, request.body, call.simulate)
        return BackendRequest("PUT", f"/{request.id}", (), {}, b"{}")

    async def update(self, request: Any, *, call: Any) -> Any:
        record = BOOKING if self.api == "bokamera" else None
        asked = (request.resource.name, request.id, request.body, dict(request.options), call.simulate)
        answer = await self.script.play(self.api, record, "update", *asked)
        return {} if record is not None and answer is None else answer

    async def read(self, resource: Any, record_id: str, options: Any, *, call: Any) -> Any:
        record = _RECORDS.get(resource.name, {"id": record_id, "code": "4000"})
        return await self.script.play(self.api, record, "read", resource.name, record_id, dict(options), call.simulate)

    async def page(self, request: Any, *, call: Any) -> Any:
        """Two records, the second without an id."""
        record = BOOKING if self.api == "bokamera" else RECORD
        asked = (request.listing.name, dict(request.arguments), request.limit, request.offset, sorted(request.members))
        item = await self.script.play(self.api, record, "page", *asked, call.simulate)
        if item is None:
            return ListPage([], more=False)
        named = dict.fromkeys(request.listing.id_members, "50000000-0000-4000-8000-00000000000c")
        return ListPage([{**item, **named}, item][: request.limit], more=True, total=7)
