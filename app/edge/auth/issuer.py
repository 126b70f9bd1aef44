"""Signed tokens (JWT) of one issuer for one audience, with one algorithm, and the keys that check them.

Imported only where there is an issuer: cryptography takes a tenth of the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cachetools import TTLCache
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, ClaimError, ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from app.call import CallContext
from app.edge.auth.authenticator import Caller, KeysUnavailableError, TokenRefusedError
from app.edge.settings import AuthSettings
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.settings import Limits
from app.upstream.upstream import Upstream

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

Key = RSAKey | ECKey | OKPKey
_KINDS: dict[str, type[Key]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
# By the first letters of an algorithm, all with a public key. With a shared secret, whoever can check a token could
# also make one.
_KIND_OF = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_OK = 200
_FETCH_SECONDS = 10.0
_LEEWAY_SECONDS = 30
_MAX_WAITING = 100
_MAX_UNKNOWN = 1000
_CAUSES = {"iss": "issuer", "nbf": "not yet valid", "iat": "not yet valid", "exp": "expired"}
_SHOWN = re.compile(r"[A-Za-z0-9._~:/@-]{1,200}")
_UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)


def read_keys(content: bytes) -> KeySet:
    """Reads a JWKS, or one public key as PEM.

    Keys that check no signature, or are not understood, are left out (RFC 7517 section 5). Raises KeysUnavailableError.
    """
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            return KeySet([next(key for kind in _KINDS.values() if (key := _imported(kind, content)) is not None)])
        entries = json.loads(content.decode("utf-8-sig"))["keys"]
        signing = [item for item in entries if isinstance(item, dict) and item.get("use", "sig") == "sig"]
        keys = [_imported(_KINDS.get(str(item.get("kty"))), item) for item in signing]
        return KeySet([key for key in keys if key is not None])
    except (*_UNREADABLE, KeyError, StopIteration) as error:
        raise KeysUnavailableError(f"neither a JWKS nor a public key in PEM: {type(error).__name__}") from None


def _imported(kind: type[Key] | None, content: Any) -> Key | None:
    with contextlib.suppress(JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None if kind is None else kind.import_key(content)
    return None


class FixedKeys:
    """Keys from a file, which may be read again while requests are answered. Raises KeysUnavailableError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = self._read()

    def _read(self) -> KeySet:
        try:
            keys = read_keys(self._path.read_bytes())
        except OSError as error:
            raise KeysUnavailableError(f"{self._path}: {error.strerror}") from error
        except KeysUnavailableError as error:
            raise KeysUnavailableError(f"{self._path}: {error}") from None
        if not keys:
            raise KeysUnavailableError(f"{self._path}: no key that can check a signature")
        return keys

    async def get(self, kid: str | None) -> KeySet:  # noqa: ARG002 - as FetchedKeys
        return self._keys

    def reload(self) -> None:
        try:
            self._keys = self._read()
            log.info("the file of the issuer's keys was read again")
        except KeysUnavailableError as error:
            log.error("GATEWAY_JWT_KEY_FILE: %s; the former keys stay", error)  # noqa: TRY400 - one line


class FetchedKeys:
    """Keys from a URL, by `fetch`: cached for `lifetime`, one fetch at a time, at most one in `pause` seconds.

    Anyone can write a token with an unknown key id. Such an id causes one fetch and waits at most `wait` seconds,
    together with at most 100 others. The same id causes no other fetch for `lifetime` / 10. While the issuer cannot be
    reached, the current keys stay, and a token with one of them never waits.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        lifetime: float = 600.0,
        pause: float = 5.0,
        wait: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._pause = pause
        self._wait = wait
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._begun_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._failed = False
        self._waiting = 0
        self._unknown: TTLCache[str | None, bool] = TTLCache(_MAX_UNKNOWN, lifetime / 10, clock)

    async def get(self, kid: str | None) -> KeySet:
        """For an unknown `kid` the keys may be fetched again. Raises KeysUnavailableError."""
        has_key = self._knows(kid)
        if not has_key or self._clock() - self._fetched_at >= self._lifetime:
            self._ask(kid, has_key=has_key)
        if not has_key and self._fetching is not None and kid not in self._unknown:
            await self._wait_for(self._fetching)
            if not self._knows(kid) and not self._failed:
                self._unknown[kid] = True
        if self._keys is None or (self._failed and not self._knows(kid)):
            raise KeysUnavailableError("the issuer's keys could not be fetched")
        return self._keys

    def reload(self) -> None:
        """Nothing to read again: the keys are fetched when they are needed."""

    def _knows(self, kid: str | None) -> bool:
        return self._keys is not None and (kid is None or any(key.kid == kid for key in self._keys))

    def _ask(self, kid: str | None, *, has_key: bool) -> None:
        now = self._clock()
        pauses = self._begun_at is not None and now - self._begun_at < self._pause
        if self._fetching is None and not pauses and (has_key or kid not in self._unknown):
            self._begun_at = now
            self._fetching = asyncio.create_task(self._refresh())

    async def _wait_for(self, fetching: asyncio.Task[None]) -> None:
        if self._waiting >= _MAX_WAITING:
            raise KeysUnavailableError("too many callers wait for the issuer's keys")
        self._waiting += 1
        try:
            # A caller that goes away must not end the fetch that others wait for.
            await asyncio.wait_for(asyncio.shield(fetching), self._wait)
        except TimeoutError:
            raise KeysUnavailableError(f"the issuer did not answer in {self._wait:g} s") from None
        finally:
            self._waiting -= 1

    async def _refresh(self) -> None:
        try:
            keys = read_keys(await self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys that are known stay
            # A failed call's detail says more than its text, which is for clients.
            why = getattr(error, "detail", None) or error
            self._failed = True
            log.warning("the keys to check callers' tokens with could not be fetched: %s", why)
        else:
            self._keys, self._fetched_at, self._failed = keys, self._clock(), False
        finally:
            self._fetching = None


class _Registry(jws.JWSRegistry):
    """Has none of joserfc's own bounds, which valid tokens exceed; GATEWAY_MAX_HEAD_BYTES bounds them."""

    max_header_length = max_payload_length = max_signature_length = 1 << 30


class SignedTokens:
    """Reads scopes from any of the settings' claims, a list or a text. Scopes without the prefix are not ours.

    A token without any scope of ours may do nothing.
    """

    def __init__(self, settings: AuthSettings, keys: FixedKeys | FetchedKeys) -> None:
        self.keys = keys
        self._settings = settings
        self._algorithm = settings.jwt_algorithm
        self._kind = _KIND_OF[self._algorithm[:2]]
        # A member of a head that is not understood is ignored: https://www.rfc-editor.org/rfc/rfc7515#section-4
        self._registry = _Registry(algorithms=[self._algorithm], strict_check_header=False)
        needed: dict[str, Any] = {
            "iss": {"essential": True, "value": settings.jwt_issuer},
            "exp": {"essential": True},
            settings.jwt_audience_claim: {"essential": True, "value": settings.jwt_audience},
        }
        self._claims = jwt.JWTClaimsRegistry(lambda: int(time.time()), _LEEWAY_SECONDS, **needed)

    async def find(self, token: str) -> Caller:
        """Raises TokenRefusedError, or KeysUnavailableError."""
        try:
            header = jws.extract_compact(token.encode(), registry=self._registry).headers()
        except _UNREADABLE:
            raise TokenRefusedError("malformed: not a signed token (JWT)") from None
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm != self._algorithm:
            raise TokenRefusedError(f"algorithm: {_shown(algorithm)} is not GATEWAY_JWT_ALGORITHM")
        if not isinstance(kid, str | None):
            raise TokenRefusedError("malformed: the key id is not a text")
        key = await self._key(kid)
        try:
            claims = jwt.decode(token, key, algorithms=[self._algorithm], registry=self._registry).claims
        except BadSignatureError:
            raise TokenRefusedError(f"signature: it was not made with the key {_shown(kid)}") from None
        except _UNREADABLE as error:
            raise TokenRefusedError(f"malformed: {type(error).__name__}") from None
        self._validate(claims)
        subject = claims.get("sub")
        return Caller(_name(claims), self._scopes(claims), subject if isinstance(subject, str) else None)

    async def _key(self, kid: str | None) -> Any:
        keys = [key for key in await self.keys.get(kid) if key.key_type == self._kind]
        # A key without an id, such as a PEM file's, has its thumbprint as id and fits any token. Among several keys the
        # token's id decides: to try them all would be a guess.
        exact = [key for key in keys if key.kid == kid]
        fitting = exact or [key for key in keys if kid is None or key.kid == key.thumbprint()]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise TokenRefusedError(f"unknown key: {len(fitting)} keys of the issuer fit, and the token names none")
        raise TokenRefusedError(f"unknown key: the issuer has no {self._kind} key {_shown(kid)}")

    def _validate(self, claims: dict[str, Any]) -> None:
        try:
            self._claims.validate(claims)
        except ExpiredTokenError:
            raise TokenRefusedError("expired") from None
        except ClaimError as error:
            claim = error.claim.partition(",")[0]
            is_audience = claim == self._settings.jwt_audience_claim
            cause = "audience" if is_audience else _CAUSES.get(claim, "malformed")
            if isinstance(error, MissingClaimError):
                raise TokenRefusedError(f"{cause}: the token has no {claim}") from None
            if cause == "malformed":
                raise TokenRefusedError(f"malformed: {claim} cannot be read") from None
            raise TokenRefusedError(f"{cause}: {claim} is {_shown(claims[claim])}") from None
        except _UNREADABLE:
            raise TokenRefusedError("malformed: its claims cannot be read") from None

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        scopes: list[str] = []
        for claim in self._settings.jwt_scope_claim:
            value = claims.get(claim)
            items = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
            scopes += [item for item in items if isinstance(item, str)]
        prefix = self._settings.jwt_scope_prefix or ""
        return frozenset(scope.removeprefix(prefix) for scope in scopes if scope.startswith(prefix))


def _shown(value: object) -> str:
    """The part of a token's claim about itself that the log may show."""
    if value is None:
        return "(none)"
    if isinstance(value, int | float):
        return str(value)[:30]
    if isinstance(value, list):
        return ", ".join(map(_shown, value[:5]))
    return value if isinstance(value, str) and _SHOWN.fullmatch(value) else "(not shown)"


def _name(claims: Mapping[str, Any]) -> str:
    """The client's id. A subject may be a person's address, so that only its hash is shown."""
    for claim in ("client_id", "azp"):
        if isinstance(value := claims.get(claim), str) and re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", value):
            return value
    return "sub:" + hashlib.sha256(str(claims.get("sub", "")).encode("utf-8", "replace")).hexdigest()[:12]


class Issuer(SignedTokens):
    """Checks signed tokens with the keys that the settings name. Raises KeysUnavailableError."""

    def __init__(
        self, settings: AuthSettings, limits: Limits | None, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._upstream: Upstream | None = None
        if settings.jwt_jwks_url is not None:
            keys: FixedKeys | FetchedKeys = FetchedKeys(self._fetch)
            parts = urlsplit(settings.jwt_jwks_url)
            origin = f"{parts.scheme}://{parts.netloc}"
            limits = (limits or Limits()).model_copy(update={"proxy_url": None})  # the proxy is for backends
            self._upstream = Upstream("token issuer", origin, limits, transport)
            path = settings.jwt_jwks_url.removeprefix(origin) or "/"
            self._request = BackendRequest("GET", path, headers={"accept": "application/json"})
        else:
            assert settings.jwt_key_file is not None
            keys = FixedKeys(settings.jwt_key_file)
        super().__init__(settings, keys)

    async def _fetch(self) -> bytes:
        assert self._upstream is not None
        deadline = asyncio.get_running_loop().time() + _FETCH_SECONDS
        return await self._upstream.send(self._request, CallContext("jwks", deadline=deadline), _keys_in)

    async def aclose(self) -> None:
        if self._upstream is not None:
            await self._upstream.aclose()


def _keys_in(response: BackendResponse) -> bytes:
    if response.status != _OK or not read_keys(response.body):
        raise KeysUnavailableError(f"the issuer answered with status {response.status} and no keys")
    return response.body
