"""JSV both ways: what the vendor's page shows, what the grammar says, and whatever a generator thinks of."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.bokamera.envelope import JSON_MEMBERS
from app.apis.bokamera.jsv import MAX_DEPTH, JsvError, decode, encode

SAMPLES = Path(__file__).parent / "samples" / "update-customer"

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.text('":,{}[]\r\n \\a', max_size=12)
documents = st.recursive(
    texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(documents)
def test_what_was_written_is_read(document):
    assert decode(encode(document)) == document


@given(
    st.lists(st.dictionaries(texts, texts | st.integers() | st.booleans() | st.none(), min_size=1), max_size=4), texts
)
def test_raw_json_items_are_read_as_json(items, text):
    document = {"Firstname": text, "CustomFields": items, "Lastname": text}
    assert decode(encode(document, json_members=JSON_MEMBERS), json_members=JSON_MEMBERS) == document


@given(st.binary(max_size=60) | st.text('":,{}[] a\\', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_clearly(data):
    for members in ((), JSON_MEMBERS):
        with contextlib.suppress(JsvError):
            decode(data, json_members=members)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"A": True, "B": False, "C": 5}, "{A:True,B:False,C:5}"),
        ({"A": ""}, '{A:""}'),
        ({"A": None, "B": "x"}, "{B:x}"),
        ({"A": 'say "hi"'}, '{A:"say ""hi"""}'),
        ({"A": "a:b"}, '{A:"a:b"}'),
        ({"A": "line\r\nline"}, '{A:"line\r\nline"}'),
        ({"A": "  both  "}, "{A:  both  }"),
        ({"A": "åäö 🙂"}, "{A:åäö 🙂}"),
        ({"A": [], "B": {}}, "{A:[],B:{}}"),
        ({" a": "x"}, '{" a":x}'),
    ],
)
def test_the_writers_rules(value, text):
    assert encode(value).decode() == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{A:,B:x}", {"A": None, "B": "x"}),
        ("{A:null}", {"A": "null"}),
        ("{A: x}", {"A": " x"}),
        ("{ A :x, B:y}", {"A": "x", "B": "y"}),
        ("{Created:2026-01-15T10:00:00Z}", {"Created": "2026-01-15T10:00:00Z"}),
        ('{"A":x}', {"A": "x"}),
        ("{}", {}),
        ("[]", []),
        ("[,]", [None, None]),
        ("\ufeff{A:x}\r\n", {"A": "x"}),
        ("bare text", "bare text"),
    ],
)
def test_the_readers_rules(text, value):
    assert decode(text.encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{A",
        "{A:",
        "{A:x",
        "{A:x,",
        "{A:x,}",
        "{A:x,A:x}",
        "{A}",
        '{A:"x',
        '{A:"x"y}',
        "{A: {B:x}}",
        '{A: "x"}',
        "{A:x}}",
        "[x",
        "[[x]",
        "<html>{}</html>",
        '{CustomFields:[{"Id":0]}',
        '{CustomFields:[{"Id":NaN}]}',
        '{CustomFields:[{"Id":' + "9" * 5000 + "}]}",
    ],
)
def test_bad_text_is_refused(text):
    with pytest.raises(JsvError):
        decode(text.encode(), json_members=JSON_MEMBERS)


@pytest.mark.parametrize("opening", ["[", "{A:"])
def test_depth_is_bounded(opening):
    with pytest.raises(JsvError, match=f"deeper than {MAX_DEPTH}"):
        decode((opening * 100_000).encode())


def test_depth_of_raw_json_is_bounded():
    with pytest.raises(JsvError):
        decode(b'{CustomFields:[{"A":' + b"[" * 100_000, json_members=JSON_MEMBERS)


@pytest.mark.parametrize("value", [[None], None, {"A": object()}, {"A": 1.5}])
def test_what_jsv_cannot_express_is_refused(value):
    with pytest.raises(ValueError, match="JSV"):
        encode(value)


def test_backslashes_are_text_in_jsv_and_escapes_in_raw_json():
    document = {"Firstname": "a\\n", "CustomFields": [{"RegEx": '^\\d{4}"$'}]}
    text = encode(document, json_members=JSON_MEMBERS)
    assert text == b'{Firstname:a\\n,CustomFields:[{"RegEx":"^\\\\d{4}\\"$"}]}'
    assert decode(text, json_members=JSON_MEMBERS) == document


def test_the_pages_request_is_read():
    document = decode((SAMPLES / "request.jsv").read_bytes())
    assert document["CustomFields"] == [{"Id": "0", "Value": "String"}]
    assert document["AccessKeysToDelete"] == [{}]
    assert document["SubscribedToNewsletter"] == "False"
    assert encode(document) == (SAMPLES / "request.jsv").read_bytes()


def test_the_pages_reply_is_read_like_its_json():
    jsv = decode((SAMPLES / "200-documented.jsv").read_bytes(), json_members=JSON_MEMBERS)
    page = json.loads((SAMPLES / "200-documented.json").read_text())
    # Raw JSON keeps its types; everything around it is text.
    assert jsv["CustomFields"] == page["CustomFields"]
    assert jsv["ResponseStatus"] == {}
    assert jsv["SubscribedToNewsletter"] == "False"
    assert jsv["InvoiceAddress"] == page["InvoiceAddress"]
    assert list(jsv) == list(page)


@pytest.mark.parametrize("name", ["request-pretty-printed.jsv", "200-pretty-printed.jsv"])
def test_the_page_prints_its_examples_prettily_which_is_refused_rather_than_misread(name):
    with pytest.raises(JsvError, match="unquoted"):
        decode((SAMPLES / name).read_bytes(), json_members=JSON_MEMBERS)
