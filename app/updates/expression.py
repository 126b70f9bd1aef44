"""Expresses a record that was read as a request, and merges a patch into it. Pure, and knows no vendor.

Read and request differ in shape. A member that a request cannot express is reported, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from strawberry import UNSET

from app.mapping.members import Member, members, members_of
from app.mapping.readers import STRICT
from app.mapping.scalars import Decimal as DecimalScalar
from app.mapping.wire import Wire, to_wire

if TYPE_CHECKING:
    from app.updates.resource import UpdateRequest

# By a member's place, under GraphQL names: why a request cannot express it.
Problems = dict[tuple[str, ...], str]
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def expressed(
    cls: type, read: Mapping[str, Any], left_out: Collection[str], place: tuple[str, ...] = ()
) -> tuple[Wire, Problems]:
    """The record `read` as a request: the members of the input class `cls`, in its order and spelling.

    `left_out` names members of a read that no request has, case folded: by path (`.externalid`, `company.companycode`)
    or by name at any depth (`_links`). Null counts as absent.
    """
    body: Wire = {}
    problems: Problems = {}
    members = members_of(cls)
    above = ".".join(place).casefold()
    by_name: dict[str, list[Any]] = {}
    for key, item in read.items():
        folded = str(key).casefold()
        by_name.setdefault(folded, []).append(item)
        passed = folded in members.folded or folded in left_out or f"{above}.{folded}" in left_out
        if not passed and item not in _NOTHING:
            problems[*place, str(key)] = "an update has no such member"
    for member in members.all:
        here = (*place, member.graphql_name)
        items = by_name.get(member.folded, [])
        item = items[0] if items else None
        if len(items) > 1:
            problems[here] = "it stands twice"
        elif item is not None and not (item == "" and member.nested):
            body[member.name] = _member(member, item, left_out, here, problems)
        elif member.required:
            problems[here] = "it is missing"
    return body, problems


def _member(member: Member, item: Any, left_out: Collection[str], place: tuple[str, ...], problems: Problems) -> Any:
    if not member.is_list:
        return _item(member, item, left_out, place, problems)
    if not isinstance(item, list):
        problems[place] = "it is no list"
        return None
    items = [_item(member, part, left_out, place, problems) for part in item]
    if None in items:
        problems.setdefault(place, "an item of it says nothing")
    return items


def _item(member: Member, item: Any, left_out: Collection[str], place: tuple[str, ...], problems: Problems) -> Any:
    if member.nested is None:
        try:
            return STRICT[member.scalar](item)
        except ValueError as error:
            problems[place] = str(error)
            return None
    if isinstance(item, str) and members_of(member.nested).has_code:
        item = {"code": item}
    if not isinstance(item, Mapping):
        problems[place] = "it is no object"
        return None
    body, below = expressed(member.nested, item, left_out, place)
    if below and all(value in _NOTHING for value in item.values()):
        return None  # an object of nulls counts as absent, whatever a request requires of it
    problems |= below
    return body


def merged(cls: type, body: Mapping[str, Any], patch: Any) -> tuple[Wire, set[tuple[str, ...]]]:
    """`body`, a request of the input class `cls`, with a patch of it; and the places that the patch replaced.

    https://www.rfc-editor.org/rfc/rfc7396: absent stays, null clears. Only an object whose patch has a type of its own
    is merged member by member; any other value is replaced whole.
    """
    result = dict(body)
    replaced: set[tuple[str, ...]] = set()
    targets = members_of(cls).named
    written = to_wire(patch)
    for member in members(type(patch)):
        value = getattr(patch, member.attribute)
        if value is UNSET:
            continue
        target = targets[member.graphql_name]
        here = (member.graphql_name,)
        if value is None or target.nested is None or member.nested is target.nested:
            result[target.name] = written[member.name]
            replaced.add(here)
            continue
        below, places = merged(target.nested, result.get(target.name) or {}, value)
        emptied = all(item in _NOTHING for item in below.values())
        result[target.name] = None if emptied else below
        replaced |= {here} if emptied else {here + place for place in places}
    return {member.name: result[member.name] for member in members(cls) if member.name in result}, replaced


def remaining(problems: Problems, replaced: Collection[tuple[str, ...]]) -> Problems:
    """The problems at places that a patch did not replace."""
    return {
        place: problem
        for place, problem in problems.items()
        if not any(place[:length] in replaced for length in range(1, len(place) + 1))
    }


def named(cls: type, body: Mapping[str, Any]) -> dict[str, Any]:
    """A request of the input class `cls` under GraphQL names; every number of the scalar Decimal is one."""
    result = {}
    for member in members(cls):
        if member.name not in body:
            continue
        item = body[member.name]
        nested = member.nested
        if nested is not None and item is not None:
            parts = [named(nested, part) for part in (item if member.is_list else [item])]
            item = parts if member.is_list else parts[0]
        is_whole = member.scalar is DecimalScalar and type(item) is int
        result[member.graphql_name] = Decimal(item) if is_whole else item
    return result


def states(read: Mapping[str, Any], request: UpdateRequest) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Before and after an update: the whole request where it replaces, otherwise the members that were sent."""
    resource = request.resource
    if resource.patch is not None:
        before = expressed(resource.input, read, resource.patch.left_out)[0]
    else:
        by_name = {str(key).casefold(): item for key, item in read.items()}
        sent = (member for member in members(resource.input) if member.name in request.body)
        before = {member.name: by_name.get(member.folded) for member in sent}
    return named(resource.input, before), named(resource.input, request.body)


def changes(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """The differences between two states: path, before, after. Objects are compared by member, lists as a whole.

    Null equals absent, also within a list; so do an empty list and an object without any value. Decimals are compared
    by value and shown as text.
    """
    if _says_nothing(before) and _says_nothing(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*after, *before]):
            yield from changes(before.get(name), after.get(name), (*path, name))
    elif _plain(before, Decimal) != _plain(after, Decimal):
        yield path, _plain(before, str), _plain(after, str)


def _plain(value: Any, decimal: Callable[[Decimal], Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item, decimal) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item, decimal) for item in value]
    return decimal(value) if isinstance(value, Decimal) else value


def _says_nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_says_nothing, value.values()))
    return value is None or value == []
