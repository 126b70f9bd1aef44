"""The errors of an update as data: those of `errors`, typed, where a client selects them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

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


class UserErrors(Struct, frozen=True):
    """`type` is the schema's UserError. Its enums have the reasons of all APIs, so that each schema has its own."""

    type: Any
    backend: Any
    reason: Any
    code: Any
    outcome: Any
    read_back: Any

    @classmethod
    def of(cls, *, reason: Any, code: Any, outcome: Any, read_back: Any) -> UserErrors:
        backend = object_type("UserErrorBackend", "Who answered, and what.", **_BACKEND)
        members = {
            "message": (str, "What went wrong, for a developer."),
            "code": (code, "The family of the cause; enough to branch on."),
            "reason": (reason, "The precise cause, one value for each documented fault."),
            "input_path": (
                list[str] | None,
                "The place in the mutation's arguments, such as `input`, `bankAccounts`, `0`, `iban`.",
            ),
            "outcome": (outcome | None, "Whether the write happened."),
            "retry_safe": (bool, "Whether the same mutation may be sent again unchanged."),
            "retry_after_seconds": (int | None, "Seconds to wait before that."),
            "current_revision": (str | None, "The record's revision by now, where another one was expected."),
            "read_back": (read_back | None, "What a read showed after an unknown outcome; null where none was made."),
            "backend": (backend | None, "The backend that answered; null for a fault of the gateway's own."),
            "request_id": (str, "Leads to the line in the gateway's log."),
        }
        text = "A fault of an update, as `extensions` of an error has it."
        return cls(object_type("UserError", text, **members), backend, reason, code, outcome, read_back)

    def shown(self, errors: Sequence[GatewayError], request_id: str) -> list[Any]:
        return [self._one(error, request_id) for error in errors]

    def _one(self, error: GatewayError, request_id: str) -> Any:
        response = error.backend
        return self.type(
            message=error.message,
            code=self.code[error.row.code.value],
            reason=self.reason[error.row.reason],
            input_path=None if error.input_path is None else [str(step) for step in error.input_path],
            outcome=None if error.outcome is None else self.outcome[error.outcome.value],
            retry_safe=error.retry_safe,
            retry_after_seconds=error.retry_after,
            current_revision=error.current_revision,
            read_back=None if error.read_back is None else self.read_back[error.read_back.value],
            backend=None
            if response is None
            else self.backend(name=response.name, status=response.status, code=response.code, message=response.message),
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
