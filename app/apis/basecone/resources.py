"""Basecone's customers and suppliers for `app.updates`: requests, answers, proof, texts.

https://developers.basecone.com/ApiReference/UpdateCustomer,
https://developers.basecone.com/ApiReference/UpdateSupplier.
"""

from __future__ import annotations

from typing import Any

from app.apis.basecone.errors import NAME, TABLE, UPDATE_CUSTOMER, row_of
from app.apis.basecone.ledgers import ledger_code
from app.apis.basecone.types import (
    Customer,
    CustomerPatch,
    Supplier,
    SupplierPatch,
    UpdateCustomerInput,
    UpdateSupplierInput,
)
from app.call import CallContext
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.updates.resource import Argument, Backend, Options, Patch, Resource, Target, Texts
from app.upstream.responses import member

_SKIP = Argument(
    name="skip_creation_in_accounting_system",
    type=bool,
    description="True leaves the linked accounting system alone. "
    "False, the default, also passes the record on to it, and it may refuse.",
    default=False,
)


# Members of a read that no update has. `externalId` and `substitutionGeneralLedger` of the record cannot be sent, and
# presumably stay as they are (assumed).
_LEFT_OUT = frozenset({
    "_links",
    ".customerid",
    ".supplierid",
    ".externalid",
    ".substitutiongeneralledger",
    "company.companycode",
    "paymentcondition.paymentconditionid",
    "paycollecttype.paycollecttypeid",
    "vatcode.vatcodeid",
    "paymentdiscount.generalledger.generalledgerid",
})  # fmt: skip


async def _with_ledger_code(read: Wire, backend: Backend, call: CallContext) -> Wire:
    """A read with the code of the discount's general ledger, which the read names by id."""
    discount = member(read, "paymentDiscount")
    ledger = member(discount, "generalLedger")
    try:
        ledger_id = parse_uuid(member(ledger, "generalLedgerId"))
    except ValueError:
        return read
    others = {name: item for name, item in ledger.items() if item is not None or name.casefold() != "code"}
    if member(others, "code") is not None:
        return read
    with_code = {**others, "code": await ledger_code(backend, call, ledger_id)}
    return _changed(read, discount, _changed(discount, ledger, with_code))


def _changed(data: Wire, before: Any, after: Any) -> Wire:
    """A member that stands twice still does."""
    return {name: after if item is before else item for name, item in data.items()}


def _resource(record: type, input_: type, patch: type) -> Resource:
    name = record.__name__.lower()
    plural, mutation = f"{name}s", f"update{record.__name__}"
    # Only WKBelgium clients may send it, as the page says of customers. Another's update does not clear it (assumed).
    client_members = ("code",) if mutation == UPDATE_CUSTOMER else ()

    def put(record_id: str, options: Options) -> Target:
        skip = "true" if options.get(_SKIP.name) else "false"
        return f"/{plural}/{record_id}", (("skipCreationInAccountingSystem", skip),)

    return Resource(
        api=NAME,
        name=name,
        id_member=f"{name}Id",
        table=TABLE,
        get=lambda record_id, _: (f"/{plural}/{record_id}", ()),
        put=put,
        unknown=(row_of(mutation, "RESOURCE_NOT_FOUND"),),
        # An update demands these, and so did the record's creation.
        marks=("company", "name", "code"),
        record=record,
        input=input_,
        mutation=mutation,
        scope=plural,
        arguments=(_SKIP,),
        updated_status=204,
        completed=_with_ledger_code,
        # A read does not show what the accounting system did with the record.
        evident=lambda request: bool(request.options.get(_SKIP.name)),
        patch=Patch(
            mutation=f"patch{record.__name__}",
            input=patch,
            description=f"Changes a {name} and leaves the rest of it: the record is read, the patch is put "
            "over it (RFC 7396, JSON Merge Patch), and the whole is sent as one update. What somebody else changes "
            "between that read and the update is written over; `expectedRevision` makes that moment short.",
            left_out=_LEFT_OUT,
            client_members=client_members,
        ),
        base_path="/v1",
        texts=Texts(
            query=f"A {name} as Basecone has it now; null for an unknown id.",
            mutation=f"Replaces a {name} of a company in Basecone: what the input leaves out is cleared. "
            f"To change only some members, use patch{record.__name__}.",
            id=f"Id of the {name}, as Basecone's list of {plural} gives it.",
            input=f"The {name} as it is to be, whole.",
            payload=f"What an update of a {name} answers.",
            record=f"The {name} after the update. Fields that were not sent are read back from Basecone.",
        ),
    )


CUSTOMERS = _resource(Customer, UpdateCustomerInput, CustomerPatch)
SUPPLIERS = _resource(Supplier, UpdateSupplierInput, SupplierPatch)
RESOURCES = (CUSTOMERS, SUPPLIERS)
