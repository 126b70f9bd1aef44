"""Reads a record from the backend and makes the schema's object from the vendor's JSON. Knows no vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from app.errors import ANSWER_UNREADABLE, BackendDetails, GatewayError, GatewayFailure, Outcome, each
from app.mapping.wire import record_from_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.call import CallContext
    from app.mapping.wire import Wire
    from app.updates.resource import Backend, Options, Resource


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
