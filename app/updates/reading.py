"""Reads a record as the schema's object, and says what a read proves after an unknown outcome. Knows no vendor.

| when | what proves | by |
|---|---|---|
| the answer to the update was lost | the request itself | `reconcile` |
| the process stopped before the update's end | the digests that the journal has of the sent members | `Closing` |
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, cast

from app.call import CallContext
from app.errors import (
    ANSWER_UNREADABLE,
    INTERNAL,
    BackendDetails,
    Code,
    GatewayError,
    GatewayErrors,
    GatewayFailure,
    Outcome,
    ReadBack,
    each,
)
from app.journal.entries import Entry
from app.journal.journal import Journal
from app.mapping.wire import Wire, record_from_wire
from app.updates.proof import Proof, Read, readable, shown_values, stands_twice, without_empty
from app.updates.resource import Backend, Options, Resource, UpdateRequest

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


def backend_of(info: Any, api: str) -> Backend:
    return cast("Backend", info.context.backends[api])


def record_of(resource: Resource, record_id: str, data: Mapping[str, Any]) -> Any:
    """The record of an answer that was judged to be the requested one. A member that cannot be read is an exception."""

    def unreadable(detail: str) -> GatewayError:
        # A record answers a query, or an update that was applied.
        backend = BackendDetails(resource.api, 200)
        return GatewayError(ANSWER_UNREADABLE, backend=backend, outcome=Outcome.APPLIED, detail=detail)

    return record_from_wire(resource.record, record_id, data, unreadable)


async def read_data(
    resource: Resource, backend: Backend, call: CallContext, record_id: str, options: Options
) -> Wire | None:
    """The record as the vendor writes it; None for an unknown id. Raises GatewayError(s)."""
    try:
        return await backend.read(resource, record_id, options, call=call)
    except GatewayFailure as failure:
        raise each(failure, _of_a_read) from failure


def _of_a_read(error: GatewayError) -> GatewayError:
    """A row's place is one of the update's arguments; a read has only the id."""
    of_input = error.input_path is not None and error.input_path[0] == "input"
    return error.changed(input_path=("id",)) if of_input else error


async def read_record(resource: Resource, backend: Backend, call: CallContext, record_id: str, options: Options) -> Any:
    """The record as the backend has it now, None for an unknown id. Raises GatewayError(s)."""
    data = await read_data(resource, backend, call, record_id, options)
    return None if data is None else record_of(resource, record_id, data)


async def reconcile(
    request: UpdateRequest, error: GatewayError, begun: float, backend: Backend, call: CallContext
) -> Any:
    """The record, if it proves that the update was applied. Otherwise raises `error`, still UNKNOWN."""
    if error.outcome is not Outcome.UNKNOWN:
        raise error
    try:
        read = await _read_whole(request.resource, request.id, request.options, begun, backend, call)
        proof = None if read is None else request.resource.proves(request, read)
    except GatewayFailure as unread:
        first = unread.errors[0]
        raise _with_read_back(error, ReadBack.FAILED, f"{_MESSAGES[ReadBack.FAILED]} {first.message}") from unread
    except Exception as surprise:
        # The error of the update stays the answer.
        log.exception("the read-back of an update failed", extra={"request_id": call.request_id})
        raise _with_read_back(error, ReadBack.FAILED, f"{_MESSAGES[ReadBack.FAILED]} {INTERNAL.text}") from surprise
    if read is None:
        raise _with_read_back(error, ReadBack.MISSING) from error
    if proof is Proof.DIFFERS:
        raise _with_read_back(error, ReadBack.DIFFERS) from error
    if timed_out(error):
        raise _with_read_back(error, ReadBack.SAME, _STILL_SENDING) from error
    if proof is Proof.SAME:
        raise _with_read_back(error, ReadBack.SAME) from error
    return record_of(request.resource, request.id, read.data)


async def _read_whole(
    resource: Resource, record_id: str, options: Options, begun: float, backend: Backend, call: CallContext
) -> Read | None:
    """The record with what a comparison needs beside it; None for an unknown id. Raises GatewayError(s)."""
    data = await read_data(resource, backend, call, record_id, options)
    if data is None:
        return None
    data = await resource.completed(data, backend, call)
    return read_of(resource, record_id, data, begun, backend.clock_ahead)


def read_of(resource: Resource, record_id: str, data: Wire, begun: float, ahead: float | None) -> Read:
    clear = data if stands_twice(data) else without_empty(data)
    return Read(record_of(resource, record_id, clear), data, begun, ahead)


def timed_out(error: GatewayError) -> bool:
    """Whether the write may still be on its way: then no read proves anything yet."""
    status = None if error.backend is None else error.backend.status
    return error.row.code is Code.BACKEND_TIMEOUT or status in _TIMED_OUT


def _with_read_back(error: GatewayError, read_back: ReadBack, text: str | None = None) -> GatewayError:
    return error.changed(message=f"{error.message} {text or _MESSAGES[read_back]}", read_back=read_back)


class Closing:
    """Closes the updates of stopped processes, by the gateway's own credentials: those of a call that brings none."""

    def __init__(self, journal: Journal, resources: Iterable[Resource], backends: Mapping[str, Backend]) -> None:
        self._journal = journal
        self._resources = {name: resource for resource in resources if resource.mutation for name in resource.mutations}
        self._backends = backends

    async def prove(self, entry: Entry) -> tuple[bool, str | None]:
        """Whether the record proves the update, and the read-back. Raises GatewayError where it cannot be read."""
        intent, proof = entry.intent, entry.intent.proof
        resource = self._resources.get(intent.mutation)
        if resource is None or resource.api not in self._backends:
            return False, None
        backend = self._backends[resource.api]
        options = {} if intent.company_id is None else {"company_id": intent.company_id}
        deadline = asyncio.get_running_loop().time() + self._journal.backend_seconds
        call = CallContext(intent.request_id, deadline=deadline)
        try:
            if proof is None:
                data = await read_data(resource, backend, call, intent.record_id, options)
                return False, ReadBack.MISSING.value if data is None else None
            read = await _read_whole(resource, intent.record_id, options, entry.begun_at, backend, call)
        except GatewayErrors as several:
            raise several.errors[0] from several
        if read is None:
            return False, ReadBack.MISSING.value
        shown = shown_values(resource, read.record)
        for member in proof.members:
            readable(shown.get(member))
        if not self._journal.hashes.agrees(proof, shown):
            return False, ReadBack.DIFFERS.value
        return proof.whole and resource.since(read), ReadBack.SAME.value
