"""The sandbox's token endpoint: OpenID Connect's password and refresh grants for the store's users.

Shapes: https://github.com/bokamera/api-examples (Keycloak's), RFC 6749 sections 4.3, 5.2 and 6. Tokens live in this
process alone, and not for long.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response

from app.apis.bokamera.seed import CLIENT_ID, USERS, digest
from app.json_codec import encode_json
from app.store.records import Store

_MAX_FORM = 16 * 1024
_LIFETIME = 60.0
_REFRESH_LIFETIME = 1800.0
_MOST_TOKENS = 10_000


class TokenEndpoint:
    """`requests` counts the requests. `lifetime` is an access token's, in seconds of `clock`."""

    def __init__(
        self, store: Store, *, lifetime: float = _LIFETIME, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._lifetime = lifetime
        # The users, by token.
        self._access: TTLCache[str, str] = TTLCache(_MOST_TOKENS, lifetime, clock)
        self._refresh: TTLCache[str, str] = TTLCache(_MOST_TOKENS, _REFRESH_LIFETIME, clock)
        self.requests = 0

    def user_of(self, token: str) -> str | None:
        """The user that an access token was issued for, while it is valid."""
        return self._access.get(token)

    def expire(self) -> None:
        """Expires every access token. Refresh tokens stay valid."""
        self._access.clear()

    async def endpoint(self, request: Request) -> Response:
        self.requests += 1
        form = await _form(request)
        if form.get("client_id") != CLIENT_ID:
            return _error(401, "invalid_client", "Invalid client or Invalid client credentials")
        match form.get("grant_type"):
            case "password":
                user = await self._checked(form.get("username", ""), form.get("password", ""))
                failure = _error(401, "invalid_grant", "Invalid user credentials")
            case "refresh_token":
                user = self._refresh.get(form.get("refresh_token", ""))
                failure = _error(400, "invalid_grant", "Token is not active")
            case _:
                return _error(400, "unsupported_grant_type", "Unsupported grant_type")
        return failure if user is None else self._issued(user)

    async def _checked(self, username: str, password: str) -> str | None:
        user = await self._store.get(USERS, username) if "\x00" not in username else None
        stored_hash = "" if user is None else user.document["PasswordSha256"]
        return user.id if user is not None and hmac.compare_digest(stored_hash, digest(password)) else None

    def _issued(self, user: str) -> Response:
        access, refresh = f"demo-{user}-{secrets.token_urlsafe(16)}", secrets.token_urlsafe(16)
        self._access[access] = self._refresh[refresh] = user
        return _json(
            200,
            {
                "access_token": access,
                "expires_in": int(self._lifetime),
                "refresh_expires_in": int(_REFRESH_LIFETIME),
                "refresh_token": refresh,
                "token_type": "Bearer",
                "not-before-policy": 0,
                "session_state": secrets.token_hex(8),
                "scope": "profile email",
            },
        )


async def _form(request: Request) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in fields.items()}


def _json(status: int, data: Any) -> Response:
    return Response(encode_json(data), status, {"cache-control": "no-store"}, media_type="application/json")


def _error(status: int, error: str, description: str) -> Response:
    return _json(status, {"error": error, "error_description": description})
