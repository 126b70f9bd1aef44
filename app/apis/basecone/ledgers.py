"""General ledger accounts, read by id: a read of a customer or supplier does not give the code."""

from __future__ import annotations

from typing import Any

from app.apis.basecone.errors import NAME, TABLE, UPDATE_SUPPLIER, parse, row_of
from app.call import CallContext
from app.errors import ANSWER_UNREADABLE, BackendDetails, GatewayError, Outcome, refusal
from app.updates.resource import Backend, Resource
from app.upstream.messages import BackendResponse
from app.upstream.responses import member

_LEDGER_SECONDS = 300.0


def _refused(response: BackendResponse) -> GatewayError:
    error = parse(UPDATE_SUPPLIER, response)
    # A row's place is one of the update's arguments; this read has none of them.
    error.input_path = None
    return error


LEDGER = Resource(
    api=NAME,
    name="generalLedger",
    id_member="id",
    table=TABLE,
    get=lambda ledger_id, _: (f"/generalLedgers/{ledger_id}", ()),
    refused=_refused,
    unknown=(row_of(UPDATE_SUPPLIER, "RESOURCE_NOT_FOUND"),),
    kept_seconds=_LEDGER_SECONDS,
    keeps=lambda ledger: isinstance(member(ledger, "code"), str),
)


async def ledger_code(backend: Backend, call: CallContext, ledger_id: Any) -> str:
    """A failure belongs to the field that needs the code. The update before it was applied."""
    try:
        ledger = await backend.read(LEDGER, ledger_id, {}, call=call)
        if ledger is None:
            raise refusal(row_of(UPDATE_SUPPLIER, "RESOURCE_NOT_FOUND"))
    except GatewayError as error:
        raise error.changed(outcome=Outcome.APPLIED) from error
    code = member(ledger, "code")
    if not isinstance(code, str):
        raise GatewayError(
            ANSWER_UNREADABLE,
            "The general ledger account could not be read.",
            backend=BackendDetails(NAME, 200),
            outcome=Outcome.APPLIED,
        )
    return code
