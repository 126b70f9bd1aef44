"""One trace over two programs: server, operation, backend call, and the sandbox's server and store below it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.apis import APIS
from app.config import read_settings
from app.telemetry.traces import Traces
from tests.telemetry.running import CUSTOMER, running, update

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def traced() -> tuple[Traces, InMemorySpanExporter]:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Traces(provider), exporter


def tree(spans: Mapping[str, ReadableSpan], name: str) -> list[str]:
    """The names from a span up to the root."""
    by_id = {span.context.span_id: span for span in spans.values()}
    found = [name]
    parent = spans[name].parent
    while parent is not None and parent.span_id in by_id:
        found.append(by_id[parent.span_id].name)
        parent = by_id[parent.span_id].parent
    return found


async def test_a_mutation_over_rest_is_one_trace_down_to_the_sandboxs_store(tmp_path: Path):
    gateway_traces, gateway_spans = traced()
    sandbox_traces, sandbox_spans = traced()
    parts = {"traces": gateway_traces, "sandbox": {"traces": sandbox_traces}}
    async with running(tmp_path, rest=True, **parts) as gateway:
        answer = await gateway.post(update(), traceparent=PARENT, tracestate="vendor=1")
        assert "errors" not in answer.json()
        spans = [*gateway_spans.get_finished_spans(), *sandbox_spans.get_finished_spans()]
    named = {span.name: span for span in spans}
    assert {format(span.context.trace_id, "032x") for span in spans} == {TRACE}
    assert format(named["POST /graphql"].parent.span_id, "016x") == "b7ad6b7169203331"
    assert tree(named, "store commit") == ["store commit", "PUT *", "PUT basecone", "GraphQL mutation", "POST /graphql"]
    assert named["PUT basecone"].attributes["http.response.status_code"] == 204
    assert dict(gateway.requests[0].headers)["tracestate"] == "vendor=1"
    written = " ".join(f"{span.name} {dict(span.attributes)} {span.events}" for span in spans)
    assert CUSTOMER not in written
    assert "Jansen" not in written


async def test_a_refusal_and_a_failure_mark_their_spans_without_their_texts(tmp_path: Path):
    traces, spans = traced()
    transport = httpx.MockTransport(lambda _: httpx.Response(500, text="Jan Jansen"))
    async with running(tmp_path, {}, transport, rest=True, traces=traces) as gateway:
        await gateway.post(update())
        found = {span.name: span for span in spans.get_finished_spans()}
    assert found["GraphQL mutation"].attributes["graphql.error.codes"] == ("BACKEND_ERROR",)
    assert not found["PUT basecone"].status.is_ok
    assert "Jansen" not in " ".join(span.to_json() for span in found.values())


async def test_local_mode_shows_the_store(tmp_path: Path):
    traces, spans = traced()
    async with running(tmp_path, traces=traces) as gateway:
        await gateway.post(update())
        found = {span.name: span for span in spans.get_finished_spans()}
    assert tree(found, "store commit") == ["store commit", "GraphQL mutation", "POST /graphql"]


PASSED_ON = {
    "as it came": ({"traceparent": PARENT, "tracestate": "a=1"}, {"traceparent": PARENT, "tracestate": "a=1"}),
    "without state": ({"traceparent": PARENT}, {"traceparent": PARENT}),
    "malformed": ({"traceparent": "00-x", "tracestate": "a=1"}, {}),
    "all zero": ({"traceparent": f"00-{'0' * 32}-b7ad6b7169203331-01"}, {}),
    "state alone": ({"tracestate": "a=1"}, {}),
    "too much state": ({"traceparent": PARENT, "tracestate": "a" * 600}, {"traceparent": PARENT}),
}


@pytest.mark.parametrize("case", PASSED_ON)
async def test_without_tracing_the_context_is_passed_on_unchanged(case: str, tmp_path: Path):
    given, expected = PASSED_ON[case]
    async with running(tmp_path, rest=True) as gateway:
        await gateway.post(update(), **given)
        sent = gateway.requests[0].headers
    assert {name: sent[name] for name in ("traceparent", "tracestate") if name in sent} == expected


CONFIGURED = {
    "nothing": ({}, False),
    "an endpoint": ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
    "an endpoint for traces": ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
    "the setting": ({"GATEWAY_TRACES": "true"}, True),
    "the setting against it": ({"GATEWAY_TRACES": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    "another exporter": ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
    "the standard switch": ({"OTEL_SDK_DISABLED": "true", "GATEWAY_TRACES": "true"}, False),
}


@pytest.mark.parametrize("case", CONFIGURED)
def test_the_standard_variables_turn_traces_on(case: str):
    environment, expected = CONFIGURED[case]
    assert read_settings(APIS, environment, None).traces is expected
