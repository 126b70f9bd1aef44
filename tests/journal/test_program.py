"""The journal as its users meet it: over HTTP, across a restart, for callers and persons, and at the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket

import httpx
import pytest

from app.__main__ import main
from tests.processes import program, run
from tests.resilience.load import Connection
from tests.resilience.neighbour import rest_settings
from tests.resilience.test_sequences import Held
from tests.upstream.bad_server import BadServer, answer

CUSTOMER = "c0000000-0000-4000-8000-000000000001"
UPDATE = {
    "query": "mutation($id: UUID!, $input: UpdateCustomerInput!) "
    "{ updateCustomer(id: $id, input: $input) { replayed customer { name } userErrors { reason } } }",
    "variables": {
        "id": CUSTOMER,
        "input": {"company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": "Ann"},
    },
}
ENTRIES = {"query": "{ updates { nodes { id outcome caller idempotencyKey replayed requestId } } }"}
TOKENS = {"shop": "shop-token-0123456789", "audit": "audit-token-0123456789", "till": "till-token-0123456789"}


def tokens(**scopes):
    return ",".join(
        f"{name}:{hashlib.sha256(TOKENS[name].encode()).hexdigest()}:{'+'.join(scopes[name])}" for name in scopes
    )


def ask(gateway, caller, body, **headers):
    headers = {
        "authorization": f"Bearer {TOKENS[caller]}",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return httpx.post(f"{gateway.url}/graphql", json=body, headers=headers).json()


@pytest.fixture
def listed(tmp_path, monkeypatch, capsys):
    """The lines that `python -m app journal` prints in the folder of the gateway."""

    def lines(*arguments):
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        assert main(["journal", *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    return lines


def test_keys_hold_across_a_restart_and_belong_to_their_caller(tmp_path, listed):
    write = ["customers:write", "customers:read", "updates:read"]
    settings = {"GATEWAY_CALLER_TOKENS": tokens(shop=write, till=write, audit=["updates:read-all"])}
    with program(tmp_path, **settings) as gateway:
        for replayed in (False, True):
            told = ask(gateway, "shop", UPDATE, idempotency_key="k-1", x_request_id=f"first-{replayed}")
            assert told["data"]["updateCustomer"] == {
                "replayed": replayed,
                "customer": {"name": "Ann"},
                "userErrors": [],
            }
    with program(tmp_path, **settings) as gateway:
        told = ask(gateway, "shop", UPDATE, idempotency_key="k-1")
        assert told["data"]["updateCustomer"]["replayed"] is True
        other = {**UPDATE, "variables": {**UPDATE["variables"], "id": CUSTOMER[:-1] + "2"}}
        told = ask(gateway, "shop", other, idempotency_key="k-1")
        assert told["data"]["updateCustomer"]["userErrors"] == [{"reason": "IDEMPOTENCY_KEY_REUSED"}]
        told = ask(gateway, "till", UPDATE, idempotency_key="k-1")
        assert told["data"]["updateCustomer"]["replayed"] is False
        seen = {who: ask(gateway, who, ENTRIES)["data"]["updates"]["nodes"] for who in ("shop", "till", "audit")}
        assert [node["caller"] for node in seen["audit"]] == ["till", "shop"]
        assert [[node["caller"] for node in seen[who]] for who in ("shop", "till")] == [["shop"], ["till"]]
        assert (seen["shop"][0]["replayed"], seen["shop"][0]["requestId"]) == (2, "first-False")
        metrics = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {TOKENS['audit']}"})
        assert metrics.status_code == 403
    printed = [json.loads(line) for line in listed("--json")]
    assert [(entry["caller"], entry["outcome"], entry["callerGone"]) for entry in printed] == [
        ("till", "APPLIED", False),
        ("shop", "APPLIED", False),
    ]
    table = listed("--record", CUSTOMER, "--since", "1h")
    assert table[0].split() == ["BEGUN", "OUTCOME", "MUTATION", "RECORD", "REASON", "CALLER", "REQUEST"]
    assert len(table) == 3
    assert listed("--unknown", "--json") == []
    with pytest.raises(SystemExit, match="2"):
        listed("--record", "nonsense")


def test_without_a_store_there_is_nothing_to_print_and_nothing_is_made(tmp_path):
    ended = run(tmp_path, "journal")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_store_that_cannot_be_opened_ends_the_start_only_where_the_journal_is_asked_for(tmp_path):
    rest = {
        "GATEWAY_BASECONE_MODE": "rest",
        "GATEWAY_BOKAMERA_MODE": "rest",
        "GATEWAY_STORE_URL": f"sqlite:///{tmp_path}/nowhere/gateway.db",
    }
    ended = run(tmp_path, GATEWAY_JOURNAL="true", **rest)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("GATEWAY_STORE_URL: ")
    with program(tmp_path, **rest) as gateway:
        error = httpx.post(f"{gateway.url}/graphql", json=UPDATE, headers={"idempotency-key": "k"}).json()
        assert error["data"]["updateCustomer"]["userErrors"] == [{"reason": "IDEMPOTENCY_NOT_AVAILABLE"}]
    assert "no journal is kept" in gateway.output()


async def abandoned(folder):
    """An update whose caller's connection is closed while the backend is at it."""
    body = json.dumps(UPDATE).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    held = Held(answer(204))
    async with BadServer(held) as server:
        settings = rest_settings(dict.fromkeys(("basecone", "bokamera"), server.url))
        with program(folder, **settings) as gateway:
            host, port = gateway.url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head.encode() + body)
                await held.arrived.wait()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # ends with a reset
            # The gateway has seen that end once a later connection is answered.
            with contextlib.closing(Connection(host, int(port))) as later:
                assert (await later.get("/health/live"))[0] == 200
            held.release.set()
            gateway.process.terminate()
            assert await asyncio.to_thread(gateway.process.wait, 600) == 0


@pytest.mark.slow
def test_a_caller_that_has_gone_is_noted(tmp_path, listed):
    """The update is made, and nobody hears of it."""
    asyncio.run(abandoned(tmp_path))
    printed = [json.loads(line) for line in listed("--json")]
    assert [(entry["outcome"], entry["callerGone"]) for entry in printed] == [("APPLIED", True)]
