"""The run of one update. Knows no vendor.

| step | here | what it makes |
|---|---|---|
| key | `UpdateRecording.earlier` | an entry that answers instead (`replayed`), or none |
| plan | `change.planned` | plain values: the request that would be sent; a patch and an expected revision read first |
| intent | `UpdateRecording.sending`, `committing` | an entry, durable, right before the first byte or with the commit |
| send | `recorded` | one PUT, or the local store's commit |
| settle | `settled` | judged by the rows; an UNKNOWN outcome is read back once |
| end | `UpdateRecording.applied`, `failed` | the entry's end |
| answer | `answered` | from the vendor's answer, the accepted request or one read |
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from app.call import CallContext
from app.errors import (
    IDEMPOTENT_REQUEST_IN_PROGRESS,
    INTERNAL,
    RECORD_NOT_READ_BACK,
    BackendDetails,
    GatewayError,
    GatewayErrors,
    GatewayFailure,
    Outcome,
    ReadBack,
    each,
)
from app.journal.entries import Entry
from app.journal.keys import KeyTakenError
from app.mapping.selection import Selected, described
from app.mapping.wire import to_wire
from app.updates.change import Change, planned, unsent
from app.updates.placing import placed
from app.updates.reading import backend_of, read_record, reconcile, record_of
from app.updates.recording import UpdateRecording
from app.updates.resource import Backend, Resource, UpdateRequest
from app.updates.revision import REVISION

_KEY_ATTEMPTS = 5
_NO_CONTENT = 204


async def update(
    resource: Resource,
    info: Any,
    change: Change,
    payload: Selected,
    *,
    key: str | None = None,
    position: int | None = None,
) -> tuple[Any, bool]:
    """The payload's record, or the exception that stands for it; and whether an earlier request answers.

    `payload` is the selection of the update's answer. `key` is the update's idempotency key, `position` its place in a
    bulk. Raises GatewayError(s).
    """
    context = info.context
    backend, call = context.backends[resource.api], context.call
    recorder = context.recorder
    recording = None if recorder is None else recorder.recording(resource, change, context, key, position)
    for _ in range(_KEY_ATTEMPTS):
        if recording is not None and (entry := await recording.earlier()) is not None:
            recording.replay(entry)
            return await replayed(entry, resource, change, recording, info, payload), True
        try:
            request = await planned(resource, change, backend, call)
        except Exception as failure:
            raise unsent(failure) from failure
        try:
            record = await recorded(request, recording, backend, call)
        except KeyTakenError:
            continue  # another request was first: its entry answers
        return await answered(request, record, payload, backend, call), False
    raise GatewayError(IDEMPOTENT_REQUEST_IN_PROGRESS, retry_after=1)


async def recorded(
    request: UpdateRequest, recording: UpdateRecording | None, backend: Backend, call: CallContext
) -> Any:
    """Sends, settles and records. Returns the vendor's or the read-back's record. Raises the update's error."""
    proven = None
    if recording is not None:
        recording.request = request
    begun = time.time()
    try:
        try:
            data = await backend.update(request, call=call.for_write(asyncio.get_running_loop().time(), recording))
            record = None if data is None else record_of(request.resource, request.id, data)
        except GatewayFailure as failure:
            if not is_unknown(failure, request):
                raise
            record = await settled(request, failure, begun, backend, call)
            proven = ReadBack.SAME
    except KeyTakenError:
        raise
    except asyncio.CancelledError:
        if recording is not None:
            recording.cancelled()
        raise
    except Exception as failure:
        if recording is None or not await recording.failed(failure):
            raise
        return None
    if recording is not None:
        await recording.applied(proven)
    return record


async def replayed(
    entry: Entry, resource: Resource, change: Change, recording: UpdateRecording, info: Any, payload: Selected
) -> Any:
    """The result of the first request with the key. Nothing is sent. Raises that request's errors."""
    assert entry.end is not None
    backend, call = backend_of(info, resource.api), info.context.call
    body = {} if change.patches else to_wire(change.input)
    request = UpdateRequest(resource, change.id, body, change.options, None if change.patches else change.input)
    errors = recording.errors_of(entry)
    if entry.end.outcome == Outcome.APPLIED:
        return await answered(request, None, payload, backend, call, read=change.patches)
    if entry.end.outcome == Outcome.UNKNOWN and not change.patches:
        # Reads once more, with the same proof. The result of a patch is not known any more.
        try:
            record = await reconcile(request, recording.judged(errors[0], entry), entry.begun_at, backend, call)
        except GatewayError as error:
            errors[0] = errors[0].changed(read_back=error.read_back)
        else:
            recording.proven(entry)
            return await answered(request, record, payload, backend, call)
    for one in errors:
        one.replayed = True
    raise errors[0] if len(errors) == 1 else GatewayErrors(errors)


# A failure that is raised again must be in no local variable of a frame that it passes: traceback, frame and failure
# would be a cycle, which only the garbage collector removes.


def is_unknown(failure: GatewayFailure, request: UpdateRequest) -> bool:
    """Whether any error leaves the outcome open. Gives each error its place in the arguments."""
    for error in failure.errors:
        placed(error, request)
    return any(error.outcome is Outcome.UNKNOWN for error in failure.errors)


async def settled(
    request: UpdateRequest, failure: GatewayFailure, begun: float, backend: Backend, call: CallContext
) -> Any:
    """The record, if a read-back proves that the update was applied. Otherwise raises the failure."""
    errors = failure.errors
    try:
        return await reconcile(request, errors[0], begun, backend, call)
    except GatewayError as error:
        if len(errors) == 1:
            raise
        others = [one.changed(read_back=error.read_back) for one in errors[1:]]
        raise GatewayErrors([error, *others]) from error


async def answered(
    request: UpdateRequest, record: Any, payload: Selected, backend: Backend, call: CallContext, *, read: bool = False
) -> Any:
    """The payload's record, one state for all aliases. A failed read-back does not make an applied update a failure.

    `read` demands a read of the record instead of the request's members.
    """
    resource = request.resource
    below = payload.fields.get(resource.name)
    if below is None:
        return record
    if record is not None and REVISION not in below.fields:
        return record
    # A revision needs a whole read, never an update's answer. A vendor that answers the record merges.
    whole = not read and (record is not None or resource.updated_status == _NO_CONTENT)
    record = described(resource.record, request.input, below, id=request.id) if whole else None
    return record if record is not None else await _read_back(request, backend, call)


async def _read_back(request: UpdateRequest, backend: Backend, call: CallContext) -> Any:
    try:
        record = await read_record(request.resource, backend, call, request.id, request.options)
    except GatewayFailure as failure:
        return each(failure, lambda error: error.changed(outcome=Outcome.APPLIED))
    except Exception as surprise:  # noqa: BLE001 - the error of the record's field; it is logged as any unexpected one
        unread = GatewayError(INTERNAL, outcome=Outcome.APPLIED, detail="the read of an applied update failed")
        unread.__cause__ = surprise
        return unread
    if record is None:
        missing = BackendDetails(request.resource.api, request.resource.missing_status)
        return GatewayError(RECORD_NOT_READ_BACK, backend=missing)
    return record
