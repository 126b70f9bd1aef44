"""The settings, frozen; the only reader of the environment, which wins over a `.env` file in the working folder."""

from __future__ import annotations

import contextlib
import difflib
import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, TypeVar
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from app.apis.api import Api, ApiSettings
from app.edge.authentication import METRICS_SCOPE, StaticToken
from app.edge.settings import EdgeSettings
from app.edge.statuses import Release
from app.graphql.limits import DocumentLimits
from app.graphql.scopes import scopes_of
from app.server.bounds import HEAD_SECONDS, KEEP_ALIVE_SECONDS, MAX_HEAD_BYTES
from app.store.engine import passwords_in
from app.upstream.settings import UpstreamSettings
from app.upstream.tls import Trust, unreadable

PREFIX = "GATEWAY_"
# prometheus-client's own variable, which it reads itself.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_EDGE, _DOCUMENT = EdgeSettings(), DocumentLimits()

S = TypeVar("S", bound=BaseModel)


class SettingsError(Exception):
    """The settings cannot be used. One line that names the setting and never shows its value.

    `problems` holds a line for each setting that cannot be used, the first among them.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(problems[0])
        self.problems = problems


def _separated(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _tokens(value: Any) -> Any:
    return tuple(map(StaticToken.parse, _separated(value))) if isinstance(value, str) else value


Origin = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/\s?#]+)$")]
Names = Annotated[tuple[str, ...], BeforeValidator(_separated)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


class _OwnSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on; 0 takes a free one.")
    workers: Count = Field(1, description="Server processes on the one port.")
    store_url: str = Field(
        "sqlite:///gateway.db",
        description="Where the local store is: `sqlite:///file` or `postgresql://…`.",
        repr=False,
    )
    sandbox_host: str = Field("127.0.0.1", description="Address that the sandbox listens on.")
    sandbox_port: Port = Field(8001, description="Port that the sandbox listens on.")
    router_secret: SecretStr | None = Field(
        None,
        description="What the header `Router-Authorization` must hold for `_service` and `_entities`; "
        "not set: any caller may ask.",
    )
    production: bool = Field(
        False,
        description="Turns off the playground, introspection and GET, and demands that callers are authenticated.",
    )
    caller_tokens: Annotated[tuple[StaticToken, ...], BeforeValidator(_tokens)] = Field(
        (),
        description="Callers with a static bearer token, comma-separated: `name:sha256` with the SHA-256 of the token "
        "in hexadecimal, or `name:sha256:scope+scope`; without scopes a caller may do everything.",
        repr=False,
    )
    jwt_issuer: str | None = Field(
        None,
        description="Issuer (`iss`) of the signed tokens (JWT) that callers bring; needs the audience, and a URL or "
        "a file of keys.",
    )
    jwt_audience: str | None = Field(None, description="Audience (`aud`) that a caller's signed token must name.")
    jwt_jwks_url: str | None = Field(
        None,
        description="URL of the issuer's keys (JWKS); fetched when first needed, and again for an unknown key.",
        pattern=r"^https?://[^\s?#]+$",
    )
    jwt_key_file: Path | None = Field(
        None, description="File with the issuer's keys in place of a URL: a JWKS, or one public key in PEM."
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
    cors_origins: Annotated[tuple[Origin, ...], BeforeValidator(_separated)] = Field(
        (), description="Origins whose pages may call, comma-separated."
    )
    allowed_hosts: Names = Field(
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
    max_root_fields: Count = Field(_DOCUMENT.max_root_fields, description="Most root fields of an operation.")
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


class GatewaySettings(UpstreamSettings, _OwnSettings):
    """Every setting that belongs to no API. A field is the environment variable `GATEWAY_<FIELD>`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`gateway` for the program, `apis` by API name.

    `traces` says whether to export them, `metrics_folder` where several workers keep their metrics together, `trust`
    whose certificates are good.
    """

    gateway: GatewaySettings
    apis: Mapping[str, ApiSettings]
    traces: bool = False
    metrics_folder: Path | None = None
    trust: Trust = field(default_factory=Trust)

    @property
    def secrets(self) -> list[str]:
        """Every credential among the settings, for the log to leave out."""
        models: list[BaseModel] = [self.gateway, *self.apis.values()]
        found = [value.get_secret_value() for model in models for _, value in model if isinstance(value, SecretStr)]
        proxy = self.gateway.proxy_url
        urls = [self.gateway.store_url, *([proxy.get_secret_value()] if proxy is not None else [])]
        return [*found, *(password for url in urls for password in passwords_in(url))]


def read_settings(
    apis: Iterable[Api], environment: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """The settings from `environment` (the process's by default) over `env_file`. Raises SettingsError."""
    environment = os.environ if environment is None else environment
    settings = parse_settings(apis, _given(environment, env_file))
    folder = environment.get(METRICS_FOLDER)
    return replace(
        settings,
        traces=_traces(settings.gateway, environment),
        metrics_folder=Path(folder) if folder else None,
        trust=replace(
            settings.trust,
            file=environment.get("SSL_CERT_FILE") or None,
            folders=environment.get("SSL_CERT_DIR") or None,
        ),
    )


def share_metrics(folder: Path) -> None:
    """From now on this process's children keep their metrics together in `folder`."""
    os.environ[METRICS_FOLDER] = str(folder)


def _traces(given: GatewaySettings, environment: Mapping[str, str]) -> bool:
    """As https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ says."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if given.traces is not None:
        return given.traces
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter == "otlp" and any(environment.get(name) for name in endpoints)


def parse_settings(apis: Iterable[Api], given: Mapping[str, str]) -> Settings:
    """The settings from variables with their prefix; every one must be known. Raises SettingsError."""
    remaining = dict(given)
    by_api: dict[str, ApiSettings] = {}
    problems: list[str] = []
    known = [PREFIX + name.upper() for name in GatewaySettings.model_fields]
    for api in apis:
        prefix = f"{PREFIX}{api.name.upper()}_"
        names = {prefix + name.upper(): name for name in api.settings.model_fields}
        known += names
        values = {name: remaining.pop(variable) for variable, name in names.items() if variable in remaining}
        by_api[api.name] = _validated(api.settings, prefix, values, problems)
    for variable in remaining:
        if variable not in known:
            near = difflib.get_close_matches(variable, known, 1, 0.7)
            problems.append(f"{variable} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    values = {
        variable.removeprefix(PREFIX).lower(): value for variable, value in remaining.items() if variable in known
    }
    gateway = _validated(GatewaySettings, PREFIX, values, problems)
    if problems:
        raise SettingsError(*problems)
    return Settings(gateway, by_api, trust=Trust(further=gateway.ca_file))


def _given(environment: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The variables with our prefix. An empty one counts as not given, as in a copied example file."""
    merged: dict[str, str | None] = {}
    if env_file is not None and env_file.is_file():
        try:
            with env_file.open(encoding="utf-8-sig") as lines:  # some editors put a mark in front
                merged.update(_lines(env_file, lines))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{env_file} cannot be read: {type(error).__name__}") from error
    merged.update(environment)
    return {name.upper(): value for name, value in merged.items() if name.upper().startswith(PREFIX) and value}


def _lines(path: Path, lines: TextIO) -> Iterator[tuple[str, str | None]]:
    """Names and values of a `.env` file. A line of ours that python-dotenv would pass over stops the start."""
    for found in parse_stream(lines):
        unread = found.error or (found.key is not None and found.value is None)
        text = found.original.string
        if unread and PREFIX in text.upper():
            number = found.original.line + text[: -len(text.lstrip())].count("\n")
            raise SettingsError(f"{path}: line {number} is not NAME=value")
        if found.key is not None:
            yield found.key, found.value


def _validated(model: type[S], prefix: str, values: Mapping[str, Any], problems: list[str]) -> S:
    """The settings of a model. What cannot be used is added to `problems`; the result is of no use then."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        for found in error.errors(include_input=False, include_url=False, include_context=False):
            name = "_".join(str(part) for part in found["loc"][:1]).upper()
            message = found["msg"].removeprefix("Value error, ")
            problems.append(f"{prefix}{name or '*'}: {message}")
        return model.model_construct()


def is_loopback(url: str) -> bool:
    """Whether a base URL names this machine itself: only such a backend may be the sandbox."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def check_settings(settings: Settings, apis: Sequence[Api]) -> None:
    """What no single setting can show. Raises SettingsError, with every problem."""
    if problems := list(_problems(settings, apis)):
        raise SettingsError(*problems)


_JWT_NEEDS = (
    "GATEWAY_JWT_ISSUER, GATEWAY_JWT_AUDIENCE and one of GATEWAY_JWT_JWKS_URL and GATEWAY_JWT_KEY_FILE belong together"
)


def _problems(settings: Settings, apis: Sequence[Api]) -> Iterator[str]:
    given = settings.gateway
    if given.trusted_only and given.trusted_documents is None:
        yield "GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS"
    yield from _tls_problems(settings)
    signed = (given.jwt_issuer, given.jwt_audience, given.jwt_jwks_url or given.jwt_key_file)
    if any(signed) and not all(signed):
        missing = next(
            name for name, value in zip(("ISSUER", "AUDIENCE", "JWKS_URL"), signed, strict=True) if not value
        )
        yield f"GATEWAY_JWT_{missing}: is not set; {_JWT_NEEDS}"
    if given.jwt_jwks_url and given.jwt_key_file:
        yield "GATEWAY_JWT_KEY_FILE: GATEWAY_JWT_JWKS_URL is set, too; only one of them can be"
    if given.jwt_jwks_url and given.jwt_jwks_url.startswith("http:") and not is_loopback(given.jwt_jwks_url):
        yield "GATEWAY_JWT_JWKS_URL: needs https, since whoever changes the keys on their way can sign any token"
    known = {METRICS_SCOPE, *scopes_of(apis).values()}
    for token in given.caller_tokens:
        if unknown := sorted((token.caller.scopes or frozenset()) - known):
            yield f"GATEWAY_CALLER_TOKENS: {unknown[0]} is no scope; there are {', '.join(sorted(known))}"
    if authenticates(given):
        return
    if given.production:
        yield (
            "GATEWAY_PRODUCTION: callers must be authenticated; "
            "set GATEWAY_CALLER_TOKENS, or GATEWAY_JWT_ISSUER and what belongs to it"
        )
    elif not is_loopback_host(given.host) and (
        holders := [api.title for api in apis if _has_credentials(settings.apis[api.name])]
    ):
        yield (
            f"GATEWAY_HOST: {given.host} is open to other machines and the gateway has credentials of "
            f"{', '.join(holders)}; set GATEWAY_CALLER_TOKENS or GATEWAY_JWT_ISSUER so that callers are authenticated, "
            "or listen on 127.0.0.1"
        )


def _tls_problems(settings: Settings) -> Iterator[str]:
    calls = settings.gateway.jwt_jwks_url or any(own.mode == "rest" for own in settings.apis.values())
    for name in unreadable(settings.trust, calls=bool(calls)):
        yield f"{name}: no certificate authority can be read from it"


def authenticates(given: GatewaySettings) -> bool:
    """Whether callers have to say who they are."""
    return bool(given.caller_tokens or given.jwt_issuer)


def _has_credentials(settings: ApiSettings) -> bool:
    """Whether the real service could be called with the gateway's own credentials: any secret among the settings."""
    return settings.mode == "rest" and any(isinstance(value, SecretStr) for _, value in settings)
