"""A refusal ends with its request: nothing of it waits for the garbage collector."""

from __future__ import annotations

import gc
import weakref

import httpx
import pytest

from app.apis.basecone.resources import CUSTOMERS
from app.apis.basecone.settings import BaseconeSettings
from app.apis.basecone.settings import rest as basecone
from app.apis.bokamera.resources import BOOKING_CUSTOMERS
from app.apis.bokamera.settings import BokameraSettings
from app.apis.bokamera.settings import rest as bokamera
from app.call import CallContext
from app.errors import GatewayFailure
from app.json_codec import encode_json
from app.updates.resource import UpdateRequest
from app.updates.run import recorded
from app.upstream.upstream import Upstream

ID = "c0000000-0000-4000-8000-000000000001"
CALLER = {"basecone": {"authorization": "Basic caller"}, "bokamera": {"x-api-key": "caller"}}
EMPTY = {"ErrorCode": "NotEmpty", "FieldName": "Firstname", "Message": "'Firstname' must not be empty."}
CASES = {
    "one row": (CUSTOMERS, {"code": "invalid_request_payload", "message": "The VatCode value provided is invalid."}),
    "no row": (CUSTOMERS, {"code": "never_seen", "message": "Never seen."}),
    "two rows": (BOOKING_CUSTOMERS, {"ResponseStatus": {"ErrorCode": "NotEmpty", "Errors": [EMPTY, EMPTY]}}),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_refusal_is_in_no_cycle_of_references(name):
    resource, body = CASES[name]
    answer = httpx.MockTransport(lambda _: httpx.Response(400, content=encode_json(body)))
    upstream = Upstream(resource.api, "https://backend.test", transport=answer)
    build, settings = {
        "basecone": (basecone, BaseconeSettings(mode="rest")),
        "bokamera": (bokamera, BokameraSettings(mode="rest")),
    }[resource.api]
    backend = build(settings, upstream)
    request = UpdateRequest(resource, ID, {}, {})
    gc.disable()
    try:
        try:
            await recorded(request, None, backend, CallContext("r", CALLER))
        except GatewayFailure as failure:
            references = [weakref.ref(failure), *map(weakref.ref, failure.errors)]
        assert [reference() for reference in references] == [None] * len(references)
    finally:
        gc.enable()
        await upstream.aclose()
