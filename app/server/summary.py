"""Logs what happens to many connections: the first at once, the others as one number a minute."""

from __future__ import annotations

import asyncio
import logging

log = logging.getLogger(__name__)


class Summary:
    def __init__(self, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._further: dict[tuple[int, str], int] = {}

    def add(self, level: int, text: str) -> None:
        if (level, text) in self._further:
            self._further[level, text] += 1
            return
        self._further[level, text] = 0
        log.log(level, "%s", text)
        asyncio.get_running_loop().call_later(self._seconds, self._tell, level, text)

    def _tell(self, level: int, text: str) -> None:
        if number := self._further.pop((level, text)):
            log.log(level, "%s: %d further ones in the last %d seconds", text, number, self._seconds)
