"""The command line: what it prints, and the exit code that a bad start ends with."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile

import httpx
import pytest

from app.__main__ import COMMANDS, main
from app.apis import APIS
from app.config import SettingsError, read_settings
from tests.forks import fork
from tests.harness import fill
from tests.processes import PATIENCE, ROOT, UNREAD, environment, program, run, unread
from tests.readme_tables import fields

# A setting that cannot be used, and what the one line must name.
BAD = [
    ({"GATEWAY_PORT": "eighty"}, "GATEWAY_PORT"),
    ({"GATEWAY_PORT": "70000"}, "GATEWAY_PORT"),
    ({"GATEWAY_PROT": "8000"}, "GATEWAY_PROT is not a setting; did you mean GATEWAY_PORT?"),
    ({"GATEWAY_WORKERS": "0"}, "GATEWAY_WORKERS"),
    ({"GATEWAY_BASECONE_MODE": "soap"}, "GATEWAY_BASECONE_MODE"),
    ({"GATEWAY_BASECONE_URL": "ftp://secret-host"}, "GATEWAY_BASECONE_URL"),
    ({"GATEWAY_BASECONE_PASSWORD": "secret-value"}, "GATEWAY_BASECONE_PASSWORD is not a setting"),
    ({"GATEWAY_BASECONE_CLIENT_IDENTIFIER": "secret:value"}, "GATEWAY_BASECONE_CLIENT_IDENTIFIER"),
    ({"GATEWAY_BOKAMERA_USERNAME": "secret-value"}, "GATEWAY_BOKAMERA_"),
    ({"GATEWAY_STORE_URL": "mysql://user:secret-value@host/db"}, "GATEWAY_STORE_URL: "),
    ({"GATEWAY_STORE_URL": "sqlite:////nowhere/at/all/gateway.db"}, "GATEWAY_STORE_URL: "),
    ({"GATEWAY_STORE_URL": "postgresql://user:secret-value@127.0.0.1:1/db"}, "GATEWAY_STORE_URL: "),
    ({"GATEWAY_TRUSTED_ONLY": "true"}, "GATEWAY_TRUSTED_ONLY"),
    ({"GATEWAY_TRUSTED_DOCUMENTS": "nowhere.json"}, "GATEWAY_TRUSTED_DOCUMENTS"),
    (
        {"GATEWAY_PRODUCTION": "true", "GATEWAY_BASECONE_MODE": "local", "GATEWAY_BOKAMERA_MODE": "local"},
        "GATEWAY_PRODUCTION",
    ),
]


@pytest.mark.parametrize(
    "cases", [pytest.param(BAD[::5], id="some"), pytest.param(BAD, id="all", marks=pytest.mark.slow)]
)
def test_a_bad_setting_stops_the_start_with_one_line_that_names_it(tmp_path, cases):
    for settings, named in cases:
        ended = run(tmp_path, **settings)
        assert ended.returncode == 2, settings
        assert len(ended.stderr.splitlines()) == 1, settings
        assert named in ended.stderr
        assert "secret" not in ended.stderr + ended.stdout
        assert not list(tmp_path.iterdir()), settings


def test_a_bad_env_file_is_told_the_same_way(tmp_path):
    (tmp_path / ".env").write_text("# ours\nGATEWAY_PROT=1\nOTHER=2\n")
    ended = run(tmp_path)
    assert (ended.returncode, ended.stderr) == (2, "GATEWAY_PROT is not a setting; did you mean GATEWAY_PORT?\n")


ENV_FILES = {
    "no equals sign": ("OTHER\nGATEWAY_PORT 8000\n", ".env: line 2 is not NAME=value"),
    "a name alone": ("\nGATEWAY_PORT\n", ".env: line 2 is not NAME=value"),
    "a mark in front": ("\ufeffGATEWAY_PORT=x\n", "GATEWAY_PORT: "),
    "Windows line ends": ("GATEWAY_WORKERS=1\r\nGATEWAY_PORT=x\r\n", "GATEWAY_PORT: "),
    "the assignment in quotes": ('export "GATEWAY_PORT=1"\n', ".env: line 1 is not NAME=value"),
    "the name in quotes": ('\n"GATEWAY_PORT"="1"\n', ".env: line 2 is not NAME=value"),
    "of PowerShell": ('$env:GATEWAY_PORT="1"\n', ".env: line 1 is not NAME=value"),
    "as it is read by a shell": ("$GATEWAY_PORT=1\n", ".env: line 1 is not NAME=value"),
    "behind an invisible character": ("\u200bGATEWAY_PORT=1\n", ".env: line 1 is not NAME=value"),
    "of a file of properties": ("GATEWAY.PORT=1\n", ".env: line 1 is not NAME=value"),
    "with another dash": ("GATEWAY-PORT=1\n", ".env: line 1 is not NAME=value"),
    "a colon before the sign": ("GATEWAY_PORT:=1\n", ".env: line 1 is not NAME=value"),
    "others' names": ("my.gateway=1\nMY_GATEWAY_PORT=2\nGATEWAY_PORT=x\n", "GATEWAY_PORT: "),
    "exported and quoted": ("export GATEWAY_PORT='x y' # ours\n", "GATEWAY_PORT: "),
}


@pytest.mark.parametrize("case", ENV_FILES)
def test_no_line_of_an_env_file_that_names_a_setting_is_passed_over(tmp_path, case):
    content, named = ENV_FILES[case]
    (tmp_path / ".env").write_bytes(content.encode())
    with pytest.raises(SettingsError) as refused:
        read_settings(APIS, {}, tmp_path / ".env")
    assert named in str(refused.value)


def test_an_env_file_is_read_and_the_environment_wins(tmp_path):
    (tmp_path / ".env").write_text("GATEWAY_STORE_URL=sqlite:///from-file.db\nGATEWAY_PORT=not-used\n")
    with program(tmp_path) as gateway:
        assert httpx.get(f"{gateway.url}/health/ready").json() == {"status": "ready"}
    assert (tmp_path / "from-file.db").is_file()


def test_an_address_in_use_is_told_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = run(tmp_path, GATEWAY_PORT=str(taken.getsockname()[1]))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "cannot listen on 127.0.0.1" in ended.stderr


def test_help_version_and_schema_answer(tmp_path):
    assert "sandbox" in run(tmp_path, "--help").stdout
    assert run(tmp_path, "--version").returncode == 0
    assert run(tmp_path, "schema", anew=True).stdout == (ROOT / "schema.graphql").read_text()
    assert run(tmp_path, "nonsense").returncode == 2


@pytest.mark.parametrize("stream", UNREAD)
async def test_a_command_whose_reader_is_gone_ends_in_order(tmp_path, stream):
    """A full disk, and `| head` that has enough."""
    await fill(tmp_path / "gateway.db")
    for command in ("schema", "typescript", "journal", "check"):
        with unread(stream) as out, tempfile.TemporaryFile("w+") as errors:
            ended = fork(tmp_path, [command], environment({}), out, errors.fileno()).wait(60)
            errors.seek(0)
            said = errors.read()
        expected = f"python -m app {command}: No space left on device\n" if stream == "full" else ""
        assert (said, ended) == (expected, 1), command


async def test_a_closed_output_is_nobodys_loss(tmp_path):
    await fill(tmp_path / "gateway.db")
    order = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "app", "journal"]
    ended = await asyncio.create_subprocess_exec(*order, cwd=tmp_path, env=environment({}), stderr=subprocess.PIPE)
    assert (await ended.communicate(), ended.returncode) == ((None, b""), 0)


@pytest.mark.parametrize(("closed", "numbers"), [("2>&-", {"2"}), ("<&- >&- 2>&-", {"0", "1", "2"})])
def test_no_file_of_ours_gets_the_number_of_a_stream_that_is_closed(tmp_path, closed, numbers):
    """Whatever prints, a library in C too, would write into the store or to a client."""
    code = """import contextlib, json, os, pathlib
from app.__main__ import main
with contextlib.suppress(SystemExit):
    main(["--version"])
seen = {number: os.readlink(f"/proc/self/fd/{number}") for number in range(3)}
pathlib.Path("seen").write_text(json.dumps([seen, os.open("seen", os.O_CREAT)]))"""
    shell = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code]
    subprocess.run(shell, cwd=tmp_path, env=environment({}), stdin=subprocess.DEVNULL, capture_output=True, check=True)
    seen, next_number = json.loads((tmp_path / "seen").read_text())
    assert {seen[number] for number in numbers} == {"/dev/null"}
    assert next_number > 2


WORDS = {
    "GATEWAY_PORT=x": "GATEWAY_PORT: must be a whole number",
    "GATEWAY_PORT=-1": "GATEWAY_PORT: must be greater than or equal to 0",
    "GATEWAY_HEAD_SECONDS=soon": "GATEWAY_HEAD_SECONDS: must be a number",
    "GATEWAY_TRACES=perhaps": "GATEWAY_TRACES: must be true or false",
    "GATEWAY_JOURNAL_SECRET=short": "GATEWAY_JOURNAL_SECRET: must have at least 16 characters",
    "GATEWAY_BOKAMERA_USERNAME=anna": (
        "GATEWAY_BOKAMERA_*: TOKEN_URL, CLIENT_ID, PASSWORD not set, and belong together with USERNAME"
    ),
    "GATEWAY_LOG_LEVEL=loud": "GATEWAY_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error'",
    "GATEWAY_BASECONE_URL=ftp://x": "GATEWAY_BASECONE_URL: is no URL: write https:// and a host",
    "GATEWAY_HOSTS=x": "GATEWAY_HOSTS is not a setting; did you mean GATEWAY_HOST?",
    "GATEWAY_PROXY=x": "GATEWAY_PROXY is not a setting; did you mean GATEWAY_PROXY_URL?",
    "GATEWAY_TIMEOUT=3": "GATEWAY_TIMEOUT is not a setting",
    "GATEWAY_BASECONE_PASSWORD=x": "GATEWAY_BASECONE_PASSWORD is not a setting",
}


def test_a_start_tells_every_wrong_setting_at_once_and_in_words(tmp_path):
    settings = dict(setting.split("=", 1) for setting in WORDS if not setting.endswith("-1"))
    ended = run(tmp_path, GATEWAY_PRODUCTION="true", **settings)
    lines = ended.stderr.splitlines()
    expected = [text for setting, text in WORDS.items() if not setting.endswith("-1")]
    assert ended.returncode == 2
    assert all(line.startswith("GATEWAY_") for line in lines)
    for text in expected:
        assert text in lines
    assert any(line.startswith("GATEWAY_PRODUCTION: callers must be") for line in lines)
    # pydantic's own words are nowhere.
    assert not [line for line in lines if re.search("Value|Input|String|items|validation|regex|pattern", line)]


def test_every_help_text_spells_names_as_they_are(capsys):
    texts = []
    for arguments in ([], *([command] for command in COMMANDS)):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        texts.append(capsys.readouterr().out)
    name = r"(?<![-/])\b(?:graphql|rest(?= (?:api|mode|update))|json|typescript)\b"
    names = set(re.findall(name, "\n".join(texts), re.IGNORECASE)) - {*COMMANDS}
    assert names == {"GraphQL", "REST", "JSON", "TypeScript"}


@pytest.mark.parametrize("command", [(), pytest.param(("sandbox",), marks=pytest.mark.slow)], ids=["serve", "sandbox"])
def test_sigterm_ends_it_in_order(tmp_path, command):
    with program(tmp_path, *command, anew=True) as started:
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_several_workers_serve_one_store(tmp_path):
    with program(tmp_path, GATEWAY_WORKERS="2") as gateway:
        answer = httpx.post(f"{gateway.url}/graphql", json={"query": "{ __typename }"})
        assert answer.json() == {"data": {"__typename": "Query"}}
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE) == 0


def test_every_line_of_the_log_is_json_and_no_query_is_in_it(tmp_path):
    """Of several workers, too: each of them makes its own loggers."""
    with program(tmp_path, GATEWAY_WORKERS="2") as gateway:
        for _ in range(4):
            httpx.get(
                f"{gateway.url}/graphql",
                params={"query": 'query($s: String) { a: errorCatalog(mutation: "Jansenius") { reason } }'},
            )
            httpx.get(f"{gateway.url}/health/live?name=Jansenius")
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(PATIENCE)
    lines = [json.loads(line) for line in gateway.output().splitlines()]
    assert "Jansenius" not in gateway.output()
    assert {line["logger"] for line in lines} == {
        "app",
        "app.journal.journal",
        "app.telemetry.operations",
        "uvicorn.error",
    }


def test_every_setting_is_described():
    assert all(field.description for _, field in fields())


@pytest.mark.slow
@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("127.0.0.1:80", 200), ("rebound.example", 421)])
def test_an_open_gateway_answers_for_this_machines_names_alone(tmp_path_factory, host, status):
    """A page that lets its own name point to loopback reaches nothing."""
    with program(tmp_path_factory.mktemp("hosts")) as gateway:
        answer = httpx.post(f"{gateway.url}/graphql", json={"query": "{ __typename }"}, headers={"host": host})
    assert answer.status_code == status
