"""The settings that belong to no API, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.edge.auth.authenticator import SCOPE_CLAIMS
from app.edge.auth.static import StaticToken, doubled
from app.edge.settings import EdgeSettings
from app.edge.statuses import Release
from app.graphql.limits import DocumentLimits
from app.journal.settings import JournalFields
from app.server.bounds import HEAD_SECONDS, KEEP_ALIVE_SECONDS, MAX_HEAD_BYTES
from app.settings import (
    AllowedHosts,
    Audience,
    Count,
    HeaderNames,
    HeaderSecret,
    Host,
    Issuer,
    Origins,
    Port,
    Seconds,
    StoreUrl,
    Url,
    Word,
    Words,
    separated,
)
from app.upstream.settings import UpstreamSettings

_EDGE, _DOCUMENT = EdgeSettings(), DocumentLimits()


def _tokens(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    tokens = tuple(map(StaticToken.parse, separated(value)))
    if problem := doubled(tokens):
        raise ValueError(problem)
    return tokens


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


class _OwnSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: Host = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on; 0 takes a free one.")
    workers: Count = Field(1, description="Server processes on the one port.")
    store_url: StoreUrl = Field(
        "sqlite:///gateway.db",
        description="Where the local store is: `sqlite:///file` or `postgresql://…`.",
        repr=False,
    )
    sandbox_host: Host = Field("127.0.0.1", description="Address that the sandbox listens on.")
    sandbox_port: Port = Field(8001, description="Port that the sandbox listens on.")
    router_secret: HeaderSecret | None = Field(
        None,
        description="What the header `Router-Authorization` must hold for `_service` and `_entities`; "
        "not set: any caller may ask.",
    )
    production: bool = Field(
        False,
        description="Turns off the playground, introspection and GET, and demands that callers are authenticated "
        "and that the mode of each API is set.",
    )
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
        SCOPE_CLAIMS,
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
    shutdown_seconds: Seconds = Field(30.0, description="Time that requests in flight get to finish after SIGTERM.")
    shutdown_delay_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        0.0, description="Time after SIGTERM in which `/health/ready` is 503 and requests are still accepted."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that is logged. Raw answers of backends are logged at `debug` alone."
    )

    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        description="`json`: a JSON object on each line; `text`: for people; `auto`: text for a terminal, else JSON.",
    )
    traces: bool | None = Field(
        None,
        description="Whether traces are exported over OTLP/HTTP, as OpenTelemetry's standard variables `OTEL_…` say; "
        "not set: when one of them names an endpoint.",
    )
    drift: bool = Field(
        True,
        description="Counts answers that no documented row matches in the store, without their values.",
    )

    max_body_bytes: Count = Field(_EDGE.max_body_bytes, description="Largest body of a request.")
    max_head_bytes: Count = Field(MAX_HEAD_BYTES, description="Largest address and headers of a request together.")
    head_seconds: Seconds = Field(
        HEAD_SECONDS, description="Time that a caller gets to send address and headers, or to take any of its answer."
    )
    keep_alive_seconds: Seconds = Field(
        KEEP_ALIVE_SECONDS, description="Time that a connection is kept on which nothing more is asked."
    )
    body_seconds: Seconds = Field(_EDGE.body_timeout_seconds, description="Time that a caller gets to send the body.")
    max_batch: Annotated[int, Field(ge=0, le=1000)] = Field(
        _EDGE.max_batch, description="Largest batch of requests in one body; 0 refuses batches."
    )
    request_seconds: Seconds = Field(
        _EDGE.request_seconds,
        description="Time of a request, all its mutations together; a caller's `x-request-timeout` can but shorten it.",
    )
    max_operations: Count = Field(
        _EDGE.max_operations,
        description="Most operations that one process runs or is about to run; further ones are refused at once.",
    )
    get_queries: bool | None = Field(None, description="Whether GET answers queries; not set: in development.")
    introspection: bool | None = Field(None, description="Whether introspection is answered; not set: in development.")
    http_statuses: Release | None = Field(
        None, description="`2026-09`: 422 for request errors and 294 for data with errors, as that release says."
    )
    playground: bool | None = Field(None, description="Whether the playground is served; not set: in development.")
    cors_origins: Origins = Field((), description="Origins whose pages may call, comma-separated.")
    cors_headers: HeaderNames = Field(
        (), description="Further headers that these pages may send, comma-separated; usual ones need not be named."
    )
    allowed_hosts: AllowedHosts = Field(
        (),
        description="Names that the `Host` header may have, comma-separated; not set: this machine's own where the "
        "gateway listens on loopback and callers are not authenticated, else any.",
    )

    max_length: Count = Field(_DOCUMENT.max_length, description="Longest document, in characters.")
    max_tokens: Count = Field(_DOCUMENT.max_tokens, description="Largest document, in tokens.")
    max_depth: Count = Field(_DOCUMENT.max_depth, description="Deepest selection.")
    max_fields: Count = Field(
        _DOCUMENT.max_fields, description="Most fields in a document, fragments counted where they are spread."
    )
    max_aliases: Count = Field(_DOCUMENT.max_aliases, description="Most aliases in a document.")
    max_alias_length: Count = Field(_DOCUMENT.max_alias_length, description="Longest alias, in characters.")
    max_page: Count = Field(_DOCUMENT.max_page, description="Most records of a list's page.")
    max_root_fields: Count = Field(_DOCUMENT.max_root_fields, description="Most root fields of an operation.")
    max_list: Count = Field(_DOCUMENT.max_list, description="Most members of a list or map in an input.")
    max_bulk: Count = Field(_DOCUMENT.max_bulk, description="Most items in all bulk fields of a request together.")
    bulk_concurrency: Count = Field(
        _EDGE.bulk_concurrency,
        description="Most items of bulks that run at a time for a backend; never more than half of "
        "`GATEWAY_MAX_IN_FLIGHT`.",
    )
    max_directives: Count = Field(_DOCUMENT.max_directives, description="Most directives in a document.")
    max_documents: Count = Field(
        _EDGE.max_documents, description="Documents whose parsing and validation are remembered."
    )
    compiled: bool = Field(
        _EDGE.compiled,
        description="Runs operations compiled where that gives the same answer; off, graphql-core runs them all.",
    )
    persisted_queries: Annotated[int, Field(ge=0)] = Field(
        _EDGE.persisted_queries, description="Automatic persisted queries that are remembered; 0 turns them off."
    )
    trusted_documents: Path | None = Field(
        None, description="Folder of `.graphql` files, or manifest, of known operations."
    )
    trusted_only: bool = Field(False, description="Runs nothing but the trusted documents.")


class GatewaySettings(JournalFields, UpstreamSettings, _OwnSettings):
    """Every setting that belongs to no API. A field is the environment variable `GATEWAY_<FIELD>`."""
