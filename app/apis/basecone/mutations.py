"""Queries and mutations of Basecone: input -> backend -> type."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from app.apis.basecone.backend import CUSTOMER, NAME, SUPPLIER, Kind, backend_of, ledger_code
from app.apis.basecone.types import (
    Customer,
    GeneralLedger,
    Relation,
    Supplier,
    UpdateCustomerInput,
    UpdateSupplierInput,
    read_relation,
)
from app.errors import RECORD_NOT_READ_BACK, BackendAnswer, GatewayError, Outcome, locate
from app.mapping.scalars import UUID
from app.mapping.selection import described, selection_of
from app.mapping.wire import arguments_of, to_wire
from app.reconciliation import agrees, reconcile

R = TypeVar("R", bound=Relation)

_CustomerId = Annotated[
    UUID, strawberry.argument(description="Id of the customer, as Basecone's list of customers gives it.")
]
_SupplierId = Annotated[
    UUID, strawberry.argument(description="Id of the supplier, as Basecone's list of suppliers gives it.")
]
_CustomerInput = Annotated[UpdateCustomerInput, strawberry.argument(description="The customer as it is to be, whole.")]
_SupplierInput = Annotated[UpdateSupplierInput, strawberry.argument(description="The supplier as it is to be, whole.")]
_SKIP = (
    "True leaves the linked accounting system alone. "
    "False, the default, also passes the record on to it, and it may refuse."
)
_Skip = Annotated[bool, strawberry.argument(description=_SKIP)]


async def _comparable(cls: type[R], kind: Kind, info: strawberry.Info, record_id: str) -> R | None:
    """The record, with codes for the ids of general ledgers, so that it can be compared with a request."""
    record = await read_relation(cls, kind, info, record_id)
    # What could not be read has no members, and is proof of nothing.
    ledger = getattr(getattr(record, "payment_discount", None), "general_ledger", None)
    if isinstance(ledger, GeneralLedger) and ledger.known_code is None and isinstance(ledger.general_ledger_id, str):
        ledger.known_code = await ledger_code(info, ledger.general_ledger_id)
    return record


class Applied(Generic[R]):
    """An update that was applied: answers from the accepted request where it can, else from one read-back."""

    def __init__(self, cls: type[R], kind: Kind, record_id: str, sent: Any, read: R | None = None) -> None:
        self._cls = cls
        self._kind = kind
        self._id = record_id
        self._sent = sent
        self._read: asyncio.Future[R] | None = None
        if read is not None:
            self._read = asyncio.get_running_loop().create_future()
            self._read.set_result(read)

    def record(self, info: strawberry.Info) -> Any:
        """The record, or what to await for it."""
        if self._read is None:
            selection = selection_of(info._raw_info)  # noqa: SLF001 - Strawberry's Info hides the fragments
            found = described(self._cls, self._sent, selection, id=self._id)
            if found is not None:
                return found
            # Shared by aliases of the record, so that they cost one read together.
            self._read = asyncio.ensure_future(self._read_back(info))
        return self._read

    async def _read_back(self, info: strawberry.Info) -> R:
        try:
            record = await read_relation(self._cls, self._kind, info, self._id)
        except GatewayError as error:
            raise error.changed(outcome=Outcome.APPLIED) from error
        if record is None:
            raise GatewayError(RECORD_NOT_READ_BACK, backend=BackendAnswer(NAME))
        return record


@strawberry.type(description="What an update of a customer answers.")
class UpdateCustomerPayload:
    applied: strawberry.Private[Applied[Customer]]

    @strawberry.field(
        description="The customer after the update. Fields that were not sent are read back from Basecone."
    )
    def customer(self, info: strawberry.Info) -> Customer | None:
        return self.applied.record(info)  # type: ignore[no-any-return]  # or an awaitable, which Strawberry takes, too


@strawberry.type(description="What an update of a supplier answers.")
class UpdateSupplierPayload:
    applied: strawberry.Private[Applied[Supplier]]

    @strawberry.field(
        description="The supplier after the update. Fields that were not sent are read back from Basecone."
    )
    def supplier(self, info: strawberry.Info) -> Supplier | None:
        return self.applied.record(info)  # type: ignore[no-any-return]  # or an awaitable, which Strawberry takes, too


async def _update(
    cls: type[R],
    kind: Kind,
    info: strawberry.Info,
    record_id: str,
    input_: UpdateCustomerInput | UpdateSupplierInput,
    *,
    skip: bool,
) -> Applied[R]:
    body = to_wire(input_)
    call = info.context.call
    try:
        write = call.for_write(asyncio.get_running_loop().time())
        await backend_of(info).update(kind, record_id, body, skip=skip, call=write)
    except GatewayError as error:
        if error.input_path is not None:
            path = [step for step in error.input_path if isinstance(step, str)]
            arguments = {"id": record_id, "input": arguments_of(input_, only=path[1:2])}
            error.input_path = locate(path, arguments)
        if error.outcome is not Outcome.UNKNOWN:
            raise
        read = partial(_comparable, cls, kind, info, record_id)
        record = await reconcile(error, read, partial(agrees, input_), provable=skip)
        return Applied(cls, kind, record_id, input_, record)
    return Applied(cls, kind, record_id, input_)


@strawberry.type
class Query:
    @strawberry.field(description="A customer as Basecone has it now; null for an unknown id.")
    async def customer(self, info: strawberry.Info, id: _CustomerId) -> Customer | None:  # noqa: A002 - the argument's name
        return await read_relation(Customer, CUSTOMER, info, id)

    @strawberry.field(description="A supplier as Basecone has it now; null for an unknown id.")
    async def supplier(self, info: strawberry.Info, id: _SupplierId) -> Supplier | None:  # noqa: A002 - the argument's name
        return await read_relation(Supplier, SUPPLIER, info, id)


@strawberry.type
class Mutation:
    @strawberry.mutation(
        description="Replaces a customer of a company in Basecone: what the input leaves out is cleared."
    )
    async def update_customer(
        self,
        info: strawberry.Info,
        id: _CustomerId,  # noqa: A002 - the argument's name
        input: _CustomerInput,  # noqa: A002 - the argument's name
        skip_creation_in_accounting_system: _Skip = False,
    ) -> UpdateCustomerPayload | None:
        skip = skip_creation_in_accounting_system
        return UpdateCustomerPayload(applied=await _update(Customer, CUSTOMER, info, id, input, skip=skip))

    @strawberry.mutation(
        description="Replaces a supplier of a company in Basecone: what the input leaves out is cleared."
    )
    async def update_supplier(
        self,
        info: strawberry.Info,
        id: _SupplierId,  # noqa: A002 - the argument's name
        input: _SupplierInput,  # noqa: A002 - the argument's name
        skip_creation_in_accounting_system: _Skip = False,
    ) -> UpdateSupplierPayload | None:
        skip = skip_creation_in_accounting_system
        return UpdateSupplierPayload(applied=await _update(Supplier, SUPPLIER, info, id, input, skip=skip))
