"""The settings of callers' tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.edge.auth.authenticator import StaticToken, doubled
from app.settings import Audience, Issuer, Url, Word, Words, separated


def _tokens(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    tokens = tuple(map(StaticToken.parse, separated(value)))
    if problem := doubled(tokens):
        raise ValueError(problem)
    return tokens


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


class AuthSettings(BaseModel):
    """A field is the environment variable `GATEWAY_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    caller_tokens: Annotated[tuple[StaticToken, ...], BeforeValidator(_tokens)] = Field(
        (),
        description="Callers with a static bearer token, comma-separated: `name:sha256` with the SHA-256 of the token "
        "in hexadecimal, or `name:sha256:scope+scope`; without scopes a caller may do everything.",
        repr=False,
    )
    caller_tokens_file: Path | None = Field(
        None,
        description="File with further entries of `GATEWAY_CALLER_TOKENS`, one a line, `#` begins a comment; read "
        "again on SIGHUP.",
    )
    jwt_issuer: Issuer | None = Field(
        None,
        description="Issuer (`iss`) of the signed tokens (JWT) that callers bring; needs the audience, and a URL or "
        "a file of keys.",
    )
    jwt_audience: Audience | None = Field(None, description="Audience (`aud`) that a caller's signed token must name.")
    jwt_audience_claim: Word = Field(
        "aud", description="Claim that names the audience; Cognito's access tokens have `client_id`."
    )
    jwt_scope_claim: Words = Field(
        ("scope", "scp"),  # RFC 9068; Entra and Okta
        description="Claims that hold scopes, as a list or separated by spaces, comma-separated; Entra has `roles`, "
        "Auth0 `permissions`.",
    )
    jwt_scope_prefix: Word | None = Field(
        None,
        description="What stands before the gateway's scopes in a token, for instance `https://api.example/`; scopes "
        "without it are another service's.",
    )
    jwt_jwks_url: Url | None = Field(
        None,
        description="URL of the issuer's keys (JWKS); fetched when first needed, and again for an unknown key.",
    )
    jwt_key_file: Path | None = Field(
        None,
        description="File with the issuer's keys in place of a URL: a JWKS, or one public key in PEM; read again "
        "on SIGHUP.",
    )
    jwt_algorithm: Algorithm = Field("RS256", description="The one algorithm that a caller's token may be signed with.")
    metrics_open: bool = Field(
        False,
        description="Answers `/metrics` to callers without a token, too; else they need the scope `metrics:read`.",
    )
