"""The REST adapter: builds Basecone's requests and judges its answers, both pure, with one send between them."""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from typing import Any

from app.apis.basecone.backend import NAME, Kind
from app.apis.basecone.errors import parse
from app.apis.basecone.settings import BaseconeSettings
from app.call import Call
from app.errors import ANSWER_UNREADABLE, CREDENTIALS_MISSING, BackendAnswer, GatewayError, Outcome
from app.upstream.answers import parsed, undocumented
from app.upstream.exchange import Answer, Request
from app.upstream.upstream import Upstream
from app.wire import Wire, encode_json

_NO_CONTENT = 204
_OK = 200
_NOT_FOUND = 404
_LEDGERS_KEPT = 1024
_LEDGER_SECONDS = 300.0
_HEADERS = {"accept": "application/json", "content-type": "application/json; charset=utf-8"}


def build_update(kind: Kind, record_id: str, body: Any, *, skip: bool, headers: dict[str, str]) -> Request:
    flag = "true" if skip else "false"
    return Request(
        "PUT",
        f"/{kind.plural}/{record_id}",
        (("skipCreationInAccountingSystem", flag),),
        {**_HEADERS, **headers},
        encode_json(body),
    )


def build_read(path: str, *, headers: dict[str, str]) -> Request:
    return Request("GET", path, headers={"accept": "application/json", **headers})


def judge_update(kind: Kind, answer: Answer) -> None:
    """204 is success, whatever its body. Everything else is an error; raises GatewayError."""
    if answer.status != _NO_CONTENT:
        raise parse(kind, answer)


def judge_read(kind: Kind, answer: Answer) -> Wire | None:
    """The record of a 200; None for a 404, which stands for an unknown id. Raises GatewayError."""
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != _OK:
        raise parse(kind, answer)
    return _object(answer)


def judge_ledger(answer: Answer) -> Wire | None:
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != _OK:
        raise undocumented(NAME, answer)
    return _object(answer)


def _object(answer: Answer) -> Wire:
    data = parsed(answer.body)
    if not isinstance(data, dict):
        # A read changes nothing; the outcome that matters is set by whoever reads back after a write.
        raise GatewayError(ANSWER_UNREADABLE, backend=BackendAnswer(NAME, answer.status), outcome=Outcome.UNKNOWN)
    return data


class RestBackend:
    """Basecone itself, or the sandbox, over HTTP."""

    def __init__(self, settings: BaseconeSettings, upstream: Upstream) -> None:
        self._upstream = upstream
        self._own: dict[str, str] = {}
        if settings.client_identifier is not None and settings.api_access_key is not None:
            pair = f"{settings.client_identifier}:{settings.api_access_key.get_secret_value()}"
            self._own = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        self._ledgers: OrderedDict[tuple[str, str], tuple[float, Wire]] = OrderedDict()

    def _headers(self, call: Call) -> dict[str, str]:
        headers = dict(call.credentials.get(NAME) or self._own)
        if "authorization" not in headers:
            raise GatewayError(CREDENTIALS_MISSING, backend=BackendAnswer(NAME))
        return headers

    async def update(self, kind: Kind, record_id: str, body: Any, *, skip: bool, call: Call) -> None:
        headers = self._headers(call)
        if call.simulate is not None:
            headers["x-simulate"] = call.simulate
        request = build_update(kind, record_id, body, skip=skip, headers=headers)
        judge_update(kind, await self._upstream.send(request, call))

    async def read(self, kind: Kind, record_id: str, *, call: Call) -> Wire | None:
        request = build_read(f"/{kind.plural}/{record_id}", headers=self._headers(call))
        return judge_read(kind, await self._upstream.send(request, call))

    async def general_ledger(self, ledger_id: str, *, call: Call) -> Wire | None:
        """Cached for five minutes by credential, so that nobody sees what only another caller may read."""
        headers = self._headers(call)
        key = (headers["authorization"], ledger_id)
        kept = self._ledgers.get(key)
        if kept is not None and kept[0] > time.monotonic():
            self._ledgers.move_to_end(key)
            return kept[1]
        request = build_read(f"/generalLedgers/{ledger_id}", headers=headers)
        ledger = judge_ledger(await self._upstream.send(request, call))
        if ledger is not None:
            self._ledgers[key] = (time.monotonic() + _LEDGER_SECONDS, ledger)
            self._ledgers.move_to_end(key)
            if len(self._ledgers) > _LEDGERS_KEPT:
                self._ledgers.popitem(last=False)
        return ledger
