"""After an update whose outcome is unknown: read the record back once, and say what that proves. Knows no vendor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from strawberry import UNSET

from app.errors import GatewayError, Outcome
from app.mapping.wire import members

T = TypeVar("T")


def agrees(sent: object, read: object) -> bool:
    """Whether every member of an input that was sent (is not UNSET) is equal in the record that was read.

    A member's counterpart is the one of the same name at the wire; without one nothing is shown.
    """
    if sent is UNSET:
        return True
    if isinstance(sent, list):
        return isinstance(read, list) and len(sent) == len(read) and all(map(agrees, sent, read))
    if not all(hasattr(type(value), "__strawberry_definition__") for value in (sent, read)):
        return sent == read
    counterparts = {member.folded: member.attribute for member in members(type(read))}
    return all(
        getattr(sent, member.attribute) is UNSET
        or (
            member.folded in counterparts
            and agrees(getattr(sent, member.attribute), getattr(read, counterparts[member.folded]))
        )
        for member in members(type(sent))
    )


async def reconcile(
    error: GatewayError, read: Callable[[], Awaitable[T | None]], equal: Callable[[T], bool], *, provable: bool
) -> T:
    """The record, where the read-back proves that the update was applied. Otherwise raises `error`, still UNKNOWN.

    `provable` says that equal members prove the whole update: no hand-over to another system was asked for.
    """
    if error.outcome is not Outcome.UNKNOWN:
        raise error
    try:
        record = await read()
    except GatewayError as unread:
        raise error.changed(message=f"{error.message} The record could not be read back: {unread.message}") from unread
    if record is None:
        raise error.changed(message=f"{error.message} The record was not found when it was read back.") from error
    if not equal(record):
        raise error.changed(
            message=f"{error.message} The record was read back and differs from what was sent."
        ) from error
    if not provable:
        raise error.changed(
            message=f"{error.message} The record was read back and equals what was sent; "
            "whether the rest of the update happened is not known."
        ) from error
    return record
