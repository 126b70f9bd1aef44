"""Time-outs that are to end in the middle of something, on machines that may stand still until long after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


async def given_time(attempt: Callable[[float], Awaitable[None]], seconds: float) -> None:
    """`attempt` under a time-out of so many seconds; where it does not come to what it is about, of more.

    An `AssertionError` under the longest one stands. What must hold in any time is not for `assert`: `pytest.fail`.
    """
    for times in (1, 5):
        try:
            return await attempt(seconds * times)
        except AssertionError:
            continue
    return await attempt(seconds * 25)
