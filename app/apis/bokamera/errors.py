"""BokaMera's documented errors and ServiceStack's envelope, `{ResponseStatus: {ErrorCode, Message, Errors[]}}`.

The operation's page documents 400 (validation error) and 401 (not allowed to perform the action). Everything else is
ServiceStack's own: https://docs.servicestack.net/error-handling, https://docs.servicestack.net/validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.apis.bokamera import jsv
from app.errors import Code, DocumentedError, GatewayError, GatewayErrors, GatewayFailure, InputPath, refusal
from app.json_codec import encode_json
from app.notes import note_detail
from app.redaction import cleaned
from app.updates.table import ErrorTable
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

NAME = "bokamera"
MUTATION = "updateBookingCustomer"
Format = Literal["json", "jsv"]

_PAGE = "https://api.bokamera.se/xml/metadata?lang=kotlin&op=UpdateCustomer"
_SERVICESTACK = "https://docs.servicestack.net/error-handling"
_VALIDATION = "https://docs.servicestack.net/validation"

# In a JSV answer the items of these lists are raw JSON.
JSON_MEMBERS = frozenset({"CustomFields"})


def _row(
    reason: str,
    status: int,
    vendor_code: str | None,
    code: Code,
    text: str,
    source: str = _SERVICESTACK,
    *,
    retry_safe: bool = False,
) -> DocumentedError:
    return DocumentedError(
        reason=reason,
        code=code,
        backend=NAME,
        http_status=status,
        vendor_code=vendor_code,
        text=text,
        any_text=True,
        mutations=(MUTATION,),
        retry_safe=retry_safe,
        source=source,
    )


def _field(reason: str, vendor_code: str, text: str) -> DocumentedError:
    """A rule of the validator FluentValidation, with its stock English text."""
    return _row(reason, 400, vendor_code, Code.BAD_USER_INPUT, text, _VALIDATION)


# The ErrorCode of a .NET exception is the name of its type. The texts are assumed; the framework passes any text on.
INPUT_INVALID = _row("INPUT_INVALID", 400, None, Code.BAD_USER_INPUT, "Validation error on the input.", _PAGE)
ACTION_NOT_ALLOWED = _row(
    "ACTION_NOT_ALLOWED", 401, None, Code.FORBIDDEN, "Current user is not allowed to perform the action.", _PAGE
)
NOT_AUTHENTICATED = _row("NOT_AUTHENTICATED", 401, "Unauthorized", Code.UNAUTHENTICATED, "Not Authenticated")

FIELD_EMPTY = _field("FIELD_EMPTY", "NotEmpty", "'{PropertyName}' must not be empty.")
FIELD_LENGTH_INVALID = _field(
    "FIELD_LENGTH_INVALID",
    "Length",
    "'{PropertyName}' must be between {MinLength} and {MaxLength} characters. You entered {TotalLength} characters.",
)
FIELD_FORMAT_INVALID = _field(
    "FIELD_FORMAT_INVALID", "RegularExpression", "'{PropertyName}' is not in the correct format."
)
FIELD_EMAIL_INVALID = _field("FIELD_EMAIL_INVALID", "Email", "'{PropertyName}' is not a valid email address.")
FIELD_CONDITION_FAILED = _field(
    "FIELD_CONDITION_FAILED", "Predicate", "The specified condition was not met for '{PropertyName}'."
)

SERIALIZATION_FAILED = _row(
    "SERIALIZATION_FAILED",
    400,
    "SerializationException",
    Code.BAD_USER_INPUT,
    "Unable to bind to request 'UpdateCustomer'",
)
# HttpError.NotFound: its ErrorCode is the status's name. Assumed: an unknown customer is answered with it.
BOOKING_CUSTOMER_NOT_FOUND = _row(
    "BOOKING_CUSTOMER_NOT_FOUND", 404, "NotFound", Code.NOT_FOUND, "The customer does not exist."
)
OPTIMISTIC_CONCURRENCY = _row(
    "OPTIMISTIC_CONCURRENCY",
    409,
    "OptimisticConcurrencyException",
    Code.CONFLICT,
    "The record was changed by another request.",
    retry_safe=True,
)

ROWS: tuple[DocumentedError, ...] = (
    INPUT_INVALID,
    ACTION_NOT_ALLOWED,
    NOT_AUTHENTICATED,
    FIELD_EMPTY,
    FIELD_LENGTH_INVALID,
    FIELD_FORMAT_INVALID,
    FIELD_EMAIL_INVALID,
    FIELD_CONDITION_FAILED,
    _field("FIELD_NULL", "NotNull", "'{PropertyName}' must not be empty."),
    _field("FIELD_NOT_NULL", "Null", "'{PropertyName}' must be empty."),
    _field("FIELD_NOT_EMPTY", "Empty", "'{PropertyName}' must be empty."),
    _field(
        "FIELD_TOO_SHORT",
        "MinimumLength",
        "The length of '{PropertyName}' must be at least {MinLength} characters. You entered {TotalLength} characters.",
    ),
    _field(
        "FIELD_TOO_LONG",
        "MaximumLength",
        "The length of '{PropertyName}' must be {MaxLength} characters or fewer. You entered {TotalLength} characters.",
    ),
    _field("FIELD_NOT_GREATER", "GreaterThan", "'{PropertyName}' must be greater than '{ComparisonValue}'."),
    _field(
        "FIELD_NOT_GREATER_OR_EQUAL",
        "GreaterThanOrEqual",
        "'{PropertyName}' must be greater than or equal to '{ComparisonValue}'.",
    ),
    _field("FIELD_NOT_LESS", "LessThan", "'{PropertyName}' must be less than '{ComparisonValue}'."),
    _field(
        "FIELD_NOT_LESS_OR_EQUAL",
        "LessThanOrEqual",
        "'{PropertyName}' must be less than or equal to '{ComparisonValue}'.",
    ),
    _field("FIELD_NOT_EQUAL", "Equal", "'{PropertyName}' must be equal to '{ComparisonValue}'."),
    _field("FIELD_EQUAL", "NotEqual", "'{PropertyName}' must not be equal to '{ComparisonValue}'."),
    _field(
        "FIELD_NOT_BETWEEN",
        "InclusiveBetween",
        "'{PropertyName}' must be between {From} and {To}. You entered {Value}.",
    ),
    _field(
        "FIELD_NOT_STRICTLY_BETWEEN",
        "ExclusiveBetween",
        "'{PropertyName}' must be between {From} and {To} (exclusive). You entered {Value}.",
    ),
    _field(
        "FIELD_NOT_IN_ENUM", "Enum", "'{PropertyName}' has a range of values which does not include '{PropertyValue}'."
    ),
    _field("FIELD_CREDIT_CARD_INVALID", "CreditCard", "'{PropertyName}' is not a valid credit card number."),
    SERIALIZATION_FAILED,
    _row(
        "ARGUMENT_INVALID",
        400,
        "ArgumentException",
        Code.BAD_USER_INPUT,
        "Value does not fall within the expected range.",
    ),
    _row("ARGUMENT_NULL", 400, "ArgumentNullException", Code.BAD_USER_INPUT, "Value cannot be null."),
    _row(
        "FORMAT_INVALID",
        400,
        "FormatException",
        Code.BAD_USER_INPUT,
        "One of the identified items was in an invalid format.",
    ),
    _row("ROLE_REQUIRED", 403, "Forbidden", Code.FORBIDDEN, "Invalid Role"),
    _row(
        "UNAUTHORIZED_ACCESS",
        403,
        "UnauthorizedAccessException",
        Code.FORBIDDEN,
        "Attempted to perform an unauthorized operation.",
    ),
    BOOKING_CUSTOMER_NOT_FOUND,
    _row("FILE_NOT_FOUND", 404, "FileNotFoundException", Code.NOT_FOUND, "Unable to find the specified file."),
    _row(
        "NOT_IMPLEMENTED",
        405,
        "NotImplementedException",
        Code.BACKEND_REJECTED,
        "The method or operation is not implemented.",
    ),
    _row("NOT_SUPPORTED", 405, "NotSupportedException", Code.BACKEND_REJECTED, "Specified method is not supported."),
    OPTIMISTIC_CONCURRENCY,
)

_UNAUTHORIZED = 401
# The most entries of one refusal: each becomes an error of its own, several times its size.
_MOST_ENTRIES = 100
TABLE = ErrorTable(NAME, ROWS)

# The members of a request as a FieldName may spell them, and the members below. A test compares this with the inputs.
FIELDS: Mapping[str, Sequence[str]] = {
    "Firstname": (),
    "Lastname": (),
    "Phone": (),
    "Email": (),
    "CustomFields": ("Id", "Value"),
    "AccessKeys": ("Id", "CompanyId", "AccessKeyTypeId", "Value", "CustomerId", "Description"),
    "AccessKeysToDelete": ("Id",),
    "SubscribedToNewsletter": (),
    "InvoiceAddress": (
        "CorporateIdentityNumber",
        "InvoiceAddress1",
        "InvoiceAddress2",
        "InvoiceCity",
        "InvoicePostalCode",
        "InvoiceCountryCode",
    ),
}
_FIELD = re.compile(r"([A-Za-z0-9]+)(?:\[([0-9]{1,6})\])?(?:\.([A-Za-z0-9]+))?")


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


_ROOT = {"id": "id", "companyid": "companyId"}
_LISTS = {"customfields", "accesskeys", "accesskeystodelete"}
_TOP = {name.casefold(): _camel(name) for name in FIELDS}
_NESTED = {(name.casefold(), inner.casefold()): _camel(inner) for name, inners in FIELDS.items() for inner in inners}


def input_path(field_name: str) -> InputPath | None:
    """`CustomFields[0].Value` as a place in the mutation's arguments; None for a name that no argument has."""
    match = _FIELD.fullmatch(field_name)
    if match is None:
        return None
    name, position, inner = match[1].casefold(), match[2], match[3]
    if name in _ROOT and position is None and inner is None:
        return (_ROOT[name],)
    if name not in _TOP or (position is not None and name not in _LISTS):
        return None
    path: InputPath = ("input", _TOP[name])
    if position is not None:
        path = (*path, int(position))
    if inner is not None:
        if (name, inner.casefold()) not in _NESTED:
            return None
        path = (*path, _NESTED[name, inner.casefold()])
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
    """The data of a 200 that is a success: a filled ErrorCode means failure. Raises GatewayError."""
    data = body_of(response)
    code = member(member(data, "ResponseStatus"), "ErrorCode")
    if code.strip() if isinstance(code, str) else code:
        raise undocumented(NAME, response, code=str(code))
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
