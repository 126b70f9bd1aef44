"""Basecone's documented errors: the 47 rows of the two update pages, and the general ones.

https://developers.basecone.com/ApiReference/UpdateCustomer,
https://developers.basecone.com/ApiReference/UpdateSupplier,
https://developers.basecone.com/ApiReference/BasicAuthentication. One code stands for up to seventeen errors, and only
the text tells them apart. A code with one row is enough, whatever its text. The envelope is one object, `{code,
message, _metadata?, _moreInfo?}`, in any casing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import chain

from app.errors import Code, DocumentedError, GatewayError, GatewayFailure
from app.json_codec import encode_json
from app.updates.table import ErrorTable
from app.upstream.messages import BackendResponse
from app.upstream.responses import parsed, text_member

NAME = "basecone"
UPDATE_CUSTOMER = "updateCustomer"
UPDATE_SUPPLIER = "updateSupplier"

_PAGE = "https://developers.basecone.com/ApiReference/Update"
_BASIC = "https://developers.basecone.com/ApiReference/BasicAuthentication"
_LEDGERS = "https://developers.basecone.com/ApiReference/GeneralLedgersCollection"
_VAT = "https://developers.basecone.com/ApiReference/UpdateVatCode"

INVALID = "invalid_request_payload"
VALIDATION = "validation_error"


def _row(  # noqa: PLR0913 - the columns of the vendor's table and the place they point at
    mutation: str,
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
    record = mutation.removeprefix("update")
    return DocumentedError(
        reason=reason,
        code=code,
        backend=NAME,
        http_status=status,
        vendor_code=vendor_code,
        text=text.format(record=record.lower(), Record=record),
        any_text=any_text,
        input_path=tuple(path.split(".")) if path else None,
        mutations=(mutation,),
        retry_safe=retry_safe,
        source=_PAGE + record,
    )


def _shared(mutation: str) -> tuple[DocumentedError, ...]:
    company = "input.company.companyId"
    row = partial(_row, mutation)
    forbidden = partial(row, status=403, vendor_code="unauthorized", code=Code.FORBIDDEN)
    return (
        row("REQUEST_MISSING", "Update {record} request cannot be null", "input"),
        row("ID_EMPTY", "{Record} id cannot be empty", "id"),
        row("COMPANY_ID_EMPTY", "Company id cannot be empty", company),
        row("COMPANY_NOT_FOUND", "The company provided does not exist.", company),
        row(
            "CREDENTIALS_INVALID",
            "Invalid credentials.",
            vendor_code="user_credentials_invalid",
            code=Code.UNAUTHENTICATED,
            any_text=True,
        ),
        row("CODE_INVALID", "The {record} code provided is invalid.", "input.code"),
        row("CODE_EXISTS", "The {record} code provided already exists.", "input.code"),
        row("SUBSTITUTION_GENERAL_LEDGER_INVALID", "The SubstitutionGeneralLedger code provided is invalid."),
        row("VAT_CODE_INVALID", "The VatCode value provided is invalid.", "input.vatCode.code"),
        row(
            "PAYMENT_CONDITION_DUE_DAYS_INVALID",
            "The PaymentCondition DueDays provided is invalid.",
            "input.paymentCondition",
        ),
        row("PAYMENT_CONDITION_INVALID", "The PaymentCondition provided is invalid.", "input.paymentCondition.code"),
        row("PAY_COLLECT_TYPE_INVALID", "The PayCollectType code provided is invalid.", "input.payCollectType.code"),
        row("ADDRESS_COUNTRY_INVALID", "The AddressCountry code provided is invalid.", "input.address.country.code"),
        row(
            "BANK_ACCOUNT_COUNTRY_INVALID",
            "The BankAccount Country code provided is invalid.",
            "input.bankAccounts.country.code",
        ),
        # The text names no property; one cause is a `code` from a client that is not WKBelgium's.
        row("REQUEST_PROPERTIES_NOT_VALID", "Request properties are not valid to perform the requested operation."),
        row("PROPERTIES_NOT_VALID", "One or more properties were not valid", vendor_code=VALIDATION),
        row("VALIDATION_ERRORS_OCCURRED", "One or more validation errors occurred.", vendor_code=VALIDATION),
        row(
            "ACCOUNTING_SYSTEM_VALIDATION",
            "Other validation errors from the accounting system",
            vendor_code=VALIDATION,
            any_text=True,
        ),
        row(
            "CONCURRENT_REQUEST",
            "The operation failed because the {record} you are trying to change has just been modified by another "
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
        UPDATE_SUPPLIER,
        "DISCOUNT_CALCULATION_METHOD_INVALID",
        "The DiscountCalculationMethod value provided is invalid.",
        "input.paymentDiscount.discountCalculationMethod",
    ),
    _row(
        UPDATE_SUPPLIER,
        "PAYMENT_DISCOUNT_GENERAL_LEDGER_INVALID",
        "The PaymentDiscount GeneralLedger provided is invalid.",
        "input.paymentDiscount.generalLedger.code",
    ),
    _row(UPDATE_SUPPLIER, "METADATA_INVALID", "Invalid meta data.", "input.metadata"),
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
        mutations=(UPDATE_CUSTOMER, UPDATE_SUPPLIER),
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
    row = _general(reason, 400, vendor_code, code, _LEDGERS, meaning=meaning)
    return replace(row, mutations=(), of_reads=True, input_path=("companyId",))


LEDGER_COMPANY_UNKNOWN = _of_ledger_list(
    "COMPANY_NOT_FOUND", "CompanyDoesNotExist", Code.BAD_USER_INPUT, "The company provided does not exist."
)
LEDGER_COMPANY_DENIED = _of_ledger_list(
    "COMPANY_ACCESS_DENIED", "NoAccessToCompany", Code.FORBIDDEN, "User does not have access to the company provided."
)
_LEDGER_LIST = (LEDGER_COMPANY_UNKNOWN, LEDGER_COMPANY_DENIED)

# By mutation.
DOCUMENTED = {UPDATE_CUSTOMER: _shared(UPDATE_CUSTOMER), UPDATE_SUPPLIER: _shared(UPDATE_SUPPLIER) + _SUPPLIER_ONLY}
ROWS: tuple[DocumentedError, ...] = (*chain.from_iterable(DOCUMENTED.values()), *GENERAL, *_LEDGER_LIST)

TABLE = ErrorTable(NAME, ROWS)


def row_of(mutation: str, reason: str) -> DocumentedError:
    """Reads that belong to no mutation, such as the ledgers', have the rows of a supplier's update (assumed)."""
    return TABLE.by_reason[mutation or UPDATE_SUPPLIER, reason]


def parse(mutation: str, response: BackendResponse) -> GatewayError:
    """The error of an unsuccessful answer. It keeps everything the answer says and adds nothing."""
    return TABLE.error_of_json(mutation, response)


def parse_ledger_list(response: BackendResponse) -> GatewayError:
    """As `parse`, for the list of general ledgers, which has its own codes."""
    code = (text_member(parsed(response.body), "code") or "").casefold()
    for row in _LEDGER_LIST:
        if response.status == row.http_status and code == (row.vendor_code or "").casefold():
            return TABLE.refusal(row, response, text_member(parsed(response.body), "message"))
    return parse(UPDATE_SUPPLIER, response)


def render(error: GatewayFailure) -> BackendResponse:
    """Basecone's answer to a refusal: status and `{code, message, _metadata}`."""
    assert isinstance(error, GatewayError)
    backend = error.backend
    assert backend is not None
    assert backend.status is not None
    message = {} if backend.message is None else {"message": backend.message}
    body = encode_json({**message, "code": backend.code, "_metadata": []})
    return BackendResponse(backend.status, {"content-type": "application/json; charset=utf-8"}, body)
