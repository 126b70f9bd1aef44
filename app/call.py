"""What one request of a caller carries to the backends. Knows no vendor and no transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

# Of the time that is left, so much is kept from a write for reading the record back when its outcome is unknown.
_READ_BACK_SHARE = 0.25
_READ_BACK_SECONDS = 5.0
# Transport faults that `x-simulate` may ask of a sandbox: what no documented row can show.
FAULTS = frozenset({"timeout", "reset", "cut-off", "html-500", "204-with-body", "429"})


def is_fault(reason: str) -> bool:
    """Whether `x-simulate` with this value asks for a transport fault; in any case."""
    return reason.casefold() in FAULTS


class Client(Protocol):
    """Who waits for the answer."""

    disconnected: bool


class Recording(Protocol):
    """What is recorded of an update around the one moment at which it is sent or written."""

    async def sending(self, deadline: float) -> None:
        """Returns when it is durable that the update is about to be sent. Raises GatewayError: it must not be."""
        ...

    def committing(self) -> Sequence[Any]:
        """The store's statements that belong into the transaction which writes the record."""
        ...


@dataclass(slots=True)
class Call:
    """The travelling part of a request.

    `credentials` holds, by API name, the caller's own backend headers (`{"basecone": {"authorization": "Basic …"}}`);
    an API not named is called with the gateway's own. They never show in a `repr`.
    `deadline` is a time of the event loop's clock, in seconds; None means that only the settings' timeouts hold.
    `simulate` is the reason of the `x-simulate` header, in upper case. `idempotency_key` is that header as it came.
    `recording` belongs to the one write that the call is for.
    """

    request_id: str
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    deadline: float | None = None
    simulate: str | None = None
    trace_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    accept_language: str | None = None
    idempotency_key: str | None = None
    recording: Recording | None = None
    client: Client | None = field(default=None, repr=False)

    def for_write(self, now: float, recording: Recording | None = None) -> Self:
        """The same call for one write, with a deadline that leaves time for one read-back."""
        deadline = self.deadline
        if deadline is not None:
            left = deadline - now
            deadline -= min(_READ_BACK_SECONDS, left * _READ_BACK_SHARE) if left > 0 else 0.0
        return type(self)(
            self.request_id,
            self.credentials,
            deadline,
            self.simulate,
            self.trace_headers,
            self.accept_language,
            None,
            recording,
            self.client,
        )
