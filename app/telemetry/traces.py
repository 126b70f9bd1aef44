"""Traces by OpenTelemetry: server, operation, backend call, store. Imported only where they are configured.

W3C Trace Context (https://www.w3.org/TR/trace-context/) is accepted and passed on; without tracing it is passed on
unchanged (`passed_on`). The provider is ours: nothing global is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from opentelemetry.context import Context as TraceContext
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PROPAGATOR = TraceContextTextMapPropagator()
_SERVER_ERROR = 500
_METHODS = re.compile(r"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|QUERY")


def provider_from_environment(service: str) -> TracerProvider:
    """Exports over OTLP/HTTP, as the standard variables `OTEL_…` say. They are read by OpenTelemetry itself."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - heavy

    resource = Resource.create() if _named() else Resource.create({SERVICE_NAME: service})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _named() -> bool:
    # Without a name OpenTelemetry invents one: `unknown_service`, or with the process's name behind a colon.
    return not str(Resource.create().attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service")


class Traces:
    """The spans of one program. Names and attributes hold no id, no address and nothing from a caller."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("rest-update-gateway")

    def shutdown(self) -> None:
        """Blocks until the spans are exported, or given up."""
        self._provider.shutdown()

    @contextmanager
    def span(
        self, name: str, kind: SpanKind = SpanKind.INTERNAL, context: TraceContext | None = None, **attributes: Any
    ) -> Iterator[Span]:
        """Makes a span the current one. An exception marks it by its type alone: its text may be a record's."""
        named = {key.replace("__", "."): value for key, value in attributes.items() if value is not None}
        span = self._tracer.start_span(name, context, kind, named)
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise

    def server(self, headers: Mapping[str, str], method: str, path: str) -> Any:
        """The span of a request, below the caller's if it has one."""
        method = method if _METHODS.fullmatch(method) else "_OTHER"
        context = _PROPAGATOR.extract(headers, TraceContext())
        return self.span(f"{method} {path}", SpanKind.SERVER, context, http__request__method=method, http__route=path)

    def operation(self, kind: str) -> Any:
        return self.span(f"GraphQL {kind}", graphql__operation__type=kind)

    @contextmanager
    def backend_call(self, name: str, method: str) -> Iterator[tuple[Mapping[str, str], Callable[[int], None]]]:
        """The span of a call: the trace headers to send, and a function that takes the response's status."""
        title = f"{method} {name}"
        with self.span(title, SpanKind.CLIENT, http__request__method=method, peer__service=name) as span:
            headers: dict[str, str] = {}
            _PROPAGATOR.inject(headers)
            yield headers, partial(_answered, span)

    def store(self, action: str) -> Any:
        return self.span(f"store {action}", db__operation__name=action)


def _answered(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        span.set_status(StatusCode.ERROR)


def trace_id() -> str | None:
    """Of the current span, for the log."""
    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else None


class ServerSpans:
    """ASGI middleware: a span around each request. `routes` are the paths that spans show as they are."""

    def __init__(self, app: ASGIApp, traces: Traces, routes: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._traces = traces
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"] if scope["path"] in self._routes else "*"
        with self._traces.server(headers, scope["method"], path) as span:

            async def send_with_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message["status"])
                await send(message)

            await self._app(scope, receive, send_with_status)
