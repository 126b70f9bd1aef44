"""What is counted, under labels that no caller can add to, and summed over the workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc
import uuid
from collections import Counter
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.telemetry.metrics import Metrics
from app.telemetry.processes import processes
from app.upstream.breaker import BreakerState
from tests.telemetry.running import COMPANY, CUSTOMER, Running, running, update


async def series(gateway: Running) -> dict[tuple, float]:
    """Every series of the exposition by name and labels."""
    answer = await gateway.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple:
    return (name, *sorted(labels.items()))


async def test_operations_are_counted_by_field_code_and_reason(tmp_path: Path):
    async with running(tmp_path) as gateway:
        await gateway.post(update())
        await gateway.post(update(input={"vatCode": {"code": "WRONG"}}))
        await gateway.post({"query": "{ nope }"})
        two = 'mutation { a: updateCustomer(id: "%s", input: %s) { customer { id } } b: updateCustomer(id: "%s", input: %s) { customer { id } } }'
        good = f'{{ company: {{ companyId: "{COMPANY}" }}, name: "x" }}'
        bad = f'{{ company: {{ companyId: "{COMPANY}" }}, name: "" }}'
        await gateway.post({"query": two % (CUSTOMER, good, CUSTOMER, bad)})
        found = await series(gateway)
    count = "gateway_operations_total"
    assert found[key(count, field="updateCustomer", code="OK", reason="OK")] == 2
    assert found[key(count, field="updateCustomer", code="BAD_USER_INPUT", reason="VAT_CODE_INVALID")] == 1
    assert found[key(count, field="none", code="GRAPHQL_VALIDATION_FAILED", reason="DOCUMENT_INVALID")] == 1
    assert found[key("gateway_operation_duration_seconds_count", kind="mutation")] == 3
    assert found[key("gateway_operations_in_flight")] == 0
    assert found[key("gateway_documents_total", result="miss")] == 3
    assert found[key("gateway_documents_total", result="hit")] == 1
    assert found[key("gateway_documents_kept")] == 3
    assert found[key("gateway_store_duration_seconds_count", action="commit", result="ok")] == 2


async def test_backend_calls_are_timed_by_backend_and_status_and_the_breaker_is_shown(tmp_path: Path):
    answers = iter([httpx.Response(204), *[httpx.Response(500)] * 2, httpx.Response(299)])
    transport = httpx.MockTransport(lambda _: next(answers))
    given = {"GATEWAY_BREAKER_WINDOW": "2", "GATEWAY_BREAKER_FAILURES": "2"}
    async with running(tmp_path, given, transport, rest=True) as gateway:
        state = {name: key("gateway_backend_breaker", backend="basecone", state=name.value) for name in BreakerState}
        before = await series(gateway)
        for _ in range(2):
            await gateway.post({**update(), "query": update()["query"].replace("{ id name }", "{ id }")})
        await gateway.post({**update(), "query": update()["query"].replace("{ id name }", "{ id }")})
        await gateway.post(update())
        after = await series(gateway)
    assert (before[state[BreakerState.CLOSED]], before[state[BreakerState.OPEN]]) == (1, 0)
    assert (after[state[BreakerState.CLOSED]], after[state[BreakerState.OPEN]]) == (0, 1)
    seconds = "gateway_backend_duration_seconds_count"
    assert after[key(seconds, backend="basecone", status="204")] == 1
    assert after[key(seconds, backend="basecone", status="500")] == 2
    assert after[key(seconds, backend="basecone", status="BREAKER_OPEN")] >= 1


KINDS = (
    'query {name} {{ {name}: customer(id: "{id}") {{ id }} }}',
    "query {name} {{ {name} }}",
    'mutation {name} {{ {name}: updateBookingCustomer(id: "{id}", input: {{firstname: "{name}"}}) {{ bookingCustomer {{ id }} }} }}',
    'query {name} {{ {name}: supplier(id: "{name}") {{ id }} }}',
)


@pytest.mark.parametrize("many", [200, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_many_names_and_ids_leave_the_number_of_series_unchanged(many: int, tmp_path: Path):
    """Over HTTP: each operation has a name, an alias, an id and a request id of its own."""

    async def ask(number: int) -> None:
        name = f"n{uuid.uuid4().hex}"
        query = KINDS[number % len(KINDS)].format(name=name, id=uuid.uuid4())
        await gateway.post({"query": query, "operationName": name}, x_request_id=name)

    async with running(tmp_path) as gateway:
        for number in range(len(KINDS)):
            await ask(number)
        before = set(await series(gateway))
        for number in range(many):
            await ask(number)
        after = await series(gateway)
        assert set(after) == before
        assert sum(value for name, value in after.items() if name[0] == "gateway_operations_total") == many + len(KINDS)


def test_labels_from_outside_become_other():
    metrics = Metrics({"updateCustomer"}, {"NOT_CONNECTED"}, {"basecone"})
    for number in range(1000):
        metrics.answered(f"field{number}", "OK", f"reason{number}")
        metrics.call(f"backend{number}", number, None, 0.1)
        metrics.call("basecone", None, f"reason{number}", 0.1)
    lines = [
        line
        for line in metrics.render().decode().splitlines()
        if re.match(r"gateway_(operations|backend_dur).*_(total|count)", line)
    ]
    assert len(lines) < 40
    assert "field1" not in metrics.render().decode()


FIELDS = st.dictionaries(
    st.sampled_from(["a", "b", "x" * 500]), st.sampled_from(["updateCustomer", "other"]), max_size=3
)
FAULTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", ""]), st.just("BACKEND_ERROR"), st.sampled_from(["KNOWN", "new"]))
)
ENDS = st.tuples(FIELDS, st.sampled_from(["compiled", None]), FAULTS, st.booleans())


@given(st.lists(ENDS))
def test_each_root_field_is_counted_by_its_faults_or_that_it_has_none(ends):
    metrics = Metrics({"updateCustomer"}, {"KNOWN"})
    wanted: Counter[tuple[str, str, str]] = Counter()
    for fields, way, faults, refused in ends:
        metrics.operated(("mutation", *fields.items()), way, tuple(faults), 0.1, request_error=refused)
        for key, code, reason in set(faults):
            name = "none" if refused else fields.get(key, "other")
            wanted[name, code, "other" if reason == "new" else reason] += 1
        if not refused:
            failed = {key for key, _, _ in faults}
            wanted.update((name, "OK", "OK") for key, name in fields.items() if key not in failed)
    found = {
        (labels["field"], labels["code"], labels["reason"]): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "gateway_operations_total" and (labels := sample.labels)
    }
    assert found == wanted
    count = metrics.registry.get_sample_value("gateway_operation_duration_seconds_count", {"kind": "mutation"})
    ran = metrics.registry.get_sample_value("gateway_executions_total", {"way": "compiled"})
    assert (count or 0, ran or 0) == (len(ends), sum(way is not None for _, way, _, _ in ends))


def test_names_of_callers_are_not_gathered():
    metrics = Metrics({"updateCustomer"})
    tracemalloc.start()
    try:
        for number in range(20_000):
            metrics.operated(
                ("query", (f"{number}" + "x" * 10_000, "updateCustomer")), None, (), 0.1, request_error=False
            )
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


_WORKER = """
import sys
from pathlib import Path
from app.telemetry.metrics import Metrics
metrics = Metrics({"updateCustomer"}, (), ("basecone",), Path(sys.argv[1]))
metrics.answered("updateCustomer", "OK", "OK")
metrics.begun()
metrics.call("basecone", 204, None, 0.02)
print("ready", flush=True)
sys.stdin.readline()
if sys.argv[2] == "shows":
    print(metrics.render().decode(), flush=True)
"""


def test_workers_are_summed_and_a_killed_one_leaves_its_counts_but_no_gauges(tmp_path: Path):
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, str(tmp_path), role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for role in ("dies", "lives", "shows")
    ]
    try:
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 3
        workers[0].kill()
        workers[0].wait()
        shown, _ = workers[2].communicate("\n")
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert 'gateway_operations_total{code="OK",field="updateCustomer",reason="OK"} 3.0' in shown
    assert "gateway_operations_in_flight 2.0" in shown
    assert 'gateway_backend_duration_seconds_count{backend="basecone",status="204"} 3.0' in shown


_WITHOUT_A_FOLDER = """
import asyncio, logging, shutil, sys
from pathlib import Path
from app.call import CallContext
from app.graphql.context import Context
from app.graphql.execution import GraphQLRequest, Result
from app.telemetry.metrics import Metrics
from app.telemetry.operations import Operations
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
operations = Operations(Metrics((), (), (), Path(sys.argv[1])), {})
shutil.rmtree(sys.argv[1])

async def execution():
    return Result(data={})

async def main():
    result = await operations.operation(GraphQLRequest("q"), Context(CallContext("r"), {}), execution())
    print("answered", result.data)

asyncio.run(main())
"""


def test_what_cannot_be_counted_is_answered_and_logged_all_the_same(tmp_path: Path):
    folder = tmp_path / "metrics"
    folder.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", _WITHOUT_A_FOLDER, str(folder)],
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in ended.stdout.splitlines() if line.startswith(("an ", "operation", "answered"))]
    assert told == [
        "an operation could not be counted; its answer stands",
        "operation answered",
        "answered {}",
    ]


def test_the_exposition_has_the_process_and_the_build():
    def values(text: str) -> dict[str, float]:
        return {name: float(value) for name, value in re.findall(r"^(process_\w+) (\S+)$", text, re.MULTILINE)}

    text = Metrics().render().decode()
    assert re.search(
        r'^gateway_build_info{implementation="\w+",python="3\.[\d.]+\w*",version=".+"} 1\.0$', text, re.MULTILINE
    )
    one = values(text)
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= one.keys()
    two = values(generate_latest(processes([os.getpid(), os.getppid()])).decode())
    assert two["process_resident_memory_bytes"] > one["process_resident_memory_bytes"]
    assert two["process_start_time_seconds"] <= one["process_start_time_seconds"]
    assert values(generate_latest(processes([2**22 + 1])).decode()) == {}
