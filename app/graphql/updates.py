"""`updates` and `update`: the fate of updates, from the journal. Decides who may see which."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry
from strawberry import ID, UNSET, Info

from app.errors import GatewayError
from app.graphql.request_errors import JOURNAL_NOT_AVAILABLE, JOURNAL_NOT_OPEN, SCOPE_MISSING
from app.mapping.scalars import UUID, DateTime
from app.mapping.selection import selection_of
from app.store.entry_table import first_id
from app.updates.connections import AFTER, DEFAULT_PAGE, FIRST, Cursors, PageInfo, object_type, page_of
from app.updates.fields import REQUIRED, named, options, parameter, root_field
from app.updates.resource import Argument
from app.updates.user_errors import ErrorEnums

if TYPE_CHECKING:
    from app.graphql.context import Context
    from app.journal.entries import Entry
    from app.journal.journal import Journal

READ, READ_ALL = "updates:read", "updates:read-all"
SCOPES = frozenset({READ, READ_ALL})
# These members of an entry are its intent's.
_AS_INTENDED = ("request_id", "caller", "person", "mutation", "record_id", "position")
_LONGEST = 512  # characters of a filter


def journal_of(context: Context) -> Journal:
    """The journal. Raises GatewayError where the caller may not query it."""
    journal = None if context.recorder is None else context.recorder.journal
    if journal is None:
        raise GatewayError(JOURNAL_NOT_AVAILABLE)
    if context.caller is None and context.recorder is not None and not context.recorder.shown:
        raise GatewayError(JOURNAL_NOT_OPEN)
    return journal


def own_only(context: Context) -> dict[str, Any]:
    """The filters that limit a caller to its own entries. Raises GatewayError."""
    if context.caller is None or context.scopes is None or READ_ALL in context.scopes:
        return {}
    if READ not in context.scopes:
        raise GatewayError(SCOPE_MISSING, f"The bearer token lacks the scope {READ}.")
    journal = journal_of(context)
    person = "" if context.subject is None else journal.hashes.person(context.subject)
    return {"caller": context.caller, "person": person}


def updates_query(enums: ErrorEnums) -> type:
    """A Query class with `updates` and `update`."""
    described: dict[str, tuple[Any, str]] = {
        "id": (ID, "Id of the entry; ids are in the order of time."),
        "request_id": (str, "The request's id, as in the header `x-request-id` and the log."),
        "idempotency_key": (str | None, "The idempotency key that the update was sent with."),
        "caller": (str | None, "Name of the caller; null where callers are not authenticated."),
        "person": (str | None, "The person in the caller's token, as a keyed hash."),
        "mutation": (str, "Name of the mutation."),
        "record_id": (UUID, "Id of the record."),
        "sent_fields": (list[str], "Names of the input's members that were sent; never a value."),
        "begun": (DateTime, "When the update was recorded, right before it was sent."),
        "ended": (DateTime | None, "When its end was known; null while it is on its way."),
        "outcome": (enums.outcome | None, "Whether the write happened; null while it is on its way."),
        "code": (enums.code | None, "Family of the first fault's cause; null without one."),
        "reason": (enums.reason | None, "Cause of the first fault; null without one."),
        "backend_status": (int | None, "HTTP status of the backend's answer to a failed update."),
        "read_back": (enums.read_back | None, "What was seen where the record was read to learn the outcome."),
        "replayed": (int, "How many later requests with the same key it has answered."),
        "position": (int | None, "Position in its bulk; null for a single update."),
        "backend": (enums.backend, "The backend API."),
        "backend_account": (str | None, "Identity of the backend's credentials, as a keyed hash."),
    }
    entry_type = object_type(
        "UpdateEntry", "One update and what became of it. An end changes only from UNKNOWN to APPLIED.", **described
    )

    def present(entry: Entry) -> Any:
        end, intent = entry.end, entry.intent
        error = end.errors[0] if end is not None and end.errors else None
        return entry_type(
            id=entry.id,
            **{name: getattr(intent, name) for name in _AS_INTENDED},
            idempotency_key=None if intent.key is None else intent.key.value,
            sent_fields=list(intent.sent_fields),
            begun=entry.begun.isoformat(timespec="milliseconds"),
            ended=None if entry.ended is None else entry.ended.isoformat(timespec="milliseconds"),
            outcome=None if end is None else enums.outcome[end.outcome],
            code=None if error is None else enums.code[error.code],
            # Another version's value is not in this schema.
            reason=None if error is None else enums.reason.__members__.get(error.reason),
            backend_status=None if end is None else end.status,
            read_back=None if end is None or end.read_back is None else enums.read_back[end.read_back],
            replayed=entry.replayed,
            backend=enums.backend[intent.backend.upper()],
            backend_account=intent.account,
        )

    async def count(self: Any, info: Info) -> int | None:
        return await journal_of(info.context).total(self.filters)

    edge = object_type(
        "UpdateEntryEdge",
        "One of the entries of a page, with its cursor.",
        cursor=(str, "Give it as `after` to get what follows."),
        node=(entry_type | None, "The entry."),
    )
    connection = object_type(
        "UpdateEntryConnection",
        "A page of entries, the newest first.",
        edges=(list[edge], "The entries with their cursors."),  # type: ignore[valid-type]
        nodes=(list[entry_type | None], "The entries."),  # type: ignore[valid-type]
        page_info=(PageInfo, "Where the page stands in the list."),
        total_count=strawberry.field(resolver=count, description="How many there are in all."),
    )

    async def updates(info: Info, first: int = DEFAULT_PAGE, after: str | None = UNSET, **arguments: Any) -> Any:
        context = info.context
        journal, own = journal_of(context), own_only(context)
        plain = {name: getattr(value, "value", value) for name, value in options(arguments).items()}
        filters = {**own, **_filters(plain)}
        cursors = Cursors("updates", plain)
        start = cursors.start(context, first, None if after is UNSET else after)
        behind = filters if start.after is None else {**filters, "after": start.after[1]}
        entries = await journal.page(behind, first + 1)
        more, shown = len(entries) > first, entries[:first]
        selected = selection_of(info._raw_info)  # noqa: SLF001 - Strawberry's Info hides the fragments
        places, records = [("", entry.id) for entry in shown], [present(entry) for entry in shown]
        page = page_of((connection, edge), cursors, start, selected, places, records, more=more)
        page.filters = filters
        return page

    async def update(info: Info, id: ID) -> Any:  # noqa: A002 - the argument's name
        own = own_only(info.context)
        entry = await journal_of(info.context).get(str(id)[:_LONGEST])
        if entry is None or (own and (entry.intent.caller, entry.intent.person or "") != tuple(own.values())):
            return None
        return present(entry)

    arguments: dict[str, tuple[Any, str]] = {
        "record_id": (UUID, "Only updates of this record."),
        "request_id": (str, "Only updates of this request."),
        "idempotency_key": (str, "Only updates with this idempotency key."),
        "mutation": (str, "Only updates by this mutation."),
        "outcome": (enums.outcome, "Only updates with this outcome."),
        "since": (DateTime, "Only updates begun then or later."),
        "until": (DateTime, "Only updates begun before."),
    }
    parameters = [
        *(
            parameter(Argument(name=name, type=type_ | None, description=text))
            for name, (type_, text) in arguments.items()
        ),
        named("first", FIRST, DEFAULT_PAGE),
        named("after", AFTER, UNSET),
    ]
    described_id = parameter(Argument(name="id", type=ID, description="Id of the entry.", default=REQUIRED))
    text = (
        "What became of updates, the newest first: the caller's own, or with the scope "
        f"`{READ_ALL}` everyone's. An entry that ends meanwhile stays in its place."
    )
    text_of_one = "One entry; null where there is none to be seen."
    fields = {
        "updates": root_field(strawberry.field, updates, parameters, connection, text),
        "update": root_field(strawberry.field, update, [described_id], entry_type, text_of_one),
    }
    return strawberry.type(type("UpdatesQuery", (), fields))


def _filters(arguments: dict[str, Any]) -> dict[str, Any]:
    """The store's filters. A text is cut to the length that an entry can have."""
    filters: dict[str, Any] = {}
    for name, value in arguments.items():
        if name == "outcome":
            filters[value] = None
        elif name in {"since", "until"}:
            filters[name] = first_id(_milliseconds(value))
        else:
            filters[name] = value[:_LONGEST]
    return filters


def _milliseconds(moment: Any) -> int:
    """Rounded up: an entry's time has whole milliseconds."""
    time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return -int(-time.timestamp() * 1000 // 1)
