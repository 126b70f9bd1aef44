"""What a record that was read back proves of a replacing update: member by member, for every member of every input."""

from __future__ import annotations

import decimal
from dataclasses import fields

import pytest

from app.apis.basecone.examples import CUSTOMER_ID, CUSTOMER_INPUT, SUPPLIER_ID, SUPPLIER_INPUT
from app.apis.basecone.resources import CUSTOMERS, SUPPLIERS
from app.errors import GatewayError
from app.mapping.members import members
from app.mapping.wire import from_wire, to_wire
from app.updates.reading import read_of
from app.updates.resource import UpdateRequest

IDS = {CUSTOMERS: CUSTOMER_ID, SUPPLIERS: SUPPLIER_ID}
INPUTS = {CUSTOMERS: CUSTOMER_INPUT, SUPPLIERS: SUPPLIER_INPUT}


def body_of(resource):
    """The vendor's example, with a number where it has a text of digits."""
    body = to_wire(from_wire(resource.input, INPUTS[resource]))
    assert {member.name for member in members(resource.input)} == set(body)
    return body


def data_of(body):
    """A read of the record that a body makes, with all that a read has beside."""
    folded = {name.casefold(): value for name, value in body.items()}
    read = {name[0].lower() + name[1:]: value for name, value in body.items()}
    read["company"] = {**body["company"], "companyCode": "A", "_links": []}
    read["vatCode"] = (folded["vatcode"] or {}).get("code") if "vatcode" in folded else None
    return {**read, "externalId": "EXT", "substitutionGeneralLedger": {"generalLedgerId": CUSTOMER_ID}, "_links": []}


def proof(resource, body, data, *, skip=True):
    request = UpdateRequest(resource, IDS[resource], body, {"skip_creation_in_accounting_system": skip})
    return resource.proves(request, read_of(resource, IDS[resource], data, 0.0, None)).name


RESOURCES = [pytest.param(resource, id=resource.name) for resource in (CUSTOMERS, SUPPLIERS)]
MEMBERS = [
    pytest.param(resource, member, id=f"{resource.name}-{member.graphql_name}")
    for resource in (CUSTOMERS, SUPPLIERS)
    for member in members(resource.input)
]
INNER = [
    pytest.param(resource, member, inner, id=f"{resource.name}-{member.graphql_name}-{inner.graphql_name}")
    for resource in (CUSTOMERS, SUPPLIERS)
    for member in members(resource.input)
    if member.nested is not None and len(members(member.nested)) > 1
    for inner in members(member.nested)
]
# The others an update cannot leave out.
OPTIONAL = [case for case in MEMBERS if case.values[1].graphql_name not in {"company", "name"}]


@pytest.mark.parametrize("resource", RESOURCES)
def test_exactly_what_was_sent_is_proof_unless_another_system_was_asked(resource):
    body = body_of(resource)
    assert proof(resource, body, data_of(body)) == "WHOLE"
    assert proof(resource, body, data_of(body), skip=False) == "SAME"
    assert proof(resource, body, {}) == "DIFFERS"


@pytest.mark.parametrize(("resource", "member"), OPTIONAL)
def test_a_member_that_stands_twice_proves_nothing(resource, member):
    """Another reader may take the other spelling, which says that a member that was left out is there."""
    body = {name: value for name, value in body_of(resource).items() if name != member.name}
    read = data_of(body_of(resource))
    for spelled in (member.graphql_name, member.graphql_name.upper()):
        data = {
            **read,
            member.graphql_name: None,
            member.graphql_name.upper(): None,
            spelled: read[member.graphql_name],
        }
        assert proof(resource, body, data) == "DIFFERS"


@pytest.mark.parametrize(("resource", "member"), OPTIONAL)
def test_a_member_that_was_left_out_and_still_has_a_value_is_a_difference(resource, member):
    body = {name: value for name, value in body_of(resource).items() if name != member.name}
    expected = "WHOLE" if (resource, member.name) == (CUSTOMERS, "code") else "DIFFERS"
    assert proof(resource, body, data_of(body_of(resource))) == expected
    for nothing in (None, "", [], {}):
        data = data_of(body_of(resource)) | {member.graphql_name: nothing}
        if (type(nothing) is dict and member.nested is None) or (type(nothing) is list and not member.is_list):
            continue
        if nothing == "" and (member.nested is not None or member.graphql_name == "metadata"):
            continue
        if nothing == {} and member.is_list:
            continue
        assert proof(resource, body, data) == "WHOLE"
    assert (
        proof(resource, body, {k: v for k, v in data_of(body_of(resource)).items() if k != member.graphql_name})
        == "WHOLE"
    )


def other(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | decimal.Decimal):
        return value + 1
    if isinstance(value, list):
        return [*value, *value]
    if isinstance(value, dict):
        return {name: other(item) for name, item in value.items()}
    return value[:-1] + ("1" if value[-1] != "1" else "2")


@pytest.mark.parametrize(("resource", "member"), MEMBERS)
def test_any_other_value_is_a_difference(resource, member):
    body = body_of(resource)
    data = data_of(body)
    name = next(key for key in data if key.casefold() == member.folded)
    assert proof(resource, body, data | {name: other(data[name])}) == "DIFFERS"
    assert proof(resource, body, data | {name: None}) == "DIFFERS"


@pytest.mark.parametrize(("resource", "member", "inner"), INNER)
def test_objects_and_items_are_replaced_whole(resource, member, inner):
    """What is left out inside an object that was sent, or inside an item of a list, has no value either."""
    sent, whole = body_of(resource), body_of(resource)
    part = dict(sent[member.name][0] if member.is_list else sent[member.name])
    part.pop(inner.name)
    sent[member.name] = [part] if member.is_list else part
    assert proof(resource, sent, data_of(whole)) == "DIFFERS"
    if not inner.required:
        assert proof(resource, sent, data_of(sent)) == "WHOLE"


@pytest.mark.parametrize(("resource", "member"), MEMBERS)
def test_a_member_that_cannot_be_read_is_told_as_such(resource, member):
    body = body_of(resource)
    data = data_of(body)
    name = next(key for key in data if key.casefold() == member.folded)
    with pytest.raises(GatewayError):
        proof(resource, body, data | {name: 7.5 if name == "metadata" else [[]] if not member.is_list else 5})


@pytest.mark.parametrize(("sent", "there"), [("", None), (None, ""), ("", ""), (None, None)], ids=repr)
def test_no_value_is_no_value_however_it_is_written(sent, there):
    body = {
        "company": {"companyId": CUSTOMER_INPUT["company"]["companyId"]},
        "name": "N",
        "phone": sent,
        "bankAccounts": None,
    }
    assert (
        proof(CUSTOMERS, body, {"name": "N", "company": body["company"], "phone": there, "bankAccounts": []}) == "WHOLE"
    )
    assert (
        proof(CUSTOMERS, body, {"name": "N", "company": body["company"], "phone": "1", "bankAccounts": []}) == "DIFFERS"
    )


def test_every_input_member_has_a_counterpart_in_the_record():
    """Otherwise nothing of such an update could ever be proven."""
    for resource in (CUSTOMERS, SUPPLIERS):
        names = {member.folded for member in members(resource.record)}
        assert {member.folded for member in members(resource.input)} <= names
        assert fields(resource.record)
