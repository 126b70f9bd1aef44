"""Chooses the language of a backend's answers: the caller's best among those that it speaks.

https://www.rfc-editor.org/rfc/rfc9110#name-accept-language
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_LONGEST = 500  # characters of the header that are read


@dataclass(frozen=True, slots=True)
class Languages:
    """The vendor's header, and its languages."""

    header: str
    spoken: tuple[str, ...]

    def headers(self, accept_language: str | None) -> dict[str, str]:
        """The headers of a request: none where the caller named none of these languages."""
        language = self.best(accept_language)
        return {} if language is None else {self.header: language}

    def best(self, accept_language: str | None) -> str | None:
        """The first of two with one weight. A malformed part, and `*`, say nothing."""
        if not accept_language or len(accept_language) > _LONGEST:
            return None
        weights: dict[str, float] = {}
        for part in accept_language.split(","):
            language = _RANGE.fullmatch(part)
            if language is not None and (name := language[1].lower()) in self.spoken:
                weights[name] = max(weights.get(name, 0.0), float(language[2] or 1))
        best = max(weights, key=lambda name: weights[name], default=None)
        return best if best is not None and weights[best] > 0 else None
