"""The local adapter: Basecone's documented rules over the store. Raises the rows that the REST client recognises."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection as Names
from typing import Any

import pycountry
from msgspec import Struct

from app.apis.basecone import accounting, store_lists
from app.apis.basecone.errors import UPDATE_CUSTOMER, UPDATE_SUPPLIER, row_of
from app.apis.basecone.seed import (
    ACCOUNTING_SYSTEM,
    COMPANIES,
    DEMO,
    GENERAL_LEDGERS,
    RECORDS,
    REFERENCE_CODES,
    USERS,
    code_id,
    key_digest,
)
from app.apis.basecone.settings import BaseconeSettings
from app.apis.basecone.shape import read_shape, request_of
from app.errors import ANSWER_TIMED_OUT, GatewayError, refusal
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.store.records import Collection, Record, Store, UniqueConflictError, VersionConflictError, Write, until
from app.updates.listing import ListPage, ListRequest
from app.updates.local import LocalCall
from app.updates.resource import Options, Resource, UpdateRequest
from app.upstream.credentials import basic_header

_ZERO = "00000000-0000-0000-0000-000000000000"
_METHODS = {"ExcludingVatWithoutDiscount", "IncludingVatWithoutDiscount", "ExcludingVatWithDiscount"}
_COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)
_KEPT = ("externalId", "substitutionGeneralLedger")
_LONGEST_CODE = 500  # characters; an index of PostgreSQL takes 2,700 bytes


class _Facts(Struct, frozen=True):
    """The stored data that the rules of one update need, read in one go."""

    user: Record
    company: Record | None
    record: Record | None
    accounting: Record | None
    codes: frozenset[str]


def demo_credentials(settings: BaseconeSettings) -> dict[str, str]:
    """The demo user's credentials, where neither the caller nor the settings have any."""
    pair = DEMO
    if settings.client_identifier and settings.api_access_key:
        pair = (settings.client_identifier, settings.api_access_key.get_secret_value())
    return {"authorization": basic_header(*pair)}


class BaseconeRules:
    """Basecone as documented, over a local store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def update(self, request: UpdateRequest, call: LocalCall) -> None:
        mutation, record_id = request.resource.mutation, request.id
        skip = bool(request.options.get("skip_creation_in_accounting_system"))
        pair = _credentials(mutation, call)
        if record_id == _ZERO:
            raise _refused(mutation, "ID_EMPTY")
        if request.body is None:
            raise _refused(mutation, "REQUEST_MISSING")
        body, company_id = _bound(mutation, request.body)
        async with until(call.deadline):
            facts = await self._facts(mutation, pair, record_id, company_id, body)
        broken, record = _broken(mutation, facts, company_id, body, skip=skip), facts.record
        if broken is not None or record is None:
            raise _refused(mutation, broken or "RESOURCE_NOT_FOUND")
        document = _decide(mutation, facts, record, body)
        writes = [
            Write(RECORDS[mutation], Record(record_id, document, company_id, document.get("code")), record.version)
        ]
        if not skip and facts.company is not None and facts.company.document.get("accountingSystem") is not None:
            complaint = accounting.complaint(document)
            if complaint is not None:
                raise _refused(mutation, "ACCOUNTING_SYSTEM_VALIDATION", complaint)
            expected = None if facts.accounting is None else facts.accounting.version
            writes.append(Write(ACCOUNTING_SYSTEM[mutation], Record(record_id, document, company_id), expected))
        try:
            await call.commit(writes)
        except VersionConflictError as error:
            raise _refused(mutation, "CONCURRENT_REQUEST") from error
        except UniqueConflictError as error:
            raise _refused(mutation, "CODE_EXISTS") from error

    async def omitted(self, resource: Resource, names: Names[str], call: LocalCall) -> Names[str]:
        """Only a WKBelgium client may send a customer's code."""
        user = await self._user(resource.mutation, call)
        return () if user.document["wkBelgium"] else names

    async def read(self, resource: Resource, record_id: str, _options: Options, call: LocalCall) -> Wire | None:
        async with until(call.deadline, ANSWER_TIMED_OUT):
            if resource.mutation in RECORDS:
                return await self._read(resource, record_id, call)
            return await self._general_ledger(record_id, call)

    async def page(self, request: ListRequest, call: LocalCall) -> ListPage:
        async with until(call.deadline, ANSWER_TIMED_OUT):
            user = await self._user(UPDATE_SUPPLIER, call)
            return await store_lists.page(self._store, user, request)

    async def _read(self, resource: Resource, record_id: str, call: LocalCall) -> Wire | None:
        mutation = resource.mutation
        user = await self._user(mutation, call)
        record = await self._store.get(RECORDS[mutation], record_id)
        if record is None:
            return None
        company_id = record.document["company"]["companyId"]
        if company_id not in user.document["companies"]:
            raise _refused(mutation, "COMPANY_ACCESS_DENIED")
        discount = record.document.get("paymentDiscount") or {}
        ledgers = [
            item["code"]
            for item in (record.document.get("substitutionGeneralLedger"), discount.get("generalLedger"))
            if item
        ]
        ids = [code_id(company_id, "generalLedger", code) for code in ledgers]
        records = await self._store.get_many([(COMPANIES, company_id), *((REFERENCE_CODES, item) for item in ids)])
        ledger_ids = {
            code: records[REFERENCE_CODES, item].document["generalLedgerId"]
            for code, item in zip(ledgers, ids, strict=True)
            if (REFERENCE_CODES, item) in records
        }
        return read_shape(resource, record_id, record.document, records[COMPANIES, company_id].document, ledger_ids)

    async def _general_ledger(self, ledger_id: str, call: LocalCall) -> Wire | None:
        user = await self._user(UPDATE_SUPPLIER, call)
        record = await self._store.get(GENERAL_LEDGERS, ledger_id)
        if record is None:
            return None
        if record.owner not in user.document["companies"]:
            raise _refused(UPDATE_SUPPLIER, "COMPANY_ACCESS_DENIED")
        return {
            "id": record.id,
            "code": record.document["code"],
            "name": record.document["name"],
            "company": {"companyId": record.owner},
        }

    async def _user(self, mutation: str, call: LocalCall) -> Record:
        client_identifier, access_key = _credentials(mutation, call)
        return _authenticated(mutation, await self._store.get(USERS, client_identifier), access_key)

    async def _facts(
        self, mutation: str, pair: tuple[str, str], record_id: str, company_id: str, request: Wire
    ) -> _Facts:
        keys: list[tuple[Collection, str]] = [
            (USERS, pair[0]),
            (COMPANIES, company_id),
            (RECORDS[mutation], record_id),
            (ACCOUNTING_SYSTEM[mutation], record_id),
            *((REFERENCE_CODES, code_id(company_id, name, code)) for name, code in _codes_of(request)),
        ]
        records = await self._store.get_many(keys)
        return _Facts(
            user=_authenticated(mutation, records.get(keys[0]), pair[1]),
            company=records.get(keys[1]),
            record=records.get(keys[2]),
            accounting=records.get(keys[3]),
            codes=frozenset(item for collection, item in records if collection == REFERENCE_CODES),
        )


def _refused(mutation: str, reason: str, text: str | None = None) -> GatewayError:
    if reason == "RESOURCE_NOT_FOUND":
        text = f"The {mutation.removeprefix('update').lower()} does not exist."
    return refusal(row_of(mutation, reason), text)


def _credentials(mutation: str, call: LocalCall) -> tuple[str, str]:
    header = call.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        decoded = ""
    client_identifier, colon, access_key = decoded.partition(":")
    if scheme.casefold() != "basic" or not colon:
        raise _refused(mutation, "AUTHORIZATION_HEADER_INVALID", "The authorization header is not valid.")
    return client_identifier.casefold(), access_key


def _authenticated(mutation: str, user: Record | None, access_key: str) -> Record:
    if user is None:
        raise _refused(mutation, "CREDENTIALS_UNAUTHORIZED", "The credentials are not known.")
    if not hmac.compare_digest(user.document["accessKeySha256"], key_digest(access_key)):
        raise _refused(mutation, "CREDENTIALS_INVALID")
    return user


def _bound(mutation: str, body: Any) -> tuple[Wire, str]:
    """A request and its company's id."""
    try:
        request = request_of(mutation, body)
        company_id = parse_uuid((request.get("company") or {}).get("companyId") or _ZERO)
    except ValueError as error:
        raise _refused(mutation, "PROPERTIES_NOT_VALID") from error
    if company_id == _ZERO:
        raise _refused(mutation, "COMPANY_ID_EMPTY")
    return request, company_id


def _codes_of(request: Wire) -> list[tuple[str, str]]:
    """The reference codes that a request names: table and code."""
    discount = request.get("paymentDiscount") or {}
    named = (
        ("vatCode", request.get("vatCode")),
        ("paymentCondition", request.get("paymentCondition")),
        ("payCollectType", request.get("payCollectType")),
        ("generalLedger", request.get("substitutionGeneralLedger")),
        ("generalLedger", discount.get("generalLedger")),
    )
    return [(table, value["code"]) for table, value in named if value is not None and value.get("code")]


def _decide(mutation: str, facts: _Facts, record: Record, request: Wire) -> Wire:
    """The record to store: the whole request, and what an update cannot carry."""
    document = {name: value for name, value in request.items() if value is not None}
    document["company"] = {"companyId": record.owner}
    for name in _KEPT:
        if name in record.document and name not in document:
            document[name] = record.document[name]
    if not facts.user.document["wkBelgium"] and mutation == UPDATE_CUSTOMER and record.unique is not None:
        # Only a WKBelgium client can send the code, so that another's update does not clear it (assumed).
        document["code"] = record.unique
    changed = _bank_accounts(document) != _bank_accounts(record.document)
    if changed and not facts.user.document["mayChangeBankAccounts"]:
        raise _refused(mutation, "BANK_ACCOUNT_CHANGE_DENIED")
    return document


def _broken(mutation: str, facts: _Facts, company_id: str, request: Wire, *, skip: bool) -> str | None:
    """The reason of the first broken rule, in the order of the vendor's page; None without one."""
    user, record, code = facts.user.document, facts.record, request.get("code")
    condition, discount = request.get("paymentCondition"), request.get("paymentDiscount") or {}
    method = discount.get("discountCalculationMethod")
    accounts = [account for account in request.get("bankAccounts") or [] if account is not None]

    def exists(table: str, value: Wire | None) -> bool:
        return value is None or code_id(company_id, table, value.get("code") or "") in facts.codes

    def is_country(value: Wire | None) -> bool:
        return value is None or value.get("code") in _COUNTRIES

    rules = (
        ("COMPANY_NOT_FOUND", facts.company is not None),
        ("COMPANY_ACCESS_DENIED", company_id in user["companies"]),
        ("ACCOUNTING_SYSTEM_ACCESS_DENIED", skip or company_id in user["accountingSystemCompanies"]),
        # Another company's record cannot be taken over, moved or seen.
        ("RESOURCE_NOT_FOUND", record is not None and record.owner == company_id),
        ("REQUEST_PROPERTIES_NOT_VALID", mutation != UPDATE_CUSTOMER or code is None or user["wkBelgium"]),
        # Assumed: a required property without content, a code without content or far too long, an empty key, two
        # default bank accounts or negative days cause these rows.
        ("PROPERTIES_NOT_VALID", bool((request.get("name") or "").strip())),
        ("CODE_INVALID", code is None or (bool(code.strip()) and len(code) <= _LONGEST_CODE)),
        ("METADATA_INVALID", all(key.strip() for key in request.get("metadata") or {})),
        ("VALIDATION_ERRORS_OCCURRED", sum(account.get("default") is True for account in accounts) <= 1),
        ("VALIDATION_ERRORS_OCCURRED", (discount.get("paymentDays") or 0) >= 0),
        ("PROPERTIES_NOT_VALID", all(account.get("default") is not None for account in accounts)),
        ("PROPERTIES_NOT_VALID", len(accounts) == len(request.get("bankAccounts") or [])),
        ("SUBSTITUTION_GENERAL_LEDGER_INVALID", exists("generalLedger", request.get("substitutionGeneralLedger"))),
        ("VAT_CODE_INVALID", exists("vatCode", request.get("vatCode"))),
        ("PAYMENT_CONDITION_DUE_DAYS_INVALID", ((condition or {}).get("dueDays") or 0) >= 0),
        ("PAYMENT_CONDITION_INVALID", exists("paymentCondition", condition)),
        ("PAY_COLLECT_TYPE_INVALID", exists("payCollectType", request.get("payCollectType"))),
        ("ADDRESS_COUNTRY_INVALID", is_country((request.get("address") or {}).get("country"))),
        ("BANK_ACCOUNT_COUNTRY_INVALID", all(is_country(account.get("country")) for account in accounts)),
        ("DISCOUNT_CALCULATION_METHOD_INVALID", method is None or method in _METHODS),
        ("PAYMENT_DISCOUNT_GENERAL_LEDGER_INVALID", exists("generalLedger", discount.get("generalLedger"))),
    )
    return next((reason for reason, holds in rules if not holds), None)


def _bank_accounts(document: Wire) -> list[Wire]:
    """Bank accounts for comparison: a null member equals an absent one."""
    return [
        {name: value for name, value in account.items() if value is not None}
        for account in document.get("bankAccounts") or []
    ]
