"""What the seam knows of Basecone's customers and suppliers: requests, answers, proof, texts.

https://developers.basecone.com/ApiReference/UpdateCustomer, https://developers.basecone.com/ApiReference/UpdateSupplier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.apis.basecone.errors import TABLE, parse, row_of
from app.apis.basecone.kinds import CUSTOMER, NAME, SUPPLIER, Kind
from app.apis.basecone.ledgers import ledger_code
from app.apis.basecone.types import Customer, GeneralLedger, Supplier, UpdateCustomerInput, UpdateSupplierInput
from app.updates.reconciliation import agrees
from app.updates.resource import Argument, Resource, Texts

if TYPE_CHECKING:
    from app.call import Call
    from app.updates.resource import Backend, Options, Target, UpdateRequest

_SKIP = Argument(
    name="skip_creation_in_accounting_system",
    type=bool,
    description="True leaves the linked accounting system alone. "
    "False, the default, also passes the record on to it, and it may refuse.",
    default=False,
)


async def _with_ledger_code(record: Any, backend: Backend, call: Call) -> Any:
    """The record, with codes for the ids of general ledgers, so that it can be compared with a request."""
    # What could not be read has no members, and is proof of nothing.
    ledger = getattr(record.payment_discount, "general_ledger", None)
    if isinstance(ledger, GeneralLedger) and ledger.known_code is None and isinstance(ledger.general_ledger_id, str):
        ledger.known_code = await ledger_code(backend, call, ledger.general_ledger_id)
    return record


def _resource(kind: Kind, record: type, input_: type) -> Resource:
    def put(record_id: str, options: Options) -> Target:
        skip = "true" if options.get(_SKIP.name) else "false"
        return f"/{kind.plural}/{record_id}", (("skipCreationInAccountingSystem", skip),)

    def provable(request: UpdateRequest) -> bool:
        return bool(request.options.get(_SKIP.name))

    return Resource(
        api=NAME,
        name=kind.singular,
        kind=kind,
        id_member=kind.id_member,
        table=TABLE,
        get=lambda record_id, _: (f"/{kind.plural}/{record_id}", ()),
        put=put,
        refused=lambda answer: parse(kind, answer),
        unknown=(row_of(kind, "RESOURCE_NOT_FOUND"),),
        # What an update demands, and what creating one demanded.
        marks=("company", "name", "code"),
        record=record,
        input=input_,
        mutation=kind.mutation,
        scope=kind.plural,
        arguments=(_SKIP,),
        updated_status=204,
        completed=_with_ledger_code,
        shows=lambda request, read: agrees(request.body, read),
        provable=provable,
        texts=Texts(
            query=f"A {kind.singular} as Basecone has it now; null for an unknown id.",
            mutation=f"Replaces a {kind.singular} of a company in Basecone: what the input leaves out is cleared.",
            id=f"Id of the {kind.singular}, as Basecone's list of {kind.plural} gives it.",
            input=f"The {kind.singular} as it is to be, whole.",
            payload=f"What an update of a {kind.singular} answers.",
            record=f"The {kind.singular} after the update. Fields that were not sent are read back from Basecone.",
        ),
    )


CUSTOMERS = _resource(CUSTOMER, Customer, UpdateCustomerInput)
SUPPLIERS = _resource(SUPPLIER, Supplier, UpdateSupplierInput)
RESOURCES = (CUSTOMERS, SUPPLIERS)
