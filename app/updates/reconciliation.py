"""After an update whose outcome is unknown: read the record back once, and say what that proves. Knows no vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.errors import GatewayError, Outcome
from app.mapping.wire import members
from app.updates.reading import read_record

if TYPE_CHECKING:
    from app.call import Call
    from app.updates.resource import Backend, UpdateRequest


def agrees(sent: Any, read: Any) -> bool:
    """Whether every member of a request, or of a part of it, is equal in the record that was read.

    A member's counterpart is the one of the same name in any casing; without one nothing is shown.
    """
    if isinstance(sent, list):
        return isinstance(read, list) and len(sent) == len(read) and all(map(agrees, sent, read))
    if not isinstance(sent, dict) or not hasattr(type(read), "__strawberry_definition__"):
        return bool(sent == read)
    counterparts = {member.folded: member.attribute for member in members(type(read))}
    return all(
        name.casefold() in counterparts and agrees(value, getattr(read, counterparts[name.casefold()]))
        for name, value in sent.items()
    )


async def reconcile(request: UpdateRequest, error: GatewayError, backend: Backend, call: Call) -> Any:
    """The record, where the read-back proves that the update was applied. Otherwise raises `error`, still UNKNOWN."""
    if error.outcome is not Outcome.UNKNOWN:
        raise error
    resource = request.resource
    try:
        record = await read_record(resource, backend, call, request.id, request.options)
        if record is not None:
            record = await resource.completed(record, backend, call)
    except GatewayError as unread:
        raise error.changed(message=f"{error.message} The record could not be read back: {unread.message}") from unread
    if record is None:
        raise error.changed(message=f"{error.message} The record was not found when it was read back.") from error
    if not resource.shows(request, record):
        raise error.changed(
            message=f"{error.message} The record was read back and differs from what was sent."
        ) from error
    if not resource.provable(request):
        raise error.changed(
            message=f"{error.message} The record was read back and equals what was sent; "
            "whether the rest of the update happened is not known."
        ) from error
    return record
