"""Header values of any kind: always an answer, never an exception."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.edge.negotiation import GRAPHQL_RESPONSE, JSON, is_json, parse_media, response_media, wants_page
from tests.edge.serving import notebook_app

PIECES = st.sampled_from(
    [JSON, GRAPHQL_RESPONSE, "*/*", "application/*", "text/html", ",", ";", "q=0.5", "q=0", "q=2", "charset=utf-8", '"', " "]
)  # fmt: skip
APP = notebook_app()
HEADERS = st.lists(PIECES | st.text(max_size=3), max_size=8).map("".join)


@given(HEADERS)
def test_any_accept_header_has_an_answer(header):
    assert response_media(header) in {JSON, GRAPHQL_RESPONSE, None}
    assert wants_page(header) in {True, False}
    assert is_json(header) in {True, False}


@given(
    st.lists(st.tuples(st.sampled_from([JSON, GRAPHQL_RESPONSE]), st.integers(0, 1000)), min_size=1, max_size=2, unique_by=lambda pair: pair[0])
)  # fmt: skip
def test_the_wanted_more_of_two_named_types_is_taken(wanted):
    header = ", ".join(f"{name};q={thousandth / 1000:.3f}" for name, thousandth in wanted)
    best = max(thousandth for _, thousandth in wanted)
    taken = response_media(header)
    assert taken is None if best == 0 else (taken, best) in wanted


@pytest.mark.parametrize(
    "header",
    ['\\"' * 30_000, '\\"' * 30_000 + "\\", '"' * 60_001, 'a/b;x="' * 9000, "," * 60_000, "a/b" + "; " * 30_000],
    ids=["escaped quotes", "a last backslash", "quotes", "open quotes", "commas", "semicolons"],
)
def test_a_hostile_accept_header_is_read_in_no_time(header):
    """The first of these took half a minute of the whole gateway, before anybody was authenticated."""
    assert response_media(header) in {"application/json", None}
    assert response_media(f"application/json, {header}") == "application/json"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ('a/b; X="c;d,e" ;q=0.1', ("a/b", (("x", "c;d,e"),), 0.1)),
        ("A/B", ("a/b", (), 1.0)),
        ("a/b;", ("a/b", (), 1.0)),
        ("a/b; ;;x=1;", ("a/b", (("x", "1"),), 1.0)),
        ("a/b x=1", None),
        ("a/b; x=1 y=2", None),
        ("a", None),
        ("a/b;q=1.1", None),
        ("a/b;q", None),
        ("a/b c", None),
        ("/", None),
        ("", None),
    ],
)
def test_a_media_type_is_read_as_the_standard_writes_it(text, parsed):
    media = parse_media(text)
    assert (media and (media.name, media.parameters, media.quality)) == parsed


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["query", "variables", "operationName", "extensions", "persistedQuery", "version", "documentId"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(body=st.binary(max_size=40) | JSON_VALUES, accept=HEADERS, content_type=st.just(JSON) | HEADERS)
async def test_no_request_is_too_strange_for_an_answer(body, accept, content_type):
    headers = {"accept": accept.encode("utf-8", "replace"), "content-type": content_type.encode("utf-8", "replace")}
    transport = httpx.ASGITransport(APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as http:
        if isinstance(body, bytes):
            answer = await http.post("/graphql", content=body, headers=headers)
        else:
            answer = await http.post("/graphql", json=body, headers=headers)
        queried = await http.get("/graphql", params={"query": accept, "variables": content_type}, headers=headers)
    assert answer.status_code < 500
    assert queried.status_code < 500
