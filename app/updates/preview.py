"""A dry run of an update: the request that would be sent, and its changes. Nothing is written."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import strawberry
from strawberry.scalars import JSON

from app.call import CallContext
from app.errors import GatewayFailure
from app.mapping.selection import Selected
from app.updates.change import Change, planned, read_before, unsent
from app.updates.expression import changes
from app.updates.placing import placed
from app.updates.reading import backend_of
from app.updates.resource import Backend, Resource, UpdateRequest

FIELD = "preview"


@strawberry.type(description="A member that an update would change.")
class FieldChange:
    path: list[str] = strawberry.field(description="Where the member is in the record, by the schema's names.")
    before: JSON | None = strawberry.field(description="Its value now; null where there is none. A list is told whole.")
    after: JSON | None = strawberry.field(description="Its value after the update; null where there is none.")


@strawberry.type(description="What an update would send, and what it would change. Never a credential.")
class UpdatePreview:
    method: str = strawberry.field(description="Method of the HTTP request.")
    path: str = strawberry.field(description="Path and query of the request, without the host.")
    body: str = strawberry.field(description="Body of the request, exactly as it would be sent.")
    changes: list[FieldChange] = strawberry.field(
        description="What would change. The record is read for it, only where this is selected."
    )


async def preview(resource: Resource, info: Any, change: Change, payload: Selected) -> UpdatePreview:
    """The preview of an update. `payload` is the selection of the mutation's answer.

    Raises every refusal that needs no write. Each says that nothing was applied.
    """
    try:
        return await _previewed(resource, info, change, payload)
    except Exception as failure:
        raise unsent(failure) from failure


async def _previewed(resource: Resource, info: Any, change: Change, payload: Selected) -> UpdatePreview:
    backend, call = backend_of(info, resource.api), info.context.call
    request = await planned(resource, change, backend, call)
    try:
        sent = await backend.previewed(request, call=call)
    except GatewayFailure as failure:
        for error in failure.errors:
            placed(error, request)
        raise
    query = f"?{urlencode(sent.query)}" if sent.query else ""
    below = payload.fields.get(FIELD)
    selects_changes = below is not None and "changes" in below.fields
    changed = await _changes(request, backend, call) if selects_changes else []
    return UpdatePreview(method=sent.method, path=sent.path + query, body=(sent.body or b"").decode(), changes=changed)


async def _changes(request: UpdateRequest, backend: Backend, call: CallContext) -> list[FieldChange]:
    resource, patch = request.resource, request.resource.patch
    read = request.read or await read_before(resource, request.id, request.options, backend, call)
    read = await resource.completed(read, backend, call)
    before, after = resource.after(read, request)
    if patch is not None and patch.client_members:
        # The update does not clear members that this client may not send.
        omitted = await backend.omitted(resource, patch.client_members, call=call)
        before = {name: value for name, value in before.items() if name in after or name not in omitted}
    return [FieldChange(path=list(path), before=was, after=becomes) for path, was, becomes in changes(before, after)]
