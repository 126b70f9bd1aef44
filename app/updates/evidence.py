"""Evidence that an update was applied, for use after a crash: the sent members, in one form for request and record.

The journal stores only its digest. In doubt there is no evidence, and the outcome stays unknown. Knows no vendor.
"""

from __future__ import annotations

import decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from strawberry import UNSET

from app.mapping.members import members, members_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.updates.resource import Resource, UpdateRequest

# Members by path, as `address.city`. A list is one value. An empty value counts as absent, in a list too.
Evidence = dict[str, Any]
_NOTHING: Mapping[str, Any] = {}


def evidence_of(request: UpdateRequest) -> Evidence | None:
    """The members that a read would show after the request was applied; None where they would not prove it."""
    resource = request.resource
    if not resource.evident(request):
        return None
    values = _of_body(_parts(resource.input), request.body, {})
    if resource.replaces:
        if not resource.kept_members:
            return values
        return {path: value for path, value in values.items() if value is not None or path not in resource.kept_members}
    sent = _sent(_parts(resource.input), request.body)
    if not sent or any(isinstance(values[path], list) for path in sent):
        return None  # a merged list shows in no single member
    return {path: _merged(values[path]) for path in sent}


def observed(resource: Resource, record: Any) -> Evidence:
    """The same members of a record, under every path that a request can have."""
    values = _of_record(_parts(resource.input), record, {})
    return values if resource.replaces else {path: _merged(value) for path, value in values.items()}


def sent_fields(input_: Any) -> tuple[str, ...]:
    """GraphQL names of the input's members that are set."""
    names = _names(type(input_))  # type: ignore[arg-type]  # a class is hashable
    return tuple(name for attribute, name in names if getattr(input_, attribute) is not UNSET)


@cache
def _names(input_: type) -> tuple[tuple[str, str], ...]:
    return tuple((member.attribute, member.graphql_name) for member in members(input_))


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


def _of_body(parts: tuple[_Part, ...], body: Mapping[str, Any], evidence: Evidence) -> Evidence:
    """Puts the members of an input type, from a vendor's object, into `evidence`."""
    for name, _, path, below, of_list in parts:
        item = body.get(name)
        if item is None and (below is None or of_list):
            evidence[path] = None
        elif below is None:
            evidence[path] = (item or None) if type(item) is str else _leaf(item)
        elif of_list:
            evidence[path] = [_without_empty(_of_body(below, one or _NOTHING, {})) for one in item] if item else None
        else:
            _of_body(below, item or _NOTHING, evidence)
    return evidence


def _of_record(parts: tuple[_Part, ...], record: Any, evidence: Evidence) -> Evidence:
    """The same from a record or a part of it."""
    attributes = {} if record is None else members_of(type(record)).folded
    for part in parts:
        item = getattr(record, attributes[part.folded].attribute) if part.folded in attributes else None
        if part.below is None:
            evidence[part.path] = _leaf(item)
        elif part.of_list:
            below = [_of_record(part.below, one, {}) for one in item or ()]
            evidence[part.path] = [*map(_without_empty, below)] or None
        else:
            _of_record(part.below, item, evidence)
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


def _leaf(value: Any) -> Any:
    """Compares decimals by value: `1.50` equals `1.5`."""
    if value is None or type(value) is str:
        return value or None
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    return None if isinstance(value, list | dict) and not value else value


def _merged(value: Any) -> Any:
    """False equals a member that was never set."""
    return None if value is False else value


def _without_empty(values: Evidence) -> Evidence:
    return {path: value for path, value in values.items() if value is not None}
