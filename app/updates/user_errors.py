"""The errors of an update as data: those of `errors`, typed, where a client selects them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.errors import INTERNAL, GatewayError, GatewayFailure
from app.mapping.selection import Selected
from app.updates.connections import object_type

FIELD = "userErrors"
MOST = 100  # of one field

_BACKEND = {
    "name": (str, "The backend, `basecone` or `bokamera`."),
    "status": (int | None, "HTTP status of its answer; null where it did not answer."),
    "code": (str | None, "The vendor's own error code."),
    "message": (str | None, "The vendor's documented text."),
}


def capped(errors: Sequence[GatewayError]) -> Sequence[GatewayError]:
    """The first MOST of a field's errors. The last says how many more there are; its detail lists them for the log."""
    if len(errors) <= MOST:
        return errors
    last, more = errors[MOST - 1], errors[MOST:]
    reasons = Counter(error.row.reason for error in more)
    summary = last.changed(message=f"{last.message} There are {len(more)} more faults; the log has them.")
    summary.detail = f"{len(more)} more faults: " + ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return (*errors[: MOST - 1], summary)


class ErrorEnums(NamedTuple):
    """The enums of one schema's errors. They have the values of all its APIs."""

    backend: Any
    reason: Any
    code: Any
    outcome: Any
    read_back: Any


class UserErrors:
    """`type` is the schema's UserError."""

    def __init__(self, enums: ErrorEnums) -> None:
        self.enums = enums
        self._backend = object_type("UserErrorBackend", "Who answered, and what.", **_BACKEND)
        members = {
            "message": (str, "What went wrong, for a developer."),
            "code": (enums.code, "The family of the cause; enough to branch on."),
            "reason": (enums.reason, "The precise cause, one value for each documented fault."),
            "input_path": (
                list[str] | None,
                "The place in the mutation's arguments, such as `input`, `bankAccounts`, `0`, `iban`.",
            ),
            "outcome": (enums.outcome | None, "Whether the write happened."),
            "retry_safe": (bool, "Whether the same mutation may be sent again unchanged."),
            "retry_after_seconds": (int | None, "Seconds to wait before that."),
            "current_revision": (str | None, "The record's revision by now, where another one was expected."),
            "read_back": (
                enums.read_back | None,
                "What a read showed after an unknown outcome; null where none was made.",
            ),
            "backend": (
                self._backend | None,
                "The backend that answered; null for a fault of the gateway's own.",
            ),
            "request_id": (str, "Leads to the line in the gateway's log."),
        }
        self.type: Any = object_type(
            "UserError", "A fault of an update, as `extensions` of an error has it.", **members
        )

    def shown(self, errors: Sequence[GatewayError], request_id: str) -> list[Any]:
        return [self._one(error, request_id) for error in errors]

    def _one(self, error: GatewayError, request_id: str) -> Any:
        enums, path = self.enums, error.input_path
        return self.type(
            message=error.message,
            code=enums.code[error.row.code.value],
            reason=enums.reason[error.row.reason],
            input_path=None if path is None else [str(step) for step in path],
            outcome=None if error.outcome is None else enums.outcome[error.outcome.value],
            retry_safe=error.retry_safe,
            retry_after_seconds=error.retry_after,
            current_revision=error.current_revision,
            read_back=None if error.read_back is None else enums.read_back[error.read_back.value],
            backend=None if error.backend is None else self._backend(**error.backend._asdict()),
            request_id=request_id,
        )


def selects_errors(payload: Selected) -> bool:
    """Whether the client selects the errors of an update as data."""
    return FIELD in payload.fields


def as_data(failure: Any) -> tuple[GatewayError, ...] | None:
    """The errors of a failure that a client may select as data; None for anything else.

    A surprise is none of these, nor is a refusal by the gateway that concerns the caller.
    """
    if not isinstance(failure, GatewayFailure) or any(map(_is_hidden, failure.errors)):
        return None
    return failure.errors


def _is_hidden(error: GatewayError) -> bool:
    return error.row is INTERNAL or error.row.reason == "SCOPE_MISSING" or error.row.reason.startswith("CALLER_")
