"""The settings, frozen. The only reader of the environment, which overrides a `.env` file in the working folder."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO, TypeVar
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import BaseModel, SecretStr, ValidationError

from app.apis.api import Api, ApiSettings
from app.edge.auth.authenticator import METRICS_SCOPE, unknown_scope
from app.gateway_settings import GatewaySettings
from app.graphql.scopes import scopes_of
from app.graphql.updates import SCOPES as UPDATES_SCOPES
from app.settings import cleaned, guess, in_words
from app.store.engine import passwords_in
from app.upstream.tls import Trust, unreadable

PREFIX = "GATEWAY_"
# A line of a shell file, such as `export GATEWAY_…`, that was read as NAME=value.
_MISSPELLED = re.compile(rf"(?i)(?:export\s+|set\s+|[^A-Z0-9_])+{PREFIX}")
# A name of ours in quotes, behind an invisible character or another shell's words, or with other signs.
_NOT_A_NAME = re.compile(rf"(?is)(?=.*[^A-Z0-9_])(?:.*{PREFIX}|GATEWAY[.-])")
# prometheus-client's own variable, which it reads itself.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

# pydantic has no plugin here. To look for one, it would read every installed package's metadata at each start.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

S = TypeVar("S", bound=BaseModel)


class SettingsError(Exception):
    """The settings cannot be used. The text is one line that names the setting and never shows its value.

    `problems` has a line for each setting that cannot be used; the first is the text.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__(problems[0])
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """`gateway` is for the program, `apis` are by API name.

    `traces` says whether traces are exported. `metrics_folder` is where several workers keep their metrics together.
    `trust` says whose certificates are accepted.
    """

    gateway: GatewaySettings
    apis: Mapping[str, ApiSettings]
    traces: bool = False
    metrics_folder: Path | None = None
    colour: bool = True
    trust: Trust = field(default_factory=Trust)

    @property
    def secrets(self) -> list[str]:
        """Every credential among the settings, to be removed from the log."""
        models: list[BaseModel] = [self.gateway, *self.apis.values()]
        values = [value.get_secret_value() for model in models for _, value in model if isinstance(value, SecretStr)]
        proxy = self.gateway.proxy_url
        urls = [self.gateway.store_url, *([proxy.get_secret_value()] if proxy is not None else [])]
        return [*values, *(password for url in urls for password in passwords_in(url))]


def read_settings(
    apis: Iterable[Api], environment: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """Reads the settings from `environment` (by default the process's) over `env_file`. Raises SettingsError."""
    environment = os.environ if environment is None else environment
    settings = parse_settings(apis, _own_variables(environment, env_file))
    folder = environment.get(METRICS_FOLDER)
    return replace(
        settings,
        traces=_traces(settings.gateway, environment),
        metrics_folder=Path(folder) if folder else None,
        colour=not environment.get("NO_COLOR"),  # https://no-color.org
        trust=replace(
            settings.trust,
            file=environment.get("SSL_CERT_FILE") or None,
            folders=environment.get("SSL_CERT_DIR") or None,
        ),
    )


def share_metrics(folder: Path) -> None:
    """Makes the children of the process keep their metrics together in `folder`."""
    os.environ[METRICS_FOLDER] = str(folder)


def _traces(gateway: GatewaySettings, environment: Mapping[str, str]) -> bool:
    """Follows https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if gateway.traces is not None:
        return gateway.traces
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp")
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter == "otlp" and any(environment.get(name) for name in endpoints)


def parse_settings(apis: Iterable[Api], variables: Mapping[str, str]) -> Settings:
    """Parses the settings from variables with their prefix. Every variable must be known. Raises SettingsError."""
    by_api: dict[str, ApiSettings] = {}
    problems: list[str] = []
    remaining: dict[str, str] = {}
    for variable, value in variables.items():
        try:
            remaining[variable] = cleaned(value)
        except ValueError as error:
            problems.append(f"{variable}: {error}")
    known_names = [PREFIX + name.upper() for name in GatewaySettings.model_fields]
    for api in apis:
        prefix = f"{PREFIX}{api.name.upper()}_"
        names = {prefix + name.upper(): name for name in api.settings.model_fields}
        known_names += names
        values = {name: remaining.pop(variable) for variable, name in names.items() if variable in remaining}
        by_api[api.name] = _validated(api.settings, prefix, values, problems)
    for variable in remaining:
        if variable not in known_names:
            near = guess(variable.removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in known_names])
            problems.append(f"{variable} is not a setting" + (f"; did you mean {PREFIX}{near}?" if near else ""))
    values = {
        variable.removeprefix(PREFIX).lower(): value for variable, value in remaining.items() if variable in known_names
    }
    gateway = _validated(GatewaySettings, PREFIX, values, problems)
    settings = Settings(gateway, by_api, trust=Trust(further=gateway.ca_file))
    if problems:
        # A person who starts the program sees all problems at once, also those between settings.
        named = {problem.partition(":")[0] for problem in problems}
        further = [problem for problem in _problems(settings, list(apis)) if problem.partition(":")[0] not in named]
        raise SettingsError(*problems, *further)
    return settings


def _own_variables(environment: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The variables with our prefix. An empty one counts as absent, as in a copied example file."""
    merged: dict[str, str | None] = {}
    if env_file is not None and env_file.is_file():
        try:
            with env_file.open(encoding="utf-8-sig") as lines:  # some editors put a byte order mark in front
                merged.update(_lines(env_file, lines))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{env_file} cannot be read: {type(error).__name__}") from error
    merged = {name.upper(): value for name, value in merged.items()}
    spelled: dict[str, str] = {}
    for name, value in environment.items():
        if _MISSPELLED.match(name):
            raise SettingsError(f"{ascii(name)[1:-1]} is not a setting; the name begins with {PREFIX}")
        if spelled.setdefault(name.upper(), value) != value and name.upper().startswith(PREFIX):
            raise SettingsError(f"{name.upper()} is given twice, in different case")
    merged.update(spelled)
    return {name: value for name, value in merged.items() if name.startswith(PREFIX) and value}


def _lines(path: Path, lines: TextIO) -> Iterator[tuple[str, str | None]]:
    """Names and values of a `.env` file. A line of ours that python-dotenv would ignore stops the start."""
    for binding in parse_stream(lines):
        unread = binding.error or (binding.key is not None and binding.value is None)
        text = binding.original.string
        if (unread and PREFIX in text.upper()) or _NOT_A_NAME.match(binding.key or ""):
            number = binding.original.line + text[: -len(text.lstrip())].count("\n")
            raise SettingsError(f"{path}: line {number} is not NAME=value")
        if binding.key is not None:
            yield binding.key, binding.value


def _validated(model: type[S], prefix: str, values: Mapping[str, Any], problems: list[str]) -> S:
    """The settings of a model. An unusable value is added to `problems`, and its default is used."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = set()
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            if problem["type"] == "default_factory_not_called":
                continue  # it says only that another setting is wrong
            name = "_".join(str(part) for part in problem["loc"][:1])
            wrong.add(name)
            problems.append(f"{prefix}{name.upper() or '*'}: {in_words(problem)}")
        rest = {name: value for name, value in values.items() if name not in wrong}
        return _validated(model, prefix, rest, []) if len(rest) < len(values) else model.model_construct()


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine itself."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def check_settings(settings: Settings, apis: Sequence[Api]) -> None:
    """Checks what no single setting can show. Raises SettingsError with every problem."""
    if problems := list(_problems(settings, apis)):
        raise SettingsError(*problems)


_JWT_NEEDS = (
    "GATEWAY_JWT_ISSUER, GATEWAY_JWT_AUDIENCE and one of GATEWAY_JWT_JWKS_URL and GATEWAY_JWT_KEY_FILE belong together"
)


def _sandbox_problems(settings: Settings, apis: Sequence[Api]) -> Iterator[str]:
    for api in apis:
        own = settings.apis[api.name]
        host = urlsplit(own.url).hostname or ""
        if own.sandbox and any(other.settings.is_vendors(host) for other in apis):
            yield f"{PREFIX}{api.name}_SANDBOX".upper() + ": the URL is a vendor's own, which is no sandbox"


def _problems(settings: Settings, apis: Sequence[Api]) -> Iterator[str]:
    gateway = settings.gateway
    if gateway.trusted_only and gateway.trusted_documents is None:
        yield "GATEWAY_TRUSTED_ONLY: needs GATEWAY_TRUSTED_DOCUMENTS"
    calls = gateway.jwt_jwks_url or any(own.mode == "rest" for own in settings.apis.values())
    for name in unreadable(settings.trust, calls=bool(calls)):
        yield f"{name}: no certificate authority can be read from it"
    yield from gateway.problems()
    yield from _of_signed_tokens(gateway)
    yield from _sandbox_problems(settings, apis)
    yield from _without_effect(settings, apis)
    for token in gateway.caller_tokens:
        if problem := unknown_scope(token, known_scopes(apis)):
            yield f"GATEWAY_CALLER_TOKENS: {problem}"
    for api in apis if gateway.production else ():
        if "mode" not in settings.apis[api.name].model_fields_set:
            yield f"GATEWAY_{api.name.upper()}_MODE: is not set; in production there is no default: write local or rest"
    if authenticates(gateway):
        return
    if gateway.production:
        yield (
            "GATEWAY_PRODUCTION: callers must be authenticated; "
            "set GATEWAY_CALLER_TOKENS, or GATEWAY_JWT_ISSUER and what belongs to it"
        )
    elif not is_loopback_host(gateway.host) and (
        holders := [api.title for api in apis if _has_credentials(settings.apis[api.name])]
    ):
        yield (
            f"GATEWAY_HOST: {gateway.host} is open to other machines and the gateway has credentials of "
            f"{', '.join(holders)}; set GATEWAY_CALLER_TOKENS or GATEWAY_JWT_ISSUER so that callers are authenticated, "
            "or listen on 127.0.0.1"
        )


def _of_signed_tokens(gateway: GatewaySettings) -> Iterator[str]:
    signed = (gateway.jwt_issuer, gateway.jwt_audience, gateway.jwt_jwks_url or gateway.jwt_key_file)
    if any(signed) and not all(signed):
        missing = next(
            name for name, value in zip(("ISSUER", "AUDIENCE", "JWKS_URL"), signed, strict=True) if not value
        )
        yield f"GATEWAY_JWT_{missing}: is not set; {_JWT_NEEDS}"
    if gateway.jwt_jwks_url and gateway.jwt_key_file:
        yield "GATEWAY_JWT_KEY_FILE: GATEWAY_JWT_JWKS_URL is set, too; only one of them can be"
    if gateway.jwt_jwks_url and gateway.jwt_jwks_url.startswith("http:") and not is_loopback(gateway.jwt_jwks_url):
        yield "GATEWAY_JWT_JWKS_URL: needs https, since whoever changes the keys on their way can sign any token"


def _without_effect(settings: Settings, apis: Sequence[Api]) -> Iterator[str]:
    """Settings that seem to have an effect, and have none."""
    gateway, named = settings.gateway, settings.gateway.model_fields_set
    for name in ("jwt_algorithm", "jwt_audience_claim", "jwt_scope_claim", "jwt_scope_prefix"):
        if name in named and gateway.jwt_issuer is None:
            yield f"GATEWAY_{name.upper()}: has no effect without GATEWAY_JWT_ISSUER"
    if gateway.cors_headers and not gateway.cors_origins:
        yield "GATEWAY_CORS_HEADERS: has no effect without GATEWAY_CORS_ORIGINS"
    if gateway.breaker_failures > gateway.breaker_window:
        yield "GATEWAY_BREAKER_FAILURES: is more than GATEWAY_BREAKER_WINDOW, so that the breaker would never open"
    if gateway.trusted_only and "persisted_queries" in named and gateway.persisted_queries:
        yield "GATEWAY_PERSISTED_QUERIES: has no effect where GATEWAY_TRUSTED_ONLY is true"
    for api in apis:
        own, prefix = settings.apis[api.name].model_fields_set, f"GATEWAY_{api.name.upper()}_"
        if own and "mode" not in own:
            yield f"{prefix}{min(own).upper()}: has no effect unless {prefix}MODE is rest; set it"


def known_scopes(apis: Sequence[Api]) -> set[str]:
    return {METRICS_SCOPE, *UPDATES_SCOPES, *scopes_of(apis).values()}


def authenticates(gateway: GatewaySettings) -> bool:
    """Whether callers have to authenticate."""
    return bool(gateway.caller_tokens or gateway.caller_tokens_file or gateway.jwt_issuer)


def _has_credentials(settings: ApiSettings) -> bool:
    """Whether the gateway's own credentials could call the real service: any secret among the settings."""
    return settings.mode == "rest" and any(isinstance(value, SecretStr) for _, value in settings)
