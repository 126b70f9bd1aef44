"""Any update, generated: accepted, it shows in the answer whatever it is written in; refused, it names each place."""

from __future__ import annotations

import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.bokamera import jsv
from app.apis.bokamera.envelope import JSON_MEMBERS, bind, parse, render, write
from app.apis.bokamera.merge import answered, is_email, merged
from app.apis.bokamera.proof import shows
from app.apis.bokamera.seed import COMPANIES, CUSTOMERS, seed
from app.apis.bokamera.types import InvoiceAddressInput
from app.errors import GatewayErrors
from app.mapping.members import members
from tests.apis.bokamera.asking import booking_customer, judged_update

ID = "b0000000-0000-4000-8000-000000000001"
KEY = "ba5e0000-0000-4000-8000-000000000001"
RECORDS = {(collection, record.id): record for collection, record in seed()}
STORED = RECORDS[CUSTOMERS, ID].document
COMPANY = RECORDS[COMPANIES, STORED["CompanyId"]].document

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["", "a@b", "1234", "small", ':,{"}\r\n'])
key_ids = st.sampled_from([KEY, "ba5e0000-0000-4000-8000-00000000000f"])


def some(**members):
    return st.fixed_dictionaries({}, optional=members)


bodies = some(
    Firstname=texts,
    Lastname=texts,
    Phone=texts,
    Email=texts,
    CustomFields=st.lists(some(Id=st.integers(1, 5), Value=texts), max_size=4),
    AccessKeys=st.lists(
        some(Id=key_ids, AccessKeyTypeId=st.integers(0, 3), Value=texts, Description=texts, CustomerId=st.just(ID)),
        max_size=3,
    ),
    AccessKeysToDelete=st.lists(some(Id=key_ids), max_size=2),
    SubscribedToNewsletter=st.booleans(),
    InvoiceAddress=some(**dict.fromkeys((member.name for member in members(InvoiceAddressInput)), texts)),
)


@given(bodies)
def test_any_update_is_shown_or_refused_by_place(body):
    before = json.dumps([STORED, COMPANY])
    refused = None
    try:
        after = merged(ID, STORED, COMPANY, body, "2026-02-01T00:00:00Z")
    except GatewayErrors as errors:
        refused = errors
    if refused is not None:
        for form in ("json", "jsv"):
            found = parse(render(refused, form))
            errors = found.errors if isinstance(found, GatewayErrors) else (found,)
            assert [error.extensions for error in errors] == [error.extensions for error in refused.errors]
        for error in refused.errors:
            assert _exists(body, error.input_path[1:-1])
    else:
        reply = answered(ID, after, COMPANY)
        for form in ("json", "jsv"):
            record = booking_customer(judged_update(write(reply, 200, form), ID), ID)
            assert shows(_last_wins(body), record)
        again = merged(ID, after, COMPANY, body | {"AccessKeys": [], "AccessKeysToDelete": []}, after["Updated"])
        assert again == after
    assert json.dumps([STORED, COMPANY]) == before


def _last_wins(body):
    """Of several items that change one access key, each member's last value."""
    keys = {}
    for key in body.get("AccessKeys", []):
        if "Id" in key:
            keys[key["Id"]] = keys.get(key["Id"], {}) | key
    return body | {"AccessKeys": list(keys.values())}


def _exists(body, path):
    value = body
    for part in path:
        value = value[part] if isinstance(part, int) else value[part[0].upper() + part[1:]]
    return True


@given(bodies)
def test_a_request_binds_to_itself_in_json_and_in_jsv(body):
    assert bind(json.loads(json.dumps(body))) == body
    assert bind(jsv.decode(jsv.encode(body), json_members=JSON_MEMBERS)) == body


ADDRESSES = {
    "@": False,
    "a@": False,
    "@a": False,
    "a@b@c": False,
    "a": False,
    "": False,
    "a@b": True,
    "å@ö": True,
    "a b@c": True,
}


@pytest.mark.parametrize("times", [1, 300_000])
def test_an_address_is_looked_at_once_however_long_it_is(times):
    """By a few calls of which none is a pattern's: their work grows with the length alone."""
    calls = []

    def note(_frame, event, function):
        if event == "c_call":
            calls.append(function)

    for text, taken in ADDRESSES.items():
        address = text.replace("a", "a" * times).replace("b", "b." * times)
        calls.clear()
        sys.setprofile(note)
        try:
            shown = is_email(address)
        finally:
            sys.setprofile(None)
        assert shown == taken, text
        assert len(calls) < 6
        assert not any(isinstance(getattr(call, "__self__", None), re.Pattern) for call in calls)
