"""GraphQL over HTTP: statuses by media type, methods, bodies, headers."""

import json

import httpx
import pytest

from app.edge.settings import EdgeSettings
from tests.edge.serving import client, notebook_app, serve
from tests.graphql.asking import UPDATE
from tests.graphql.notebook import FIRST, LocalNotebook

JSON = "application/json"
GRJ = "application/graphql-response+json"
OK = {"query": "{ __typename }"}

HASH = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}
ENDLESS = b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 10_000 + b"}}"

# What is sent, and the status under application/json and under application/graphql-response+json.
STATUSES = {
    "success": (OK, 200, 200, None),
    "field error": ({"query": UPDATE, "variables": {"input": {"title": "taken"}}}, 200, 200, "TITLE_TAKEN"),
    "surprise": ({"query": UPDATE, "variables": {"input": {"title": "bug"}}}, 200, 200, "INTERNAL"),
    "syntax": ({"query": "{"}, 200, 400, "DOCUMENT_UNPARSABLE"),
    "validation": ({"query": "{ nope }"}, 200, 400, "DOCUMENT_INVALID"),
    "coercion": ({"query": UPDATE, "variables": {"input": {}}}, 200, 400, "VARIABLE_INVALID"),
    "no such operation": (OK | {"operationName": "x"}, 200, 400, "OPERATION_NOT_FOUND"),
    "limit": ({"query": "{" + " __typename" * 51 + "}"}, 200, 400, "TOO_MANY_ROOT_FIELDS"),
    "unknown hash": (HASH, 200, 400, "PERSISTED_QUERY_NOT_FOUND"),
    "wrong hash": (OK | HASH, 400, 400, "PERSISTED_QUERY_MISMATCH"),
    "no query": ({}, 400, 400, "REQUEST_MALFORMED"),
    "query no string": ({"query": 1}, 400, 400, "REQUEST_MALFORMED"),
    "variables no object": (OK | {"variables": [1]}, 400, 400, "REQUEST_MALFORMED"),
    "variables a string": (OK | {"variables": "{}"}, 400, 400, "REQUEST_MALFORMED"),
    "operationName no string": (OK | {"operationName": 1}, 400, 400, "REQUEST_MALFORMED"),
    "extensions no object": (OK | {"extensions": [1]}, 400, 400, "REQUEST_MALFORMED"),
    "nulls": (OK | {"variables": None, "operationName": None, "extensions": None}, 200, 200, None),
    "unknown member": (OK | {"colour": "red"}, 200, 200, None),
    "text": ("text", 400, 400, "REQUEST_MALFORMED"),
    "null": (None, 400, 400, "REQUEST_MALFORMED"),
    "batch": ([OK], 400, 400, "BATCH_NOT_ALLOWED"),
    "malformed": (b'{"query": "{ __typename }"', 400, 400, "JSON_MALFORMED"),
    "empty": (b"", 400, 400, "JSON_MALFORMED"),
    "no UTF-8": (b'{"query": "{ __typename } #\xff"}', 400, 400, "JSON_MALFORMED"),
    "half a surrogate pair": (b'{"query": "{ __typename } #\\ud800"}', 400, 400, "REQUEST_MALFORMED"),
    "not a number": (b'{"query": "{ __typename }", "variables": {"a": NaN}}', 400, 400, "JSON_MALFORMED"),
    "nested without end": (b"[" * 100_000, 400, 400, "REQUEST_MALFORMED"),
    "an endless number": (ENDLESS, 400, 400, "REQUEST_MALFORMED"),
}  # fmt: skip


@pytest.mark.parametrize("media", [JSON, GRJ])
@pytest.mark.parametrize(("content", "plain", "newer", "reason"), STATUSES.values(), ids=STATUSES)
async def test_status_by_media_type(content, plain, newer, reason, media):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    async with client() as http:
        answer = await http.post("/graphql", content=body, headers={"content-type": JSON, "accept": media})
    assert answer.status_code == (plain if media == JSON else newer)
    assert answer.headers["content-type"] == f"{media}; charset=utf-8"
    content = answer.json()
    if reason is None:
        assert set(content) == {"data"}
    else:
        assert content["errors"][0]["extensions"]["reason"] == reason
        assert ("data" in content) == (reason in {"TITLE_TAKEN", "INTERNAL"})


NOT_PARSED = {"DOCUMENT_UNPARSABLE", "JSON_MALFORMED", "BATCH_NOT_ALLOWED", "PERSISTED_QUERY_MISMATCH"}
BY_REASON = {None: 200, "TITLE_TAKEN": 294, "INTERNAL": 294, **dict.fromkeys(NOT_PARSED, 400)}


@pytest.mark.parametrize("media", [JSON, GRJ])
async def test_status_of_the_release_of_september_2026(media):
    """The same under both media types. On a socket, too: 294 has no name that a server would know."""
    settings = EdgeSettings(http_statuses="2026-09")
    async with (
        client(settings) as http,
        serve(notebook_app(settings)) as (url, _),
        httpx.AsyncClient(base_url=url) as direct,
    ):
        for name, (content, _, _, reason) in STATUSES.items():
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            headers = {"content-type": JSON, "accept": media}
            answers = [await way.post("/graphql", content=body, headers=headers) for way in (http, direct)]
            for answer in answers:
                assert (name, answer.status_code) == (name, BY_REASON.get(reason, 422))
                assert answer.headers["content-type"] == f"{media}; charset=utf-8"


ACCEPTED = {
    None: JSON,
    "": JSON,
    "*/*": JSON,
    "application/*": JSON,
    "!!": JSON,
    JSON: JSON,
    "APPLICATION/JSON": JSON,
    GRJ: GRJ,
    f"{GRJ};charset=utf-8": GRJ,
    f'{GRJ}; charset="UTF-8" ; q=0.5': GRJ,
    f"{GRJ}, {JSON}": GRJ,
    f"{JSON}, {GRJ}": GRJ,
    f"{GRJ}, {JSON};q=0.9": GRJ,
    f"{JSON}, {GRJ};q=0.9": JSON,
    f"{GRJ};q=0.1, */*;q=0.2": JSON,
    f"{GRJ}, */*;q=0.1": GRJ,
    f"{JSON};q=0, */*": GRJ,
    f"{JSON};q=0, {GRJ};q=0": None,
    f"{GRJ};q=0": None,
    "image/png": None,
    "text/html": None,
    f"{JSON};charset=iso-8859-1": None,
    "multipart/mixed, application/graphql-response+json;q=0.9": GRJ,
    'text/html;title="a, b/c", application/json': JSON,
}


@pytest.mark.parametrize(("accept", "media"), ACCEPTED.items(), ids=map(str, ACCEPTED))
async def test_the_media_type_is_negotiated(accept, media):
    async with client() as http:
        del http.headers["accept"]
        answer = await http.post("/graphql", json=OK, headers={} if accept is None else {"accept": accept})
    assert answer.status_code == (200 if media else 406)
    assert answer.headers["content-type"] == f"{media or JSON}; charset=utf-8"
    assert answer.headers["vary"] == "Accept"


async def test_an_accept_header_may_stand_in_several_lines():
    async with client() as http:
        del http.headers["accept"]
        answer = await http.post("/graphql", json=OK, headers=[("accept", "image/png"), ("accept", GRJ)])
    assert answer.headers["content-type"] == f"{GRJ}; charset=utf-8"


CONTENT_TYPES = {
    JSON: 200,
    "application/json; charset=utf-8": 200,
    'Application/JSON;charset="UTF-8"': 200,
    "application/json;": 200,
    "application/json; ; charset=utf-8 ;": 200,
    "application/json; charset=utf-16": 415,
    "application/json; charset": 415,
    "application/json, text/plain": 415,
    "application/json; charset=utf-8; charset=latin1": 415,
    "application/graphql": 415,
    "application/graphql+json": 415,
    "text/plain": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "text/plain; application/json": 415,
    "": 415,
    None: 415,
}


@pytest.mark.parametrize(("content_type", "status"), CONTENT_TYPES.items(), ids=map(str, CONTENT_TYPES))
async def test_only_json_is_read_so_that_no_form_of_another_site_is(content_type, status):
    headers = {} if content_type is None else {"content-type": content_type}
    async with client() as http:
        answer = await http.post("/graphql", content=json.dumps(OK).encode(), headers=headers)
    assert answer.status_code == status


async def test_the_body_is_refused_just_above_its_limit_and_passes_just_below():
    body = json.dumps(OK).encode()

    async def pieces():
        for n in range(len(body)):
            yield body[n : n + 1]

    for most, status in ((len(body), 200), (len(body) - 1, 413)):
        async with client(EdgeSettings(max_body_bytes=most)) as http:
            for content in (body, pieces()):
                answer = await http.post("/graphql", content=content, headers={"content-type": JSON, "accept": GRJ})
                assert answer.status_code == status
                if status == 413:
                    assert answer.headers["content-type"] == "application/json; charset=utf-8"
                    assert answer.json()["errors"][0]["extensions"]["reason"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"])
@pytest.mark.parametrize("production", [False, True])
async def test_other_methods_are_refused_with_what_is_allowed(method, production):
    async with client(EdgeSettings(production=production)) as http:
        answer = await http.request(method, "/graphql", json=OK)
    assert answer.status_code == 405
    assert answer.headers["allow"] == ("POST" if production else "GET, POST")


GETS = {
    "query": ({"query": "{ __typename }"}, 200),
    "variables": ({"query": "query ($a: Boolean!) { __typename @skip(if: $a) }", "variables": '{"a": false}'}, 200),
    "operation name": ({"query": "query A { __typename } query B { __typename }", "operationName": "B"}, 200),
    "empty members": ({"query": "{ __typename }", "variables": "", "operationName": "", "extensions": ""}, 200),
    "mutation": ({"query": UPDATE, "variables": '{"input": {"title": "a"}}'}, 405),
    "mutation by name": ({"query": "query A { __typename } " + UPDATE, "operationName": "Change"}, 405),
    "variables no JSON": ({"query": "{ __typename }", "variables": "{"}, 400),
    "variables no object": ({"query": "{ __typename }", "variables": "1"}, 400),
    "no query": ({}, 400),
    "empty query": ({"query": ""}, 400),
    "twice": ([("query", "{ __typename }"), ("query", "{ a: __typename }")], 400),
}  # fmt: skip


@pytest.mark.parametrize(("parameters", "status"), GETS.values(), ids=GETS)
async def test_get_answers_queries_only(parameters, status):
    notebook = LocalNotebook()
    async with client(notebook=notebook) as http:
        answer = await http.get("/graphql", params=parameters, headers={"accept": GRJ})
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"] == "POST"
    assert notebook.calls == []


@pytest.mark.parametrize(("content_type", "status"), [(JSON, 200), ("text/plain", 415)])
async def test_a_get_with_a_content_type_is_json_or_refused(content_type, status):
    async with client() as http:
        answer = await http.get("/graphql", params=OK, headers={"content-type": content_type})
    assert answer.status_code == status


async def test_production_answers_neither_get_nor_introspection_nor_the_page():
    async with client(EdgeSettings(production=True)) as http:
        assert (await http.get("/graphql", params=OK)).status_code == 405
        assert (await http.get("/graphql", headers={"accept": "text/html"})).status_code == 405
        introspection = await http.post("/graphql", json={"query": "{ __schema { description } }"})
        assert introspection.json()["errors"][0]["extensions"]["reason"] == "INTROSPECTION_DISABLED"
        assert (await http.post("/graphql", json=OK)).status_code == 200


async def test_get_that_was_turned_on_in_production_needs_a_header_that_a_form_cannot_send():
    async with client(EdgeSettings(production=True, get_queries=True)) as http:
        refused = await http.get("/graphql", params=OK)
        assert (refused.status_code, refused.json()["errors"][0]["extensions"]["reason"]) == (400, "PREFLIGHT_REQUIRED")
        for name in ("Apollo-Require-Preflight", "GraphQL-Require-Preflight", "X-Apollo-Operation-Name"):
            assert (await http.get("/graphql", params=OK, headers={name: "1"})).status_code == 200


async def test_a_batch_is_answered_in_order_up_to_its_limit():
    notebook = LocalNotebook()
    change = [{"query": UPDATE, "variables": {"input": {"title": title}}} for title in ("a", "taken", "b")]
    async with client(EdgeSettings(max_batch=3), notebook=notebook) as http:
        answer = await http.post("/graphql", json=change)
        assert answer.status_code == 200
        first, second, third = answer.json()
        assert (first["data"], third["data"]) == (
            {"updateNote": {"note": {"title": "a"}}},
            {"updateNote": {"note": {"title": "b"}}},
        )
        assert second["errors"][0]["extensions"]["reason"] == "TITLE_TAKEN"
        assert [call[2]["title"] for call in notebook.calls] == ["a", "taken", "b"]
        above = await http.post("/graphql", json=[OK] * 4)
        assert (above.status_code, above.json()["errors"][0]["extensions"]["reason"]) == (400, "BATCH_TOO_LARGE")
        assert (await http.post("/graphql", json=[])).status_code == 400
        assert (await http.post("/graphql", json=[OK, 1])).status_code == 400


CHANGE = {"query": UPDATE, "variables": {"input": {"title": "a"}}}
SKIPPED = f'mutation($skip: Boolean!) {{ updateNote(id: "{FIRST}", input: {{title: "a"}}) @skip(if: $skip) {{ note {{ title }} }} }}'
UNDER_ONE_KEY = {
    "two updates": ([CHANGE, CHANGE], False),
    "two updates beside a query": ([CHANGE, OK, CHANGE], False),
    "an update and what cannot be read": ([CHANGE, {"query": "{"}], False),
    "an update and a hash that is not known": ([CHANGE, HASH], False),
    "one update": ([CHANGE], True),
    "one update beside queries": ([OK, CHANGE, OK], True),
    "an update that is left out": ([{"query": SKIPPED, "variables": {"skip": True}}, CHANGE], True),
    "queries": ([OK, OK], True),
}


@pytest.mark.parametrize("case", UNDER_ONE_KEY)
async def test_an_idempotency_key_stands_for_one_update_of_a_batch(case):
    batch, is_run = UNDER_ONE_KEY[case]
    notebook = LocalNotebook()
    async with client(EdgeSettings(max_batch=3), notebook=notebook) as http:
        answer = await http.post("/graphql", json=batch, headers={"idempotency-key": "k"})
    if is_run:
        assert (answer.status_code, len(answer.json())) == (200, len(batch))
        assert len(notebook.calls) == batch.count(CHANGE)
    else:
        assert answer.json()["errors"][0]["extensions"]["reason"] == "IDEMPOTENCY_KEY_NOT_SINGLE"
        assert not notebook.calls


async def test_the_digits_of_a_decimal_survive_json():
    variables = b'{"input": {"title": "a", "tags": [{"name": "b", "weight": 0.10}]}, "pages": 1.0}'
    query = UPDATE.replace("{ title }", "{ weight }")
    body = b'{"query": ' + json.dumps(query).encode() + b', "variables": ' + variables + b"}"
    async with client() as http:
        answer = await http.post("/graphql", content=body, headers={"content-type": JSON})
    assert answer.json() == {"data": {"updateNote": {"note": {"weight": "0.10"}}}}


@pytest.mark.parametrize("pages", [b"7", b"7.0", b"7e0", b"70e-1"])
async def test_a_whole_number_is_an_int_however_it_is_written(pages):
    notebook = LocalNotebook()
    body = (
        b'{"query": '
        + json.dumps(UPDATE).encode()
        + b', "variables": {"input": {"title": "a", "pages": '
        + pages
        + b"}}}"
    )
    async with client(notebook=notebook) as http:
        assert "errors" not in (await http.post("/graphql", content=body, headers={"content-type": JSON})).json()
    assert notebook.calls == [("write", FIRST, {"title": "a", "pages": 7})]


@pytest.mark.parametrize("title", ["🏃🏊", "שלום", "a\u0000b\u001f", "x" * 10_000, "\u2028", ""], ids=range(6))
async def test_text_survives(title):
    async with client() as http:
        answer = await http.post("/graphql", json={"query": UPDATE, "variables": {"input": {"title": title}}})
    assert answer.json() == {"data": {"updateNote": {"note": {"title": title}}}}


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("application/json, text/html;q=0.5", False),
        ("*/*", False),
    ],
)
async def test_a_browser_gets_the_page(accept, page):
    async with client() as http:
        answer = await http.get("/graphql", headers={"accept": accept})
        assert answer.headers["content-type"].startswith("text/html") == page
        asked = await http.get("/graphql", params=OK, headers={"accept": f"{accept}, application/json"})
        assert asked.headers["content-type"].startswith("application/json")


async def test_the_page_has_a_policy_of_its_own():
    async with client() as http:
        answer = await http.get("/graphql", headers={"accept": "text/html"})
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_graphql_never_redirects():
    async with client() as http:
        assert (await http.post("/graphql", json=OK)).status_code == 200
        assert (await http.post("/graphql/", json=OK)).status_code == 404
