"""The settings of every call to a backend, as they stand in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from app.upstream.limits import Limits
from app.upstream.tls import Trust

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]
_DEFAULT = Limits()


def _proxy(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("is not http://[user:password@]host:port")
    return value


class UpstreamSettings(BaseModel):
    """A field is the environment variable `GATEWAY_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    proxy_url: Annotated[SecretStr, AfterValidator(_proxy)] | None = Field(
        None,
        description="Outbound proxy that backends and their token endpoints are called through, "
        "`http://[user:password@]host:port`; the variables `HTTP_PROXY` and the like are never read.",
    )
    ca_file: Path | None = Field(
        None,
        description="File of certificate authorities (PEM) to trust further, for every TLS connection that the gateway "
        "opens. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others in place of the usual ones.",
    )
    backend_seconds: Seconds = Field(
        _DEFAULT.timeout, description="Longest call to a backend, from waiting for a connection to the last byte."
    )
    connect_seconds: Seconds = Field(
        _DEFAULT.connect_timeout, description="Longest wait for a connection to a backend to open."
    )
    pool_seconds: Seconds = Field(_DEFAULT.pool_timeout, description="Longest wait for a free connection to a backend.")
    connect_retries: Annotated[int, Field(ge=0, le=20)] = Field(
        _DEFAULT.connect_retries, description="Further attempts when a backend could not be connected to."
    )
    max_connections: Count = Field(_DEFAULT.max_connections, description="Most connections to one backend.")
    max_in_flight: Count = Field(
        _DEFAULT.max_in_flight, description="Most calls of one backend in flight; further ones are refused at once."
    )
    max_answer_bytes: Count = Field(_DEFAULT.max_answer_bytes, description="Largest answer of a backend that is read.")
    max_pause_seconds: Seconds = Field(
        _DEFAULT.max_pause, description="Longest pause that a backend's `Retry-After` can ask for."
    )
    breaker_window: Count = Field(
        _DEFAULT.breaker_window, description="Last calls of a backend that its breaker looks at."
    )
    breaker_failures: Count = Field(_DEFAULT.breaker_failures, description="Failures among them that open the breaker.")
    breaker_open_seconds: Seconds = Field(
        _DEFAULT.breaker_open, description="Time that an open breaker refuses calls before it lets one probe."
    )

    def limits(self, trust: Trust) -> Limits:
        return Limits(
            trust=trust,
            proxy_url=None if self.proxy_url is None else self.proxy_url.get_secret_value(),
            timeout=self.backend_seconds,
            connect_timeout=self.connect_seconds,
            pool_timeout=self.pool_seconds,
            connect_retries=self.connect_retries,
            max_connections=self.max_connections,
            max_in_flight=self.max_in_flight,
            max_answer_bytes=self.max_answer_bytes,
            max_pause=self.max_pause_seconds,
            breaker_window=self.breaker_window,
            breaker_failures=self.breaker_failures,
            breaker_open=self.breaker_open_seconds,
        )
