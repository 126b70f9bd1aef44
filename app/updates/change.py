"""A caller's change of one record, and the request planned from it: from a whole input, or from a patch of a read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, get_type_hints

import strawberry
from msgspec import Struct
from strawberry import UNSET

from app.call import CallContext
from app.errors import (
    INTERNAL,
    NULL_NOT_SUPPORTED,
    RECORD_NOT_EXPRESSIBLE,
    REVISION_MISMATCH,
    BackendDetails,
    GatewayError,
    GatewayFailure,
    Outcome,
    each,
    refusal,
)
from app.mapping.members import members_of
from app.mapping.wire import Wire, WireMismatchError, arguments_of, from_wire, to_wire
from app.redaction import cleaned
from app.updates.expression import expressed, merged, remaining
from app.updates.reading import read_data, record_of
from app.updates.resource import Backend, Options, Patch, Resource, UpdateRequest
from app.updates.revision import revision_of

_LONGEST_NAME = 100

# The words that an input's description adds for a replacing update. They are not true of a patch.
REPLACED = (
    " The update replaces the record: left out, a stored value is cleared (documented for a sibling resource, "
    "inferred for this one)."
)


class Change(Struct, frozen=True, kw_only=True):
    """The arguments of an update's field. `patches` says that `input` is a patch of the record."""

    id: str
    input: Any
    options: Options
    expected_revision: str | None = None
    dry_run: bool = False
    patches: bool = False

    @property
    def arguments(self) -> list[Any]:
        """What the caller sent, as plain values."""
        return [self.id, arguments_of(self.input), dict(self.options), self.expected_revision]

    @property
    def place(self) -> str:
        return "patch" if self.patches else "input"


def patch_type(cls: type, name: str, description: str, without: Collection[str], merged: Mapping[str, type]) -> Any:
    """The input type of a patch of the input class `cls`: the same members, none of them required.

    `without` and `merged` name attributes: those that a patch cannot change, and those that are merged member by
    member, with their patch types. A patch replaces any other value as a whole.
    """
    hints = get_type_hints(cls, include_extras=True)
    annotations: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for item in cls.__strawberry_definition__.fields:  # type: ignore[attr-defined]
        attribute = item.python_name
        if attribute not in without:
            annotations[attribute] = (merged.get(attribute) or hints[attribute]) | None
            text = (item.description or "").removesuffix(REPLACED)
            fields[attribute] = strawberry.field(default=UNSET, description=text, metadata=item.metadata)
    patch_cls = type(name, (), {"__annotations__": annotations, **fields})
    return strawberry.input(patch_cls, description=description)


async def planned(resource: Resource, change: Change, backend: Backend, call: CallContext) -> UpdateRequest:
    """The request that would be sent. What it raises is `unsent`."""
    patch = resource.patch if change.patches else None
    if patch is None:
        resource.check(change.input)
    else:
        refuse_nulls(resource, change)
    read, revision = None, change.expected_revision
    if patch is not None or revision is not None:
        read = await read_before(resource, change.id, change.options, backend, call)
        if revision is not None:
            compare(resource, change, read)
    if patch is None or read is None:
        body = to_wire(change.input)
        return UpdateRequest(resource, change.id, body, change.options, change.input, revision, read=read)
    body, problems, replaced = _patched(resource, patch, read, change.input)
    if problems:
        read = await resource.completed(read, backend, call)
        body, problems, replaced = _patched(resource, patch, read, change.input)
    for place, problem in problems.items():
        names = [_shown(name) for name in place]
        raise GatewayError(
            RECORD_NOT_EXPRESSIBLE,
            f"The record's {'.'.join(names)} cannot be said in an update: {problem}. Nothing was sent.",
            input_path=(change.place, *names),
            backend=BackendDetails(resource.api, 200),
        )
    if patch.client_members:
        omittable = [name for name in patch.client_members if (name,) not in replaced]
        for name in await backend.omitted(resource, omittable, call=call) if omittable else ():
            body.pop(name, None)
    try:
        whole: Any = from_wire(resource.input, body, absent=UNSET)
    except WireMismatchError as error:  # the record's own: a patch's values have been read already
        raise GatewayError(
            RECORD_NOT_EXPRESSIBLE,
            f"The record cannot be said in an update: {error}. Nothing was sent.",
            backend=BackendDetails(resource.api, 200),
        ) from error
    return UpdateRequest(resource, change.id, to_wire(whole), change.options, whole, revision, change.input, read)


def _shown(name: str) -> str:
    """A member's name in the vendor's words, which may be any."""
    return cleaned(name)[:_LONGEST_NAME] or "unnamed member"


def _patched(resource: Resource, patch: Patch, read: Wire, values: Any) -> tuple[Wire, dict[Any, str], set[Any]]:
    body, problems = expressed(resource.input, read, patch.left_out)
    body, replaced = merged(resource.input, body, values)
    return body, remaining(problems, replaced), replaced


def refuse_nulls(resource: Resource, change: Change) -> None:
    """Refuses null for a member that every request needs."""
    for member in members_of(resource.input).required:
        if getattr(change.input, member.attribute, UNSET) is None:
            text = f"{member.graphql_name} cannot be cleared: an update needs it. Nothing was sent."
            raise GatewayError(NULL_NOT_SUPPORTED, text, input_path=(change.place, member.graphql_name))


async def read_before(
    resource: Resource, record_id: str, options: Options, backend: Backend, call: CallContext
) -> Wire:
    """The record before the update. For an unknown id the backend gives its documented answer."""
    read = await read_data(resource, backend, call, record_id, options)
    if read is None:
        raise refusal(next(iter(resource.unknown)))
    return read


def compare(resource: Resource, change: Change | UpdateRequest, read: Wire) -> None:
    """Raises REVISION_MISMATCH where the record has changed."""
    try:
        current = revision_of(record_of(resource, change.id, read))
    except GatewayFailure as unreadable:
        raise unsent(unreadable) from unreadable
    if current != change.expected_revision:
        raise mismatch(resource, current)


def mismatch(resource: Resource, current: str) -> GatewayError:
    error = GatewayError(REVISION_MISMATCH, backend=BackendDetails(resource.api))
    error.current_revision = current
    return error


def unsent(failure: Exception) -> BaseException:
    """What a failure before an update was sent means: nothing was applied."""
    if isinstance(failure, GatewayFailure):
        return each(failure, lambda error: error.changed(outcome=Outcome.NOT_APPLIED))
    return GatewayError(INTERNAL, outcome=Outcome.NOT_APPLIED, detail="the update failed before it was sent")
