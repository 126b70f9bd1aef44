"""The gateway's entrance, composed: static tokens, signed tokens, and where the keys to check them with come from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.call import Call
from app.edge.authentication import (
    Authenticator,
    Checker,
    FetchedKeys,
    FixedKeys,
    Keys,
    KeysUnavailableError,
    SignedTokens,
    StaticToken,
    StaticTokens,
    read_keys,
)
from app.upstream.exchange import Request
from app.upstream.upstream import Limits, Upstream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import httpx

_OK = 200


class Entrance:
    """`authenticator` is None where anyone may call; `keys` where no signed token is taken.

    Raises KeysUnavailableError for a file that holds no keys.
    """

    def __init__(
        self,
        *,
        tokens: Sequence[StaticToken] = (),
        issuer: str | None = None,
        audience: str | None = None,
        algorithm: str = "RS256",
        jwks_url: str | None = None,
        key_file: Path | None = None,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._upstream: Upstream | None = None
        self.keys: Keys | None = None
        checkers: list[Checker] = [StaticTokens(tokens)] if tokens else []
        if issuer is not None and audience is not None:
            if jwks_url is not None:
                self.keys = self._fetched(jwks_url, limits, transport)
            else:
                assert key_file is not None
                self.keys = _of_file(key_file)
            checkers.append(SignedTokens(issuer=issuer, audience=audience, algorithm=algorithm, keys=self.keys))
        self.authenticator = Authenticator(checkers) if checkers else None

    def _fetched(self, url: str, limits: Limits | None, transport: httpx.AsyncBaseTransport | None) -> Keys:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        limits = replace(limits or Limits(), proxy_url=None)  # the proxy is for backends
        upstream = self._upstream = Upstream("token issuer", origin, limits, transport)
        request = Request("GET", url.removeprefix(origin) or "/", headers={"accept": "application/json"})

        async def fetch() -> bytes:
            answer = await upstream.send(request, Call("jwks"))
            if answer.status != _OK:
                raise KeysUnavailableError(f"the issuer answered with status {answer.status}")
            return answer.body

        return FetchedKeys(fetch)

    async def aclose(self) -> None:
        if self._upstream is not None:
            await self._upstream.aclose()


def _of_file(path: Path) -> Keys:
    try:
        keys = read_keys(path.read_bytes())
    except OSError as error:
        raise KeysUnavailableError(f"{path}: {error.strerror}") from error
    if not keys:
        raise KeysUnavailableError(f"{path}: no key that can check a signature")
    return FixedKeys(keys)
