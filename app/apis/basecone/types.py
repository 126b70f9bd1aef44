"""Customers and suppliers in GraphQL, and the one mapping to and from Basecone's JSON.

Fields: https://developers.basecone.com/ApiReference/UpdateCustomer and …/UpdateSupplier (requests), …/CustomerDetails
and …/SupplierDetails (reads). Requests are spelled exactly as the pages' examples spell them. Annotations are objects,
not strings: strings would be compiled at each start.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import strawberry
from strawberry import UNSET

from app.apis.basecone.errors import NAME
from app.apis.basecone.ledgers import ledger_code
from app.mapping.members import wire
from app.mapping.scalars import UUID, Decimal, StringMap
from app.updates.change import REPLACED, patch_type
from app.updates.reading import backend_of
from app.updates.revision import revision_field


def _optional(name: str, description: str) -> Any:
    """An optional member of an update."""
    return strawberry.field(default=UNSET, description=description + REPLACED, metadata=wire(name))


def _part(name: str, description: str) -> Any:
    """An optional member of an object inside an update. The update replaces the whole object."""
    return strawberry.field(default=UNSET, description=description, metadata=wire(name))


def _needed(name: str, description: str) -> Any:
    return strawberry.field(description=description, metadata=wire(name))


def _sure(description: str) -> Any:
    """A member that an object of a read always has: the request that created it had to have it."""
    return strawberry.field(description=description)


def _read(description: str) -> Any:
    return strawberry.field(default=None, description=description)


@strawberry.input(description="The Basecone company that the record belongs to.")
class CompanyInput:
    company_id: UUID = _needed(
        "companyId", "Id of the company, as Basecone's list of companies gives it. The zero GUID counts as empty."
    )


@strawberry.input(description="A country by its code.")
class CountryInput:
    code: str = _needed("code", "ISO 3166-1 alpha-2 code, for instance NL.")


@strawberry.input(description="A postal address. It is replaced as a whole.")
class AddressInput:
    street_name: str | None = _part("streetName", "Street, without the number.")
    street_number: str | None = _part("streetNumber", "House number with its addition, for instance 13H.")
    city: str | None = _part("city", "City.")
    postal_code: str | None = _part("postalCode", "Postal code.")
    country: CountryInput | None = _part("country", "Country.")


@strawberry.input(description="How the amount is paid or collected, by its code in the company.")
class PayCollectInput:
    code: str = _needed("code", "Code of a pay-collect type of the company.")


@strawberry.input(description="The default VAT code, by its code in the company.")
class VatCodeInput:
    code: str = _needed("code", "Code of a VAT code of the company.")


@strawberry.input(description="The payment condition, by its code in the company.")
class PaymentConditionInput:
    code: str = _needed("Code", "Code of a payment condition of the company.")


@strawberry.input(description="A general ledger account, by its code in the company.")
class GeneralLedgerInput:
    code: str = _needed("Code", "Code of a general ledger account of the company.")


@strawberry.input(description="A bank account. The list of bank accounts is replaced as a whole.")
class BankAccountInput:
    default: bool = _needed("default", "Whether this is the account used by default.")
    external_id: str | None = _part("externalId", "Id of the account outside Basecone.")
    number: str | None = _part("number", "Account number.")
    iban: str | None = _part("iban", "IBAN. A linked accounting system may refuse it, unless it is left alone.")
    bic_code: str | None = _part("bicCode", "BIC of the bank.")
    bank_name: str | None = _part("bankName", "Name of the bank.")
    national_bank_code: str | None = _part("nationalBankCode", "National code of the bank.")
    country: CountryInput | None = _part("country", "Country of the account.")


@strawberry.input(description="A discount for paying early. It is replaced as a whole.")
class PaymentDiscountInput:
    payment_days: int | None = _part("PaymentDays", "Days within which the discount is granted.")
    discount_percentage: Decimal | None = _part(
        "DiscountPercentage", 'Percentage of the discount, for instance "2.50".'
    )
    discount_calculation_method: str | None = _part(
        "DiscountCalculationMethod",
        "How the discount is calculated: ExcludingVatWithoutDiscount, IncludingVatWithoutDiscount or "
        "ExcludingVatWithDiscount: over the amount excluding or including VAT, and with a VAT that takes the discount "
        "into account or not. Another value is refused by Basecone.",
    )
    general_ledger: GeneralLedgerInput | None = _part(
        "GeneralLedger", "General ledger account that the discount is booked on."
    )


def _update_input(record: str) -> Any:
    """What an update of a customer or supplier takes, in the order of the pages' examples."""

    class UpdateInput:
        company: CompanyInput = _needed("company", f"Company that the {record} belongs to.")
        code: str | None = _optional(
            "code",
            f"Code of the {record}, unique in its company."
            + (" Only for WKBelgium API clients." if record == "customer" else ""),
        )
        address: AddressInput | None = _optional("address", "Postal address.")
        pay_collect_type: PayCollectInput | None = _optional("payCollectType", "How the amount is paid or collected.")
        vat_code: VatCodeInput | None = _optional("vatCode", "Default VAT code.")
        name: str = _needed("name", f"Name of the {record}.")
        vat_number: str | None = _optional(
            "vatNumber", "VAT identification number. A linked accounting system may refuse it, unless it is left alone."
        )
        chamber_of_commerce: str | None = _optional(
            "chamberOfCommerce", "Number in the chamber of commerce's register."
        )
        phone: str | None = _optional("phone", "Telephone number.")
        fax: str | None = _optional("fax", "Fax number.")
        bank_accounts: list[BankAccountInput] | None = _optional("bankAccounts", "Bank accounts, the whole list.")
        if record == "supplier":
            payment_discount: PaymentDiscountInput | None = _optional("PaymentDiscount", "Discount for paying early.")
        number: str | None = _optional("Number", f"Number of the {record}.")
        payment_condition: PaymentConditionInput | None = _optional("PaymentCondition", "Payment condition.")
        email: str | None = _optional("Email", "E-mail address.")
        if record == "supplier":
            metadata: StringMap | None = _optional("Metadata", "Free key-value pairs, the whole map.")

    UpdateInput.__name__ = f"Update{record.capitalize()}Input"
    text = f"All the information a Basecone {record} is to have: what is left out is cleared."
    return strawberry.input(UpdateInput, description=text)


UpdateCustomerInput = _update_input("customer")
UpdateSupplierInput = _update_input("supplier")

_STAYS = "A member that is left out stays, null clears it."
_AddressPatch = patch_type(AddressInput, "AddressPatch", f"What is to change of an address. {_STAYS}", (), {})
_DiscountPatch = patch_type(
    PaymentDiscountInput, "PaymentDiscountPatch", f"What is to change of a payment discount. {_STAYS}", (), {}
)
# The company is the record's own.
CustomerPatch = patch_type(
    UpdateCustomerInput,
    "CustomerPatch",
    f"What is to change of a customer. {_STAYS} A list is replaced whole.",
    ("company",),
    {"address": _AddressPatch},
)
SupplierPatch = patch_type(
    UpdateSupplierInput,
    "SupplierPatch",
    f"What is to change of a supplier. {_STAYS} A list and `metadata` are replaced whole.",
    ("company",),
    {"address": _AddressPatch, "payment_discount": _DiscountPatch},
)


@strawberry.type(description="The Basecone company that a record belongs to.")
class Company:
    company_id: UUID = _sure("Id of the company.")
    company_code: str | None = _read("Code of the company.")


@strawberry.type(description="A country by its code.")
class Country:
    code: str = _sure("ISO 3166-1 alpha-2 code.")


@strawberry.type(description="A postal address.")
class Address:
    street_name: str | None = _read("Street, without the number.")
    street_number: str | None = _read("House number with its addition.")
    city: str | None = _read("City.")
    postal_code: str | None = _read("Postal code.")
    country: Country | None = _read("Country.")


@strawberry.type(description="How the amount is paid or collected.")
class PayCollect:
    code: str = _sure("Code in the company.")


@strawberry.type(description="A VAT code of the company.")
class VatCode:
    code: str = _sure("Code in the company.")


@strawberry.type(description="A payment condition of the company.")
class PaymentCondition:
    code: str = _sure("Code in the company.")


@strawberry.type(description="A general ledger account of the company.")
class GeneralLedger:
    general_ledger_id: UUID | None = _read("Id of the account; the read of a record names accounts by id.")
    known_code: strawberry.Private[str | None] = dataclasses.field(default=None, metadata=wire("code"))
    derived_from: ClassVar[Mapping[str, str]] = {"code": "known_code"}
    no_state = ("knownCode",)

    @strawberry.field(description="Code of the account, looked up by its id where the record holds only that.")
    async def code(self, info: strawberry.Info) -> str | None:
        code_or_id = self.known_code if self.known_code is not None else self.general_ledger_id
        if isinstance(code_or_id, Exception):  # the member cannot be read
            raise code_or_id
        if self.known_code is not None or self.general_ledger_id is None:
            return self.known_code
        return await ledger_code(backend_of(info, NAME), info.context.call, self.general_ledger_id)


@strawberry.type(description="A bank account.")
class BankAccount:
    default: bool = _sure("Whether this is the account used by default.")
    external_id: str | None = _read("Id of the account outside Basecone.")
    number: str | None = _read("Account number.")
    iban: str | None = _read("IBAN.")
    bic_code: str | None = _read("BIC of the bank.")
    bank_name: str | None = _read("Name of the bank.")
    national_bank_code: str | None = _read("National code of the bank.")
    country: Country | None = _read("Country of the account.")


@strawberry.type(description="A discount for paying early.")
class PaymentDiscount:
    payment_days: int | None = _read("Days within which the discount is granted.")
    discount_percentage: Decimal | None = _read("Percentage of the discount.")
    discount_calculation_method: str | None = _read(
        "ExcludingVatWithoutDiscount, IncludingVatWithoutDiscount or ExcludingVatWithDiscount."
    )
    general_ledger: GeneralLedger | None = _read("General ledger account that the discount is booked on.")


@strawberry.type
class Relation:
    """The members that customers and suppliers share. The schema does not have this type."""

    code: str | None = _read("Code of the record, unique in its company.")
    name: str | None = _read("Name.")
    external_id: str | None = _read("Id of the record outside Basecone. An update cannot change it.")
    company: Company | None = _read("Company that the record belongs to.")
    address: Address | None = _read("Postal address.")
    pay_collect_type: PayCollect | None = _read("How the amount is paid or collected.")
    vat_code: VatCode | None = strawberry.field(
        default=None, description="Default VAT code.", metadata=wire(code_as_text=True)
    )
    vat_number: str | None = _read("VAT identification number.")
    chamber_of_commerce: str | None = _read("Number in the chamber of commerce's register.")
    phone: str | None = _read("Telephone number.")
    fax: str | None = _read("Fax number.")
    bank_accounts: list[BankAccount] | None = _read("Bank accounts.")
    substitution_general_ledger: GeneralLedger | None = _read(
        "Substitution general ledger account. An update cannot change it."
    )
    payment_discount: PaymentDiscount | None = _read("Discount for paying early.")
    number: str | None = _read("Number of the record.")
    payment_condition: PaymentCondition | None = _read("Payment condition.")
    email: str | None = _read("E-mail address.")
    metadata: StringMap | None = _read("Free key-value pairs.")
    revision: str = revision_field()


@strawberry.federation.type(keys=["id"], description="A customer of a company in Basecone.")
class Customer(Relation):
    id: UUID = strawberry.field(description="Id of the customer in Basecone.", metadata=wire("customerId"))


@strawberry.federation.type(keys=["id"], description="A supplier of a company in Basecone.")
class Supplier(Relation):
    id: UUID = strawberry.field(description="Id of the supplier in Basecone.", metadata=wire("supplierId"))
