"""What a body may be: compressed, with a byte order mark, JSON that nobody can take. On real sockets, by both ways in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from types import MappingProxyType

import httpx
import pytest

from app.edge.settings import EdgeSettings
from tests.edge.serving import notebook_app, serve
from tests.graphql.asking import UPDATE
from tests.graphql.notebook import LocalNotebook

JSON = "application/json"
OK = b'{"query": "{ __typename }"}'
BOM = b"\xef\xbb\xbf"
MOST = 210_000


async def posted(
    bodies: Mapping[str, bytes], codings: Mapping[str, str] = MappingProxyType({})
) -> dict[str, list[httpx.Response]]:
    """The answers of one gateway to each body, by the short way, and by ASGI: a chunked body. None of them writes."""

    async def pieces(body: bytes):
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    notebook = LocalNotebook()
    app = notebook_app(EdgeSettings(max_body_bytes=MOST, max_batch=3), notebook)
    async with serve(app) as (url, _), httpx.AsyncClient(base_url=url) as http:
        answers = {
            name: [
                await http.post(
                    "/graphql",
                    content=content,
                    headers={"content-type": JSON} | ({"content-encoding": codings[name]} if name in codings else {}),
                )
                for content in (body, pieces(body))
            ]
            for name, body in bodies.items()
        }
    assert notebook.calls == []
    return answers


def same(answers: list[httpx.Response]) -> tuple[int, str, str]:
    """Status, reason and message, of both."""
    found = set()
    for answer in answers:
        (error,) = answer.json().get("errors", [{"message": "", "extensions": {"reason": ""}}])
        found.add((answer.status_code, error["extensions"]["reason"], error["message"]))
    (only,) = found
    return only


def with_variables(value: bytes) -> bytes:
    return b'{"query": ' + json.dumps(UPDATE).encode() + b', "variables": ' + value + b"}"


TAKEN = {
    "a byte order mark": BOM + OK,
    "white space around": b" \r\n\t" + OK + b"\n ",
    "a mark in front of a batch": BOM + b"[" + OK + b"]",
    "one name twice": b'{"query": "{ nope }", "query": "{ __typename }"}',
    "variables []": b'{"query": "{ __typename }", "variables": []}',
    "extensions []": b'{"query": "{ __typename }", "extensions": []}',
    "both []": b'{"query": "{ __typename }", "variables": [], "extensions": [], "operationName": null}',
    "a number beyond any float": b'{"query": "{ __typename }", "variables": {"a": 1e999}}',
    "a number of a thousand digits": b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 1000 + b"}}",
    "a deep value that is read": b'{"query": "{ __typename }", "variables": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "an escaped NUL": b'{"query": "{ __typename }", "variables": {"a": "\\u0000"}}',
    "a pair of surrogates": b'{"query": "{ __typename }", "variables": {"a": "\\ud83c\\udfc3"}}',
}


async def test_json_is_taken_as_clients_write_it():
    answers = {name: [answer.json() for answer in both] for name, both in (await posted(TAKEN)).items()}
    done = {"data": {"__typename": "Query"}}
    assert answers == {name: [[done] if b"[" + OK in body else done] * 2 for name, body in TAKEN.items()}


HALF = "has half of a character, an unpaired surrogate."
DIGITS = "variables.input.pages is a number of too many digits."
DEEP = "variables.input.title is nested too deeply."
NAMED = {
    "a half in a value": (b'{"input": {"title": "a\\ud800"}}', f"variables.input.title {HALF}"),
    "the other half": (b'{"input": {"title": "\\udfff"}}', f"variables.input.title {HALF}"),
    "a half and no pair": (b'{"input": {"title": "\\ud800\\u0041"}}', f"variables.input.title {HALF}"),
    "two first halves": (b'{"input": {"title": "\\ud800\\ud800"}}', f"variables.input.title {HALF}"),
    "in a list": (b'{"input": {"tags": [{"name": "a"}, {"name": "\\ud800"}]}}', f"variables.input.tags[1].name {HALF}"),
    "behind many": (b'{"input": {"tags": [' + b'"",' * 40_000 + b'"\\ud800"]}}', f"variables.input.tags[40000] {HALF}"),
    "a half in a name": (b'{"input": {"\\ud800": 1}}', f"variables.input has a member whose name {HALF}"),
    "a name that is no name": (b'{"input": {"<b>": "\\ud800"}}', f"variables.input.… {HALF}"),
    "too many digits": (b'{"input": {"pages": ' + b"9" * 5000 + b"}}", DIGITS),
    "too many digits below zero": (b'{"input": {"pages": -' + b"9" * 5000 + b"}}", DIGITS),
    "lists too deep": (b'{"input": {"title": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}", DEEP),
    "objects too deep": (b'{"input": {"title": ' + b'{"":' * 20_000 + b"1" + b"}" * 20_000 + b"}}", DEEP),
    "deep behind a string of brackets": (
        b'{"note": "[[[{\\"", "input": {"title": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
        DEEP,
    ),
}


@pytest.mark.parametrize("mark", [b"", BOM], ids=["plain", "behind a mark"])
async def test_a_value_that_cannot_be_taken_is_named_by_its_place(mark: bytes):
    answers = await posted({name: mark + with_variables(variables) for name, (variables, _) in NAMED.items()})
    assert {name: same(both) for name, both in answers.items()} == {
        name: (400, "REQUEST_MALFORMED", message) for name, (_, message) in NAMED.items()
    }


NOT_JSON = {
    "nothing": b"",
    "a mark alone": BOM,
    "two marks": BOM + BOM + OK,
    "a mark inside": b'{"query": ' + BOM + b'"{ __typename }"}',
    "NaN": b'{"query": "{ __typename }", "variables": {"a": NaN}}',
    "Infinity behind a half": b'{"query": "\\ud800", "variables": {"a": -Infinity}}',
    "a raw control character": b'{"query": "{\x01}"}',
    "a comma too many": b'{"query": "{ __typename }",}',
    "two values": OK + OK,
    "UTF-16": b"\xff\xfe" + OK.decode().encode("utf-16-le"),
    "a half in UTF-8's form": b'{"query": "\xed\xa0\x80"}',
}


async def test_what_is_not_json_is_called_so():
    answers = {name: same(both) for name, both in (await posted(NOT_JSON)).items()}
    assert {name: answer[:2] for name, answer in answers.items()} == dict.fromkeys(NOT_JSON, (400, "JSON_MALFORMED"))
    assert all("is not JSON" in message or "is not UTF-8" in message for _, _, message in answers.values())


async def test_a_list_that_is_not_empty_is_no_map():
    members = ['"variables": [1]', '"extensions": [[]]', '"variables": ""']
    answers = await posted({part: f'{{"query": "{{ __typename }}", {part}}}'.encode() for part in members})
    assert {part: same(both)[:2] for part, both in answers.items()} == dict.fromkeys(
        members, (400, "REQUEST_MALFORMED")
    )


def zipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


LARGE = b'{"query": "{ __typename }", "variables": {"a": "' + b"abcdefghij" * 20_000 + b'"}}'
CODED = {
    "gzip": (zipped(OK), "gzip", 200),
    "x-gzip": (zipped(OK), "X-GZIP", 200),
    "gzip with a mark": (zipped(BOM + OK), "gzip", 200),
    "identity beside it": (zipped(OK), "identity, gzip", 200),
    "identity": (OK, "identity", 200),
    "an empty coding": (OK, "", 200),
    "several members": (zipped(OK[:7]) + zipped(b"") + zipped(OK[7:]), "gzip", 200),
    "a large body of little": (zipped(OK + b" " * 60_000), "gzip", 200),
    "as large as a plain one may be": (gzip.compress(LARGE, 0), "gzip", 200),
    "larger than a body may be": (zipped(str(list(range(50_000))).encode()), "gzip", 413),
    "a bomb": (zipped(b" " * 10_000_000), "gzip", 413),
    "a small bomb": (zipped(OK + b" " * 150_000), "gzip", 413),
    "members without end": (zipped(b"") * 5_000, "gzip", 400),
    "not gzip": (OK, "gzip", 400),
    "nothing": (b"", "gzip", 400),
    "cut off": (zipped(OK)[:-9], "gzip", 400),
    "a checksum that is wrong": (zipped(OK)[:-8] + b"\0" * 8, "gzip", 400),
    "something behind it": (zipped(OK) + b"rest", "gzip", 400),
    "twice": (zipped(zipped(OK)), "gzip, gzip", 415),
    "deflate": (OK, "deflate", 415),
    "br": (OK, "br", 415),
    "zstd": (OK, "zstd", 415),
    "unknown": (OK, "x", 415),
}


async def test_a_compressed_body_is_read_within_bounds():
    bodies = {name: body for name, (body, _, _) in CODED.items()}
    answers = await posted(bodies, {name: coding for name, (_, coding, _) in CODED.items()})
    statuses = {name: [answer.status_code for answer in both] for name, both in answers.items()}
    assert statuses == {name: [status] * 2 for name, (_, _, status) in CODED.items()}
    for answer in (answer for both in answers.values() for answer in both):
        if answer.status_code == 200:
            assert answer.json() == {"data": {"__typename": "Query"}}
        if answer.status_code == 415:
            assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("parameter", "status", "message"),
    [
        ("[]", 200, ""),
        ("\ufeff{}", 200, ""),
        ('{"a": "\\ud800"}', 400, f"variables.a {HALF}"),
        ("{", 400, "The parameter variables is not JSON."),
    ],
)
async def test_the_variables_of_a_get_are_read_alike(parameter: str, status: int, message: str):
    async with serve(notebook_app()) as (url, _), httpx.AsyncClient(base_url=url) as http:
        answer = await http.get("/graphql", params={"query": "{ __typename }", "variables": parameter})
    assert same([answer])[::2] == (status, message)
