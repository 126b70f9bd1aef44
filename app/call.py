"""What one request of a caller carries to the backends. Knows no vendor and no transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Call:
    """The travelling part of a request.

    `credentials` holds, by API name, the caller's own backend headers (`{"basecone": {"authorization": "Basic …"}}`);
    an API not named is called with the gateway's own. They never show in a `repr`.
    `deadline` is a time of the running event loop's clock, in seconds; None means that only the settings' timeouts hold.
    `simulate` is the reason of the `x-simulate` header, in upper case.
    """

    request_id: str
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    deadline: float | None = None
    simulate: str | None = None
    trace_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
