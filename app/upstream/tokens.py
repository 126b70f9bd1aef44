"""Bearer tokens of an OpenID Connect token endpoint: fetched once for all who wait, renewed before they expire.

Knows no vendor. Authlib forms the requests (grants, client authentication). Its AsyncOAuth2Client is not used. The lock
in `ensure_active_token` covers the refresh and client-credentials grants alone, so that a password grant is fetched
once per caller. A cancelled caller cancels the refresh that others wait for. It keeps cookies. Its httpx variant is
deprecated with a warning. Its OAuth2Token is not used either: `expires_in: 0` reads as "never expires", and it reads
the wall clock.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from app.call import CallContext
from app.errors import (
    ANSWER_UNREADABLE,
    DEADLINE_BEFORE_SENDING,
    TOKEN_REFUSED,
    TOKEN_UNAVAILABLE,
    BackendDetails,
    GatewayError,
    Outcome,
    family,
)
from app.redaction import cleaned
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.responses import parsed, retry_after, text_member
from app.upstream.settings import Limits
from app.upstream.upstream import Observer, Upstream

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

_FORM = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
# Assumed where `expires_in` is missing, as RFC 6749 section 5.1 allows; a public client of the service does the same.
_ASSUMED_LIFETIME = 300.0
_OK = 200
_REFUSALS = frozenset({400, 401, 403})
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What the endpoint issued. Times are of the source's clock."""

    access: str | None = field(repr=False)
    issued_at: float
    renew_at: float
    expires_at: float
    refresh: str | None = field(repr=False)
    refresh_until: float


class TokenSource:
    """The bearer of one account: by the password grant, then by the refresh grant (RFC 6749 sections 4.3 and 6).

    A token is renewed `margin` seconds before its expiry, at most half of its life. For `refusal_pause` seconds after a
    refusal the endpoint is not called again, so that a wrong password does not lock the account. `backend` is the API
    name that errors carry. Use as an async context manager, or `aclose` it.
    """

    def __init__(  # noqa: PLR0913 - one for each setting, the later ones keyword-only
        self,
        token_url: str,
        client_id: str,
        username: str,
        password: str,
        transport: httpx.AsyncBaseTransport | None = None,
        limits: Limits | None = None,
        *,
        client_secret: str | None = None,
        backend: str | None = None,
        margin: float = 30.0,
        refusal_pause: float = 5.0,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._username = username
        self._password = password
        # Imported only where a service has such an endpoint.
        from authlib.oauth2.auth import ClientAuth  # noqa: PLC0415
        from authlib.oauth2.rfc6749.parameters import prepare_token_request  # noqa: PLC0415

        self._prepare = prepare_token_request
        self._client = ClientAuth(client_id, client_secret, "client_secret_basic" if client_secret else "none")
        self._backend = backend
        self._margin = margin
        self._refusal_pause = refusal_pause
        self._clock = clock
        parts = urlsplit(token_url)
        base_url = f"{parts.scheme}://{parts.netloc}"
        self._path = token_url.removeprefix(base_url)
        name = "token endpoint" if backend is None else f"token endpoint of {backend}"
        self._upstream = Upstream(name, base_url, limits, transport, observer=observer)
        self._tokens: _Tokens | None = None
        self._renewal: asyncio.Task[GatewayError | None] | None = None
        self._refusal: tuple[GatewayError, float] | None = None

    def __repr__(self) -> str:
        return f"<TokenSource holding {'a token' if self._tokens and self._tokens.access else 'none'}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})
        await self._upstream.aclose()

    async def bearer(self, call: CallContext) -> str:
        """The access token, without the word `Bearer`. Raises GatewayError: then nothing was sent to the backend."""
        tokens = self._tokens
        if tokens is not None and tokens.access is not None and self._clock() < tokens.renew_at:
            return tokens.access
        failure = await self._renewed(call)
        tokens = self._tokens
        if tokens is not None and tokens.access is not None and self._clock() < tokens.expires_at:
            return tokens.access  # an unreachable endpoint does not matter while the old token is valid
        raise (
            failure or self._error(TOKEN_UNAVAILABLE, detail="the endpoint issues tokens that have expired already")
        ).changed()

    def drop(self, token: str, *, alone: bool = True) -> bool:
        """Forgets a token that the backend refused. Returns whether the next call has another one, and so may pass.

        Not `alone`: the caller's own key was sent, too, and may be what is wrong. The gateway then keeps a new token,
        so that no caller makes it fetch one for each call.
        """
        tokens = self._tokens
        if tokens is not None and tokens.access == token.removeprefix("Bearer "):
            if not alone and self._clock() < tokens.issued_at + self._refusal_pause:
                return False
            self._tokens = replace(tokens, access=None)
        return True

    async def _renewed(self, call: CallContext) -> GatewayError | None:
        """Waits for the one renewal. It is a task of its own: no caller's cancellation or deadline ends it."""
        if self._refusal is not None and self._clock() < self._refusal[1]:
            return self._refusal[0]
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(
                self._renew(CallContext(call.request_id, trace_headers=call.trace_headers))
            )
        renewal = self._renewal
        remaining = None if call.deadline is None else max(0.0, call.deadline - asyncio.get_running_loop().time())
        done, _ = await asyncio.wait({renewal}, timeout=remaining)
        if not done:
            return self._error(DEADLINE_BEFORE_SENDING, detail="the deadline passed while waiting for a token")
        return renewal.result()

    async def _renew(self, call: CallContext) -> GatewayError | None:
        tokens = self._tokens
        failure: GatewayError | None = None
        if tokens is not None and tokens.refresh is not None and self._clock() < tokens.refresh_until:
            failure = await self._grant(call, "refresh_token", refresh_token=tokens.refresh)
            if failure is None or failure.row is not TOKEN_REFUSED:
                return failure
            self._tokens = replace(tokens, refresh=None)
            log.info("the refresh token was refused, asking with the password")
        failure = await self._grant(call, "password", username=self._username, password=self._password)
        if failure is not None and failure.row is TOKEN_REFUSED:
            self._refusal = (failure, self._clock() + self._refusal_pause)
        return failure

    async def _grant(self, call: CallContext, grant: str, **parameters: str) -> GatewayError | None:
        form = self._prepare(grant, **parameters)
        _, headers, form = self._client.prepare("POST", self._path, dict(_FORM), form)
        requested_at = self._clock()
        try:
            request = BackendRequest("POST", self._path, headers=headers, body=form.encode())
            response, data, access = await self._upstream.send(request, call, _judged)
        except GatewayError as error:
            return self._error(TOKEN_UNAVAILABLE, retry=error.retry_after, detail=f"{error.row.reason}: {error.detail}")
        if access is None:
            return self._refused(response, data)
        self._tokens = self._issued(requested_at, access, data)
        self._refusal = None
        log.debug("a token was issued by the %s grant", grant)
        return None

    def _issued(self, requested_at: float, access: str, data: Any) -> _Tokens:
        life = _seconds(data, "expires_in", _ASSUMED_LIFETIME)
        # Keycloak: refresh_expires_in 0 is an offline token, which does not expire.
        refresh_life = _seconds(data, "refresh_expires_in", 0.0) or float("inf")
        margin = min(self._margin, life / 2)
        refresh = text_member(data, "refresh_token")
        if refresh is None and self._tokens is not None:  # RFC 6749 section 6: the old one stays
            refresh, refresh_until = self._tokens.refresh, self._tokens.refresh_until
        else:
            refresh_until = requested_at + refresh_life - min(self._margin, refresh_life / 2)
        return _Tokens(access, requested_at, requested_at + life - margin, requested_at + life, refresh, refresh_until)

    def _refused(self, response: BackendResponse, data: Any) -> GatewayError:
        """The endpoint's `error` and `error_description` (RFC 6749 section 5.2), unless they repeat what was sent."""
        code, description = (self._safe(text_member(data, name)) for name in ("error", "error_description"))
        message = f"{TOKEN_REFUSED.text} {description}" if description else None
        backend = None if self._backend is None else BackendDetails(self._backend, response.status, code, description)
        return GatewayError(
            TOKEN_REFUSED,
            message,
            backend=backend,
            outcome=Outcome.NOT_APPLIED,
            detail=f"the token endpoint answered {response.status} {code}",
        )

    def _safe(self, text: str | None) -> str | None:
        secrets = {
            self._password,
            self._username,
            self._client.client_secret,
            self._tokens.refresh if self._tokens else None,
        }
        if text is None or any(secret and secret in text for secret in secrets):
            return None
        return cleaned(text) or None

    def _error(self, row: Any, *, retry: int | None = None, detail: str) -> GatewayError:
        backend = None if self._backend is None else BackendDetails(self._backend)
        return GatewayError(row, backend=backend, outcome=Outcome.NOT_APPLIED, retry_after=retry, detail=detail)


def _judged(response: BackendResponse) -> tuple[BackendResponse, Any, str | None]:
    """An issued token (RFC 6749 section 5.1), or None for a refusal. Raises GatewayError for anything else."""
    data = parsed(response.body)
    access = text_member(data, "access_token")
    if response.status in _REFUSALS:
        return response, data, None
    if response.status == _OK and access is not None and _sendable(access):
        return response, data, access
    row = ANSWER_UNREADABLE if response.status == _OK else family(response.status)
    detail = f"the token endpoint answered {response.status} without a token"
    raise GatewayError(row, retry_after=retry_after(response.headers), detail=detail)


def _seconds(data: Any, name: str, default: float) -> float:
    """RFC 6749 says a number; some endpoints send a text that holds one. A negative one says nothing."""
    value = data.get(name)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        return default
    return float(min(value, 10**9))


def _sendable(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token
