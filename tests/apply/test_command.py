"""`python -m app apply` in process, against real gateways: its words, exit codes, and every way a gateway knows callers."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import json
import re
import ssl
import stat
import subprocess
import sys

import pytest
import trustme

from app.__main__ import _parser
from app.apis import APIS
from app.apply.command import apply
from app.graphql.bulk_documents import bulks
from tests.apply.running import SUPPLIERS, CountingSandbox, gateway
from tests.apply.test_run import reply, results
from tests.edge.test_authentication import AUDIENCE, ISSUER, KEY, jwks, signed
from tests.harness import schema_of
from tests.processes import ROOT, UNREAD, environment, unread
from tests.upstream.bad_server import BadServer

PAGE = ROOT / ".github/docs/bulk.md"
SCHEMA = schema_of(tuple(APIS))._schema
FIRST, SECOND, THIRD = SUPPLIERS[:3]
TOKEN = "shop-token-0123456789"


def table(*rows, header=("id", "patch.email", "patch.vatCode.code")):
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


GOOD = table((FIRST, "a@example.com", ""), (SECOND, "b@example.com", "NL9"))


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Runs it in a folder of its own: the exit code and what it printed."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    async def run(url, content=None, *arguments, file="file.csv", mutation="patchSupplier"):
        if content is not None:
            (folder / file).write_text(content)
        given = ["apply", file, "--url", url, *(["--mutation", mutation] if mutation else []), *arguments]
        code = await asyncio.to_thread(apply, _parser().parse_args(given), SCHEMA)
        return code, *capsys.readouterr()

    run.folder = folder
    return run


def kept(folder, name="file.csv.results.ndjson"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


async def test_a_file_is_applied_corrected_and_gone_on_with(tmp_path, command):
    bad = table((FIRST, "a@example.com", ""), (SECOND, "b@example.com", "NL99"), (THIRD, "c@example.com", ""))
    async with CountingSandbox(tmp_path).serving() as settings, gateway(tmp_path, **settings) as url:
        code, out, err = await command(url, bad)
        assert (code, err) == (1, "")
        assert out.splitlines()[0] == "3 rows: 2 APPLIED, 1 NOT_APPLIED"
        assert re.search(
            r"\n +1  NOT_APPLIED  VAT_CODE_INVALID +3 *\n +The VatCode value provided is invalid\. *\n", out
        )
        again = out.splitlines()[-1].split(": ", 1)[1]
        assert again == (
            f"python -m app apply file.csv --mutation patchSupplier --results file.csv.results.ndjson --url {url} "
            "--resume --retry-failed"
        )
        path = command.folder / "file.csv.results.ndjson"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [(line["line"], line["id"], line["outcome"], line["inputPath"]) for line in kept(command.folder)] == [
            (2, FIRST, "APPLIED", None),
            (3, SECOND, "NOT_APPLIED", ["patch", "vatCode", "code"]),
            (4, THIRD, "APPLIED", None),
        ]
        # The same again is refused, and so is going on while nothing is left to do.
        assert (await command(url, None))[::2] == (
            2,
            "file.csv.results.ndjson exists: go on with it by --resume, or name another one by --results\n",
        )
        assert (await command(url, None, "--resume"))[0] == 1
        assert len(kept(command.folder)) == 3
        (command.folder / "file.csv").write_text(bad.replace("NL99", "NL9"))
        code, out, _ = await command(url, None, *again.split()[11:])
        assert (code, out) == (0, "3 rows: 3 APPLIED\nEach row's result is in file.csv.results.ndjson\n")
    assert len({line["key"] for line in kept(command.folder)}) == 3


@pytest.mark.parametrize("stream", UNREAD)
async def test_a_summary_that_nobody_reads_changes_no_exit_code(tmp_path, stream):
    """What was applied is applied: by the code, and by the file of results."""
    (tmp_path / "file.csv").write_text(GOOD)
    async with CountingSandbox(tmp_path).serving() as settings, gateway(tmp_path, **settings) as url:
        order = [sys.executable, "-m", "app", "apply", "file.csv", "--url", url, "--mutation", "patchSupplier"]
        with unread(stream) as out:
            ended = await asyncio.create_subprocess_exec(
                *order, cwd=tmp_path, env=environment({}), stdout=out, stderr=subprocess.PIPE
            )
            _, said = await ended.communicate()
    assert (ended.returncode, [one["outcome"] for one in kept(tmp_path)]) == (0, ["APPLIED"] * 2)
    assert b"Traceback" not in said


async def test_every_put_is_sent_once_and_none_in_a_dry_run(tmp_path, command):
    sandbox = CountingSandbox(tmp_path)
    rows = [
        (FIRST.replace("5", "6") if number == 7 else record, f"m{number}@example.com", "")
        for number, record in enumerate(SUPPLIERS)
    ]
    async with sandbox.serving() as settings, gateway(tmp_path, **settings) as url:
        for _ in range(2):  # it leaves nothing behind
            code, out, _ = await command(url, table(*rows), "--dry-run")
            assert (code, out.splitlines()[0]) == (1, "88 rows: 1 NOT_APPLIED, 87 PREVIEWED")
        assert (sandbox.puts, [path.name for path in command.folder.iterdir()]) == ({}, ["file.csv"])
        code, out, _ = await command(url, None, "--results", "mine.ndjson")
        assert (code, out.splitlines()[0]) == (1, "88 rows: 87 APPLIED, 1 NOT_APPLIED")
        assert (await command(url, None, "--results", "mine.ndjson", "--resume"))[0] == 1
    assert set(sandbox.puts.values()) == {1}
    assert len(sandbox.puts) == 87
    assert [line["outcome"] for line in kept(command.folder, "mine.ndjson")].count("APPLIED") == 87


async def test_an_unknown_row_is_asked_or_looked_up_and_never_sent_again(tmp_path, command):
    """The backend applied the second row, and nobody was told."""
    sandbox = CountingSandbox(tmp_path, lost={"b@example.com"})
    path = command.folder / "file.csv.results.ndjson"

    def outcomes():
        return [(line["outcome"], line["reason"], line["replayed"]) for line in kept(command.folder)]

    async with sandbox.serving() as settings, gateway(tmp_path, **settings) as url:
        code, out, _ = await command(url, GOOD)
        assert (code, out.splitlines()[-1].split()[-1]) == (1, "--resume")
        first, unknown = outcomes()
        assert (first, unknown[0], unknown[2]) == (("APPLIED", None, False), "UNKNOWN", False)
        for arguments in ((), ("--retry-failed",)):
            assert (await command(url, None, "--resume", *arguments))[0] == 1
            assert outcomes() == [first, (*unknown[:2], True)]
        # As if the first answer had been lost, and the keys were old by now.
        path.write_text(path.read_text().replace('"APPLIED"', '"UNKNOWN"'))
        assert (await command(url, None, "--resume", "--idempotency-hours", "0"))[0] == 1
        assert outcomes() == [first, (*unknown[:2], False)]
    assert sandbox.puts == {"a@example.com": 1, "b@example.com": 1}


async def test_a_caller_s_own_credentials_go_to_their_backend_and_nowhere_else(tmp_path, command):
    """The clerk may not change bank accounts; the gateway's own user may."""
    clerk = base64.b64encode(b":".join(f"d{n}000000-0000-4000-8000-000000000002".encode() for n in (0, 1))).decode()
    (command.folder / "credentials").write_text(f"# the clerk\n\nX-Basecone-Authorization:  Basic {clerk} \n")
    banks = table(
        (FIRST, "NL91ABNA0417164300", "true"),
        header=("id", "patch.bankAccounts.0.iban", "patch.bankAccounts.0.default"),
    )
    async with CountingSandbox(tmp_path).serving() as settings, gateway(tmp_path, **settings) as url:
        code, out, err = await command(url, banks, "--credentials-file", "credentials")
        assert (code, err) == (1, "")
        assert kept(command.folder)[0]["code"] == "FORBIDDEN"
        assert "--credentials-file credentials --results" in out.splitlines()[-1]
        told = out + (command.folder / "file.csv.results.ndjson").read_text()
        assert clerk not in told
        assert (await command(url, None, "--resume", "--retry-failed"))[0] == 0


async def test_a_row_in_doubt_is_not_sent_to_a_gateway_that_does_not_know_its_key(tmp_path, command):
    """Another store, or another caller, stands behind the same address by now."""
    sandbox = CountingSandbox(tmp_path, lost={"b@example.com"})
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    async with sandbox.serving() as settings:
        async with gateway(tmp_path / "one", **settings) as url:
            assert (await command(url, GOOD))[0] == 1
        before = kept(command.folder)
        assert [line["outcome"] for line in before] == ["APPLIED", "UNKNOWN"]
        async with gateway(tmp_path / "other", **settings) as url:
            code, _, err = await command(url, None, "--resume")
            assert (code, err.startswith("the gateway does not know the rows that are applied")) == (2, True)
            assert kept(command.folder) == before
        async with gateway(tmp_path / "one", **settings) as url:
            assert (await command(url, None, "--resume"))[0] == 1
    assert sandbox.puts == {"a@example.com": 1, "b@example.com": 1}


async def test_one_file_takes_each_mutation(tmp_path, command):
    patch, whole = {"name": "Anna"}, {"name": "Anna", "company": {"companyId": "a0000000-0000-4000-8000-000000000001"}}
    customer, booking = (f"{kind}0000000-0000-4000-8000-000000000001" for kind in "cb")
    lines = [
        {"mutation": "patchSupplier", "id": FIRST, "patch": patch},
        {"mutation": "updateSupplier", "id": FIRST, "input": whole, "skipCreationInAccountingSystem": True},
        {"mutation": "patchCustomer", "id": customer, "patch": patch},
        {"mutation": "updateCustomer", "id": customer, "input": whole},
        {"mutation": "updateBookingCustomer", "id": booking, "input": {"email": "anna@example.com"}},
        # The gateway begins no bulk with this one.
        {"mutation": "patchSupplier", "id": FIRST, "patch": {"metadata": dict.fromkeys(map(str, range(300)), "a")}},
    ]
    assert {line["mutation"] for line in lines} == set(bulks(SCHEMA))
    async with gateway(tmp_path) as url:
        code, out, err = await command(url, "\n".join(map(json.dumps, lines)), mutation=None)
    assert err == ""
    assert (code, out.splitlines()[0]) == (1, "6 rows: 5 APPLIED, 1 NOT_APPLIED")
    last = kept(command.folder)[-1]
    assert (last["line"], last["reason"], last["inputPath"]) == (6, "LIST_TOO_LONG", ["patch", "metadata"])


def shown(name):
    (block,) = re.findall(rf"<!-- apply: {name} -->\n```[a-z]+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return block


async def test_the_page_shows_what_it_prints(tmp_path, command):
    dry, real = (line.split()[5:] for line in shown("commands").splitlines())
    async with gateway(tmp_path) as url:
        assert (await command(url, shown("file"), *dry, file="suppliers.csv", mutation=None))[0] == 1
        code, out, _ = await command(url, None, *real, file="suppliers.csv", mutation=None)
        assert code == 1
        printed = [line.rstrip() for line in out.replace(f" --url {url}", "").splitlines()]
        assert printed == shown("summary").splitlines()
        again = shown("summary").splitlines()[-1].split()[12:]
        fixed = shown("file").replace("NL99", "NL9")
        assert (await command(url, fixed, *again, file="suppliers.csv", mutation=None))[0] == 0


WRONG = {
    "a file that is not there": ([], None, "file.csv: cannot be read: No such file or directory"),
    "a wrong file": ([], table((FIRST, "a", "\\x"), ("1", "b", "")), "line 2, patch.vatCode.code: a text that begins"),
    "another mutation": (["--mutation", "patchAll"], GOOD, "--mutation: patchAll is no mutation; there are "),
    "a dry run that goes on": (["--dry-run", "--resume"], GOOD, "--dry-run: writes nothing"),
    "a first run that retries": (["--retry-failed"], GOOD, "--retry-failed: needs --resume"),
    "going on without results": (["--resume"], GOOD, "file.csv.results.ndjson cannot be gone on with: No such file"),
    "results that are there": (["--results", "file.csv"], GOOD, "file.csv exists"),
    "results that are the file": (["--results", "file.csv", "--resume"], GOOD, "file.csv: line 1 is no result"),
    "results in no folder": (["--results", "none/results"], GOOD, "none/results cannot be written"),
    "a token file that is not there": (["--token-file", "none"], GOOD, "--token-file: none cannot be read: No such file"),
    "a token file of another kind": (["--token-file", "file.csv"], GOOD, "--token-file: file.csv does not hold one token"),
    **{
        f"credentials of {what}": (["--credentials-file", name], GOOD, f"--credentials-file: {name}{text}")
        for what, name, text in (
            ("no file", "none", " cannot be read: No such file"),
            ("another kind", "file.csv", ", line 1: does not begin with one of x-basecone-authorization, x-bokamera-"),
            ("a misspelled header", "misspelled", ", line 3: does not begin with one of "),
            ("one header twice", "twice", ", line 2: has x-basecone-authorization again"),
            ("a header without a value", "empty", ", line 1: has no value for x-basecone-authorization that"),
            ("a value that no header can carry", "odd", ", line 1: has no value for x-bokamera-api-key that"),
            ("comments alone", "nothing", " holds no credentials"),
        )
    },
    "no URL": (["--url", "localhost:8000"], GOOD, "--url: localhost:8000 is no http or https address"),
    "another scheme": (["--url", "ftp://127.0.0.1/graphql"], GOOD, "--url: ftp://127.0.0.1/graphql is no http or https"),
    "no host": (["--url", "http://"], GOOD, "--url: http:// is no http or https address"),
    "a password in the URL": (["--url", "http://me:secret@127.0.0.1/graphql"], GOOD, "--url: holds a password"),
}  # fmt: skip


CREDENTIALS = {
    "misspelled": "# ours\n\nx-basecone-authorisation: Basic secret\n",
    "twice": "x-basecone-authorization: Basic secret\nX-Basecone-Authorization: Basic secret\n",
    "empty": "x-basecone-authorization:  \n",
    "odd": "x-bokamera-api-key: s\u00ebcret\n",
    "nothing": "# x-basecone-authorization: Basic secret\n\n",
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_command_or_file_sends_nothing(command, case):
    arguments, content, expected = WRONG[case]
    for name, text in CREDENTIALS.items():
        (command.folder / name).write_text(text)
    async with BadServer(reply(200, results("APPLIED", "APPLIED"))) as server:
        code, out, err = await command(server.url, content, *arguments)
    assert (code, out, server.requests) == (2, "", [])
    assert err.startswith(expected)
    assert "cret" not in err
    assert not (command.folder / "file.csv.results.ndjson").exists()


@pytest.mark.parametrize("folder", ["/", ".", ".."])
async def test_a_folder_is_no_file(command, folder):
    code, out, err = await command("http://127.0.0.1:9", file=folder)
    assert (code, out) == (2, "")
    assert "cannot be read" in err


HOSTS = {
    "http://127.0.0.1:9": True,
    "http://localhost:9": True,
    "http://[::1]:9": True,
    "http://127.9.9.9:9": True,
    "https://gateway.invalid": True,
    "http://gateway.invalid": False,
    "http://10.0.0.1": False,
    "http://0.0.0.0:9": False,
    "http://localhost.gateway.invalid": False,
    "http://127.0.0.1.gateway.invalid": False,
    "http://gateway.invalid#127.0.0.1": False,
}


@pytest.mark.parametrize("url", HOSTS)
def test_a_token_is_sent_over_plain_http_to_this_machine_alone(url):
    from app.apply.client import Client, RefusedError

    if HOSTS[url]:
        Client(url, TOKEN)
    else:
        with pytest.raises(RefusedError, match="over plain http a token is sent to this machine alone"):
            Client(url, TOKEN)
    Client(url, None)


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_token_goes_over_tls_to_whom_the_machine_trusts(command, tmp_path, monkeypatch, trusted):
    authority, other = trustme.CA(), trustme.CA()
    (authority if trusted else other).cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    (tmp_path / "token").write_text(TOKEN)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with BadServer(reply(200, results("APPLIED", "APPLIED")), tls=tls) as server:
        code, _, err = await command(server.url, GOOD, "--token-file", str(tmp_path / "token"))
    brought = [request.headers.get("authorization") for request in server.requests]
    assert (code, brought) == ((0, [f"Bearer {TOKEN}"]) if trusted else (2, []))
    assert ("CERTIFICATE_VERIFY_FAILED" in err) == (not trusted)


def static(scopes="suppliers:write+suppliers:read+updates:read"):
    return {"GATEWAY_CALLER_TOKENS": f"shop:{hashlib.sha256(TOKEN.encode()).hexdigest()}:{scopes}"}


JWT = {"GATEWAY_JWT_ISSUER": ISSUER, "GATEWAY_JWT_AUDIENCE": AUDIENCE}
LOCAL = {"GATEWAY_BASECONE_MODE": "local", "GATEWAY_BOKAMERA_MODE": "local"}
SCOPED = "suppliers:write suppliers:read"
# Settings of the gateway, the token, the exit code and what is told.
CALLERS = {
    "nobody is asked, and a token is brought": ({}, TOKEN, 0, ""),
    "a static token of a file": (static(), f"\ufeff{TOKEN}\r\n", 0, ""),
    "a signed token": (JWT, lambda: signed(scope=SCOPED), 0, ""),
    "production": (static() | LOCAL | {"GATEWAY_PRODUCTION": "true"}, TOKEN, 0, ""),
    "trusted documents alone": ({"GATEWAY_TRUSTED_ONLY": "true"}, None, 0, ""),
    "no token": (static(), None, 2, "the gateway refused the request: CALLER_"),
    "an expired token": (JWT, lambda: signed(scope=SCOPED, exp=1), 2, "the gateway refused the request: CALLER_"),
    "no scope to read": (static("suppliers:write"), TOKEN, 2, "the gateway refused the request: SCOPE_MISSING: "),
    "no journal": ({"GATEWAY_JOURNAL": "false"}, None, 2, "IDEMPOTENCY_NOT_AVAILABLE: "),
    "small bulks": ({"GATEWAY_MAX_BULK": "1"}, None, 0, ""),
}


@pytest.mark.parametrize("case", CALLERS)
async def test_every_way_a_gateway_knows_its_callers(tmp_path, command, case):
    settings, token, expected, told = CALLERS[case]
    if "GATEWAY_TRUSTED_ONLY" in settings:
        (tmp_path / "trusted").mkdir()
        (tmp_path / "trusted" / "one.graphql").write_text("{ __typename }")
        settings = settings | {"GATEWAY_TRUSTED_DOCUMENTS": str(tmp_path / "trusted")}
    if "GATEWAY_JWT_ISSUER" in settings:
        (tmp_path / "keys.json").write_bytes(jwks(KEY))
        settings = settings | {"GATEWAY_JWT_KEY_FILE": str(tmp_path / "keys.json")}
    arguments = []
    if token is not None:
        (tmp_path / "token").write_text(token() if callable(token) else token)
        arguments = ["--token-file", str(tmp_path / "token")]
    async with gateway(tmp_path, **settings) as url:
        code, out, err = await command(url, GOOD, *arguments)
    assert (code, err.startswith(told), bool(err)) == (expected, True, bool(told))
    # Where nothing was sent, the same command may be given again.
    assert (command.folder / "file.csv.results.ndjson").exists() == (code == 0)
    assert TOKEN not in out + err


def test_the_documents_are_five_and_no_other_is_trusted_with_them():
    documents = [bulk.document for bulk in bulks(SCHEMA).values()]
    assert len(set(documents)) == 5


async def test_control_characters_of_a_backend_are_escaped_on_the_terminal(command):
    evil = "\x1b[2J\n\x1b]0;title\x07\u202eabc\x9b\rx[red]y"
    refused = results(("NOT_APPLIED", "VAT_CODE_INVALID", {"message": evil}), "APPLIED")
    async with BadServer(reply(200, refused)) as server:
        code, out, err = await command(server.url, GOOD, file="file\x1b[2J.csv")
    assert code == 1
    assert "\\x1b[2J\\n\\x1b]0;title\\x07\\u202eabc\\x9b\\rx[red]y" in out.replace("\n", "").replace(" ", "")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out + err)
    assert kept(command.folder, "file\x1b[2J.csv.results.ndjson")[0]["message"] == evil
