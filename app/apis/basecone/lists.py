"""Basecone's lists: their requests and the vendor's part of their answers.

https://developers.basecone.com/ApiReference/Collections, …/CompanyCollection, …/CustomersCollection and others.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from app.apis.basecone.errors import NAME, UPDATE_CUSTOMER, UPDATE_SUPPLIER, parse, parse_ledger_list
from app.apis.basecone.list_types import CompanyDetails, GeneralLedgerDetails, VatCodeDetails
from app.apis.basecone.resources import CUSTOMERS, SUPPLIERS
from app.mapping.scalars import UUID
from app.mapping.wire import Wire
from app.updates.listing import Listing, ListRequest
from app.updates.resource import Argument, Resource
from app.upstream.responses import member

_COMPANY = Argument(
    name="company_id", type=UUID, description="Company whose list it is, as the list of companies gives its id."
)
_EXTERNAL = Argument(
    name="external_id", type=str | None, description="Only what has this id outside Basecone; left out or null, all."
)


def _items(plural: str, data: Any) -> tuple[Any, Any]:
    return member(data, plural), member(member(data, "_metadata"), "total")


def _further(request: ListRequest) -> tuple[tuple[str, str], ...]:
    by_name = ("sort", "name")
    return (("fields", "modules"), by_name) if "modules" in request.members else (by_name,)


def has_access(item: Wire) -> bool:
    """Whether the caller has access. The vendor's sample has a text. Where nothing is said, every item has access."""
    value = member(item, "hasAccess")
    return value is None or str(value).strip().casefold() not in {"false", "no", "0", ""}


def _listing(name: str, *, company: str = "companyid", **members: Any) -> Listing:
    """The list under its name. The name of the company's parameter differs from list to list."""
    defaults: dict[str, Any] = {
        "noun": name,
        "path": f"/{name}",
        "items": partial(_items, name),
        "scope": "companies",
        "arguments": (_COMPANY, _EXTERNAL),
        "parameters": {_COMPANY.name: company, _EXTERNAL.name: "externalId"},
    }
    return Listing(
        api=NAME, name=name, page=("offset", "limit"), further=_further, says_total=True, **(defaults | members)
    )


def _records(resource: Resource) -> Listing:
    return _listing(
        resource.scope,
        scope=resource.scope,
        description=f"The {resource.scope} of a company in Basecone, by name.",
        record=resource.record,
        # The page has the second spelling for customers. Clients have seen the first.
        id_members=(resource.id_member, f"{resource.scope}Id"),
        refused=resource.error,
        resource=resource,
        members={"id", "code", "name", "externalId"},
    )


COMPANIES = _listing(
    "companies",
    description="The Basecone companies that the calling user has access to, by name. "
    "`totalCount` is the backend's: it may count companies without access, which are not shown.",
    record=CompanyDetails,
    id_members=("companyId",),
    id_name="companyId",
    refused=partial(parse, UPDATE_CUSTOMER),
    prepare=lambda item: {**item, "hasAccess": True},
    shown=has_access,
    arguments=(_EXTERNAL,),
)
VAT_CODES = _listing(
    "vatCodes",
    company="companyId",
    noun="VAT codes",
    path="/vatcodes",
    description="The VAT codes of a company in Basecone, by name. A code can stand in it twice: purchase and sales.",
    record=VatCodeDetails,
    id_members=("vatCodeUniqueId",),
    id_name="vatCodeUniqueId",
    refused=partial(parse, UPDATE_SUPPLIER),
    arguments=(_COMPANY,),
)
GENERAL_LEDGERS = _listing(
    "generalLedgers",
    noun="general ledger accounts",
    description="The general ledger accounts of a company in Basecone, by name.",
    record=GeneralLedgerDetails,
    id_members=("id",),
    refused=parse_ledger_list,
)
LISTINGS = (COMPANIES, _records(CUSTOMERS), _records(SUPPLIERS), VAT_CODES, GENERAL_LEDGERS)
