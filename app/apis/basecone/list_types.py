"""The records of Basecone's other lists, under the lists' own words.

https://developers.basecone.com/ApiReference/CompanyCollection, …/VatCodesCollection, …/GeneralLedgersCollection. Links
are left out: they name the backend's host. Annotations are objects, not strings: strings would be compiled at each
start.
"""

from typing import Any

import strawberry

from app.apis.basecone.types import Company
from app.mapping.scalars import UUID, DateTime, Decimal, StringMap


def _read(description: str) -> Any:
    return strawberry.field(default=None, description=description)


@strawberry.type(description="The accounting system that a company is linked to.")
class AccountingSystem:
    type: str | None = _read("Kind of the accounting system.")
    external_id: str | None = _read("Id of the company in the accounting system.")
    company_code: str | None = _read("Code of the company in the accounting system.")


@strawberry.type(description="A labelled piece of further information.")
class ExtraData:
    label: str | None = _read("What the value is.")
    value: str | None = _read("The value.")


@strawberry.type(description="A module of Basecone that a company may use.")
class Module:
    code: str | None = _read("Code of the module.")
    status: str | None = _read("Whether it is in use.")


@strawberry.type(description="A company in Basecone's list of companies.")
class CompanyDetails:
    company_id: UUID = strawberry.field(description="Id of the company; what the other lists and the updates ask for.")
    name: str | None = _read("Name.")
    email: str | None = _read("E-mail address for its documents.")
    accounting_system: AccountingSystem | None = _read("Accounting system that it is linked to.")
    has_access: bool | None = _read("Whether the calling user has access to it; the list shows only such companies.")
    total_documents_to_authorize: int | None = _read("How many of its documents wait for an authorization.")
    extra_data: list[ExtraData] | None = _read("Further information.")
    modules: list[Module] | None = _read("Modules of the company; asked for where they are selected.")


@strawberry.type(description="A percentage of a VAT code, and from when it holds.")
class VatPercentage:
    id: str | None = _read("Id of the percentage.")
    percentage: Decimal | None = _read("The percentage, for instance 21.")
    start_date: DateTime | None = _read("From when it holds.")
    external_id: str | None = _read("Id of the percentage outside Basecone.")
    name: str | None = _read("Name.")


@strawberry.type(description="A VAT code in a company's list of VAT codes.")
class VatCodeDetails:
    vat_code_unique_id: UUID = strawberry.field(description="Id of the VAT code.")
    external_id: str | None = _read("Id of the VAT code outside Basecone.")
    code: str | None = _read(
        "Code, as updates name it. The same code can stand in the list twice: for purchase and for sales."
    )
    name: str | None = _read("Name.")
    percentages: list[VatPercentage] | None = _read("Its percentages, each with the day that it holds from.")
    is_icp: bool | None = _read("Whether it is for supplies within the European Union.")
    vat_code_type: str | None = _read("`purchase` or `sales`.")
    is_exclusive: bool | None = _read("Whether amounts are without VAT.")
    company_id: UUID | None = _read("Id of the company that it belongs to.")


@strawberry.type(description="The name of a general ledger account in one language.")
class LedgerLabel:
    culture: str | None = _read("The language, for instance nl-NL.")
    label: str | None = _read("The name.")


@strawberry.type(description="A general ledger account in a company's list of general ledger accounts.")
class GeneralLedgerDetails:
    id: UUID = strawberry.field(description="Id of the account.")
    code: str | None = _read("Code, as updates name it.")
    name: str | None = _read("Name.")
    external_id: str | None = _read("Id of the account outside Basecone.")
    labels: list[LedgerLabel] | None = _read("Its name in other languages.")
    meta_data: StringMap | None = _read("Free key-value pairs.")
    company: Company | None = _read("Company that it belongs to.")
