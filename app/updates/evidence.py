"""What would show, after a crash, that an update was applied: the sent members in one form, made of request or record.

Only its digest is kept, in the journal. In doubt there is no evidence, and the outcome stays unknown. Knows no vendor.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from strawberry import UNSET

from app.mapping.members import members

if TYPE_CHECKING:
    from app.updates.resource import Resource, UpdateRequest

# Members by their path, as `address.city`. A list is one value. What is empty counts as absent, in a list too.
Evidence = dict[str, Any]


def evidence_of(request: UpdateRequest) -> Evidence | None:
    """What a read would show of an applied request; None where that would not prove it."""
    resource = request.resource
    if not resource.evident(request):
        return None
    values = _along(resource.input, request.body)
    if resource.replaces:
        return {path: value for path, value in values.items() if value is not None or path not in resource.kept}
    sent = _sent(resource.input, request.body)
    if not sent or any(isinstance(values[path], list) for path in sent):
        return None  # a merge of a list shows in no single member
    return {path: _merged(values[path]) for path in sent}


def observed(resource: Resource, record: Any) -> Evidence:
    """The same of a record that was read, under every path that a request can have."""
    values = _along(resource.input, record)
    return values if resource.replaces else {path: _merged(value) for path, value in values.items()}


def sent_fields(input_: Any) -> tuple[str, ...]:
    """GraphQL names of the input's members that were given."""
    return tuple(
        member.graphql_name for member in members(type(input_)) if getattr(input_, member.attribute) is not UNSET
    )


def _along(input_: type, value: Any, above: str = "") -> Evidence:
    """The members that the input type has, of a vendor's object or of a record."""
    found: Evidence = {}
    of = _getter(value)
    for member in members(input_):
        item, path = of(member.folded), above + member.folded
        if member.nested is None:
            found[path] = _leaf(item)
        elif member.is_list:
            nested = member.nested
            found[path] = [_without_empty(_along(nested, part)) for part in item] if item else None
        else:
            found.update(_along(member.nested, item, path + "."))
    return found


def _sent(input_: type, body: Mapping[str, Any], above: str = "") -> list[str]:
    """Paths of what a request holds."""
    folded = {name.casefold(): item for name, item in body.items()}
    found: list[str] = []
    for member in members(input_):
        if member.folded not in folded:
            continue
        item = folded[member.folded]
        if member.nested is not None and not member.is_list and isinstance(item, dict):
            found += _sent(member.nested, item, f"{above}{member.folded}.")
        else:
            found.append(above + member.folded)
    return found


def _getter(value: Any) -> Any:
    if value is None:
        return lambda _: None
    if isinstance(value, Mapping):
        folded = {name.casefold(): item for name, item in value.items()}
        return folded.get
    attributes = {member.folded: member.attribute for member in members(type(value))}
    return lambda name: getattr(value, attributes[name], None) if name in attributes else None


def _leaf(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    return None if isinstance(value, str | list | dict) and not value else value


def _merged(value: Any) -> Any:
    """False is what a member that was never given has."""
    return None if value is False else value


def _without_empty(values: Evidence) -> Evidence:
    return {path: value for path, value in values.items() if value is not None}
