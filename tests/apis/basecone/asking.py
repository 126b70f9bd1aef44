"""Basecone's backend as these tests ask it: by kind."""

from __future__ import annotations

from app.apis.basecone.kinds import CUSTOMER
from app.apis.basecone.ledgers import LEDGER
from app.apis.basecone.resources import CUSTOMERS, SUPPLIERS
from app.apis.basecone.settings import rest
from app.updates.judging import judge_read, judge_update
from app.updates.resource import UpdateRequest


def resource(kind):
    return CUSTOMERS if kind is CUSTOMER else SUPPLIERS


def request_of(kind, record_id, body, *, skip=False):
    return UpdateRequest(resource(kind), record_id, body, {"skip_creation_in_accounting_system": skip})


def judged_update(kind, answer):
    return judge_update(request_of(kind, "", None), answer)


def judged_read(kind, answer, record_id):
    return judge_read(resource(kind), record_id, answer)


class Basecone:
    def __init__(self, settings, upstream):
        self.backend = rest(settings, upstream)

    async def update(self, kind, record_id, body, *, skip, call):
        return await self.backend.update(request_of(kind, record_id, body, skip=skip), call=call)

    async def read(self, kind, record_id, *, call):
        return await self.backend.read(resource(kind), record_id, {}, call=call)

    async def general_ledger(self, ledger_id, *, call):
        return await self.backend.read(LEDGER, ledger_id, {}, call=call)
