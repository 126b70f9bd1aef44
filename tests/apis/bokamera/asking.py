"""BokaMera's backend as these tests ask it: a customer of a company."""

from __future__ import annotations

from app.apis.bokamera.resources import BOOKING_CUSTOMERS
from app.apis.bokamera.settings import rest
from app.updates.judging import judge_read, judge_update
from app.updates.reading import record_of
from app.updates.resource import UpdateRequest


def request_of(customer_id, company_id, body):
    return UpdateRequest(BOOKING_CUSTOMERS, customer_id, body, {"company_id": company_id} if company_id else {})


def judged_update(answer, customer_id):
    return judge_update(request_of(customer_id, None, {}), answer)


def judged_read(answer, customer_id):
    return judge_read(BOOKING_CUSTOMERS, customer_id, answer)


def booking_customer(data, customer_id):
    return record_of(BOOKING_CUSTOMERS, customer_id, data)


class Bokamera:
    """Over either backend."""

    def __init__(self, backend):
        self.backend = backend

    @classmethod
    def rest(cls, settings, upstream, tokens=None):
        return cls(rest(settings, upstream, tokens))

    async def update(self, customer_id, company_id, body, *, call):
        return await self.backend.update(request_of(customer_id, company_id, body), call=call)

    async def read(self, customer_id, company_id, *, call):
        options = {"company_id": company_id} if company_id else {}
        return await self.backend.read(BOOKING_CUSTOMERS, customer_id, options, call=call)

    async def aclose(self):
        await self.backend.aclose()
