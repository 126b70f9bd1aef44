"""Basecone's backend as these tests ask it: by resource."""

from __future__ import annotations

from app.apis.basecone.ledgers import LEDGER
from app.apis.basecone.settings import rest
from app.updates.judging import judge_read, judge_update
from app.updates.resource import UpdateRequest


def request_of(resource, record_id, body, *, skip=False):
    return UpdateRequest(resource, record_id, body, {"skip_creation_in_accounting_system": skip})


def judged_update(resource, answer):
    return judge_update(request_of(resource, "", None), answer)


def judged_read(resource, answer, record_id):
    return judge_read(resource, record_id, answer)


class Basecone:
    def __init__(self, settings, upstream):
        self.backend = rest(settings, upstream)

    async def update(self, resource, record_id, body, *, skip, call):
        return await self.backend.update(request_of(resource, record_id, body, skip=skip), call=call)

    async def read(self, resource, record_id, *, call):
        return await self.backend.read(resource, record_id, {}, call=call)

    async def general_ledger(self, ledger_id, *, call):
        return await self.backend.read(LEDGER, ledger_id, {}, call=call)
