"""The place of an error in a mutation's arguments: a row names members only, the arguments decide list positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.errors import GatewayError, InputPath
from app.mapping.wire import arguments_of
from app.updates.resource import UpdateRequest


def placed(error: GatewayError, request: UpdateRequest) -> None:
    """Adds list positions to an error's place, as far as the arguments decide them."""
    path = error.input_path
    if path is None or request.input is None or not all(isinstance(step, str) for step in path):
        return
    names = [str(step) for step in path]
    if request.patch is None or names[0] != "input":
        arguments = {"id": request.id, "input": arguments_of(request.input, only=names[1:2])}
        error.input_path = locate(names, arguments)
        return
    patch = arguments_of(request.patch, only=names[1:2])
    if _holds(patch, names[1:]):
        error.input_path = locate(["patch", *names[1:]], {"patch": patch})
    else:
        error.input_path = None
        error.message += " The value is the record's own, not the patch's."


def _holds(value: Any, names: Sequence[str]) -> bool:
    """Whether a patch sets a value at a place. A list is set as a whole."""
    for name in names:
        if not isinstance(value, dict):
            break
        if name not in value:
            return False
        value = value[name]
    return True


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
