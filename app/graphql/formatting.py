"""From a failed field to what the client and the log get: the client the row, the log the story of a surprise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, ValueNode

from app.errors import INTERNAL, GatewayError, GatewayErrors, Outcome
from app.graphql.refusals import ARGUMENT_INVALID

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger(__name__)


def format_errors(errors: Sequence[GraphQLError], *, mutation: bool, request_id: str) -> list[dict[str, Any]]:
    """The errors of an executed operation. Several faults of one field stand in place, in the backend's order."""
    return [
        _format(error, fault, mutation=mutation, request_id=request_id)
        for error in errors
        for fault in _faults(error, request_id)
    ]


def _faults(error: GraphQLError, request_id: str) -> tuple[GatewayError, ...]:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, GatewayErrors) and cause.errors:
        return cause.errors
    if isinstance(cause, GatewayError):
        return (cause,)
    # graphql-core's own: a value node marks an argument that it could not coerce, anything else is our own fault.
    if isinstance(cause, GraphQLError) and cause.nodes and all(isinstance(node, ValueNode) for node in cause.nodes):
        return (GatewayError(ARGUMENT_INVALID, cause.message),)
    log.error(
        "unexpected failure of %s",
        ".".join(str(part) for part in error.path or ()),
        exc_info=cause if cause is not None else error,
        extra={"request_id": request_id},
    )
    # Below a root field the mutation itself has returned: the write is done, only its answer is not.
    nested = error.path is not None and len(error.path) > 1
    return (GatewayError(INTERNAL, outcome=Outcome.APPLIED if nested else None),)


def _format(error: GraphQLError, fault: GatewayError, *, mutation: bool, request_id: str) -> dict[str, Any]:
    extensions = fault.extensions
    if not mutation:
        # A query writes nothing, so that nothing is to be said about a write.
        extensions.pop("outcome", None)
        after = extensions.pop("retry", {}).get("afterSeconds")
        if after is not None:
            extensions["retry"] = {"afterSeconds": after}
    extensions["requestId"] = request_id
    if fault.row is not INTERNAL:
        log.info(
            "%s refused: %s",
            error.path[0] if error.path else "operation",
            fault.row.reason,
            extra={"request_id": request_id, "reason": fault.row.reason, "detail": fault.detail},
        )
    return {
        "message": INTERNAL.text if fault.row is INTERNAL else fault.message,
        "locations": [{"line": place.line, "column": place.column} for place in error.locations or ()],
        "path": list(error.path or ()),
        "extensions": extensions,
    }
