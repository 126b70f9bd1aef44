"""Composes the issuer of signed tokens: its keys, from a file or a URL, and the check of a token.

Imported only where there is an issuer: cryptography takes a tenth of the start.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.call import CallContext
from app.edge.auth.authenticator import KeysUnavailableError
from app.edge.auth.keys import FetchedKeys, FixedKeys, Keys, read_keys
from app.edge.auth.signed import SignedTokens
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.settings import Limits
from app.upstream.upstream import Upstream

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from app.edge.auth.settings import AuthSettings

log = logging.getLogger(__name__)

_OK = 200
_FETCH_SECONDS = 10.0


class Issuer:
    """Raises KeysUnavailableError."""

    keys: Keys

    def __init__(
        self, settings: AuthSettings, limits: Limits | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._upstream: Upstream | None = None
        self._key_file = settings.jwt_key_file
        if settings.jwt_jwks_url is not None:
            self.keys = self._fetched(settings.jwt_jwks_url, limits, transport)
        else:
            assert self._key_file is not None
            self.keys = FixedKeys(_of_file(self._key_file))
        assert settings.jwt_issuer is not None
        assert settings.jwt_audience is not None
        self.checker = SignedTokens(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            algorithm=settings.jwt_algorithm,
            keys=self.keys,
            audience_claim=settings.jwt_audience_claim,
            scope_claims=settings.jwt_scope_claim,
            scope_prefix=settings.jwt_scope_prefix or "",
        )

    def reload(self) -> None:
        """Reads the file again. A file that cannot be used leaves the current keys."""
        if isinstance(self.keys, FixedKeys) and self._key_file is not None:
            try:
                self.keys.keys = _of_file(self._key_file)
                log.info("the file of the issuer's keys was read again")
            except KeysUnavailableError as error:
                log.error("GATEWAY_JWT_KEY_FILE: %s; the former keys stay", error)  # noqa: TRY400 - one line

    def _fetched(self, url: str, limits: Limits | None, transport: httpx.AsyncBaseTransport | None) -> Keys:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        limits = (limits or Limits()).model_copy(update={"proxy_url": None})  # the proxy is for backends
        upstream = self._upstream = Upstream("token issuer", origin, limits, transport)
        request = BackendRequest("GET", url.removeprefix(origin) or "/", headers={"accept": "application/json"})

        async def fetch() -> bytes:
            deadline = asyncio.get_running_loop().time() + _FETCH_SECONDS
            return await upstream.send(request, CallContext("jwks", deadline=deadline), _keys_in)

        return FetchedKeys(fetch)

    async def aclose(self) -> None:
        if self._upstream is not None:
            await self._upstream.aclose()


def _keys_in(response: BackendResponse) -> bytes:
    if response.status != _OK or not read_keys(response.body):
        raise KeysUnavailableError(f"the issuer answered with status {response.status} and no keys")
    return response.body


def _of_file(path: Path) -> Any:
    try:
        keys = read_keys(path.read_bytes())
    except OSError as error:
        raise KeysUnavailableError(f"{path}: {error.strerror}") from error
    except KeysUnavailableError as error:
        raise KeysUnavailableError(f"{path}: {error}") from None
    if not keys:
        raise KeysUnavailableError(f"{path}: no key that can check a signature")
    return keys
