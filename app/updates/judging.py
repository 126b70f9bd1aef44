"""The meaning of an answer to an update or a read: pure, written once, with the resource's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.errors import ANSWER_UNREADABLE, BackendDetails, GatewayError, Outcome
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.upstream.messages import BackendResponse
from app.upstream.responses import log_body, member, parsed

if TYPE_CHECKING:
    from app.updates.resource import Resource, UpdateRequest

_OK = 200
_NO_CONTENT = 204


def body_of_json(response: BackendResponse) -> Any:
    return parsed(response.body)


def only_record(_response: BackendResponse, data: Any, _record_id: str) -> Wire | None:
    """The data itself, for a read that answers one record."""
    return data  # type: ignore[no-any-return]  # what is no object is refused by its caller


def judge_update(request: UpdateRequest, response: BackendResponse) -> Wire | None:
    """The answered record; None where the vendor answers none. Raises GatewayError(s)."""
    resource = request.resource
    if response.status != resource.updated_status:
        raise resource.error(response)
    if response.status == _NO_CONTENT:
        return None
    return _same_record(resource, response, resource.body(response), request.id)


def judge_read(resource: Resource, record_id: str, response: BackendResponse) -> Wire | None:
    """The requested record; None where the vendor's documented answer says that it does not exist.

    Raises GatewayError(s).
    """
    if response.status != _OK:
        error = resource.error(response)
        if isinstance(error, GatewayError) and error.row in resource.unknown:
            return None
        raise error
    data = resource.body(response)
    record = resource.pick(response, data, record_id)
    if record is None and data is not None:
        return None
    return _same_record(resource, response, record, record_id)


def is_record(resource: Resource, record: Any, record_id: str) -> bool:
    """Whether an object of a list says that it is the requested record."""
    return member(record, resource.id_member) is not None and _has_id(resource, record, record_id)


def _same_record(resource: Resource, response: BackendResponse, record: Any, record_id: str) -> Wire:
    """The record of an answer. Raises where it is another one, or nothing shows that it is a record."""
    if not isinstance(record, dict):
        raise unreadable(resource.api, response, "the answer is no object")
    if resource.marks and all(member(record, name) is None for name in (resource.id_member, *resource.marks)):
        raise unreadable(resource.api, response, "the answer holds no member that every record has")
    if not _has_id(resource, record, record_id):
        raise unreadable(resource.api, response, f"{resource.id_member} is another one than was asked for")
    return record


def _has_id(resource: Resource, record: Wire, record_id: str) -> bool:
    """An absent id counts as the requested one. Two ids do not: another reader would use the other one."""
    folded = resource.id_member.casefold()
    ids = [value for name, value in record.items() if name.casefold() == folded]
    if not ids or ids == [None]:
        return True
    try:
        return len(ids) == 1 and parse_uuid(ids[0]) == record_id
    except ValueError:
        return False


def unreadable(api: str, response: BackendResponse, detail: str) -> GatewayError:
    log_body(api, response)
    # A read changes nothing. After a write, the code that reads back sets the outcome that matters.
    backend = BackendDetails(api, response.status)
    return GatewayError(ANSWER_UNREADABLE, backend=backend, outcome=Outcome.UNKNOWN, detail=detail)
