"""Turns a broken exchange into one of our rows, corrected by what is known of the bytes that left."""

from __future__ import annotations

import logging

from app.errors import (
    ANSWER_TIMED_OUT,
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

# Nothing left, and the next attempt may find a free connection or a service that listens again.
PASSING = frozenset({NOT_CONNECTED, NO_FREE_CONNECTION})

# The same failure where it is certain that nothing left.
_UNSENT = dict.fromkeys((CONNECTION_LOST, ANSWER_TIMED_OUT, ANSWER_UNREADABLE), NOT_CONNECTED)


class ExchangeError(Exception):
    """An exchange broke. `row` says how, as far as the code that noticed it can tell."""

    def __init__(self, row: DocumentedError, text: str = "") -> None:
        super().__init__(text)
        self.row = row


def failed(name: str, error: Exception, *, left: bool | None) -> GatewayError:
    """The error of an exchange without an answer. `left`: whether bytes may have left; None if only `error` tells."""
    row, detail = INTERNAL, f"{type(error).__name__}: {error}"
    if isinstance(error, ExchangeError):
        row, detail = error.row, str(error)
    else:
        log.error("%s: a call broke unexpectedly", name, exc_info=error)
    outcome = row.outcome
    if left is True and outcome is Outcome.NOT_APPLIED:
        row, outcome = CONNECTION_LOST, CONNECTION_LOST.outcome
    elif left is False and outcome is not Outcome.NOT_APPLIED:
        row, outcome = _UNSENT.get(row, row), Outcome.NOT_APPLIED
    failure = GatewayError(row, backend=BackendDetails(name), outcome=outcome, detail=detail)
    failure.__cause__ = error
    return failure


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
    failure = failed(name, error, left=left)
    if status is not None:
        failure.backend, failure.outcome = BackendDetails(name, status), Outcome.UNKNOWN
    return failure


def malformed(name: str, header: str) -> GatewayError:
    return GatewayError(
        CREDENTIALS_MALFORMED, backend=BackendDetails(name), detail=f"the header {header} cannot be sent"
    )
