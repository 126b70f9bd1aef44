"""Turns a broken exchange into one of our rows. Whether bytes may have left decides the outcome."""

from __future__ import annotations

import logging

from app.errors import (
    ANSWER_TIMED_OUT,
    DEADLINE_BEFORE_SENDING,
    INTERNAL,
    BackendDetails,
    DocumentedError,
    GatewayError,
    Outcome,
)

log = logging.getLogger(__name__)


class ExchangeError(Exception):
    """An exchange broke. `row` says how, as far as the code that noticed it can tell."""

    def __init__(self, row: DocumentedError, text: str = "") -> None:
        super().__init__(text)
        self.row = row


def failed(name: str, error: Exception, status: int | None = None, *, left: bool) -> GatewayError:
    """The error of an exchange without a usable answer. `left`: whether bytes may have left."""
    row, detail = INTERNAL, f"{type(error).__name__}: {error}"
    if isinstance(error, ExchangeError):
        row, detail = error.row, str(error)
    else:
        log.error("%s: a call broke unexpectedly", name, exc_info=error)
    outcome = Outcome.UNKNOWN if left else Outcome.NOT_APPLIED
    failure = GatewayError(row, backend=BackendDetails(name, status), outcome=outcome, detail=detail)
    failure.__cause__ = error
    return failure


class OutOfTimeError(GatewayError):
    """The call's time is over. A caller may have set that time, so that the service is not blamed here."""

    def __init__(self, name: str, status: int | None = None, *, left: bool = True) -> None:
        row = ANSWER_TIMED_OUT if left else DEADLINE_BEFORE_SENDING
        super().__init__(row, backend=BackendDetails(name, status), detail="the call's time was over")
