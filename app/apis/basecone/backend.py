"""The port: what a Basecone backend does, in Basecone's own JSON. Implemented by client.py and store.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from app.errors import ANSWER_UNREADABLE, BackendAnswer, GatewayError, Outcome

if TYPE_CHECKING:
    import strawberry

    from app.call import Call
    from app.mapping.wire import Wire

NAME = "basecone"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two resources. `plural` is the route's word, `id_member` the read's name for the id."""

    singular: str
    plural: str
    mutation: str

    @property
    def id_member(self) -> str:
        return f"{self.singular}Id"


CUSTOMER = Kind("customer", "customers", "updateCustomer")
SUPPLIER = Kind("supplier", "suppliers", "updateSupplier")
KINDS = (CUSTOMER, SUPPLIER)
SCOPES = {
    **{kind.mutation: f"{kind.plural}:write" for kind in KINDS},
    **{kind.singular: f"{kind.plural}:read" for kind in KINDS},
}


class BaseconeBackend(Protocol):
    """All three raise GatewayError, whose outcome is what is certain about the write."""

    async def update(self, kind: Kind, record_id: str, body: Any, *, skip: bool, call: Call) -> None:
        """`PUT {plural}/{id}?skipCreationInAccountingSystem=`: replaces the record with `body`; answered 204, empty."""
        ...

    async def read(self, kind: Kind, record_id: str, *, call: Call) -> Wire | None:
        """`GET {plural}/{id}`: the record in the read's shape, None for an unknown id."""
        ...

    async def general_ledger(self, ledger_id: str, *, call: Call) -> Wire | None:
        """`GET generalLedgers/{id}`: `{id, code, name, …}`, None for an unknown id."""
        ...


def backend_of(info: strawberry.Info) -> BaseconeBackend:
    return cast("BaseconeBackend", info.context.backends[NAME])


async def ledger_code(info: strawberry.Info, ledger_id: str) -> str | None:
    """The code of a general ledger account that a read names by id.

    A failure belongs to this one field. Whatever update came before it was applied.
    """
    try:
        ledger = await backend_of(info).general_ledger(ledger_id, call=info.context.call)
    except GatewayError as error:
        raise error.changed(outcome=Outcome.APPLIED) from error
    code = None if ledger is None else ledger.get("code")
    if not isinstance(code, str):
        raise GatewayError(
            ANSWER_UNREADABLE,
            "The general ledger account could not be read.",
            backend=BackendAnswer(NAME),
            outcome=Outcome.APPLIED,
        )
    return code
