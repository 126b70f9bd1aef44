"""Turns a broken exchange into one of our rows: httpx's failures, corrected by what is known of the bytes that left."""

from __future__ import annotations

import logging

from app.errors import (
    ANSWER_TIMED_OUT,
    ANSWER_TOO_LARGE,
    ANSWER_UNREADABLE,
    CONNECTION_LOST,
    CREDENTIALS_MALFORMED,
    DEADLINE_BEFORE_SENDING,
    INTERNAL,
    NO_FREE_CONNECTION,
    NOT_CONNECTED,
    BackendDetails,
    DocumentedError,
    GatewayError,
    Outcome,
)

log = logging.getLogger(__name__)

# By the names of classes, httpx's and those of `broken.py`. The first match counts. With httpx's own transport, a
# failure to connect or to get a connection from the pool means that no byte of the request left. Every other failure
# may come after bytes left. A test compares this with httpx's list.
FAILURES: tuple[tuple[str, DocumentedError], ...] = (
    ("PoolTimeout", NO_FREE_CONNECTION),
    ("ConnectTimeout", NOT_CONNECTED),
    ("ConnectError", NOT_CONNECTED),
    ("ProxyError", NOT_CONNECTED),
    ("TimeoutException", ANSWER_TIMED_OUT),
    ("DecodingError", ANSWER_UNREADABLE),
    ("UnsupportedProtocol", INTERNAL),
    ("TransportError", CONNECTION_LOST),
    ("TooManyRedirects", ANSWER_UNREADABLE),
    ("HTTPError", CONNECTION_LOST),
    ("InvalidURL", INTERNAL),
    ("StreamError", CONNECTION_LOST),
    ("CookieConflict", INTERNAL),
    ("BodyTooLargeError", ANSWER_TOO_LARGE),
    ("BodyUnreadableError", ANSWER_UNREADABLE),
    ("OSError", CONNECTION_LOST),  # in case a transport lets a socket's own failures through
    ("UnicodeError", INTERNAL),  # the host name is invalid
)

_EXPECTED = frozenset({"HTTPError", "TransportError", "BodyTooLargeError", "BodyUnreadableError"})

# Nothing left, and the next attempt may find a free connection or a service that listens again.
PASSING = frozenset({NOT_CONNECTED, NO_FREE_CONNECTION})

# The same failure where it is certain that nothing left.
_UNSENT = dict.fromkeys((CONNECTION_LOST, ANSWER_TIMED_OUT, ANSWER_UNREADABLE), NOT_CONNECTED)


def row_of(kind: type[BaseException]) -> DocumentedError | None:
    names = {cls.__name__ for cls in kind.__mro__}
    return next((row for name, row in FAILURES if name in names), None)


def failed(name: str, error: Exception, *, left: bool | None) -> GatewayError:
    """The error of an exchange without an answer. `left`: whether bytes may have left; None if only `error` tells."""
    row = row_of(type(error)) or INTERNAL
    outcome = row.outcome
    if left is True and outcome is Outcome.NOT_APPLIED:
        row, outcome = CONNECTION_LOST, CONNECTION_LOST.outcome
    elif left is False and outcome is not Outcome.NOT_APPLIED:
        row, outcome = _UNSENT.get(row, row), Outcome.NOT_APPLIED
    return GatewayError(row, backend=BackendDetails(name), outcome=outcome, detail=f"{type(error).__name__}: {error}")


class OutOfTimeError(GatewayError):
    """The call's time is over. A caller may have set that time, so that the service is not blamed here."""

    def __init__(self, name: str, status: int | None = None, *, left: bool | None = True) -> None:
        row = DEADLINE_BEFORE_SENDING if left is False else ANSWER_TIMED_OUT
        super().__init__(row, backend=BackendDetails(name, status), detail="the call's time was over")


def not_whole(name: str, status: int | None, error: Exception | None, *, left: bool | None = True) -> GatewayError:
    """The error of an answer that did not arrive whole and whose status, if any, does not decide by itself.

    `error` None: its time was over.
    """
    if error is None:
        return OutOfTimeError(name, status, left=left)
    log_unexpected(name, error)
    broken = failed(name, error, left=left)
    if status is not None:
        broken.backend, broken.outcome = BackendDetails(name, status), Outcome.UNKNOWN
    broken.__cause__ = error
    return broken


def log_unexpected(name: str, error: Exception) -> None:
    if _EXPECTED.isdisjoint(cls.__name__ for cls in type(error).__mro__):
        log.error("%s: a call broke unexpectedly", name, exc_info=error)


def malformed(name: str, header: str) -> GatewayError:
    return GatewayError(
        CREDENTIALS_MALFORMED, backend=BackendDetails(name), detail=f"the header {header} cannot be sent"
    )
