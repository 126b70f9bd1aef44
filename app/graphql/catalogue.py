"""The documented errors in the schema: the enums made from the rows, and `errorCatalog`."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import UNSET

from app.errors import OWN_ROWS, Code, DocumentedError, Outcome, ReadBack
from app.graphql import request_errors
from app.updates.connections import object_type
from app.updates.user_errors import ErrorEnums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.apis.api import Api

_OUTCOMES = {
    Outcome.APPLIED: "The write happened.",
    Outcome.NOT_APPLIED: "The write certainly did not happen.",
    Outcome.UNKNOWN: "The write may or may not have happened; read the record before sending it again.",
}
_CODES = {
    Code.BAD_USER_INPUT: "A value in the arguments is wrong; the input path says which, where that is known.",
    Code.UNAUTHENTICATED: "Credentials are missing, or were not taken.",
    Code.FORBIDDEN: "The caller or its backend user may not do this.",
    Code.NOT_FOUND: "There is no such record.",
    Code.CONFLICT: "The record is another one by now, or another request is changing it.",
    Code.RATE_LIMITED: "There were too many requests.",
    Code.BACKEND_REJECTED: "The backend refused the request for another cause.",
    Code.BACKEND_ERROR: "The backend failed, or its answer cannot be understood.",
    Code.BACKEND_UNAVAILABLE: "The backend could not be called; nothing was sent.",
    Code.BACKEND_TIMEOUT: "The backend did not answer in time.",
    Code.INTERNAL_SERVER_ERROR: "A fault of the gateway; its log has the story under the request id.",
    Code.GRAPHQL_PARSE_FAILED: "The document is no GraphQL; nothing was executed.",
    Code.GRAPHQL_VALIDATION_FAILED: "The document does not fit the schema; nothing was executed.",
    Code.BAD_REQUEST: "The HTTP request is wrong; nothing was executed.",
    Code.OPERATION_RESOLUTION_FAILURE: "The document has no such operation; nothing was executed.",
    Code.PERSISTED_QUERY_NOT_FOUND: "The persisted document is not known; nothing was executed.",
    Code.PERSISTED_QUERY_NOT_SUPPORTED: "Persisted documents are not supported; nothing was executed.",
}
_READ_BACKS = {
    ReadBack.SAME: "The record is as asked; whether this update made it so, or the rest of it happened, is not known.",
    ReadBack.DIFFERS: "The record is not, or not yet, what this update makes of it.",
    ReadBack.MISSING: "There was no such record.",
    ReadBack.FAILED: "The record could not be read.",
}


def all_rows(apis: Sequence[Api]) -> list[DocumentedError]:
    """Every row that an error of this gateway can have: the backends' by API, then the gateway's own."""
    return [*(row for api in apis for row in api.errors), *OWN_ROWS, *request_errors.ROWS]


def _enum(name: str, description: str, values: dict[str, tuple[Any, str]]) -> Any:
    members = {key: value for key, (value, _) in values.items()}
    made: Any = strawberry.enum(Enum(name, members), description=description)  # type: ignore[call-overload]
    for value in made.__strawberry_definition__.values:
        value.description = values[value.name][1]
    return made


def _of_words(name: str, description: str, texts: Mapping[Any, str]) -> Any:
    return _enum(name, description, {item.value: (item.value, text) for item, text in texts.items()})


def error_enums(apis: Sequence[Api]) -> ErrorEnums:
    texts: dict[str, dict[str, None]] = {}
    for row in all_rows(apis):
        # One reason may stand for a row of each mutation, with different texts.
        texts.setdefault(row.reason, {})[row.text or row.meaning] = None
    return ErrorEnums(
        backend=_enum(
            "Backend",
            "A backend API behind this gateway.",
            {api.name.upper(): (api.name, f"{api.title}.") for api in apis},
        ),
        reason=_enum(
            "ErrorReason",
            "The precise cause of an error, as `extensions.reason` has it. May grow: treat an unknown one by its code.",
            {name: (name, " / ".join(spellings)) for name, spellings in texts.items()},
        ),
        code=_of_words(
            "ErrorCode",
            "The family of an error's cause, from a small set that does not change; enough to branch on.",
            _CODES,
        ),
        outcome=_of_words("Outcome", "Whether the write of a failed mutation happened.", _OUTCOMES),
        read_back=_of_words(
            "ReadBack", "What one read of the record showed after an update whose outcome is unknown.", _READ_BACKS
        ),
    )


def catalogue_query(apis: Sequence[Api], enums: ErrorEnums) -> type:
    """A Query class with the one field `errorCatalog`, over all rows of `apis` and the gateway's own."""
    backend, reason, outcome = enums.backend, enums.reason, enums.outcome
    documented = object_type(
        "DocumentedError",
        "One row of the tables that every error of this gateway is built from.",
        reason=(reason, "The precise cause, one value for each documented fault."),
        code=(str, "The family of the cause, from a small set that does not change; enough to branch on."),
        backend=(backend | None, "The backend that reports the fault; null for the gateway's own."),
        http_status=(int | None, "HTTP status of the backend's answer, or of the gateway's own refusal."),
        vendor_code=(str | None, "The vendor's own error code."),
        text=(str | None, "The documented text; an error may have other words. Null where the vendor publishes none."),
        input_path=(list[str] | None, "The place in the mutation's arguments that the fault is about."),
        mutations=(list[str], "The mutations that the fault can come from."),
        outcome=(outcome | None, "Whether the write happened; null for a request that never executes."),
        retry_safe=(bool, "Whether the same mutation may be sent again unchanged."),
    )
    names = {api.name: [*api.mutations, *api.bulks] for api in apis}
    # A row of an update is also a row of its patch and of their bulks.
    alike = {item.mutation: (*item.mutations, *item.bulks) for api in apis for item in api.resources}
    everything = [name for spellings in names.values() for name in spellings]

    def present(row: DocumentedError) -> Any:
        return documented(
            reason=reason[row.reason],
            code=row.code.value,
            backend=backend[row.backend.upper()] if row.backend else None,
            http_status=row.http_status,
            vendor_code=row.vendor_code,
            text=row.text,
            input_path=list(row.input_path) if row.input_path is not None else None,
            mutations=[]
            if row.of_reads
            else [name for update in row.mutations for name in alike.get(update, (update,))]
            or (names[row.backend] if row.backend else everything),
            outcome=outcome[row.outcome.value] if row.outcome else None,
            retry_safe=row.retry_safe,
        )

    # The rows do not change while the gateway runs, so that the answers are cached.
    rows = [present(row) for row in all_rows(apis)]

    def error_catalog(backend: Any = UNSET, mutation: Any = UNSET) -> Any:
        # Absent and null mean the same here. The default is UNSET because the SDL would print `= null`.
        chosen = getattr(backend, "value", None)
        return [
            row
            for row in rows
            if (chosen is None or (row.backend is not None and row.backend.value == chosen))
            and (not isinstance(mutation, str) or mutation in row.mutations)
        ]

    error_catalog.__annotations__ = {
        "backend": Annotated[backend | None, strawberry.argument(description="Only the errors of this backend.")],
        "mutation": Annotated[
            str | None, strawberry.argument(description="Only the errors that this mutation can meet.")
        ],
        "return": list[documented],  # type: ignore[valid-type]
    }
    field = strawberry.field(
        resolver=error_catalog,
        description="Every error that this gateway can answer, from the same tables that its backends use.",
    )
    return strawberry.type(type("CatalogueQuery", (), {"error_catalog": field}))
