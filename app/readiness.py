"""Whether the gateway can do its work: tried at most once a second, however many ask."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from app.store.records import StoreUnavailableError

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
_SECONDS = 5.0


class Readiness:
    """`trial` raises StoreUnavailableError while the part cannot be used. A change is logged once."""

    def __init__(
        self, part: str, trial: Callable[[], Awaitable[None]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._part = part
        self._trial = trial
        self._clock = clock
        self._tried_at: float | None = None
        self._trying: asyncio.Task[None] | None = None
        self._problem: str | None = None

    async def __call__(self) -> bool | str:
        """True, or the name of the part that cannot be used."""
        due = self._tried_at is None or self._clock() - self._tried_at >= _PAUSE_SECONDS
        if self._trying is None and due:
            self._trying = asyncio.create_task(self._try())
        if self._trying is not None:
            await asyncio.shield(self._trying)
        return self._problem is None or self._part

    async def _try(self) -> None:
        try:
            problem = await self._failure()
            if problem is not None and problem != self._problem:
                log.warning("not ready: %s", problem)
            elif problem is None and self._problem is not None:
                log.info("ready again")
            self._problem = problem
        finally:
            self._tried_at, self._trying = self._clock(), None

    async def _failure(self) -> str | None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._trial()
        except StoreUnavailableError as error:
            return str(error)
        except TimeoutError:
            return f"the {self._part} did not answer in {_SECONDS:g} s"
        except Exception:
            log.exception("not ready, for an unknown reason")
            return f"the {self._part} failed"
        return None
