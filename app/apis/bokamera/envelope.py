"""ServiceStack's bodies: the envelope of errors, `{ResponseStatus: {ErrorCode, Message, Errors[]}}`, and binding.

https://docs.servicestack.net/error-handling. A request is bound with names in any casing, no unknown names, no null, no
unfit scalars: ServiceStack.Text, `DeserializeTypeRef`, leaves a member unchanged whose value cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.apis.bokamera import jsv
from app.apis.bokamera.errors import ACTION_NOT_ALLOWED, INPUT_INVALID, MUTATION, NAME, NOT_AUTHENTICATED, TABLE
from app.apis.bokamera.types import UpdateBookingCustomerInput
from app.errors import DocumentedError, GatewayError, GatewayErrors, GatewayFailure, InputPath, refusal
from app.json_codec import encode_json
from app.mapping.members import members_of
from app.mapping.readers import LENIENT, Reader, lenient_text
from app.mapping.scalars import parse_uuid
from app.mapping.wire import request_reader
from app.notes import note_detail
from app.redaction import cleaned
from app.upstream.messages import BackendResponse
from app.upstream.responses import (
    code_member,
    code_of,
    log_body,
    member,
    message_of,
    parsed,
    retry_after,
    text_member,
    undocumented,
)

Format = Literal["json", "jsv"]

# In a JSV answer the items of these lists are raw JSON.
JSON_MEMBERS = frozenset({"CustomFields"})
_UNAUTHORIZED = 401
# The most entries of one refusal: each becomes an error of its own, several times its size.
_MOST_ENTRIES = 100
_ARGUMENTS = {"id": "id", "companyid": "companyId"}
_PART = re.compile(r"([A-Za-z0-9]+)(?:\[([0-9]{1,6})\])?")


def input_path(field_name: str) -> InputPath | None:
    """`CustomFields[0].Value` as a place in the mutation's arguments; None for a name that no argument has."""
    if (argument := _ARGUMENTS.get(field_name.casefold())) is not None:
        return (argument,)
    path: InputPath = ("input",)
    cls: type | None = UpdateBookingCustomerInput
    for part in field_name.split("."):
        match = _PART.fullmatch(part)
        named = None if match is None or cls is None else members_of(cls).folded.get(match[1].casefold())
        if match is None or named is None or (match[2] and not named.is_list):
            return None
        path = (*path, named.graphql_name, *([int(match[2])] if match[2] else []))
        cls = named.nested
    return path


def field_name(path: Sequence[str | int]) -> str:
    """The vendor's spelling of a place in the mutation's arguments, as `input_path` reads it."""
    text = ""
    for part in path[1:] if path[0] == "input" else path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part[0].upper()}{part[1:]}"
    return text


def body_of(response: BackendResponse) -> Any:
    """The data of an answer, as JSON or JSV by its content type; None where there is none."""
    if "jsv" not in response.headers.get("content-type", "").casefold():
        return parsed(response.body)
    try:
        return jsv.decode(response.body, json_members=JSON_MEMBERS)
    except jsv.JsvError:
        return None


def is_servicestack(response: BackendResponse) -> bool:
    """Whether an answer is a list of BokaMera's, or its envelope of errors."""
    data = body_of(response)
    return isinstance(data, list) or any(member(data, name) is not None for name in ("Results", "ResponseStatus"))


def success_of(response: BackendResponse) -> Any:
    """The data of a 200 that is a success: a filled ErrorCode means failure, and so do Errors. Raises GatewayError."""
    data = body_of(response)
    status = member(data, "ResponseStatus")
    code = member(status, "ErrorCode")
    if (code.strip() if isinstance(code, str) else code) or member(status, "Errors"):
        raise undocumented(NAME, response, code=str(code or ""))
    return data


def parse(response: BackendResponse) -> GatewayFailure:
    """The errors of an unsuccessful answer: one for each entry of `Errors[]`, in order."""
    data = body_of(response)
    status = member(data, "ResponseStatus")
    listed = member(status, "Errors")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    # An answer without the envelope comes from another part of the service, which may put a message at the top.
    outermost = status or {"Message": message_of(data)}
    errors = [_error(response, entry, status) for entry in entries[:_MOST_ENTRIES] or [outermost]]
    if len(entries) > _MOST_ENTRIES:
        note_detail(f"{len(entries) - _MOST_ENTRIES} further entries of Errors were left out")
    if not any(error.undocumented for error in errors):
        log_body(NAME, response)  # its `Meta` may say more
    return errors[0] if len(errors) == 1 else GatewayErrors(errors)


def _error(response: BackendResponse, entry: Any, status: Any) -> GatewayError:
    """`entry` is one of `Errors[]`, or the status itself, which fills in what an entry leaves out."""
    code = code_member(entry, "ErrorCode") or code_member(status, "ErrorCode")
    text = text_member(entry, "Message") or text_member(status, "Message")
    field = text_member(entry, "FieldName")
    path = input_path(field) if field else None
    # A 401 has one meaning for the answer, not one for each entry.
    meaning = code_member(status, "ErrorCode") if response.status == _UNAUTHORIZED else None
    row = _recognise(response, meaning or code or "", has_status=bool(status))
    if row is None:
        error = undocumented(NAME, response, code=code, message=text)
        return error.changed(input_path=path) if path else error
    error = refusal(row, (cleaned(text, response.secrets) if text else "") or row.text, input_path=path)
    error.retry_after = retry_after(response.headers)
    # A row for any code keeps the code of the answer.
    assert error.backend is not None
    error.backend = error.backend._replace(code=code_of(code, response))
    return error


def _recognise(response: BackendResponse, code: str, *, has_status: bool) -> DocumentedError | None:
    if response.status == _UNAUTHORIZED:
        bare = not response.body.strip() or "www-authenticate" in response.headers
        return NOT_AUTHENTICATED if bare or code.casefold() == "unauthorized" else ACTION_NOT_ALLOWED
    row = TABLE.recognise(MUTATION, response.status, code, "") if code else None
    if row is None and response.status == INPUT_INVALID.http_status and has_status:
        return INPUT_INVALID
    return row


def render(error: GatewayFailure, form: Format = "json") -> BackendResponse:
    """BokaMera's answer to a refusal: the status and the envelope, with an entry for each error that has a place."""
    errors = error.errors
    first = errors[0].backend
    assert first is not None
    assert first.status is not None
    entries = [
        {
            "ErrorCode": field_error.backend.code if field_error.backend else None,
            "FieldName": field_name(field_error.input_path) if field_error.input_path else None,
            "Message": field_error.message,
        }
        for field_error in errors
        if len(errors) > 1 or field_error.input_path
    ]
    status = {
        "ErrorCode": first.code,
        "Message": errors[0].message,
        "Errors": [_without_nulls(entry) for entry in entries],
    }
    return write({"ResponseStatus": _without_nulls(status)}, first.status, form)


def write(data: Any, status: int, form: Format) -> BackendResponse:
    if form == "jsv":
        return BackendResponse(
            status, {"content-type": "text/jsv; charset=utf-8"}, jsv.encode(data, json_members=JSON_MEMBERS)
        )
    return BackendResponse(status, {"content-type": "application/json; charset=utf-8"}, encode_json(data))


def _without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _text(value: Any) -> str:
    return str(value) if isinstance(value, bool) else lenient_text(value)


bind: Reader = request_reader(
    UpdateBookingCustomerInput,
    {**LENIENT, str: _text},
    vendor_names=True,
    lenient=True,
    # Also binds from the body, though the page documents it as a query parameter.
    more={UpdateBookingCustomerInput: {"CompanyId": parse_uuid}},
)
