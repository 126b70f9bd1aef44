"""The bounds of every call to a backend, each declared once: those that the environment sets, and the fixed ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from app.upstream.tls import Trust

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1)]


_CHARACTERS = re.compile(r"""[^\x00-\x20\x7f-\U0010ffff<>"{}|\\^`?#]+""")  # others a URL has percent-encoded


def _proxy(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        usable = False
    if not usable or not _CHARACTERS.fullmatch(text):
        raise ValueError("is not http://[user:password@]host:port")
    return value


class UpstreamSettings(BaseModel):
    """A field is the environment variable `GATEWAY_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

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
        30.0, description="Longest call to a backend, from waiting for a connection to the last byte."
    )
    connect_seconds: Seconds = Field(5.0, description="Longest wait for a connection to a backend to open.")
    pool_seconds: Seconds = Field(5.0, description="Longest wait for a free connection to a backend.")
    connect_retries: Annotated[int, Field(ge=0, le=20)] = Field(
        2, description="Further attempts when a backend could not be connected to."
    )
    max_connections: Count = Field(100, description="Most connections to one backend.")
    max_in_flight: Count = Field(
        256, description="Most calls of one backend in flight; further ones are refused at once."
    )
    max_answer_bytes: Count = Field(2 * 1024 * 1024, description="Largest answer of a backend that is read.")
    max_pause_seconds: Seconds = Field(
        86_400.0, description="Longest pause that a backend's `Retry-After` can ask for."
    )
    breaker_window: Count = Field(20, description="Last calls of a backend that its breaker looks at.")
    breaker_failures: Count = Field(10, description="Failures among them that open the breaker.")
    breaker_open_seconds: Seconds = Field(
        10.0, description="Time that an open breaker refuses calls before it lets one probe."
    )

    def limits(self, trust: Trust) -> Limits:
        values = {name: getattr(self, name) for name in UpstreamSettings.model_fields}
        return Limits.model_construct(trust=trust, **values)  # they are validated already


class Limits(UpstreamSettings):
    """Seconds, sizes and counts of one service. A caller's deadline can only shorten `backend_seconds`.

    The breaker opens when `breaker_failures` of the last `breaker_window` calls failed. If that is more than the
    window, it never opens.
    """

    trust: Trust = Trust()
    keepalive: Seconds = 4.0  # some servers close an idle connection after 5 s, perhaps under a new request
    backoff: Seconds = 0.1  # ceiling of the first random wait; each further one doubles it
    max_backoff: Seconds = 2.0
    breaker_probes: Count = 1
    breaker_patience: Seconds = 5.0  # a time-out by a caller's shorter deadline counts only after this long
