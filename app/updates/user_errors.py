"""The errors of an update as data: those of `errors`, typed, where a client selects them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import strawberry

from app.errors import INTERNAL, GatewayError, GatewayErrors

if TYPE_CHECKING:
    from app.mapping.selection import Selected

FIELD = "userErrors"
MOST = 100  # of one field

_BACKEND = {
    "name": (str, "The backend, `basecone` or `bokamera`."),
    "status": (int | None, "HTTP status of its answer; null where it did not answer."),
    "code": (str | None, "The vendor's own error code."),
    "message": (str | None, "The vendor's documented text."),
}


def capped(faults: Sequence[GatewayError]) -> Sequence[GatewayError]:
    """The first MOST of a field's errors. The last says how many more there are; its detail lists them for the log."""
    if len(faults) <= MOST:
        return faults
    last, more = faults[MOST - 1], faults[MOST:]
    reasons = Counter(fault.row.reason for fault in more)
    summary = last.changed(message=f"{last.message} There are {len(more)} more faults; the log has them.")
    summary.detail = f"{len(more)} more faults: " + ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return (*faults[: MOST - 1], summary)


@dataclass(frozen=True, slots=True)
class UserErrors:
    """`type` is the schema's UserError. Its enums have the reasons of all APIs, so that each schema has its own."""

    type: Any
    backend: Any
    reason: Any
    code: Any
    outcome: Any
    read_back: Any

    @classmethod
    def of(cls, *, reason: Any, code: Any, outcome: Any, read_back: Any) -> UserErrors:
        backend = _type("UserErrorBackend", "Who answered, and what.", _BACKEND)
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
        return cls(_type("UserError", text, members), backend, reason, code, outcome, read_back)

    def shown(self, faults: Sequence[GatewayError], request_id: str) -> list[Any]:
        return [self._one(fault, fault.message, request_id) for fault in faults]

    def _one(self, fault: GatewayError, message: str, request_id: str) -> Any:
        answer = fault.backend
        return self.type(
            message=message,
            code=self.code[fault.row.code.value],
            reason=self.reason[fault.row.reason],
            input_path=None if fault.input_path is None else [str(step) for step in fault.input_path],
            outcome=None if fault.outcome is None else self.outcome[fault.outcome.value],
            retry_safe=fault.retry_safe,
            retry_after_seconds=fault.retry_after,
            current_revision=fault.current_revision,
            read_back=None if fault.read_back is None else self.read_back[fault.read_back.value],
            backend=None
            if answer is None
            else self.backend(name=answer.name, status=answer.status, code=answer.code, message=answer.message),
            request_id=request_id,
        )


def _type(name: str, description: str, members: dict[str, tuple[Any, str]]) -> Any:
    annotations = {key: annotation for key, (annotation, _) in members.items()}
    fields = {key: strawberry.field(description=text) for key, (_, text) in members.items()}
    return strawberry.type(type(name, (), {"__annotations__": annotations, **fields}), description=description)


def selects_errors(payload: Selected) -> bool:
    """Whether the client selects the errors of an update as data."""
    return FIELD in payload.fields


def as_data(failure: Any) -> tuple[GatewayError, ...] | None:
    """The errors of a failure that a client may select as data; None for anything else.

    A surprise is none of these, nor is a refusal by the gateway that concerns the caller.
    """
    faults = failure.errors if isinstance(failure, GatewayErrors) else (failure,)
    data = all(isinstance(fault, GatewayError) and fault.row is not INTERNAL for fault in faults)
    return tuple(faults) if data and not any(_of_the_caller(fault) for fault in faults) else None


def _of_the_caller(fault: GatewayError) -> bool:
    return fault.row.reason == "SCOPE_MISSING" or fault.row.reason.startswith("CALLER_")
