"""Basecone's lists: their requests and the vendor's part of their answers.

https://developers.basecone.com/ApiReference/Collections, …/CompanyCollection, …/CustomersCollection and others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.apis.basecone.errors import NAME, UPDATE_CUSTOMER, UPDATE_SUPPLIER, parse, parse_ledger_list
from app.apis.basecone.list_types import CompanyDetails, GeneralLedgerDetails, VatCodeDetails
from app.apis.basecone.resources import CUSTOMERS, SUPPLIERS
from app.mapping.scalars import UUID
from app.mapping.wire import Wire
from app.updates.listing import Listing, ListRequest, record_limit
from app.updates.resource import Argument, Resource, Target
from app.upstream.responses import member

_COMPANY = Argument(
    name="company_id", type=UUID, description="Company whose list it is, as the list of companies gives its id."
)
_EXTERNAL = Argument(
    name="external_id", type=str | None, description="Only what has this id outside Basecone; left out or null, all."
)
# The names of parameters differ from list to list.
_PARAMETERS = {"vatCodes": {"company_id": "companyId"}}
_NAMES = {"company_id": "companyid", "external_id": "externalId"}


def _get(path: str) -> Callable[[ListRequest], Target]:
    def get(request: ListRequest) -> Target:
        names = _NAMES | _PARAMETERS.get(request.listing.name, {})
        query = [(names[name], str(value)) for name, value in request.arguments.items()]
        if "modules" in request.members:
            query.append(("fields", "modules"))
        page = (("sort", "name"), ("offset", str(request.offset)), ("limit", str(record_limit(request))))
        return path, (*query, *page)

    return get


def _items(plural: str) -> Callable[[Any], tuple[Any, Any]]:
    return lambda data: (member(data, plural), member(member(data, "_metadata"), "total"))


def has_access(item: Wire) -> bool:
    """Whether the caller has access. The vendor's sample has a text. Where nothing is said, every item has access."""
    value = member(item, "hasAccess")
    return value is None or str(value).strip().casefold() not in {"false", "no", "0", ""}


def _records(resource: Resource) -> Listing:
    return Listing(
        api=NAME,
        name=resource.scope,
        noun=resource.scope,
        scope=resource.scope,
        description=f"The {resource.scope} of a company in Basecone, by name.",
        record=resource.record,
        # The page has the second spelling for customers. Clients have seen the first.
        id_members=(resource.id_member, f"{resource.scope}Id"),
        get=_get(f"/{resource.scope}"),
        refused=resource.error,
        items=_items(resource.scope),
        says_total=True,
        resource=resource,
        members={"id", "code", "name", "externalId"},
        arguments=(_COMPANY, _EXTERNAL),
    )


COMPANIES = Listing(
    api=NAME,
    name="companies",
    noun="companies",
    scope="companies",
    description="The Basecone companies that the calling user has access to, by name. "
    "`totalCount` is the backend's: it may count companies without access, which are not shown.",
    record=CompanyDetails,
    id_members=("companyId",),
    id_name="companyId",
    get=_get("/companies"),
    refused=lambda response: parse(UPDATE_CUSTOMER, response),
    items=_items("companies"),
    says_total=True,
    prepare=lambda item: {**item, "hasAccess": True},
    shown=has_access,
    arguments=(_EXTERNAL,),
)
VAT_CODES = Listing(
    api=NAME,
    name="vatCodes",
    noun="VAT codes",
    scope="companies",
    description="The VAT codes of a company in Basecone, by name. A code can stand in it twice: purchase and sales.",
    record=VatCodeDetails,
    id_members=("vatCodeUniqueId",),
    id_name="vatCodeUniqueId",
    get=_get("/vatcodes"),
    refused=lambda response: parse(UPDATE_SUPPLIER, response),
    items=_items("vatCodes"),
    says_total=True,
    arguments=(_COMPANY,),
)
GENERAL_LEDGERS = Listing(
    api=NAME,
    name="generalLedgers",
    noun="general ledger accounts",
    scope="companies",
    description="The general ledger accounts of a company in Basecone, by name.",
    record=GeneralLedgerDetails,
    id_members=("id",),
    get=_get("/generalLedgers"),
    refused=parse_ledger_list,
    items=_items("generalLedgers"),
    says_total=True,
    arguments=(_COMPANY, _EXTERNAL),
)
LISTINGS = (COMPANIES, _records(CUSTOMERS), _records(SUPPLIERS), VAT_CODES, GENERAL_LEDGERS)
