"""What one caller's request carries to the backends. Knows no vendor and no transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

# A write leaves this part of the remaining time for the read-back after an unknown outcome.
_READ_BACK_SHARE = 0.25
_READ_BACK_SECONDS = 5.0
# Transport faults that `x-simulate` may request from a sandbox: no documented row can show them.
FAULTS = frozenset({"timeout", "reset", "cut-off", "html-500", "204-with-body", "429"})


def is_fault(reason: str) -> bool:
    """Whether this value of `x-simulate`, in any case, asks for a transport fault."""
    return reason.casefold() in FAULTS


class Client(Protocol):
    """The client that waits for the answer."""

    disconnected: bool


class Recording(Protocol):
    """Records an update around the moment at which it is sent or written."""

    async def sending(self, deadline: float) -> None:
        """Returns once the intent to send is durable. Raises GatewayError: then nothing may be sent."""
        ...

    def committing(self) -> Sequence[Any]:
        """The store's statements for the transaction that writes the record."""
        ...


@dataclass(slots=True)
class CallContext:
    """The part of a request that travels to the backends.

    `credentials` holds, by API name, the caller's own backend headers (`{"basecone": {"authorization": "Basic …"}}`);
    an API not named is called with the gateway's own. They never show in a `repr`. `deadline` is a time of the event
    loop's clock, in seconds; None means that only the settings' timeouts hold. `simulate` is the reason of the
    `x-simulate` header, in upper case. `idempotency_key` is that header as it came. `recording` belongs to the one
    write that the call is for.
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
