"""How far a backend's clock is ahead of this machine's, according to its answers' `Date`."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime


class BackendClock:
    """`ahead` is the most that the backend's clock can be ahead, in seconds; None where it is not known.

    A `Date` is cut to whole seconds: that second comes on top.
    """

    def __init__(self) -> None:
        self._last_date: tuple[str, float] | None = None

    @property
    def ahead(self) -> float | None:
        if self._last_date is None:
            return None
        date, begun = self._last_date
        try:
            return parsedate_to_datetime(date).timestamp() - begun
        except (ValueError, TypeError, OverflowError):
            return None

    def note(self, headers: Mapping[str, str], begun: float) -> None:
        """Remembers the `Date` of an answer. `begun` is this machine's time before the request was sent.

        An answer with an `Age` comes from a cache, and its `Date` may be old (RFC 9111 section 5.1).
        """
        date = headers.get("date")
        if date is not None and "age" not in headers:
            self._last_date = date, begun
