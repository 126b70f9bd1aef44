"""The 47 documented rows and the general ones: rendered, recognised, and what is in no row survived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.basecone.errors import DOCUMENTED, GENERAL, ROWS, TABLE, parse, render
from app.apis.basecone.resources import RESOURCES
from app.errors import Code, Outcome, refusal
from app.json_codec import encode_json
from app.upstream.messages import BackendResponse

CUSTOMER, SUPPLIER = RESOURCES

EACH_ROW = [
    pytest.param(resource, row, id=f"{resource.mutation}-{row.reason}")
    for resource in RESOURCES
    for row in (*DOCUMENTED[resource.mutation], *GENERAL)
]


def test_the_pages_rows_are_all_there():
    assert [len(DOCUMENTED[CUSTOMER.mutation]), len(DOCUMENTED[SUPPLIER.mutation])] == [22, 25]
    assert len(ROWS) == 22 + 25 + 5 + 2  # the general ones, and the list of general ledgers's own


def test_a_reason_names_one_row_of_a_mutation():
    for resource in RESOURCES:
        reasons = [row.reason for row in ROWS if resource.mutation in row.mutations]
        assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize(("resource", "row"), EACH_ROW)
def test_a_rendered_row_is_recognised_as_that_row(resource, row):
    error = parse(resource.mutation, render(refusal(row)))
    assert error.row is row
    assert error.extensions == refusal(row).extensions
    assert error.outcome is Outcome.NOT_APPLIED


SPACES = [" ", "  ", "\t", "\r\n", "\u00a0", "\u3000", "\u2028", " \u200b", "\u2060 ", " \u00ad"]
EDGES = ["", " ", "\n", "\ufeff", "\u200b", "\u202a"]


@given(data=st.data(), case=st.sampled_from([p.values for p in EACH_ROW if p.values[1].text]))
def test_texts_match_whatever_their_case_white_space_and_full_stop(data, case):
    resource, row = case
    words = row.text.removesuffix(".").split()
    text = data.draw(st.sampled_from(EDGES)) + data.draw(st.sampled_from(SPACES)).join(words)
    text = data.draw(st.sampled_from([text, text.upper(), text.lower()])) + data.draw(
        st.sampled_from(["", ".", " .", ".\u200b"])
    )
    code = data.draw(st.sampled_from(EDGES)) + row.vendor_code.upper() + data.draw(st.sampled_from(EDGES))
    assert TABLE.recognise(resource.mutation, row.http_status, code, text) is row


def test_only_concurrent_request_may_be_sent_again():
    assert {row.reason for row in ROWS if row.retry_safe} == {"CONCURRENT_REQUEST"}
    assert {row.code for row in ROWS if row.retry_safe} == {Code.CONFLICT}


def test_any_other_validation_error_is_the_accounting_systems_with_its_text():
    answer = BackendResponse(400, {}, encode_json({"code": "validation_error", "message": "IBAN rejected."}))
    error = parse(CUSTOMER.mutation, answer)
    assert (error.row.reason, error.message) == ("ACCOUNTING_SYSTEM_VALIDATION", "IBAN rejected.")
    assert error.extensions["backend"]["message"] == "IBAN rejected."


@pytest.mark.parametrize(
    ("code", "reason", "retry"),
    [("concurrent_request", "CONCURRENT_REQUEST", True), ("user_credentials_invalid", "CREDENTIALS_INVALID", False)],
)
@pytest.mark.parametrize("text", ["In other words.", None])
def test_a_code_that_has_one_row_says_enough_whatever_its_text(code, reason, retry, text):
    error = parse(SUPPLIER.mutation, BackendResponse(400, {}, encode_json({"code": code, "message": text})))
    assert (error.row.reason, error.message) == (reason, text or error.row.text)
    assert (error.outcome, error.retry_safe) == (Outcome.NOT_APPLIED, retry)


LONG = "x" * 2000
UNDOCUMENTED = [
    ("4xx keeps its text", 400, b'{"code":"new_code","message":"Something new."}', "BAD_USER_INPUT", "NOT_APPLIED", "new_code", "Something new."),
    ("names in any casing", 400, b'{"Code":"new_code","Message":"Something new."}', "BAD_USER_INPUT", "NOT_APPLIED", "new_code", "Something new."),
    ("RFC 9457", 422, b'{"type":"about:blank","title":"Bad","detail":"Worse"}', "BAD_USER_INPUT", "NOT_APPLIED", None, "Bad"),
    ("RFC 9457 with a detail only", 409, b'{"type":"about:blank","detail":"Worse"}', "CONFLICT", "NOT_APPLIED", None, "Worse"),
    ("401 without a body", 401, b"", "UNAUTHENTICATED", "NOT_APPLIED", None, None),
    ("403 as HTML", 403, b"<html>secret host</html>", "FORBIDDEN", "NOT_APPLIED", None, None),
    ("404 as text", 404, b"Not here", "NOT_FOUND", "NOT_APPLIED", None, None),
    ("405", 405, b'{"message":"no"}', "BACKEND_REJECTED", "NOT_APPLIED", None, "no"),
    ("408 may have been applied", 408, b"", "BACKEND_REJECTED", "UNKNOWN", None, None),
    ("429", 429, b"", "RATE_LIMITED", "NOT_APPLIED", None, None),
    ("500 with one metadata object", 500, b'{"message":"Object reference","_metadata":{}}', "BACKEND_ERROR", "UNKNOWN", None, None),
    ("502 as HTML", 502, b"<html><body>Bad gateway</body></html>", "BACKEND_ERROR", "UNKNOWN", None, None),
    ("cut-off JSON", 400, b'{"code":"invalid_request_pay', "BAD_USER_INPUT", "NOT_APPLIED", None, None),
    ("a list", 400, b"[1,2]", "BAD_USER_INPUT", "NOT_APPLIED", None, None),
    ("not UTF-8", 400, b"\xff\xfe", "BAD_USER_INPUT", "NOT_APPLIED", None, None),
    ("deep nesting", 400, b"[" * 100_000, "BAD_USER_INPUT", "NOT_APPLIED", None, None),
    ("members of other types", 400, b'{"code":7,"message":{"a":1}}', "BAD_USER_INPUT", "NOT_APPLIED", "7", None),
    ("a redirection", 302, b"", "BACKEND_ERROR", "UNKNOWN", None, None),
    ("another success", 200, b'{"hasError":false}', "BACKEND_ERROR", "UNKNOWN", None, None),
    ("URLs, hosts and control characters", 400, b'{"message":"see https://h.example/x?y=1 or db.internal.example:5432\\u0000!"}', "BAD_USER_INPUT", "NOT_APPLIED", None, "see [removed] or [removed] !"),
    ("a long text", 400, encode_json({"message": LONG}), "BAD_USER_INPUT", "NOT_APPLIED", None, LONG[:500]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "code", "outcome", "vendor_code", "text"),
    [c[1:] for c in UNDOCUMENTED],
    ids=[c[0] for c in UNDOCUMENTED],
)
def test_an_undocumented_answer_keeps_what_may_be_shown(status, body, code, outcome, vendor_code, text):
    error = parse(SUPPLIER.mutation, BackendResponse(status, {}, body))
    shown = error.extensions
    expected = {"name": "basecone", "status": status, "code": vendor_code, "message": text}
    assert shown["backend"] == {key: value for key, value in expected.items() if value is not None}
    assert (shown["code"], shown["outcome"]) == (code, outcome)
    assert shown["retry"] == {"safe": status == 429}


@given(status=st.integers(200, 599), body=st.binary(max_size=200))
def test_no_answer_breaks_the_parser(status, body):
    error = parse(CUSTOMER.mutation, BackendResponse(status, {"retry-after": "nonsense"}, body))
    assert error.extensions["backend"]["status"] == status
    assert (error.outcome is Outcome.NOT_APPLIED) == (400 <= status < 500 and status != 408)


def test_retry_after_reaches_the_client():
    error = parse(CUSTOMER.mutation, BackendResponse(429, {"retry-after": "7"}, b""))
    assert error.extensions["retry"] == {"safe": True, "afterSeconds": 7}


@pytest.mark.parametrize(("written", "code"), [("7", "7"), ("12.5", "12.5"), ("true", None), ('{"a":1}', None)])
def test_a_code_that_is_a_number_is_told(written, code):
    error = parse(CUSTOMER.mutation, BackendResponse(418, {}, b'{"code":%s,"message":"m"}' % written.encode()))
    assert error.extensions["backend"] == {
        "name": "basecone",
        "status": 418,
        "message": "m",
        **({"code": code} if code else {}),
    }
