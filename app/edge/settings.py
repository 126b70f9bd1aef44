"""The settings of the edge, of the operations that it runs, and of callers' tokens."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.edge.auth.authenticator import StaticToken, doubled
from app.graphql.limits import DocumentLimits
from app.settings import (
    AllowedHosts,
    Audience,
    AudienceClaim,
    Count,
    HeaderNames,
    HeaderSecret,
    Issuer,
    Origins,
    Seconds,
    Url,
    Word,
    Words,
    separated,
)
from app.updates.bulk import AT_ONCE

Release = Literal["2026-09"]  # of GraphQL over HTTP


def _in_development(settings: dict[str, Any]) -> bool:
    return not settings.get("production", False)


class EdgeSettings(DocumentLimits):
    """A field is the environment variable `GATEWAY_<FIELD>`."""

    production: bool = Field(
        False,
        description="Turns off the playground, introspection and GET, and demands that callers are authenticated "
        "and that the mode of each API is set.",
    )
    max_body_bytes: Count = Field(1_000_000, description="Largest body of a request.")
    body_seconds: Seconds = Field(30.0, description="Time that a caller gets to send the body.")
    max_batch: Annotated[int, Field(ge=0, le=1000)] = Field(
        0, description="Largest batch of requests in one body; 0 refuses batches."
    )
    request_seconds: Seconds = Field(
        60.0,
        description="Time of a request, all its mutations together; a caller's `x-request-timeout` can but shorten it.",
    )
    max_operations: Count = Field(
        1000,
        description="Most operations that one process runs or is about to run; further ones are refused at once.",
    )
    get_queries: bool = Field(
        default_factory=_in_development, description="Whether GET answers queries; not set: in development."
    )
    introspection: bool = Field(
        default_factory=_in_development, description="Whether introspection is answered; not set: in development."
    )
    http_statuses: Release | None = Field(
        None, description="`2026-09`: 422 for request errors and 294 for data with errors, as that release says."
    )
    playground: bool = Field(
        default_factory=_in_development, description="Whether the playground is served; not set: in development."
    )
    cors_origins: Origins = Field((), description="Origins whose pages may call, comma-separated.")
    cors_headers: HeaderNames = Field(
        (), description="Further headers that these pages may send, comma-separated; usual ones need not be named."
    )
    allowed_hosts: AllowedHosts = Field(
        (),
        description="Names that the `Host` header may have, comma-separated; not set: this machine's own where the "
        "gateway listens on loopback and callers are not authenticated, else any.",
    )
    router_secret: HeaderSecret | None = Field(
        None,
        description="What the header `Router-Authorization` must hold for `_service` and `_entities`; "
        "not set: any caller may ask.",
    )
    bulk_concurrency: Count = Field(
        AT_ONCE,
        description="Most items of bulks that run at a time for a backend; never more than half of "
        "`GATEWAY_MAX_IN_FLIGHT`.",
    )
    max_documents: Count = Field(1000, description="Documents whose parsing and validation are remembered.")
    compiled: bool = Field(
        True,
        description="Runs operations compiled where that gives the same answer; off, graphql-core runs them all.",
    )
    persisted_queries: Annotated[int, Field(ge=0)] = Field(
        1000, description="Automatic persisted queries that are remembered; 0 turns them off."
    )
    trusted_documents: Path | None = Field(
        None, description="Folder of `.graphql` files, or manifest, of known operations."
    )
    trusted_only: bool = Field(False, description="Runs nothing but the trusted documents.")


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
    jwt_audience_claim: AudienceClaim = Field(
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
