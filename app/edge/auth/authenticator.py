"""Asks each checker for the caller of a token.

The answer to the client never says why a token is refused; the log does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.graphql.request_errors import (
    CALLER_KEYS_UNAVAILABLE,
    CALLER_UNAUTHENTICATED,
    ErrorEntry,
    RequestError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.edge.auth.signed import SignedTokens
    from app.edge.auth.static import StaticTokens

AUTHORIZATION = "authorization"
METRICS_SCOPE = "metrics:read"

# RFC 6750 section 2.1. GATEWAY_MAX_HEAD_BYTES bounds its length.
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
_CHALLENGE = 'Bearer realm="gateway"'
RETRY_SECONDS = 5
SCOPE_CLAIMS = ("scope", "scp")  # RFC 9068; Entra and Okta


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is for the log. `scopes` None means everything. `subject` is a person, and never shown."""

    name: str
    scopes: frozenset[str] | None = None
    subject: str | None = field(default=None, repr=False)

    def may(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes


class TokenRefusedError(Exception):
    """The token is not accepted; the text is the cause, for the log alone."""


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be fetched or read; the text is for the log and the terminal."""


class Authenticator:
    """Checks a request's `Authorization` headers, before anything else of the request is read."""

    def __init__(self, checkers: Sequence[StaticTokens | SignedTokens]) -> None:
        self._checkers = tuple(checkers)

    async def caller(self, authorizations: Sequence[str]) -> Caller:
        """Raises RequestError: one answer for every wrong token, with the cause as its `detail`."""
        if not authorizations:
            raise _refused(_CHALLENGE, "missing: no Authorization header")
        causes: list[str] = []
        match = _BEARER.fullmatch(authorizations[0].strip()) if len(authorizations) == 1 else None
        if match is not None:
            for checker in self._checkers:
                try:
                    return await checker.find(match[1])
                except TokenRefusedError as error:
                    causes.append(str(error))
                except KeysUnavailableError as error:
                    row = CALLER_KEYS_UNAVAILABLE
                    entry = ErrorEntry(row, row.text or row.reason, retry_after=RETRY_SECONDS)
                    headers = {"retry-after": str(RETRY_SECONDS)}
                    raise RequestError([entry], headers, f"unknown key: {error}") from None
        elif len(authorizations) > 1:
            causes.append("malformed: several Authorization headers")
        else:
            causes.append("malformed: the Authorization header is not Bearer and one token")
        raise _refused(f'{_CHALLENGE}, error="invalid_token"', "; ".join(causes))


def _refused(challenge: str, detail: str) -> RequestError:
    row = CALLER_UNAUTHENTICATED
    return RequestError([ErrorEntry(row, row.text or row.reason)], {"www-authenticate": challenge}, detail)
