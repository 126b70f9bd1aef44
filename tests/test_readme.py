"""README and reference pages cannot go stale: commands are run, tables generated, other snippets parsed."""

from __future__ import annotations

import configparser
import contextlib
import json
import re
import shlex
import subprocess
import tomllib

import httpx
import pytest
import yaml
from graphql import parse, validate

from app.apis import APIS
from app.apis.basecone.examples import SUPPLIER_INPUT
from tests.harness import schema_of
from tests.processes import PATIENCE, ROOT, environment, program
from tests.readme_tables import ENV_EXAMPLE, PAGES, README, env_example, filled, generated

TEXT = "\n".join(page.read_text() for page in PAGES)
BLOCKS = re.findall(r"(?:<!-- (?P<marker>[^>]*?) -->\n)?```(?P<language>[a-z]+)\n(?P<body>.*?)```", TEXT, re.DOTALL)


def transcripts(body):
    """Each command of a console block, which goes on while a quote is open or behind a backslash, with its answer."""
    found = []
    for line in body.splitlines():
        if found and not _ends(found[-1][0]):
            found[-1][0] += f"\n{line}"
        elif line.startswith("$ "):
            found.append([line.removeprefix("$ "), ""])
        else:
            found[-1][1] += f"{line}\n"
    return [(command.replace("\\\n", ""), answer) for command, answer in found]


def _ends(command):
    try:
        return bool(shlex.split(command)) and not command.endswith("\\")
    except ValueError:
        return False


# Those with a marker need settings of their own: tests/test_readme_operations.py.
TRANSCRIPTS = [
    pytest.param(command, answer, id=f"curl-{number}")
    for number, (marker, language, body) in enumerate(BLOCKS)
    if language == "console" and not marker
    for command, answer in transcripts(body)
]
RUNS = re.compile(
    r"<!-- run: (?P<name>\w+)(?: (?P<headers>\{[^\n]*\}))? -->\n(?:```graphql\n(?P<document>.*?)```\n)?"
    r"```json\n(?P<variables>.*?)```\n```json\n(?P<answer>.*?)```",
    re.DOTALL,
)
EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)


def marked(name):
    (body,) = [body for marker, _, body in BLOCKS if marker == name]
    return body.replace("\\\n", "")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with program(tmp_path_factory.mktemp("local")) as started:
        yield started


@contextlib.contextmanager
def two_terminals(folders):
    """The README's two terminals, on free ports."""
    with program(folders.mktemp("sandbox"), "sandbox") as sandbox:
        settings = dict(EXPORT.findall(marked("gateway").replace("http://127.0.0.1:8001", sandbox.url)))
        with program(folders.mktemp("gateway"), **settings) as started:
            started.settings = settings
            started.sandbox = sandbox
            yield started


@pytest.fixture(scope="module")
def over_the_sandbox(tmp_path_factory):
    with two_terminals(tmp_path_factory) as started:
        yield started


def check(command, expected, url):
    assert "http://127.0.0.1:8000" in command
    ended = subprocess.run(
        shlex.split(command.replace("http://127.0.0.1:8000", url)),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended
    assert json.loads(ended.stdout) == json.loads(expected)


@pytest.mark.parametrize(("command", "answer"), TRANSCRIPTS)
def test_a_transcript_is_what_the_gateway_answers(local, command, answer):
    check(command, answer, local.url)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "answer"), TRANSCRIPTS)
def test_a_transcript_is_the_same_over_the_sandbox(over_the_sandbox, command, answer):
    check(command, answer, over_the_sandbox.url)


@pytest.mark.slow
def test_the_sandbox_prints_the_settings_that_the_readme_shows(over_the_sandbox):
    printed = dict(EXPORT.findall(over_the_sandbox.sandbox.output()))
    assert printed == over_the_sandbox.settings


def test_there_is_an_example_of_each_mutation():
    shown = [case.values[0] for case in TRANSCRIPTS] + [match["document"] or "" for match in RUNS.finditer(TEXT)]
    for api in APIS:
        for mutation in api.mutations:
            assert any(f"{mutation}(" in text for text in shown), mutation


def test_the_complete_supplier_is_complete_and_works():
    variables = json.loads(marked("complete: updateSupplier"))
    assert variables["input"] == {**SUPPLIER_INPUT}


def test_the_generated_tables_are_up_to_date():
    for page in PAGES:
        assert filled(page.read_text()) == page.read_text(), "run: python -m tests.readme_tables"
    assert all(f"<!-- {name} -->" in TEXT for name in generated())
    assert ENV_EXAMPLE.read_text() == env_example(), "run: python -m tests.readme_tables"


def test_the_two_commands_are_what_ci_runs():
    lines = [body.strip() for _, language, body in BLOCKS if language == "sh" and "pip install" in body]
    assert lines[0] == "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python -m app"
    assert lines[1] == "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest"
    ci = (ROOT / ".ci" / "run").read_text()
    assert "pip install -e '.[test]'" in ci


@pytest.mark.slow
def test_four_commands_lead_from_nothing_to_the_first_change(tmp_path):
    """git clone, cd, the command under "Start", and the first transcript; in an environment of its own."""
    subprocess.run(["git", "clone", "-q", str(ROOT), "gateway"], cwd=tmp_path, check=True)
    start = next(body for _, language, body in BLOCKS if language == "sh" and "pip install" in body)
    command, answer = TRANSCRIPTS[0].values
    assert README.read_text().index(start) < README.read_text().index(answer)
    variables = environment({"GATEWAY_PORT": "0"})
    del variables["PYTHONPATH"]
    with subprocess.Popen(
        ["bash", "-euc", start.replace("&& .venv/bin/python", "&& exec .venv/bin/python")],
        cwd=tmp_path / "gateway",
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            said = ""
            while "startup complete" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            check(command, answer, re.search(r"on (http://[^/\s]+)/graphql", said)[1])
        finally:
            process.terminate()
            process.stdout.read()
    assert "[removed]" not in said


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_snippet_parses(number):
    marker, language, body = BLOCKS[number]
    match language:
        case "json":
            json.loads(body)
        case "sh" | "console":
            text = body if language == "sh" else "\n".join(command for command, _ in transcripts(body))
            assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
        case "graphql" if marker == "router: stub":
            parse(body)  # composed with the schema by tests/external/test_federation.py
        case "graphql":
            assert not validate(schema_of(APIS)._schema, parse(body))
        case "toml":
            tomllib.loads(body)
        case "yaml":
            assert all(isinstance(document, dict) for document in yaml.safe_load_all(body))
        case "ini":
            configparser.ConfigParser().read_string(body)


def test_resetting_the_store_names_its_files():
    assert marked("reset").split()[2:] == ["gateway.db", "gateway.db-wal", "gateway.db-shm"]


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
            other = page.parent / target if target else page
            assert other.exists(), (page.name, target)
            assert not anchor or anchor in headings(other), (page.name, target, anchor)


def headings(page):
    """The anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.casefold()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("wiring", ["local", pytest.param("over_the_sandbox", marks=pytest.mark.slow)])
def test_the_operations_of_the_pages_are_answered_as_they_show(tmp_path_factory, wiring):
    """Each as it stands there, in the pages' order; one without a document repeats the one before.

    On a new store: other transcripts change the same records.
    """
    started = program(tmp_path_factory.mktemp("new")) if wiring == "local" else two_terminals(tmp_path_factory)
    with started as gateway:
        for page in PAGES:
            document = None
            for match in RUNS.finditer(page.read_text()):
                document = match["document"] or document
                asked = {"query": document, "variables": json.loads(match["variables"])}
                headers = json.loads(match["headers"] or "{}")
                answer = httpx.post(f"{gateway.url}/graphql", json=asked, headers=headers).json()
                assert answer == json.loads(match["answer"]), (page.name, match["name"])


def test_no_run_is_passed_over():
    assert [match["name"] for match in RUNS.finditer(README.read_text())] == ["find", "read", "patch", "refusal"]
    assert len(RUNS.findall(TEXT)) == TEXT.count("<!-- run: ")


def test_no_example_is_cut_on_a_page():
    """GitHub shows 112 characters of a line in a window of 1280 pixels."""
    # What a command prints is as wide as it is.
    shown = [body for marker, _, body in BLOCKS if marker != "apply: summary"]
    long = [line for body in shown for line in body.splitlines() if len(line) > 112]
    assert long == []


def test_the_readme_is_short_and_leads_to_every_page():
    text = README.read_text()
    assert len(text.encode()) < 14_000
    for page in PAGES[1:]:
        assert f"| [{page.stem}](.github/docs/{page.name}) |" in text


@pytest.mark.parametrize("wiring", ["local", pytest.param("over_the_sandbox", marks=pytest.mark.slow)])
def test_a_forms_whole_way_is_the_readmes(request, wiring):
    """Find the company, find the supplier, read it, offer the codes, change it: each id and code from the step before."""
    started = request.getfixturevalue(wiring)

    def ask(name, **variables):
        sent = {"query": marked("way"), "operationName": name, "variables": variables}
        body = httpx.post(f"{started.url}/graphql", json=sent).json()
        assert "errors" not in body, body
        return body["data"]

    companies = ask("Companies")["companies"]
    assert not companies["pageInfo"]["hasNextPage"]
    [company] = [item["companyId"] for item in companies["nodes"] if item["name"] == "Alpha Trading BV"]
    [found] = [
        item for item in ask("Suppliers", companyId=company)["suppliers"]["nodes"] if item["name"] == "Blue Bikes"
    ]
    supplier = ask("Supplier", id=found["id"])["supplier"]
    assert (supplier["code"], supplier["company"]["companyId"]) == (found["code"], company)
    codes = {item["code"] for item in ask("Codes", companyId=company)["vatCodes"]["nodes"]}
    [chosen] = codes & {"SE25"}
    assert supplier["vatCode"]["code"] in codes - {chosen}
    wanted = {"company": {"companyId": company}, "name": supplier["name"], "vatCode": {"code": chosen}}
    changed = ask("Change", id=found["id"], input=wanted)["updateSupplier"]["supplier"]
    assert changed == {"id": found["id"], "name": "Blue Bikes", "vatCode": {"code": chosen}}
    assert ask("Supplier", id=found["id"])["supplier"]["vatCode"] == {"code": chosen}
