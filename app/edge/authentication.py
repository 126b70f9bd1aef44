"""Who may call: static bearer tokens, known by their hashes, and signed tokens (JWT) of one issuer.

Answers who a caller is and what it may do, or refuses; a refusal never says why. Fetches nothing itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from app.graphql.refusals import (
    CALLER_KEYS_UNAVAILABLE,
    CALLER_UNAUTHENTICATED,
    Fault,
    RefusedRequestError,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

log = logging.getLogger(__name__)

AUTHORIZATION = "authorization"
METRICS_SCOPE = "metrics:read"
# Signatures whose key is public: with a shared secret, whoever can check a token could also make one.
ALGORITHMS: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}

# RFC 6750 section 2.1; the bound is far above any real token.
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]{1,8192}=*)")
_TOKEN = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<digest>[0-9a-fA-F]{64})(?::(?P<scopes>[A-Za-z0-9:+_.-]+))?")
_CHALLENGE = 'Bearer realm="gateway"'
_RETRY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` stands in the log. `scopes` None means everything."""

    name: str
    scopes: frozenset[str] | None = None

    def may(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A caller known by the SHA-256 of its token: enough for 128 random bits or more, which nobody guesses."""

    caller: Caller
    digest: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> StaticToken:
        """`name:sha256hex[:scope+scope]`; without scopes everything is allowed. Raises ValueError without the text."""
        found = _TOKEN.fullmatch(text)
        if found is None:
            raise ValueError("each token is written name:sha256 in 64 hexadecimal digits, and perhaps :scope+scope")
        scopes = None if found["scopes"] is None else frozenset(found["scopes"].split("+"))
        return cls(Caller(found["name"], scopes), bytes.fromhex(found["digest"]))


class Checker(Protocol):
    """One way to know a token."""

    async def find(self, token: str) -> Caller | None: ...


class StaticTokens:
    def __init__(self, tokens: Sequence[StaticToken]) -> None:
        self._tokens = tuple(tokens)

    async def find(self, token: str) -> Caller | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known in self._tokens:  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, known.digest):
                found = known.caller
        return found


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be had; the text is for the log and the terminal."""


class Keys(Protocol):
    async def get(self, kid: str | None) -> KeySet:
        """The keys to check with; asked for an unknown `kid`, perhaps newer ones. Raises KeysUnavailableError."""
        ...


def read_keys(content: bytes) -> KeySet:
    """A JWKS, or one public key as PEM; keys that check no signature are left out. Raises KeysUnavailableError."""
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            return KeySet([_pem(content)])
        found = json.loads(content)
        entries = [item for item in found["keys"] if isinstance(item, dict) and item.get("use", "sig") == "sig"]
        public = [item for item in entries if item.get("kty") in {"RSA", "EC", "OKP"}]
        return KeySet([key for item in public if (key := _imported(item)) is not None])
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnavailableError(f"neither a JWKS nor a public key in PEM: {type(error).__name__}") from None


def _pem(content: bytes) -> RSAKey | ECKey | OKPKey:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(content)
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
    raise ValueError("no key of a known type")


def _imported(item: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    try:
        return kinds[item["kty"]].import_key(item)
    except (JoseError, ValueError, TypeError, KeyError):  # RFC 7517 section 5: a key not understood is ignored
        return None


class FixedKeys:
    """Keys of a file, read at the start."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    async def get(self, kid: str | None) -> KeySet:  # noqa: ARG002 - the protocol's
        return self._keys


class FetchedKeys:
    """Keys behind a URL, fetched by `fetch`: kept for `lifetime`, asked for once however many wait.

    An unknown key id asks again, but at most once in `pause` seconds: anyone can write a token with such an id.
    While the issuer cannot be reached, the keys that are known stay; who brings one of them never waits for the issuer.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        lifetime: float = 600.0,
        pause: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._pause = pause
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._asked_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def get(self, kid: str | None) -> KeySet:
        now = self._clock()
        known = self._keys is not None and (kid is None or any(key.kid == kid for key in self._keys))
        old = self._keys is None or now - self._fetched_at >= self._lifetime
        may_ask = self._asked_at is None or now - self._asked_at >= self._pause
        if (old or not known) and (may_ask or self._fetching is not None):
            fetching = self._begun()
            if not known:
                # A caller that goes away must not end what the others wait for.
                await asyncio.shield(fetching)
        if self._keys is None:
            raise KeysUnavailableError("the issuer's keys could not be fetched")
        return self._keys

    def _begun(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        try:
            keys = read_keys(await self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys that are known stay
            # A failed call's detail tells more than its text, which is made for clients.
            why = getattr(error, "detail", None) or error
            log.warning("the keys to check callers' tokens with could not be fetched: %s", why)
        else:
            self._keys, self._fetched_at = keys, self._clock()
        finally:
            self._fetching = None


class SignedTokens:
    """JWTs of one issuer for one audience, with one algorithm.

    Scopes are in `scope` (RFC 9068) or `scp`. A token without any may do nothing.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        algorithm: str,
        keys: Keys,
        leeway: int = 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._algorithm = algorithm
        self._kind = ALGORITHMS[algorithm]
        self._keys = keys
        self._registry = jws.JWSRegistry(algorithms=[algorithm])
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock()),
            leeway=leeway,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
        )

    async def find(self, token: str) -> Caller | None:
        """Raises KeysUnavailableError."""
        try:
            header = jws.extract_compact(token.encode(), registry=self._registry).headers()
            kid = header.get("kid")
            if header.get("alg") != self._algorithm or not isinstance(kid, str | None):
                return None
            keys = [key for key in await self._keys.get(kid) if key.key_type == self._kind]
            # A key without an id, as a PEM file's, has its thumbprint in place of one, and fits any. Among several the
            # token's id decides; trying them all would be a guess.
            exact = [key for key in keys if key.kid == kid]
            chosen = exact or [key for key in keys if kid is None or key.kid == key.thumbprint()]
            if len(chosen) != 1:
                return None
            claims = jwt.decode(token, chosen[0], algorithms=[self._algorithm], registry=self._registry).claims
            self._claims.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        return Caller(_name(claims), _scopes(claims))


def _name(claims: Mapping[str, Any]) -> str:
    """The client's id; a subject may be a person's address, so that only its hash is shown."""
    for claim in ("client_id", "azp"):
        if isinstance(value := claims.get(claim), str) and re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", value):
            return value
    return "sub:" + hashlib.sha256(str(claims.get("sub", "")).encode("utf-8", "replace")).hexdigest()[:12]


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    found = claims.get("scope", claims.get("scp"))
    if isinstance(found, str):
        return frozenset(found.split())
    return frozenset(item for item in found if isinstance(item, str)) if isinstance(found, list) else frozenset()


class Authenticator:
    """Asked with a request's `Authorization` headers, before anything else of the request is read."""

    def __init__(self, checkers: Sequence[Checker]) -> None:
        self._checkers = tuple(checkers)

    async def caller(self, given: Sequence[str]) -> Caller:
        """Raises RefusedRequestError, the same for every wrong token."""
        if not given:
            raise refused(CALLER_UNAUTHENTICATED, www_authenticate=_CHALLENGE)
        found = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
        if found is not None:
            for checker in self._checkers:
                try:
                    caller = await checker.find(found[1])
                except KeysUnavailableError:
                    row = CALLER_KEYS_UNAVAILABLE
                    fault = Fault(row, row.text or row.reason, retry_after=_RETRY_SECONDS)
                    raise RefusedRequestError([fault], {"retry-after": str(_RETRY_SECONDS)}) from None
                if caller is not None:
                    return caller
        raise refused(CALLER_UNAUTHENTICATED, www_authenticate=f'{_CHALLENGE}, error="invalid_token"')
