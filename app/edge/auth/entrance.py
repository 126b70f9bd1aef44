"""Composes the gateway's entrance: static tokens, signed tokens and the keys to check them. Reads their files again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from app.edge.auth.authenticator import Authenticator
from app.edge.auth.static import StaticToken, StaticTokens, TokensFileError, doubled, read_tokens

if TYPE_CHECKING:
    from collections.abc import Collection

    import httpx

    from app.edge.auth.issuer import Issuer
    from app.edge.auth.keys import Keys
    from app.edge.auth.settings import AuthSettings
    from app.edge.auth.signed import SignedTokens
    from app.upstream.settings import Limits


log = logging.getLogger(__name__)


class Entrance:
    """`authenticator` is None where anyone may call; `keys` is None where no signed token is accepted.

    `limits` and `transport` are for the issuer's URL. Raises KeysUnavailableError or TokensFileError.
    """

    def __init__(
        self,
        settings: AuthSettings,
        known_scopes: Collection[str] = (),
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._known_scopes = known_scopes
        self._static = StaticTokens(self._read_tokens())
        self._issuer: Issuer | None = None
        checkers: list[StaticTokens | SignedTokens] = [self._static] if self._static.tokens else []
        if settings.jwt_issuer is not None and settings.jwt_audience is not None:
            from app.edge.auth.issuer import Issuer  # noqa: PLC0415 - see there

            self._issuer = Issuer(settings, limits, transport)
            checkers.append(self._issuer.checker)
        self.authenticator = Authenticator(checkers) if checkers else None

    @property
    def keys(self) -> Keys | None:
        return None if self._issuer is None else self._issuer.keys

    @property
    def tokens(self) -> tuple[StaticToken, ...]:
        return self._static.tokens

    def reload(self) -> None:
        """Reads the files again, as SIGHUP asks. A file that cannot be used leaves what it held before."""
        if self._settings.caller_tokens_file is not None:
            try:
                self._static.tokens = self._read_tokens()
                log.info("the file of callers' tokens was read again: %d tokens", len(self._static.tokens))
            except TokensFileError as error:
                log.error("GATEWAY_CALLER_TOKENS_FILE: %s; the former tokens stay", error)  # noqa: TRY400 - one line
        if self._issuer is not None:
            self._issuer.reload()

    def _read_tokens(self) -> tuple[StaticToken, ...]:
        fixed, path = self._settings.caller_tokens, self._settings.caller_tokens_file
        tokens = fixed if path is None else (*fixed, *read_tokens(path, self._known_scopes))
        if problem := doubled(tokens):
            raise TokensFileError(f"{path}: {problem}")
        return tokens

    async def aclose(self) -> None:
        if self._issuer is not None:
            await self._issuer.aclose()
