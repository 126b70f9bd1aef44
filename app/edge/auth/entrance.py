"""Composes the gateway's entrance: static tokens, signed tokens and the keys to check them. Reads their files again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from app.edge.auth.authenticator import Authenticator, Checker
from app.edge.auth.static import StaticToken, StaticTokens, TokensFileError, doubled, read_tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import httpx

    from app.edge.auth.issuer import Issuer
    from app.edge.auth.keys import Keys
    from app.upstream.settings import Limits


log = logging.getLogger(__name__)


class Entrance:
    """`authenticator` is None where anyone may call; `keys` is None where no signed token is accepted.

    The other arguments are an `Issuer`'s. Raises KeysUnavailableError or TokensFileError.
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
        self._fixed_tokens = tuple(tokens)
        self._tokens_file = tokens_file
        self._known_scopes = known_scopes
        self._static = StaticTokens(self._read_tokens())
        self._issuer: Issuer | None = None
        checkers: list[Checker] = [self._static] if self._static.tokens else []
        if signed is not None:
            from app.edge.auth.issuer import Issuer  # noqa: PLC0415 - see there

            self._issuer = Issuer(signed, jwks_url, key_file, limits, transport)
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
        if self._tokens_file is not None:
            try:
                self._static.tokens = self._read_tokens()
                log.info("the file of callers' tokens was read again: %d tokens", len(self._static.tokens))
            except TokensFileError as error:
                log.error("GATEWAY_CALLER_TOKENS_FILE: %s; the former tokens stay", error)  # noqa: TRY400 - one line
        if self._issuer is not None:
            self._issuer.reload()

    def _read_tokens(self) -> tuple[StaticToken, ...]:
        if self._tokens_file is None:
            return self._fixed_tokens
        tokens = (*self._fixed_tokens, *read_tokens(self._tokens_file, self._known_scopes))
        if problem := doubled(tokens):
            raise TokensFileError(f"{self._tokens_file}: {problem}")
        return tokens

    async def aclose(self) -> None:
        if self._issuer is not None:
            await self._issuer.aclose()
