"""The place of an error in a mutation's arguments: the rows' places, with list positions. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.mapping.members import members_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.errors import InputPath


@lru_cache(256)  # a backend may name any member
def in_list(input_: type, *names: str) -> bool:
    """Whether a member of an input type, named from the outside in, stands in items of a list."""
    for name in names[:-1]:
        member = members_of(input_).named.get(name)
        if member is None or member.nested is None:
            return False
        if member.is_list:
            return True
        input_ = member.nested
    return False


def locate(path: Sequence[str], arguments: dict[str, Any]) -> InputPath:
    """`path` with list positions, as far as `arguments` decides them.

    A backend's text names a member, never a position. If one list element has the member, the position is certain. If
    several have it, the path ends at the list.
    """
    located: list[str | int] = []
    value: Any = arguments
    for depth, name in enumerate(path):
        if isinstance(value, list):
            rest = path[depth:]
            holders = [index for index, item in enumerate(value) if _has(item, rest)]
            if len(holders) != 1:
                return tuple(located)
            located.append(holders[0])
            value = value[holders[0]]
        located.append(name)
        value = value.get(name) if isinstance(value, dict) else None
    return tuple(located)


def _has(value: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(value, dict) or value.get(name) is None:
            return False
        value = value[name]
    return True
