"""Basecone's lists over the store: who owns an item, and what it holds."""

from __future__ import annotations

from app.apis.basecone.errors import (
    LEDGER_COMPANY_DENIED,
    LEDGER_COMPANY_UNKNOWN,
    UPDATE_CUSTOMER,
    UPDATE_SUPPLIER,
    row_of,
)
from app.apis.basecone.seed import COMPANIES, GENERAL_LEDGERS, RECORDS, VAT_CODES
from app.errors import DocumentedError, refusal
from app.mapping.wire import Wire
from app.store.records import Record, Selection, Store
from app.updates.listing import ListPage, ListRequest
from app.updates.local import page_of

_ZERO = "00000000-0000-0000-0000-000000000000"
_MUTATIONS = {"customers": UPDATE_CUSTOMER, "suppliers": UPDATE_SUPPLIER}
_COLLECTIONS = {
    **{name: RECORDS[mutation] for name, mutation in _MUTATIONS.items()},
    "vatCodes": VAT_CODES,
    "generalLedgers": GENERAL_LEDGERS,
}


async def page(store: Store, user: Record, request: ListRequest) -> ListPage:
    """Raises the documented rows. Lists other than the ledgers' raise those of the update (assumed)."""
    name, arguments = request.listing.name, request.arguments
    match = arguments.get("external_id")
    if name == "companies":
        # Assumed: no user here is a super user, who would see every company.
        mine = Selection(ids=tuple(user.document["companies"]), match=match)
        return await page_of(store, COMPANIES, mine, request, _company)
    mutation = _MUTATIONS.get(name, "")
    rows: dict[str, DocumentedError] = {
        reason: row_of(mutation, reason)
        for reason in ("COMPANY_ID_EMPTY", "COMPANY_NOT_FOUND", "COMPANY_ACCESS_DENIED")
    }
    if name == "generalLedgers":
        rows |= {"COMPANY_NOT_FOUND": LEDGER_COMPANY_UNKNOWN, "COMPANY_ACCESS_DENIED": LEDGER_COMPANY_DENIED}
    company_id = arguments.get("company_id") or _ZERO
    if company_id == _ZERO:
        raise refusal(rows["COMPANY_ID_EMPTY"])
    company = await store.get(COMPANIES, company_id)
    if company is None:
        raise refusal(rows["COMPANY_NOT_FOUND"])
    if company_id not in user.document["companies"]:
        raise refusal(rows["COMPANY_ACCESS_DENIED"])

    def item(record: Record) -> Wire:
        document = record.document
        short = {"code": document.get("code"), "name": document.get("name"), "externalId": document.get("externalId")}
        if mutation:
            return {request.listing.id_members[0]: record.id, **short}
        if name == "vatCodes":
            return {"vatCodeUniqueId": record.id, **document, "companyId": company_id}
        owner = {"companyId": company_id, "companyCode": company.document.get("companyCode")}
        return {"id": record.id, **short, **document, "company": owner}

    return await page_of(store, _COLLECTIONS[name], Selection(company_id, match=match), request, item)


def _company(record: Record) -> Wire:
    system = record.document.get("accountingSystem")
    return {
        "companyId": record.id,
        "accountingSystem": system,
        "name": record.document["name"],
        "email": record.document.get("email"),
        "hasAccess": "true",
        "totalDocumentsToAuthorize": 0,
        "extraData": [{"label": "Code", "value": record.document["companyCode"]}],
        "modules": [{"code": "invoices", "status": "active"}],
    }
