"""The record that an accepted request describes is the one that its JSON would be read as, as far as it is selected."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import strawberry
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st
from strawberry import UNSET

from app.apis.basecone.types import (
    CompanyInput,
    Customer,
    Supplier,
    UpdateCustomerInput,
    UpdateSupplierInput,
    VatCode,
    VatCodeInput,
)
from app.apis.bokamera.types import UpdateBookingCustomerInput
from app.mapping.generated import FunctionSource, name
from app.mapping.members import attributes_of, members
from app.mapping.selection import Selected, described, selected
from app.mapping.wire import from_wire, to_wire

TEXT = st.text(max_size=3)
LEAVES: dict[type, st.SearchStrategy[Any]] = {str: TEXT, bool: st.booleans()}
ID = "c0000000-0000-4000-8000-000000000001"


def inputs(cls: type) -> st.SearchStrategy[Any]:
    """Objects of an input class, members left out and null among them."""
    parts = {}
    for member in members(cls):
        if member.nested is not None:
            value: st.SearchStrategy[Any] = inputs(member.nested)
            value = st.lists(value, max_size=3) if member.is_list else value
        else:
            value = LEAVES.get(member.plain, st.none())
        parts[member.attribute] = st.just(UNSET) | st.none() | value
    return st.fixed_dictionaries(parts).map(lambda values: cls(**values))


def selections(cls: type) -> st.SearchStrategy[Selected]:
    """What may be selected of a class: any of its mapped members, to any depth."""
    nested = {member.attribute: member.nested for member in members(cls)}
    parts = {
        field: selections(nested[attribute]) if nested[attribute] is not None else st.builds(Selected)
        for field, attribute in attributes_of(cls).items()
    }
    return st.fixed_dictionaries({}, optional=parts).map(lambda fields: Selected(dict(fields)))


def written_plainly(value: Any) -> Any:
    """What the generated writer is to give, as a loop."""
    if isinstance(value, list):
        return [written_plainly(part) for part in value]
    if not hasattr(type(value), "__strawberry_definition__"):
        return value
    given = {member.name: getattr(value, member.attribute) for member in members(type(value))}
    return {name: written_plainly(item) for name, item in given.items() if item is not UNSET}


@given(st.data())
@pytest.mark.parametrize("cls", [UpdateCustomerInput, UpdateSupplierInput, UpdateBookingCustomerInput])
def test_an_input_is_written_as_a_loop_would_write_it(cls: type, data: st.DataObject):
    value = data.draw(inputs(cls))
    assert to_wire(value) == written_plainly(value)


def looked_at(value: Any, below: Selected) -> Any:
    """What of a record is selected, as plain values."""
    if isinstance(value, list):
        return [looked_at(part, below) for part in value]
    if not hasattr(type(value), "__strawberry_definition__"):
        return value
    names = attributes_of(type(value))
    return {field: looked_at(getattr(value, names[field]), further) for field, further in below.fields.items()}


def lacks(found: Any) -> bool:
    if isinstance(found, dict):
        return any(map(lacks, found.values()))
    return any(map(lacks, found)) if isinstance(found, list) else found is UNSET


@given(st.data())
@pytest.mark.parametrize(("cls", "given_cls"), [(Customer, UpdateCustomerInput), (Supplier, UpdateSupplierInput)])
def test_what_is_described_is_what_would_be_read(cls: type, given_cls: type, data: st.DataObject):
    value = data.draw(inputs(given_cls))
    below = data.draw(selections(cls))
    id_name = next(member.name for member in members(cls) if member.attribute == "id")
    whole = from_wire(cls, {**to_wire(value), id_name: ID}, absent=UNSET)
    expected = looked_at(whole, below)
    found = described(cls, value, below, id=ID)
    if lacks(expected):
        assert found is None
    else:
        assert found is not None
        assert (type(found), looked_at(found, below)) == (cls, expected)


@pytest.mark.parametrize("cls", [Customer, Supplier])
def test_an_object_of_which_only_its_type_is_selected_is_described(cls: type):
    value = (UpdateCustomerInput if cls is Customer else UpdateSupplierInput)(
        company=CompanyInput(company_id=UUID(ID)), name="n", vat_code=VatCodeInput(code="21")
    )
    described_record = described(cls, value, Selected({"vatCode": Selected({"__typename": Selected()})}), id=ID)
    assert described_record is not None
    assert isinstance(described_record.vat_code, VatCode)


def test_fields_of_fragments_and_aliases_are_selected_together_and_excluded_ones_are_not():
    document = parse(
        "{ c { a: name ...F ... on C { address { city } } email @skip(if: true) fax @include(if: false) } }"
        " fragment F on C { b: name address { street } }"
    )
    operation, fragment = document.definitions
    found = selected(operation.selection_set.selections, {"F": fragment}, None)
    assert {field: set(below.fields) for field, below in found.fields.items()} == {
        "name": set(),
        "address": {"city", "street"},
    }


@strawberry.type
class Other:
    name: int | None = strawberry.field(default=None)


def test_classes_that_differ_in_more_than_names_are_a_mistake():
    with pytest.raises(TypeError, match=r"UpdateCustomerInput\.name is no Other\.name"):
        described(Other, UpdateCustomerInput(company=None, name="n"), Selected({"name": Selected()}))


def test_only_names_get_into_a_source():
    for wrong in ("a b", "a;b", "", "1a", "a'", "ａ"):
        with pytest.raises(ValueError, match="is no name"):
            name(wrong)
    source = FunctionSource("a")
    source.add(f"return {source.value('__import__(1)')} + a")
    assert source.function()("!") == "__import__(1)!"
