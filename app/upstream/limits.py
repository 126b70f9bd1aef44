"""The bounds of every call to one service, its TLS trust and its proxy."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.upstream.tls import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds, sizes and counts of one service. A caller's deadline can only shorten `timeout`.

    The breaker opens when `breaker_failures` of the last `breaker_window` calls failed. If that is more than the
    window, it never opens.
    """

    trust: Trust = field(default_factory=Trust)
    proxy_url: str | None = field(default=None, repr=False)  # may hold a password; None: our own connections
    timeout: float = 30.0  # the whole call: pool, connect, retries, sending, waiting, reading
    connect_timeout: float = 5.0  # TCP and TLS each
    pool_timeout: float = 5.0
    keepalive: float = (
        4.0  # below the 5 s after which some servers close an idle connection, perhaps under a new request
    )
    max_connections: int = 100
    max_in_flight: int = 256  # beyond `max_connections` calls wait for a connection, beyond this they are refused
    max_answer_bytes: int = 2 * 1024 * 1024
    connect_retries: int = 2
    backoff: float = 0.1  # ceiling of the first random wait; each further one doubles it
    max_backoff: float = 2.0
    max_pause: float = 86_400.0
    breaker_window: int = 20
    breaker_failures: int = 10
    breaker_open: float = 10.0
    breaker_probes: int = 1
    breaker_patience: float = 5.0  # a time-out by a caller's shorter deadline counts only after this long
