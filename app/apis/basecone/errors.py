"""Basecone's documented errors: the 47 rows of the two update pages, and the general ones.

https://developers.basecone.com/ApiReference/UpdateCustomer,
https://developers.basecone.com/ApiReference/UpdateSupplier,
https://developers.basecone.com/ApiReference/BasicAuthentication. One code stands for up to seventeen errors, and only
the text tells them apart. A code with one row is enough, whatever its text. The envelope is one object, `{code,
message, _metadata?, _moreInfo?}`, in any casing.
"""

from __future__ import annotations

from app.apis.basecone.kinds import CUSTOMER, KINDS, NAME, SUPPLIER, Kind
from app.errors import Code, DocumentedError, GatewayError, GatewayErrors
from app.json_codec import encode_json
from app.updates.table import ErrorTable
from app.upstream.messages import BackendResponse
from app.upstream.responses import parsed, text_member

_PAGE = "https://developers.basecone.com/ApiReference/Update"
_BASIC = "https://developers.basecone.com/ApiReference/BasicAuthentication"
_VAT = "https://developers.basecone.com/ApiReference/UpdateVatCode"

INVALID = "invalid_request_payload"
VALIDATION = "validation_error"


def _row(  # noqa: PLR0913 - the columns of the vendor's table and the place they point at
    kind: Kind,
    reason: str,
    text: str,
    path: str | None = None,
    *,
    status: int = 400,
    vendor_code: str = INVALID,
    code: Code = Code.BAD_USER_INPUT,
    any_text: bool = False,
    retry_safe: bool = False,
) -> DocumentedError:
    return DocumentedError(
        reason=reason,
        code=code,
        backend=NAME,
        http_status=status,
        vendor_code=vendor_code,
        text=text.format(kind=kind.singular, Kind=kind.singular.capitalize()),
        any_text=any_text,
        input_path=tuple(path.split(".")) if path else None,
        mutations=(kind.mutation,),
        retry_safe=retry_safe,
        source=_PAGE + kind.singular.capitalize(),
    )


def _shared(kind: Kind) -> tuple[DocumentedError, ...]:
    company = "input.company.companyId"

    def forbidden(reason: str, text: str, path: str) -> DocumentedError:
        return _row(kind, reason, text, path, status=403, vendor_code="unauthorized", code=Code.FORBIDDEN)

    return (
        _row(kind, "REQUEST_MISSING", "Update {kind} request cannot be null", "input"),
        _row(kind, "ID_EMPTY", "{Kind} id cannot be empty", "id"),
        _row(kind, "COMPANY_ID_EMPTY", "Company id cannot be empty", company),
        _row(kind, "COMPANY_NOT_FOUND", "The company provided does not exist.", company),
        _row(
            kind,
            "CREDENTIALS_INVALID",
            "Invalid credentials.",
            vendor_code="user_credentials_invalid",
            code=Code.UNAUTHENTICATED,
            any_text=True,
        ),
        _row(kind, "CODE_INVALID", "The {kind} code provided is invalid.", "input.code"),
        _row(kind, "CODE_EXISTS", "The {kind} code provided already exists.", "input.code"),
        _row(kind, "SUBSTITUTION_GENERAL_LEDGER_INVALID", "The SubstitutionGeneralLedger code provided is invalid."),
        _row(kind, "VAT_CODE_INVALID", "The VatCode value provided is invalid.", "input.vatCode.code"),
        _row(
            kind,
            "PAYMENT_CONDITION_DUE_DAYS_INVALID",
            "The PaymentCondition DueDays provided is invalid.",
            "input.paymentCondition",
        ),
        _row(
            kind,
            "PAYMENT_CONDITION_INVALID",
            "The PaymentCondition provided is invalid.",
            "input.paymentCondition.code",
        ),
        _row(
            kind,
            "PAY_COLLECT_TYPE_INVALID",
            "The PayCollectType code provided is invalid.",
            "input.payCollectType.code",
        ),
        _row(
            kind,
            "ADDRESS_COUNTRY_INVALID",
            "The AddressCountry code provided is invalid.",
            "input.address.country.code",
        ),
        _row(
            kind,
            "BANK_ACCOUNT_COUNTRY_INVALID",
            "The BankAccount Country code provided is invalid.",
            "input.bankAccounts.country.code",
        ),
        # The text names no property; one cause is a `code` from a client that is not WKBelgium's.
        _row(
            kind, "REQUEST_PROPERTIES_NOT_VALID", "Request properties are not valid to perform the requested operation."
        ),
        _row(kind, "PROPERTIES_NOT_VALID", "One or more properties were not valid", vendor_code=VALIDATION),
        _row(kind, "VALIDATION_ERRORS_OCCURRED", "One or more validation errors occurred.", vendor_code=VALIDATION),
        _row(
            kind,
            "ACCOUNTING_SYSTEM_VALIDATION",
            "Other validation errors from the accounting system",
            vendor_code=VALIDATION,
            any_text=True,
        ),
        _row(
            kind,
            "CONCURRENT_REQUEST",
            "The operation failed because the {kind} you are trying to change has just been modified by another "
            "concurrent request.",
            vendor_code="concurrent_request",
            code=Code.CONFLICT,
            any_text=True,
            retry_safe=True,
        ),
        forbidden("COMPANY_ACCESS_DENIED", "User does not have access to the company provided.", company),
        forbidden("ACCOUNTING_SYSTEM_ACCESS_DENIED", "User has no access to the accounting system company.", company),
        forbidden("BANK_ACCOUNT_CHANGE_DENIED", "User is not allowed to change Bank Account.", "input.bankAccounts"),
    )


_SUPPLIER_ONLY = (
    _row(
        SUPPLIER,
        "DISCOUNT_CALCULATION_METHOD_INVALID",
        "The DiscountCalculationMethod value provided is invalid.",
        "input.paymentDiscount.discountCalculationMethod",
    ),
    _row(
        SUPPLIER,
        "PAYMENT_DISCOUNT_GENERAL_LEDGER_INVALID",
        "The PaymentDiscount GeneralLedger provided is invalid.",
        "input.paymentDiscount.generalLedger.code",
    ),
    _row(SUPPLIER, "METADATA_INVALID", "Invalid meta data.", "input.metadata"),
)


def _general(
    reason: str, status: int, vendor_code: str, code: Code, source: str, *, text: str | None = None, meaning: str = ""
) -> DocumentedError:
    return DocumentedError(
        reason=reason,
        code=code,
        backend=NAME,
        http_status=status,
        vendor_code=vendor_code,
        text=text,
        meaning=meaning,
        any_text=True,
        mutations=tuple(kind.mutation for kind in KINDS),
        source=source,
    )


# Documented on other pages of the same API, for every resource; mostly without a published text.
GENERAL = (
    _general(
        "AUTHORIZATION_HEADER_INVALID",
        400,
        "invalid_authorization_header",
        Code.UNAUTHENTICATED,
        _BASIC,
        meaning="The Authorization header for Basecone is missing or malformed.",
    ),
    _general(
        "CREDENTIALS_UNAUTHORIZED",
        401,
        "unauthorized",
        Code.UNAUTHENTICATED,
        _BASIC,
        meaning="Basecone refused the credentials.",
    ),
    _general("JSON_PARSE_ERROR", 400, "json_parse_error", Code.BAD_USER_INPUT, _VAT, text="Unable to parse JSON."),
    _general(
        "PERMISSION_DENIED",
        403,
        "forbidden",
        Code.FORBIDDEN,
        _VAT,
        meaning="Basecone does not allow this user to do that.",
    ),
    _general(
        "RESOURCE_NOT_FOUND", 404, "resource_not_found", Code.NOT_FOUND, _VAT, meaning="Basecone has no such record."
    ),
)


def _of_ledger_list(reason: str, vendor_code: str, code: Code, meaning: str) -> DocumentedError:
    return DocumentedError(
        reason=reason,
        code=code,
        backend=NAME,
        http_status=400,
        vendor_code=vendor_code,
        meaning=meaning,
        any_text=True,
        input_path=("companyId",),
        of_reads=True,
        source="https://developers.basecone.com/ApiReference/GeneralLedgersCollection",
    )


LEDGER_COMPANY_UNKNOWN = _of_ledger_list(
    "COMPANY_NOT_FOUND", "CompanyDoesNotExist", Code.BAD_USER_INPUT, "The company provided does not exist."
)
LEDGER_COMPANY_DENIED = _of_ledger_list(
    "COMPANY_ACCESS_DENIED", "NoAccessToCompany", Code.FORBIDDEN, "User does not have access to the company provided."
)
_LEDGER_LIST = (LEDGER_COMPANY_UNKNOWN, LEDGER_COMPANY_DENIED)

DOCUMENTED = {CUSTOMER: _shared(CUSTOMER), SUPPLIER: _shared(SUPPLIER) + _SUPPLIER_ONLY}
ROWS: tuple[DocumentedError, ...] = (*DOCUMENTED[CUSTOMER], *DOCUMENTED[SUPPLIER], *GENERAL, *_LEDGER_LIST)

TABLE = ErrorTable(NAME, ROWS)


def row_of(kind: Kind, reason: str) -> DocumentedError:
    return TABLE.by_reason[kind.mutation, reason]


def parse(kind: Kind, response: BackendResponse) -> GatewayError:
    """The error of an unsuccessful answer. It keeps everything the answer says and adds nothing."""
    return TABLE.error_of_json(kind.mutation, response)


def parse_ledger_list(response: BackendResponse) -> GatewayError:
    """As `parse`, for the list of general ledgers, which has its own codes."""
    code = (text_member(parsed(response.body), "code") or "").casefold()
    for row in _LEDGER_LIST:
        if response.status == row.http_status and code == (row.vendor_code or "").casefold():
            return TABLE.refusal(row, response, text_member(parsed(response.body), "message"))
    return parse(SUPPLIER, response)


def render(error: GatewayError | GatewayErrors) -> BackendResponse:
    """Basecone's answer to a refusal: status and `{code, message, _metadata}`."""
    assert isinstance(error, GatewayError)
    backend = error.backend
    assert backend is not None
    assert backend.status is not None
    message = {} if backend.message is None else {"message": backend.message}
    body = encode_json({**message, "code": backend.code, "_metadata": []})
    return BackendResponse(backend.status, {"content-type": "application/json; charset=utf-8"}, body)
