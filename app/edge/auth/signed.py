"""Signed tokens (JWT) of one issuer for one audience, with one algorithm."""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING, Any

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, ClaimError, ExpiredTokenError, JoseError, MissingClaimError

from app.edge.auth.authenticator import SCOPE_CLAIMS, Caller, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.edge.auth.keys import Keys

# Algorithms with a public key. With a shared secret, whoever can check a token could also make one.
ALGORITHMS: Mapping[str, str] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    **dict.fromkeys(("EdDSA", "Ed25519"), "OKP"),
}
_CAUSES = {"iss": "issuer", "nbf": "not yet valid", "iat": "not yet valid", "exp": "expired"}
_SHOWN = re.compile(r"[A-Za-z0-9._~:/@-]{1,200}")
_UNREADABLE = (JoseError, ValueError, TypeError, RecursionError)


class _Registry(jws.JWSRegistry):
    """Has none of joserfc's own bounds, which valid tokens exceed; GATEWAY_MAX_HEAD_BYTES bounds them.

    https://www.rfc-editor.org/rfc/rfc7515#section-4: a member that is not understood is ignored.
    """

    max_header_length = max_payload_length = max_signature_length = 1 << 30


class SignedTokens:
    """Reads scopes from any of `scope_claims`, a list or a text. Scopes without `scope_prefix` are not ours.

    A token without any scope of ours may do nothing.
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one for each setting
        self,
        *,
        issuer: str,
        audience: str,
        algorithm: str,
        keys: Keys,
        audience_claim: str = "aud",
        scope_claims: Sequence[str] = SCOPE_CLAIMS,
        scope_prefix: str = "",
        leeway: int = 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._algorithm = algorithm
        self._kind = ALGORITHMS[algorithm]
        self._keys = keys
        self._audience_claim = audience_claim
        self._scope_claims = scope_claims
        self._scope_prefix = scope_prefix
        self._registry = _Registry(algorithms=[algorithm], strict_check_header=False)
        needed: dict[str, jwt.ClaimsOption] = {
            "iss": {"essential": True, "value": issuer},
            "exp": {"essential": True},
            audience_claim: {"essential": True, "value": audience},
        }
        self._claims = jwt.JWTClaimsRegistry(now=lambda: int(clock()), leeway=leeway, **needed)

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
        keys = [key for key in await self._keys.get(kid) if key.key_type == self._kind]
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
            cause = "audience" if claim == self._audience_claim else _CAUSES.get(claim, "malformed")
            if isinstance(error, MissingClaimError):
                raise TokenRefusedError(f"{cause}: the token has no {claim}") from None
            if cause == "malformed":
                raise TokenRefusedError(f"malformed: {claim} cannot be read") from None
            raise TokenRefusedError(f"{cause}: {claim} is {_shown(claims[claim])}") from None
        except _UNREADABLE:
            raise TokenRefusedError("malformed: its claims cannot be read") from None

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        scopes: list[str] = []
        for claim in self._scope_claims:
            value = claims.get(claim)
            items = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
            scopes += [item for item in items if isinstance(item, str)]
        prefix = self._scope_prefix
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
