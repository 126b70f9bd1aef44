"""The run of one update. Knows no vendor.

| step | here | what it makes |
|---|---|---|
| plan | `change.planned` | plain values: the request that would be sent; a patch and an expected revision read first |
| send | `sent` | one PUT, or the local store's commit |
| settle | `settled` | judged by the rows; an UNKNOWN outcome is read back once |
| answer | `answered` | from the vendor's answer, the accepted request or one read |
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from app.errors import RECORD_NOT_READ_BACK, BackendAnswer, GatewayError, GatewayErrors, Outcome
from app.mapping.selection import described, selection_of
from app.mapping.wire import arguments_of
from app.updates.change import planned
from app.updates.placing import locate
from app.updates.reading import backend_of, read_record, record_of
from app.updates.reconciliation import reconcile
from app.updates.revision import REVISION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.call import Call
    from app.updates.change import Change
    from app.updates.resource import Backend, Resource, UpdateRequest


async def update(resource: Resource, info: Any, change: Change) -> Any:
    """The record to put into the payload, or the exception that stands for it. Raises GatewayError(s)."""
    backend, call = backend_of(info, resource.api), info.context.call
    request = await planned(resource, change, backend, call)
    begun = time.time()
    try:
        record = await sent(request, backend, call)
    except (GatewayError, GatewayErrors) as failure:
        record = await settled(request, failure, begun, backend, call)
    return await answered(request, record, info, backend, call)


async def sent(request: UpdateRequest, backend: Backend, call: Call) -> Any:
    """The record that the vendor answered; None where it answers nothing."""
    write = call.for_write(asyncio.get_running_loop().time())
    data = await backend.update(request, call=write)
    return None if data is None else record_of(request.resource, request.id, data)


async def settled(
    request: UpdateRequest, failure: GatewayError | GatewayErrors, begun: float, backend: Backend, call: Call
) -> Any:
    """The record, where one read-back proves that the update was applied after all. Raises the failure otherwise."""
    faults = failure.errors if isinstance(failure, GatewayErrors) else (failure,)
    for fault in faults:
        placed(fault, request)
    if all(fault.outcome is not Outcome.UNKNOWN for fault in faults):
        raise failure
    try:
        return await reconcile(request, faults[0], begun, backend, call)
    except GatewayError as error:
        if len(faults) == 1:
            raise
        told = [fault.changed(read_back=error.read_back) for fault in faults[1:]]
        raise GatewayErrors([error, *told]) from error


def placed(fault: GatewayError, request: UpdateRequest) -> None:
    """A row names members, never positions: these are found where the arguments decide them."""
    path = fault.input_path
    if path is None or request.input is None or not all(isinstance(step, str) for step in path):
        return
    names = [str(step) for step in path]
    if request.patch is None or names[0] != "input":
        arguments = {"id": request.id, "input": arguments_of(request.input, only=names[1:2])}
        fault.input_path = locate(names, arguments)
        return
    patch = arguments_of(request.patch, only=names[1:2])
    if _holds(patch, names[1:]):
        fault.input_path = locate(["patch", *names[1:]], {"patch": patch})
    else:
        fault.input_path = None
        fault.message += " The value is the record's own, not the patch's."


def _holds(value: Any, names: Sequence[str]) -> bool:
    """Whether a patch gives a value at a place; a list is given whole."""
    for name in names:
        if not isinstance(value, dict):
            break
        if name not in value:
            return False
        value = value[name]
    return True


async def answered(request: UpdateRequest, record: Any, info: Any, backend: Backend, call: Call) -> Any:
    """One state of the record for all its aliases. A failed read-back never makes an applied update a failure."""
    resource = request.resource
    below = selection_of(info._raw_info).fields.get(resource.name)  # noqa: SLF001 - Strawberry's Info hides the fragments
    if below is None:
        return record
    if record is not None and REVISION not in below.fields:
        return record
    # A revision is of a whole read, never of an update's answer.
    record = described(resource.record, request.input, below, id=request.id)
    return record if record is not None else await _read_back(request, backend, call)


async def _read_back(request: UpdateRequest, backend: Backend, call: Call) -> Any:
    try:
        record = await read_record(request.resource, backend, call, request.id, request.options)
    except GatewayError as error:
        return error.changed(outcome=Outcome.APPLIED)
    except GatewayErrors as several:
        return GatewayErrors([error.changed(outcome=Outcome.APPLIED) for error in several.errors])
    if record is None:
        missing = BackendAnswer(request.resource.api, request.resource.missing_status)
        return GatewayError(RECORD_NOT_READ_BACK, backend=missing)
    return record
