"""Turns a failed field into the client's error, made from the row, and the log's, with the cause of a surprise."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, ValueNode
from msgspec import Struct

from app.errors import INTERNAL, GatewayError, GatewayErrors, Outcome
from app.graphql.request_errors import ARGUMENT_INVALID, shortened
from app.notes import note_detail
from app.updates.user_errors import capped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphql.language import Node, SourceLocation
    from graphql.pyutils import Path

    from app.updates.bulk import Bulk, Item

log = logging.getLogger(__name__)

# Aliases are the client's own words, of any length.
_MAX_PLACE = 200
_MAX_ERRORS = 1000


class FieldError(Struct):
    """A refusal at its place in the answer. It has the read parts of a GraphQLError, without that class's look-ups."""

    original_error: Exception
    locations: Sequence[SourceLocation]
    path: Sequence[str | int]


def locations_of(nodes: Sequence[Node]) -> list[SourceLocation]:
    return [node.loc.source.get_location(node.loc.start) for node in nodes if node.loc is not None]


def format_errors(
    errors: Sequence[GraphQLError | FieldError],
    *,
    mutation: bool,
    request_id: str,
    item_at: Callable[[Sequence[str | int] | None], Item | None] = lambda _path: None,
) -> list[dict[str, Any]]:
    """The errors of an executed operation. Several errors of one field stand together, in the backend's order.

    An error below a bulk's item goes to that item's notes; the item's own errors are there already.
    """
    formatted: list[dict[str, Any]] = []
    reasons: Counter[str] = Counter()
    for error in errors:
        item = item_at(error.path)
        for field_error in capped(_errors(error, request_id)):
            if item is None or not item.errors:
                note_detail(field_error.detail, None if item is None else item.noted)
            if len(formatted) < _MAX_ERRORS:
                formatted.append(_format(error, field_error, mutation=mutation, request_id=request_id))
            else:
                reasons[field_error.row.reason] += 1
    if reasons:
        formatted[-1]["message"] += f" There are {reasons.total()} more errors; the log has them."
        note_detail("more errors: " + ", ".join(f"{count} {reason}" for reason, count in reasons.items()))
    return formatted


def with_items(
    errors: Sequence[GraphQLError | FieldError], bulks: Mapping[str, Bulk], data: Mapping[str, Any] | None
) -> Sequence[GraphQLError | FieldError]:
    """The errors, with those of items that are not shown as data: by root field, a bulk's by item."""
    of_items = [
        FieldError(GatewayErrors(item.errors), locations_of(bulk.nodes), bulk.path_of(item))
        for bulk in bulks.values()
        if bulk.nodes is not None
        for item in bulk.items
        if item.errors
    ]
    if not of_items:
        return errors
    roots = {key: place for place, key in enumerate(data or ())}

    def place(error: GraphQLError | FieldError) -> tuple[int, int]:
        path = error.path or ()
        item = next((step for step in path if isinstance(step, int)), 0)
        return (roots.get(str(path[0]), 0) if path else 0), item

    return sorted([*errors, *of_items], key=place)


def error_as_data(error: GatewayError, path: Path, request_id: str) -> dict[str, Any]:
    """An error that a payload shows, in the form of `errors`, for the log and the metrics."""
    note_detail(error.detail)
    extensions = {**error.extensions, "requestId": request_id}
    return {"message": error.message, "path": path.as_list(), "extensions": extensions}


def _errors(error: GraphQLError | FieldError, request_id: str) -> tuple[GatewayError, ...]:
    cause: BaseException = error.original_error if isinstance(error, FieldError) else error
    argument: GraphQLError | None = None
    while isinstance(cause, GraphQLError):
        # graphql-core's own: a value node marks an argument that it could not coerce.
        if cause.nodes and all(isinstance(node, ValueNode) for node in cause.nodes):
            argument = cause
        if cause.original_error is None:
            break
        cause = cause.original_error
    if isinstance(cause, GatewayErrors) and cause.errors:
        return cause.errors
    if isinstance(cause, GatewayError) and cause.row is not INTERNAL:
        return (cause,)
    place = ".".join(str(part) for part in error.path or ())[:_MAX_PLACE]
    if isinstance(cause, GatewayError):
        log.error("failure of %s: %s", place, cause.detail, exc_info=cause, extra={"request_id": request_id})
        return (cause,)
    # Below a root field the mutation has returned: the write is done, only its answer failed.
    returned = Outcome.APPLIED if len(error.path or ()) > 1 else None
    if argument is not None:
        return (GatewayError(ARGUMENT_INVALID, shortened(argument.message), outcome=returned),)
    log.error("unexpected failure of %s", place, exc_info=cause, extra={"request_id": request_id})
    return (GatewayError(INTERNAL, outcome=returned),)


def _format(
    error: GraphQLError | FieldError, field_error: GatewayError, *, mutation: bool, request_id: str
) -> dict[str, Any]:
    extensions = field_error.extensions
    if not mutation:
        # A query writes nothing, so that it has no outcome.
        extensions.pop("outcome", None)
        after = extensions.pop("retry", {}).get("afterSeconds")
        if after is not None:
            extensions["retry"] = {"afterSeconds": after}
    extensions["requestId"] = request_id
    return {
        "message": INTERNAL.text if field_error.row is INTERNAL else field_error.message,
        "locations": [place.formatted for place in error.locations or ()],
        "path": list(error.path or ()),
        "extensions": extensions,
    }
