"""The run of one update. Knows no vendor.

| step | here | what it makes |
|---|---|---|
| plan | `planned` | plain values: the request that would be sent |
| send | `sent` | one PUT, or the local store's commit |
| settle | `settled` | judged by the rows; an UNKNOWN outcome is read back once |
| answer | `answered` | from the vendor's answer, the accepted request or one read |
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.errors import RECORD_NOT_READ_BACK, BackendAnswer, GatewayError, GatewayErrors, Outcome, locate
from app.mapping.selection import described, selection_of
from app.mapping.wire import arguments_of, to_wire
from app.updates.reading import backend_of, read_record, record_of
from app.updates.reconciliation import reconcile
from app.updates.resource import UpdateRequest

if TYPE_CHECKING:
    from app.call import Call
    from app.updates.resource import Backend, Options, Resource


async def update(resource: Resource, info: Any, record_id: str, input_: Any, options: Options) -> Any:
    """The record to put into the payload, or the exception that stands for it. Raises GatewayError(s)."""
    request = planned(resource, record_id, input_, options)
    backend, call = backend_of(info, resource.api), info.context.call
    try:
        record = await sent(request, backend, call)
    except (GatewayError, GatewayErrors) as failure:
        record = await settled(request, failure, backend, call)
    return await answered(request, record, info, backend, call)


def planned(resource: Resource, record_id: str, input_: Any, options: Options) -> UpdateRequest:
    """Raises what the request cannot express: nothing was sent then."""
    resource.check(input_)
    return UpdateRequest(resource, record_id, to_wire(input_), options, input_)


async def sent(request: UpdateRequest, backend: Backend, call: Call) -> Any:
    """The record that the vendor answered; None where it answers nothing."""
    write = call.for_write(asyncio.get_running_loop().time())
    data = await backend.update(request, call=write)
    return None if data is None else record_of(request.resource, request.id, data)


async def settled(request: UpdateRequest, failure: GatewayError | GatewayErrors, backend: Backend, call: Call) -> Any:
    """The record, where one read-back proves that the update was applied after all. Raises the failure otherwise."""
    faults = failure.errors if isinstance(failure, GatewayErrors) else (failure,)
    for fault in faults:
        _locate(fault, request)
    if all(fault.outcome is not Outcome.UNKNOWN for fault in faults):
        raise failure
    try:
        return await reconcile(request, faults[0], backend, call)
    except GatewayError as error:
        if len(faults) == 1:
            raise
        raise GatewayErrors([error, *faults[1:]]) from error


def _locate(fault: GatewayError, request: UpdateRequest) -> None:
    """A row names members, never positions: these are found where the arguments decide them."""
    path = fault.input_path
    if path is not None and request.input is not None and all(isinstance(step, str) for step in path):
        names = [str(step) for step in path]
        arguments = {"id": request.id, "input": arguments_of(request.input, only=names[1:2])}
        fault.input_path = locate(names, arguments)


async def answered(request: UpdateRequest, record: Any, info: Any, backend: Backend, call: Call) -> Any:
    """One state of the record for all its aliases. A failed read-back never makes an applied update a failure."""
    if record is not None:
        return record
    resource = request.resource
    below = selection_of(info._raw_info).fields.get(resource.name)  # noqa: SLF001 - Strawberry's Info hides the fragments
    if below is None:
        return None
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
        return GatewayError(RECORD_NOT_READ_BACK, backend=BackendAnswer(request.resource.api))
    return record
