"""A page of another origin, in a real browser with its real preflight: it works with one setting, and not without it."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.external.tools import HERE, Tools, need, serving

pytestmark = pytest.mark.external

SUPPLIER = "50000000-0000-4000-8000-000000000001"
CHANGE = {"id": SUPPLIER, "patch": {"email": "orders@example.com"}}
# What a page of this kind sends without being asked, beside the key that it chose.
SENT = {"idempotency-key", "traceparent", "apollographql-client-name", "apollographql-client-version", "content-type"}


@contextlib.contextmanager
def page_in(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def origin(tools: Tools) -> Iterator[str]:
    site = tools.folder / "site"
    site.mkdir()
    (tools.folder / "shop.js").write_text((HERE / "shop.js").read_text())
    tools.run("esbuild", "shop.js", "--bundle", "--minify", "--log-level=error", f"--outfile={site / 'shop.bundle.js'}")
    (site / "index.html").write_text('<!doctype html><meta charset="utf-8"><script src="shop.bundle.js"></script>')
    with page_in(site) as address:
        yield address


def seen(tools: Tools, origin: str, gateway: str) -> Any:
    environment = {"CHROMIUM": need("chromium")}
    return tools.node("origin.mjs", origin, gateway, json.dumps(CHANGE), "order-4711", env=environment)


def test_a_page_of_another_origin_works_with_one_setting(tools: Tools, origin: str, tmp_path: Path) -> None:
    with serving(tmp_path, cors_origins=origin) as gateway:
        said = seen(tools, origin, gateway)
    first, again = (answer["answered"] for answer in said["answers"])
    assert (first["supplier"]["email"], first["userErrors"], first["replayed"]) == ("orders@example.com", [], False)
    assert (again["supplier"], again["replayed"]) == (first["supplier"], True)
    preflights = [item for item in said["sent"] if item["method"] == "OPTIONS"]
    posts = [item for item in said["sent"] if item["method"] == "POST"]
    # The second one's is answered from the browser's memory.
    assert [item["initiator"] for item in preflights] == ["preflight"]
    named = {name.strip() for name in preflights[0]["headers"]["access-control-request-headers"].split(",")}
    assert named == SENT
    assert all(item["headers"].keys() >= SENT and item["headers"]["origin"] == origin for item in posts)
    assert len(posts) == 2
    assert "preflight" not in (tmp_path / "gateway.log").read_text()


def test_without_the_setting_the_log_names_it(tools: Tools, origin: str, tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        said = seen(tools, origin, gateway)
    assert all("Failed to fetch" in answer["failed"] for answer in said["answers"])
    assert {item["method"] for item in said["sent"] if item.get("headers")} == {"OPTIONS"}
    lines = [json.loads(line) for line in (tmp_path / "gateway.log").read_text().splitlines()]
    (refused,) = [line for line in lines if "preflight" in line["message"]]
    assert refused["message"] == "a browser's preflight was refused; GATEWAY_CORS_ORIGINS decides"
    assert (refused["level"], refused["origin"]) == ("warning", origin)
    # Nothing that writes was executed.
    assert not [line for line in lines if line.get("kind") == "mutation"]
