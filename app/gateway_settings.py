"""Every setting that belongs to no API: those of the packages, and the program's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.edge.settings import AuthSettings, EdgeSettings
from app.journal.settings import JournalSettings
from app.server.serving import HEAD_SECONDS, KEEP_ALIVE_SECONDS, MAX_HEAD_BYTES
from app.settings import Count, Host, Port, Seconds, StoreUrl
from app.upstream.settings import UpstreamSettings


class _ProgramSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

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
    max_head_bytes: Count = Field(MAX_HEAD_BYTES, description="Largest address and headers of a request together.")
    head_seconds: Seconds = Field(
        HEAD_SECONDS, description="Time that a caller gets to send address and headers, or to take any of its answer."
    )
    keep_alive_seconds: Seconds = Field(
        KEEP_ALIVE_SECONDS, description="Time that a connection is kept on which nothing more is asked."
    )


class GatewaySettings(JournalSettings, UpstreamSettings, EdgeSettings, AuthSettings, _ProgramSettings):
    """A field is the environment variable `GATEWAY_<FIELD>`."""
