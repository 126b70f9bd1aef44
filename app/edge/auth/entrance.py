"""The gateway's entrance, composed: static tokens, signed tokens, the keys to check them with; and read again."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.call import Call
from app.edge.auth.authenticator import Authenticator, Checker, KeysUnavailableError
from app.edge.auth.keys import FetchedKeys, FixedKeys, Keys, read_keys
from app.edge.auth.signed import SignedTokens
from app.edge.auth.static import StaticToken, StaticTokens, TokensFileError, doubled, read_tokens
from app.upstream.exchange import Answer, Request
from app.upstream.upstream import Limits, Upstream

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import httpx


log = logging.getLogger(__name__)

_OK = 200
_FETCH_SECONDS = 10.0


class Entrance:
    """`authenticator` is None where anyone may call; `keys` where no signed token is taken.

    `signed` are the arguments of SignedTokens but its keys. Raises KeysUnavailableError or TokensFileError.
    """

    def __init__(
        self,
        *,
        tokens: Sequence[StaticToken] = (),
        tokens_file: Path | None = None,
        known_scopes: Collection[str] = (),
        signed: dict[str, Any] | None = None,
        jwks_url: str | None = None,
        key_file: Path | None = None,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._upstream: Upstream | None = None
        self._given = tuple(tokens)
        self._tokens_file = tokens_file
        self._key_file = key_file
        self._known_scopes = known_scopes
        self._static = StaticTokens(self._read_tokens())
        self.keys: Keys | None = None
        checkers: list[Checker] = [self._static] if self._static.tokens else []
        if signed is not None:
            if jwks_url is not None:
                self.keys = self._fetched(jwks_url, limits, transport)
            else:
                assert key_file is not None
                self.keys = FixedKeys(_of_file(key_file))
            checkers.append(SignedTokens(keys=self.keys, **signed))
        self.authenticator = Authenticator(checkers) if checkers else None

    @property
    def tokens(self) -> tuple[StaticToken, ...]:
        return self._static.tokens

    def reload(self) -> None:
        """Reads the files again, as SIGHUP asks. One that cannot be used leaves what it held before."""
        if self._tokens_file is not None:
            try:
                self._static.tokens = self._read_tokens()
                log.info("the file of callers' tokens was read again: %d tokens", len(self._static.tokens))
            except TokensFileError as error:
                log.error("GATEWAY_CALLER_TOKENS_FILE: %s; the former tokens stay", error)  # noqa: TRY400 - one line
        if isinstance(self.keys, FixedKeys) and self._key_file is not None:
            try:
                self.keys.keys = _of_file(self._key_file)
                log.info("the file of the issuer's keys was read again")
            except KeysUnavailableError as error:
                log.error("GATEWAY_JWT_KEY_FILE: %s; the former keys stay", error)  # noqa: TRY400 - one line

    def _read_tokens(self) -> tuple[StaticToken, ...]:
        if self._tokens_file is None:
            return self._given
        tokens = (*self._given, *read_tokens(self._tokens_file, self._known_scopes))
        if problem := doubled(tokens):
            raise TokensFileError(f"{self._tokens_file}: {problem}")
        return tokens

    def _fetched(self, url: str, limits: Limits | None, transport: httpx.AsyncBaseTransport | None) -> Keys:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        limits = replace(limits or Limits(), proxy_url=None)  # the proxy is for backends
        upstream = self._upstream = Upstream("token issuer", origin, limits, transport)
        request = Request("GET", url.removeprefix(origin) or "/", headers={"accept": "application/json"})

        async def fetch() -> bytes:
            deadline = asyncio.get_running_loop().time() + _FETCH_SECONDS
            return await upstream.send(request, Call("jwks", deadline=deadline), _keys_in)

        return FetchedKeys(fetch)

    async def aclose(self) -> None:
        if self._upstream is not None:
            await self._upstream.aclose()


def _keys_in(response: Answer) -> bytes:
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
