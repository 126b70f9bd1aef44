"""The rows of BokaMera and ServiceStack: rendered, recognised, and what is in no row survived."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.bokamera.envelope import field_name, input_path, parse, render
from app.apis.bokamera.errors import FIELD_EMAIL_INVALID, FIELD_EMPTY, ROWS
from app.apis.bokamera.types import UpdateBookingCustomerInput
from app.errors import GatewayError, GatewayErrors, Outcome, refusal
from app.json_codec import encode_json
from app.mapping.members import members
from app.upstream.messages import BackendResponse

SAMPLES = Path(__file__).parent / "samples" / "update-customer"
JSON = {"content-type": "application/json"}


def judged(answer):
    found = parse(answer)
    return list(found.errors) if isinstance(found, GatewayErrors) else [found]


def told(error):
    return error.row.code.value, error.row.reason, error.input_path, error.outcome.value


@pytest.mark.parametrize("form", ["json", "jsv"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_a_rendered_row_is_recognised_as_that_row(row, form):
    error = parse(render(refusal(row), form))
    assert isinstance(error, GatewayError)
    assert error.row is row
    assert error.extensions == refusal(row).extensions
    assert error.outcome is Outcome.NOT_APPLIED


@pytest.mark.parametrize("form", ["json", "jsv"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reason)
def test_a_row_stands_for_any_text_in_any_place(row, form):
    path = ("input", "accessKeys", 2, "value")
    sent = refusal(row, 'Åh, "så": {inte}, [här]', input_path=path)
    assert parse(render(sent, form)).extensions == sent.extensions


def test_reasons_and_causes_are_unique():
    assert len({row.reason for row in ROWS}) == len(ROWS)
    assert len({(row.http_status, row.vendor_code) for row in ROWS}) == len(ROWS)


def test_only_a_lost_race_may_be_sent_again():
    assert [row.reason for row in ROWS if row.retry_safe] == ["OPTIMISTIC_CONCURRENCY"]


@pytest.mark.parametrize("form", ["json", "jsv"])
def test_several_faults_keep_their_order_and_places(form):
    several = GatewayErrors(
        [
            refusal(FIELD_EMAIL_INVALID, "one", input_path=("input", "email")),
            refusal(FIELD_EMPTY, "two", input_path=("input", "customFields", 0, "value")),
            refusal(FIELD_EMPTY, "three"),
        ]
    )
    assert [error.extensions for error in judged(render(several, form))] == [e.extensions for e in several.errors]


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (
            "400-field-errors",
            [
                ("BAD_USER_INPUT", "FIELD_EMPTY", ("input", "firstname"), "NOT_APPLIED"),
                ("BAD_USER_INPUT", "FIELD_FORMAT_INVALID", ("input", "customFields", 1, "value"), "NOT_APPLIED"),
                ("BAD_USER_INPUT", "INPUT_INVALID", None, "NOT_APPLIED"),
            ],
        ),
        ("400-message-only", [("BAD_USER_INPUT", "INPUT_INVALID", None, "NOT_APPLIED")]),
        ("400-serialization", [("BAD_USER_INPUT", "SERIALIZATION_FAILED", ("id",), "NOT_APPLIED")]),
        ("401-not-authenticated", [("UNAUTHENTICATED", "NOT_AUTHENTICATED", None, "NOT_APPLIED")]),
        ("401-not-allowed", [("FORBIDDEN", "ACTION_NOT_ALLOWED", None, "NOT_APPLIED")]),
        ("500-exception", [("BACKEND_ERROR", "BACKEND_FAILED", None, "UNKNOWN")]),
    ],
)
def test_samples(sample, expected):
    body = (SAMPLES / f"{sample}.json").read_bytes()
    errors = judged(BackendResponse(int(sample[:3]), JSON, body))
    assert [told(error) for error in errors] == expected
    assert all(error.backend.status == int(sample[:3]) for error in errors)


def test_what_no_row_documents_keeps_its_code_and_text_and_nothing_more():
    errors = judged(BackendResponse(400, JSON, (SAMPLES / "400-field-errors.json").read_bytes()))
    assert errors[2].extensions["backend"] == {
        "name": "bokamera",
        "status": 400,
        "code": "Unheard",
        "message": "Too big, see [removed]",
    }
    shown = repr([error.extensions for error in errors]) + repr([error.message for error in errors])
    assert not any(secret in shown for secret in ("build", "CustomerService", "secret", "api.bokamera.se"))


@pytest.mark.parametrize(
    ("status", "headers", "body", "code"),
    [
        (401, {}, b"", "UNAUTHENTICATED"),
        (401, {}, b"  \n", "UNAUTHENTICATED"),
        (401, {"www-authenticate": 'jwt realm="x"'}, b'{"ResponseStatus":{"ErrorCode":"Nope"}}', "UNAUTHENTICATED"),
        (401, {}, b'{"ResponseStatus":{"ErrorCode":"unauthorized"}}', "UNAUTHENTICATED"),
        (401, {}, b'{"ResponseStatus":{"ErrorCode":"Nope","Message":"Not yours"}}', "FORBIDDEN"),
        (401, {"content-type": "text/plain"}, b"go away", "FORBIDDEN"),
    ],
)
def test_a_401_is_about_the_caller_or_about_the_action(status, headers, body, code):
    error = parse(BackendResponse(status, headers, body))
    assert (error.row.code, error.backend.status, error.outcome) == (code, 401, Outcome.NOT_APPLIED)


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, "BAD_USER_INPUT", "NOT_APPLIED"),
        (402, "BACKEND_REJECTED", "NOT_APPLIED"),
        (403, "FORBIDDEN", "NOT_APPLIED"),
        (404, "NOT_FOUND", "NOT_APPLIED"),
        (405, "BACKEND_REJECTED", "NOT_APPLIED"),
        (408, "BACKEND_REJECTED", "UNKNOWN"),
        (409, "CONFLICT", "NOT_APPLIED"),
        (422, "BAD_USER_INPUT", "NOT_APPLIED"),
        (429, "RATE_LIMITED", "NOT_APPLIED"),
        (500, "BACKEND_ERROR", "UNKNOWN"),
        (503, "BACKEND_ERROR", "UNKNOWN"),
        (201, "BACKEND_ERROR", "UNKNOWN"),
        (204, "BACKEND_ERROR", "UNKNOWN"),
        (302, "BACKEND_ERROR", "UNKNOWN"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "text/html"}, b"<html><h1>host internal.example.com</h1></html>"),
        ({"content-type": "text/plain"}, b"plain"),
        (JSON, b""),
        (JSON, b'{"ResponseStatus":{"ErrorCode":"No'),
        (JSON, b"[1,2]"),
        (JSON, b'{"ResponseStatus":"text"}'),
        (JSON, b'{"ResponseStatus":{"Errors":[3,null,"x"]}}'),
        ({"content-type": "text/jsv"}, b"{ResponseStatus:{ErrorCode:No"),
        ({"content-type": "application/problem+json"}, b'{"type":"about:blank","title":"Teapot","detail":"d"}'),
    ],
    ids=["html", "text", "empty", "cut-off", "list", "status-is-text", "odd-errors", "cut-off-jsv", "rfc9457"],
)
def test_any_answer_is_survived(status, code, outcome, headers, body):
    error = parse(BackendResponse(status, headers, body))
    assert (error.row.code, error.outcome) == (code, outcome)
    assert error.backend.status == status
    assert not any(text in repr(error.extensions) for text in ("html", "plain", "internal.example.com"))
    if "problem" in headers["content-type"] and 400 <= status < 500:
        assert error.backend.message == "Teapot"


def test_retry_after_is_passed_on():
    assert parse(BackendResponse(429, {"retry-after": "7"}, b"")).extensions["retry"] == {
        "safe": True,
        "afterSeconds": 7,
    }
    row = encode_json({"ResponseStatus": {"ErrorCode": "OptimisticConcurrencyException"}})
    assert parse(BackendResponse(409, {**JSON, "retry-after": "2"}, row)).retry_after == 2


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("Firstname", ("input", "firstname")),
        ("firstName", ("input", "firstname")),
        ("Id", ("id",)),
        ("CompanyId", ("companyId",)),
        ("CustomFields", ("input", "customFields")),
        ("CustomFields[0].Value", ("input", "customFields", 0, "value")),
        ("accesskeys[12].accesskeytypeid", ("input", "accessKeys", 12, "accessKeyTypeId")),
        ("AccessKeysToDelete[3]", ("input", "accessKeysToDelete", 3)),
        ("InvoiceAddress.InvoiceCity", ("input", "invoiceAddress", "invoiceCity")),
        ("Shoes", None),
        ("CustomFields[0].Shoes", None),
        ("CustomFields[-1]", None),
        ("Firstname.Value", None),
        ("", None),
        ("CustomFields[0].Value.Value", None),
        ("CustomFields[0].Value[0]", None),
        ("Id.Value", None),
        ("Id[0]", None),
        ("Firstname[0]", None),
    ],
)
def test_a_field_name_is_a_place_in_the_arguments(name, path):
    assert input_path(name) == path


@given(st.text(max_size=60))
def test_any_field_name_is_survived(name):
    path = input_path(name)
    assert path is None or input_path(field_name(path)) == path


def test_the_known_field_names_are_the_inputs():
    for member in members(UpdateBookingCustomerInput):
        assert input_path(member.name) == ("input", member.graphql_name)
        for inner in members(member.nested) if member.nested else ():
            assert input_path(f"{member.name}.{inner.name}") == ("input", member.graphql_name, inner.graphql_name)


def test_a_401_means_one_thing_for_all_that_it_lists():
    entries = [{"ErrorCode": "X", "FieldName": "Email", "Message": "a"}, {"FieldName": "Phone", "Message": "b"}]
    status = {"ErrorCode": "Unauthorized", "Message": "Not Authenticated", "Errors": entries}
    found = judged(BackendResponse(401, JSON, encode_json({"ResponseStatus": status})))
    assert [error.row.reason for error in found] == ["NOT_AUTHENTICATED"] * 2


def test_of_an_endless_list_of_faults_the_first_hundred_are_told():
    entries = [{"ErrorCode": "NotEmpty", "FieldName": "Email", "Message": f"{number}"} for number in range(20_000)]
    found = judged(BackendResponse(400, JSON, encode_json({"ResponseStatus": {"ErrorCode": "x", "Errors": entries}})))
    assert [error.message for error in found] == [f"{number}" for number in range(100)]


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b'{"Message":"Closed for today"}'),
        (JSON, b'{"message":"Closed for today","ResponseStatus":null}'),
        ({"content-type": "text/jsv"}, b"{Message:Closed for today}"),
        ({"content-type": "application/jsv"}, b"{message:Closed for today,Other:1}"),
    ],
)
def test_a_message_at_the_top_is_told_in_either_format(headers, body):
    (error,) = judged(BackendResponse(403, headers, body))
    assert error.extensions["backend"] == {"name": "bokamera", "status": 403, "message": "Closed for today"}


@pytest.mark.parametrize(("written", "code"), [("7", "7"), ("12.5", "12.5"), ("true", None), ("[7]", None)])
def test_a_code_that_is_a_number_is_told(written, code):
    body = b'{"ResponseStatus":{"ErrorCode":%s,"Message":"m"}}' % written.encode()
    (error,) = judged(BackendResponse(418, JSON, body))
    assert error.extensions["backend"].get("code") == code


def test_what_no_client_is_shown_of_a_documented_refusal_is_in_the_log_at_debug_alone(caplog):
    body = b'{"ResponseStatus":{"ErrorCode":"NotEmpty","Errors":[{"ErrorCode":"NotEmpty","Meta":{"a":"m-1"}}]}}'
    for level, logged in (("INFO", False), ("DEBUG", True)):
        caplog.set_level(level)
        judged(BackendResponse(400, JSON, body))
        assert ("m-1" in caplog.text) is logged
