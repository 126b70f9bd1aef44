"""After an unknown outcome: reads the record back once, and says what that proves. Knows no vendor."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from app.errors import INTERNAL, Code, GatewayError, GatewayFailure, Outcome, ReadBack
from app.updates.proof import Proof, Read
from app.updates.reading import read_data, record_of

if TYPE_CHECKING:
    from app.call import CallContext
    from app.updates.resource import Backend, UpdateRequest

log = logging.getLogger(__name__)

# A proxy gave up waiting: the service behind it may still be at work. 524, 598 and 599 are proxies' own.
_TIMED_OUT = frozenset({504, 524, 598, 599})
_MESSAGES = {
    ReadBack.SAME: "The record was read back and equals what was sent; "
    "whether the rest of the update happened is not known.",
    ReadBack.DIFFERS: "The record was read back and differs from what was sent.",
    ReadBack.MISSING: "The record was not found when it was read back.",
    ReadBack.FAILED: "The record could not be read back:",
}
_STILL_SENDING = "The record was read back and equals what was sent, but the update may still be on its way."


async def reconcile(
    request: UpdateRequest, error: GatewayError, begun: float, backend: Backend, call: CallContext
) -> Any:
    """The record, if it proves that the update was applied. Otherwise raises `error`, still UNKNOWN."""
    if error.outcome is not Outcome.UNKNOWN:
        raise error
    try:
        record, proof = await _shown(request, begun, backend, call)
    except GatewayFailure as unread:
        first = unread.errors[0]
        raise _with_read_back(error, ReadBack.FAILED, f"{_MESSAGES[ReadBack.FAILED]} {first.message}") from unread
    except Exception as surprise:
        # The error of the update stays the answer.
        log.exception("the read-back of an update failed", extra={"request_id": call.request_id})
        raise _with_read_back(error, ReadBack.FAILED, f"{_MESSAGES[ReadBack.FAILED]} {INTERNAL.text}") from surprise
    if proof is None:
        raise _with_read_back(error, ReadBack.MISSING) from error
    if proof is Proof.DIFFERS:
        raise _with_read_back(error, ReadBack.DIFFERS) from error
    if timed_out(error):
        raise _with_read_back(error, ReadBack.SAME, _STILL_SENDING) from error
    if proof is Proof.SAME:
        raise _with_read_back(error, ReadBack.SAME) from error
    return record


def timed_out(error: GatewayError) -> bool:
    """Whether the write may still be on its way: then no read proves anything yet."""
    status = None if error.backend is None else error.backend.status
    return error.row.code is Code.BACKEND_TIMEOUT or status in _TIMED_OUT


async def _shown(request: UpdateRequest, begun: float, backend: Backend, call: CallContext) -> tuple[Any, Proof | None]:
    """The record and what it proves; None where there is none. Raises GatewayError also for a needed member."""
    resource = request.resource
    data = await read_data(resource, backend, call, request.id, request.options)
    if data is None:
        return None, None
    record = await resource.completed(record_of(resource, request.id, data), backend, call)
    return record, resource.proves(request, Read(record, data, begun, backend.clock_ahead))


def _with_read_back(error: GatewayError, read_back: ReadBack, text: str | None = None) -> GatewayError:
    return error.changed(message=f"{error.message} {text or _MESSAGES[read_back]}", read_back=read_back)
