"""BokaMera's documented errors.

The operation's page documents 400 (validation error) and 401 (not allowed to perform the action). Everything else is
ServiceStack's own: https://docs.servicestack.net/error-handling, https://docs.servicestack.net/validation.
"""

from __future__ import annotations

from app.errors import Code, DocumentedError
from app.updates.table import ErrorTable

NAME = "bokamera"
MUTATION = "updateBookingCustomer"

_PAGE = "https://api.bokamera.se/xml/metadata?lang=kotlin&op=UpdateCustomer"
_SERVICESTACK = "https://docs.servicestack.net/error-handling"
_VALIDATION = "https://docs.servicestack.net/validation"


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

TABLE = ErrorTable(NAME, ROWS)
