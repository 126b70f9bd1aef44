"""The REST adapter: builds Basecone's requests and judges its answers, both pure, with one send between them."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from app.apis.basecone.backend import NAME, SUPPLIER, Kind
from app.apis.basecone.errors import parse, simulated
from app.apis.basecone.settings import BaseconeSettings
from app.apis.sandbox_faults import is_fault
from app.call import Call
from app.errors import ANSWER_UNREADABLE, CREDENTIALS_MISSING, BackendAnswer, GatewayError, Outcome
from app.json_codec import encode_json
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.upstream.answers import log_body, member, parsed
from app.upstream.exchange import Answer, Request
from app.upstream.upstream import Upstream

_NO_CONTENT = 204
_OK = 200
_NOT_FOUND = 404
# What an update demands, and what creating one demanded.
_RECORD_MEMBERS = ("company", "name", "code")
_LEDGERS_KEPT = 1024
_LEDGER_SECONDS = 300.0
_SKIP = {skip: (("skipCreationInAccountingSystem", "true" if skip else "false"),) for skip in (True, False)}


def update_headers(credentials: Mapping[str, str]) -> dict[str, str]:
    return {"accept": "application/json", "content-type": "application/json; charset=utf-8", **credentials}


def build_update(kind: Kind, record_id: str, body: Any, *, skip: bool, headers: Mapping[str, str]) -> Request:
    """`headers` are all of them (`update_headers`)."""
    return Request("PUT", f"/{kind.plural}/{record_id}", _SKIP[skip], headers, encode_json(body))


def build_read(path: str, *, headers: Mapping[str, str]) -> Request:
    return Request("GET", path, headers={"accept": "application/json", **headers})


def judge_update(kind: Kind, answer: Answer) -> None:
    """204 is success, whatever its body. Everything else is an error; raises GatewayError."""
    if answer.status != _NO_CONTENT:
        raise parse(kind, answer)


def judge_read(kind: Kind, answer: Answer, record_id: str) -> Wire | None:
    """The asked record of a 200; None for a 404, which stands for an unknown id. Raises GatewayError."""
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != _OK:
        raise parse(kind, answer)
    record = _object(answer, kind.id_member, record_id)
    if all(member(record, name) is None for name in (kind.id_member, *_RECORD_MEMBERS)):
        raise _unreadable(answer, "the answer holds no member that every record has")
    return record


def judge_ledger(answer: Answer, ledger_id: str) -> Wire | None:
    """`{code}` of a 200; None for a 404. Raises GatewayError."""
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != _OK:
        error = parse(SUPPLIER, answer)
        # A row's place is one of the update's arguments, and this read has none of them.
        error.input_path = None
        raise error
    return {"code": member(_object(answer, "id", ledger_id), "code")}


def _object(answer: Answer, id_member: str, asked: str) -> Wire:
    """The object of an answer, unless it says that it is another one than was asked for."""
    data = parsed(answer.body)
    if not isinstance(data, dict):
        raise _unreadable(answer, "the answer is no object")
    answered = member(data, id_member)
    if answered is not None and not _same(answered, asked):
        raise _unreadable(answer, f"{id_member} is another one than was asked for")
    return data


def _same(answered: Any, asked: str) -> bool:
    try:
        return parse_uuid(answered) == asked
    except ValueError:
        return False


def _unreadable(answer: Answer, detail: str) -> GatewayError:
    log_body(NAME, answer)
    # A read changes nothing; the outcome that matters is set by whoever reads back after a write.
    backend = BackendAnswer(NAME, answer.status)
    return GatewayError(ANSWER_UNREADABLE, backend=backend, outcome=Outcome.UNKNOWN, detail=detail)


class RestBackend:
    """Basecone itself, or the sandbox, over HTTP."""

    def __init__(self, settings: BaseconeSettings, upstream: Upstream) -> None:
        self._upstream = upstream
        self._own: dict[str, str] = {}
        if settings.client_identifier is not None and settings.api_access_key is not None:
            pair = f"{settings.client_identifier}:{settings.api_access_key.get_secret_value()}"
            self._own = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        self._own_update = update_headers(self._own)
        self._ledgers: OrderedDict[tuple[str, str], tuple[float, Wire]] = OrderedDict()
        self._reading: WeakValueDictionary[tuple[str, str, int], asyncio.Task[Wire | None]] = WeakValueDictionary()

    def _headers(self, call: Call) -> Mapping[str, str]:
        headers = call.credentials.get(NAME) or self._own
        if "authorization" not in headers:
            raise GatewayError(CREDENTIALS_MISSING, backend=BackendAnswer(NAME))
        return headers

    async def update(self, kind: Kind, record_id: str, body: Any, *, skip: bool, call: Call) -> None:
        credentials = self._headers(call)
        headers = self._own_update if credentials is self._own else update_headers(credentials)
        if call.simulate is not None and (simulated(kind, call.simulate) or is_fault(call.simulate)):
            # Another API's reason is not for this service: it may be the real one, next to another one's sandbox.
            headers = {**headers, "x-simulate": call.simulate}
        request = build_update(kind, record_id, body, skip=skip, headers=headers)
        judge_update(kind, await self._upstream.send(request, call))

    async def read(self, kind: Kind, record_id: str, *, call: Call) -> Wire | None:
        request = build_read(f"/{kind.plural}/{record_id}", headers=self._headers(call))
        return judge_read(kind, await self._upstream.send(request, call), record_id)

    async def general_ledger(self, ledger_id: str, *, call: Call) -> Wire | None:
        """Cached for five minutes by credential, so that nobody sees what only another caller may read."""
        headers = self._headers(call)
        key = (headers["authorization"], ledger_id)
        # Two fields of one record may name one account, and are read at once. Other calls have times of their own.
        asked = (*key, id(call))
        reading = self._reading.get(asked)
        if reading is None:
            reading = self._reading[asked] = asyncio.create_task(self._ledger(key, headers, call))
        return await reading

    async def _ledger(self, key: tuple[str, str], headers: Mapping[str, str], call: Call) -> Wire | None:
        ledger_id = key[1]
        kept = self._ledgers.get(key)
        if kept is not None and kept[0] > time.monotonic():
            self._ledgers.move_to_end(key)
            return kept[1]
        request = build_read(f"/generalLedgers/{ledger_id}", headers=headers)
        ledger = judge_ledger(await self._upstream.send(request, call), ledger_id)
        if ledger is not None and isinstance(ledger["code"], str):
            self._ledgers[key] = (time.monotonic() + _LEDGER_SECONDS, ledger)
            self._ledgers.move_to_end(key)
            if len(self._ledgers) > _LEDGERS_KEPT:
                self._ledgers.popitem(last=False)
        return ledger
