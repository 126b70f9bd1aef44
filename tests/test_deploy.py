"""The files of `.github/deploy/`: read as what they are, tried where that needs no machine of its own."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import promql_parser
import pytest
import yaml

from app.apis import APIS
from app.bootstrap import create_app
from app.config import GatewaySettings, check_settings, parse_settings
from app.errors import Code
from app.graphql.catalogue import all_rows
from app.telemetry.metrics import Metrics
from tests.harness import schema_of
from tests.processes import ROOT, environment

DEPLOY = ROOT / ".github" / "deploy"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a container listens on


# The container.


def instructions():
    """The container file's, by stage: a list of name and value."""
    stages = []
    for line in (DEPLOY / "Dockerfile").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append((name, value))
    return stages


def values(stage, name):
    return [value for other, value in stage if other == name]


def test_the_container_file_fits_the_program():
    build, final = instructions()
    known = {"FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}
    assert {name for name, _ in [*build, *final]} <= known
    versions = [re.fullmatch(r"python:(\d+)\.(\d+)-slim( AS build)?", value) for value in values(build + final, "FROM")]
    assert all((int(version[1]), int(version[2])) >= (3, 11) for version in versions)
    sent = [line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    for value in values(build, "COPY"):
        *sources, _ = value.split()
        assert all((ROOT / source).exists() and source in sent for source in sources)
    assert values(final, "EXPOSE") == [str(GatewaySettings().port)]
    variables = dict(word.split("=", 1) for word in shlex.split(values(final, "ENV")[0]))
    settings = {name: value for name, value in variables.items() if name.startswith("GATEWAY_")}
    check_settings(parse_settings(APIS, settings), APIS)
    assert settings["GATEWAY_HOST"] == EVERYWHERE
    assert f"127.0.0.1:{GatewaySettings().port}/health/ready" in values(final, "HEALTHCHECK")[0]


@pytest.mark.slow
def test_the_container_files_commands_work_in_a_fresh_folder(tmp_path):
    """Without a container: its sources, its RUN commands below another root, its entry point and its health check."""
    build, final = instructions()
    prefix = tmp_path / "opt" / "gateway"

    def here(text):
        return text.replace("/opt/gateway", str(prefix)).replace("/source", str(tmp_path / "source"))

    for value in values(build, "COPY"):
        *sources, target = value.split()
        for source in sources:
            folder = Path(here(target))
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, folder)
    for command in values(build, "RUN"):
        ended = subprocess.run(shlex.split(here(command)), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    data = tmp_path / "data"
    data.mkdir()
    entry = json.loads(here(values(final, "ENTRYPOINT")[0]))
    settings = dict(word.split("=", 1) for word in shlex.split(values(final, "ENV")[0]))
    variables = environment({**settings, "GATEWAY_PORT": "0"})
    del variables["PYTHONPATH"]
    checked = subprocess.run([*entry, "check"], cwd=data, env=variables, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked
    with subprocess.Popen(entry, cwd=data, env=variables, stderr=subprocess.PIPE, text=True) as process:
        try:
            first = process.stderr.readline()
            port = urlsplit(re.search(r"http://[^/\s]+", first)[0]).port
            while "startup complete" not in process.stderr.readline():
                assert process.poll() is None
            health = json.loads(here(values(final, "HEALTHCHECK")[0].removeprefix("CMD ")))
            health[-1] = health[-1].replace(":8000", f":{port}")
            assert subprocess.run(health, check=False).returncode == 0
        finally:
            process.terminate()
            process.stderr.read()
    assert process.returncode == 0
    # A health check of nobody fails.
    assert subprocess.run(health, stderr=subprocess.DEVNULL, check=False).returncode != 0
    assert (data / "gateway.db").is_file()


# systemd.


def unit():
    parsed = configparser.ConfigParser(strict=False)  # SystemCallFilter stands twice
    parsed.optionxform = str
    parsed.read(DEPLOY / "gateway.service")
    return parsed


def systemd_analyze():
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed here: the unit was read, and not verified")
    return program


def test_the_systemd_unit_fits_the_program(tmp_path):
    service = unit()["Service"]
    assert service["ExecStart"] == "/opt/gateway/bin/python -m app"
    assert float(service["TimeoutStopSec"]) > GatewaySettings().shutdown_seconds
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    path = tmp_path / "gateway.service"
    path.write_text((DEPLOY / "gateway.service").read_text().replace("/opt/gateway/bin/python", sys.executable))
    ended = subprocess.run([systemd_analyze(), "verify", str(path)], capture_output=True, text=True, check=False)
    complaints = [line for line in ended.stderr.splitlines() if "gateway.service" in line]
    assert (ended.returncode, complaints) == (0, [])


def test_the_systemd_unit_is_hardened():
    command = [systemd_analyze(), "security", "--offline=true", "--no-pager", "--threshold=40"]
    ended = subprocess.run([*command, str(DEPLOY / "gateway.service")], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-200:] + ended.stderr


# Kubernetes.


@pytest.fixture(scope="module")
def manifest():
    documents = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_pod_is_restricted(manifest):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    assert manifest["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = manifest["Deployment"]["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    assert all(volume.keys() - {"name"} <= allowed for volume in pod["volumes"])
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert not security.get("privileged")
        assert not any("hostPort" in port for port in container["ports"])


def test_the_manifest_hangs_together(manifest):
    deployment, service = manifest["Deployment"], manifest["Service"]
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert manifest["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifest["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]
    assert {document["metadata"].get("namespace", "gateway") for document in manifest.values()} == {"gateway"}
    # https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    assert pod["enableServiceLinks"] is False
    *_, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(pause) + GatewaySettings().shutdown_seconds
    assert container["ports"] == [{"name": "http", "containerPort": GatewaySettings().port}]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert {"requests", "limits"} == container["resources"].keys()
    # The root file system is read-only: what is written to is mounted.
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    _, final = instructions()
    assert {*values(final, "WORKDIR"), "/tmp"} == {*mounted.values()}  # noqa: S108 - the container's own
    assert values(final, "USER") == [str(pod["securityContext"]["runAsUser"])]


async def test_probes_ask_what_the_gateway_answers(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (container,) = manifest["Deployment"]["spec"]["template"]["spec"]["containers"]
    # Callers authenticated, hosts named, as in the open: a probe brings neither.
    settings = {"GATEWAY_CALLER_TOKENS": "a:" + "0" * 64, "GATEWAY_ALLOWED_HOSTS": "gateway.example"}
    app = create_app(parse_settings(APIS, settings))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1:8000") as pods:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                request = container[probe]["httpGet"]
                assert request["port"] == "http"
                assert (await pods.get(request["path"])).status_code == 200
            assert (await pods.get("/graphql")).status_code == 421


# Prometheus and Grafana.

METRICS = Metrics({"updateCustomer"}, {"X"}, {"basecone"})
PARTS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
ROWS = all_rows(APIS)
FIELDS = set(schema_of(APIS)._schema.mutation_type.fields)
# What a label can be, where it has few values.
VALUES = {
    "code": {"OK", *Code},
    "reason": {"OK", *(row.reason for row in ROWS)},
    "state": {"closed", "open", "half-open"},
    "status": {*map(str, range(100, 600)), *(row.reason for row in ROWS)},
    "result": {"ok", "conflict", "unavailable", "failed", "hit", "miss"},
    "way": {"compiled", "interpreted"},
    "job": {"gateway"},
    "field": FIELDS,
}


def alerts():
    (group,) = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def dashboard():
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    return [target["expr"].replace("$__rate_interval", "5m") for panel in panels for target in panel.get("targets", ())]


def selectors(node):
    """Every vector selector of an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "args", "vector_selector", "param"):
        child = getattr(node, name, None)
        for item in child if isinstance(child, list) else [child]:
            if item is not None and not isinstance(item, str | float):
                yield from selectors(item)


EXPRESSIONS = {**{name: rule["expr"] for name, rule in alerts().items()}, **{text: text for text in dashboard()}}


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_an_expression_asks_for_metrics_labels_and_values_that_exist(expression):
    labels = {
        family.name + part: {"job", *metric._labelnames}
        for metric in METRICS.registry._collector_to_names
        for family in metric.collect()
        for part in PARTS[family.type]
    } | {"up": {"job"}}
    used = list(selectors(promql_parser.parse(expression)))
    assert used
    for selector in used:
        assert selector.name in labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels[selector.name]
            exact = matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.NotEqual)
            for value in [matcher.value] if exact or "(" in matcher.value else matcher.value.split("|"):
                pattern = re.escape(value) if exact else value
                assert any(re.fullmatch(pattern, known) for known in VALUES[matcher.name]), value


def test_the_dashboard_shows_every_metric():
    shown = {selector.name for text in dashboard() for selector in selectors(promql_parser.parse(text))}
    for family in METRICS.registry.collect():
        assert shown & {family.name + part for part in PARTS[family.type]}, family.name


def test_every_alert_says_how_bad_it_is_and_what_to_do():
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, name
        assert rule["annotations"].keys() == {"summary", "action"}, name
        grouped = {label for text in re.findall(r"by \(([\w, ]+)\)", rule["expr"]) for label in text.split(", ")}
        assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= grouped, name
