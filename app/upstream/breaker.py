"""Decides when a service is not called: the breaker after failures, the pauses that the service asked for.

Both decide without waiting and know no HTTP. Own code, because no kept library fits. purgatory, which is made for
asyncio, lets every call through at once when half open. It takes the late result of a call from before it opened for a
probe's. It counts only exceptions, where ours also counts answers and knows results that count neither way. It reads
the wall clock. pybreaker knows Tornado and no asyncio; its port aiobreaker was last released in 2021.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from math import ceil

from cachetools import TLRUCache
from msgspec import Struct

from app.upstream.settings import Limits

log = logging.getLogger(__name__)

_PAUSES_KEPT = 1024  # beyond these, the service itself asks a credential to wait
_IDENTITY_SHOWN = 15  # characters, enough to tell one from another in the log


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Permit(Struct, frozen=True):
    """A call that the breaker let through. Its result counts only in the period in which it began."""

    period: int


class Breaker:
    """Opens when too many of the last calls failed. Then it lets a few probes through, and closes when one succeeds."""

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float]) -> None:
        self._name = name
        self._limits = limits
        self._clock = clock
        self._failures: deque[bool] = deque(maxlen=limits.breaker_window)
        self._state = BreakerState.CLOSED
        self._open_until = 0.0
        self._probes = 0
        self._period = 0
        self._permit = Permit(0)

    @property
    def state(self) -> BreakerState:
        if self._state is BreakerState.OPEN and self._clock() >= self._open_until:
            return BreakerState.HALF_OPEN
        return self._state

    def enter(self) -> Permit | int:
        """A permit for one call, or the seconds to wait before the next try. Every permit is given back once."""
        if self._state is BreakerState.OPEN:
            remaining = self._open_until - self._clock()
            if remaining > 0:
                return ceil(remaining)
            self._change(BreakerState.HALF_OPEN)
        if self._state is BreakerState.HALF_OPEN:
            if self._probes >= self._limits.breaker_probes:
                return 1
            self._probes += 1
        return self._permit

    def leave(self, permit: Permit, *, failed: bool | None) -> None:
        """Counts the result of a call; None where it says nothing about the service."""
        if permit.period != self._period:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._probes -= 1
            if failed is not None:
                self._change(BreakerState.OPEN if failed else BreakerState.CLOSED)
        elif failed is not None:
            self._failures.append(failed)
            if failed and sum(self._failures) >= self._limits.breaker_failures:
                self._change(BreakerState.OPEN)

    def _change(self, state: BreakerState) -> None:
        log.warning("breaker of %s: %s, was %s", self._name, state.value, self._state.value)
        self._state = state
        self._period += 1
        self._permit = Permit(self._period)
        self._probes = 0
        self._failures.clear()
        if state is BreakerState.OPEN:
            self._open_until = self._clock() + self._limits.breaker_open_seconds


class Pauses:
    """The pauses that a service asked for with `Retry-After`, by whom they concern. The longest ones are kept.

    `SERVICE` stands for everybody: a 503 concerns the service, a 429 one credential.
    """

    SERVICE = "service"

    def __init__(self, name: str, limits: Limits, clock: Callable[[], float]) -> None:
        self._name = name
        self._limits = limits
        self._clock = clock
        self._latest = 0.0
        self._ends: TLRUCache[str, float] = TLRUCache(_PAUSES_KEPT, lambda _identity, end, _now: end, clock)

    def __bool__(self) -> bool:
        """Whether any pause may last. Used for each call, because it is cheaper than a search through them."""
        return self._latest > self._clock()

    def remaining(self, *identities: str) -> float:
        return max(0.0, *(self._ends.get(identity, 0.0) - self._clock() for identity in (self.SERVICE, *identities)))

    def ask(self, identity: str, seconds: int) -> None:
        """Begins a pause. A longer one that lasts already stays."""
        if seconds > 0:
            log.warning("%s asks for a pause of %d s of %s", self._name, seconds, identity[:_IDENTITY_SHOWN])
            end = self._clock() + min(seconds, self._limits.max_pause_seconds)
            self._ends[identity] = max(end, self._ends.get(identity, 0.0))
            self._latest = max(end, self._latest)
