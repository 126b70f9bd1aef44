"""Evidence that an update was applied, for use after a crash: the sent members, in one form for request and record.

The journal stores only its digest. In doubt there is no evidence, and the outcome stays unknown. Knows no vendor.
"""

from __future__ import annotations

import decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from strawberry import UNSET

from app.mapping.members import members
from app.mapping.scalars import normalised

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.updates.resource import Resource, UpdateRequest

# Members by path, as `address.city`. A list is one value. An empty value counts as absent, in a list too.
Evidence = dict[str, Any]


def evidence_of(request: UpdateRequest) -> Evidence | None:
    """The members that a read would show after the request was applied; None where they would not prove it."""
    resource = request.resource
    if not resource.evident(request):
        return None
    values = _along(_parts(resource.input), request.body, {})
    if resource.replaces:
        return {path: value for path, value in values.items() if value is not None or path not in resource.kept_members}
    sent = _sent(_parts(resource.input), request.body)
    if not sent or any(isinstance(values[path], list) for path in sent):
        return None  # a merged list shows in no single member
    return {path: _merged(values[path]) for path in sent}


def observed(resource: Resource, record: Any) -> Evidence:
    """The same members of a record, under every path that a request can have."""
    values = _along(_parts(resource.input), record, {})
    return values if resource.replaces else {path: _merged(value) for path, value in values.items()}


def sent_fields(input_: Any) -> tuple[str, ...]:
    """GraphQL names of the input's members that are set."""
    return tuple(
        member.graphql_name for member in members(type(input_)) if getattr(input_, member.attribute) is not UNSET
    )


class _Part(NamedTuple):
    """A member of an input type. `below` is what an object has; `of_list` is what the items of a list have."""

    name: str
    folded: str
    path: str
    below: tuple[_Part, ...] | None
    of_list: bool


@cache
def _parts(input_: type, above: str = "") -> tuple[_Part, ...]:
    parts = []
    for member in members(input_):
        path = above + member.folded
        below = None
        if member.nested is not None:
            below = _parts(member.nested) if member.is_list else _parts(member.nested, path + ".")
        parts.append(_Part(member.name, member.folded, path, below, member.is_list and below is not None))
    return tuple(parts)


def _along(parts: tuple[_Part, ...], value: Any, evidence: Evidence) -> Evidence:
    """Puts the members of an input type, from a vendor's object or a record, into `evidence`."""
    whole = value if type(value) is dict else None
    attributes = None if whole is not None or value is None else _attributes(type(value))  # type: ignore[arg-type]  # a class is hashable
    for part in parts:
        if whole is not None:
            item = whole.get(part.name)
        elif attributes is not None and part.folded in attributes:
            item = getattr(value, attributes[part.folded])
        else:
            item = None
        if part.below is None:
            evidence[part.path] = _leaf(item)
        elif part.of_list:
            evidence[part.path] = [_without_empty(_along(part.below, one, {})) for one in item] if item else None
        else:
            _along(part.below, item, evidence)
    return evidence


def _sent(parts: tuple[_Part, ...], body: Mapping[str, Any]) -> list[str]:
    """The paths of a request's members."""
    paths: list[str] = []
    for part in parts:
        if part.name not in body:
            continue
        item = body[part.name]
        if part.below is not None and not part.of_list and isinstance(item, dict):
            paths += _sent(part.below, item)
        else:
            paths.append(part.path)
    return paths


@cache
def _attributes(record: type) -> dict[str, str]:
    return {member.folded: member.attribute for member in members(record)}


def _leaf(value: Any) -> Any:
    """Compares decimals by value: `1.50` equals `1.5`."""
    if type(value) is str:
        return value or None
    if isinstance(value, decimal.Decimal):
        return str(normalised(value))
    return None if isinstance(value, list | dict) and not value else value


def _merged(value: Any) -> Any:
    """False equals a member that was never set."""
    return None if value is False else value


def _without_empty(values: Evidence) -> Evidence:
    return {path: value for path, value in values.items() if value is not None}
