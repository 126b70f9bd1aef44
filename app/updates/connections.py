"""Lists as Relay connections: pages, cursors and the reading of further members, once for every list.

https://relay.dev/graphql/connections.htm
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from functools import cache, partial
from typing import Annotated, Any, NamedTuple

import strawberry
from strawberry.utils.str_converters import to_camel_case

from app.call import CallContext
from app.errors import (
    ANSWER_UNREADABLE,
    CURSOR_INVALID,
    PAGE_SIZE_INVALID,
    BackendDetails,
    GatewayError,
    GatewayFailure,
    each,
)
from app.json_codec import decode_json
from app.mapping.members import members_of
from app.mapping.selection import Selected, selection_of
from app.mapping.wire import from_wire
from app.updates.listing import Listing, ListPage, ListRequest, Place, id_of
from app.updates.reading import backend_of, read_record
from app.updates.resource import Backend, Options

DEFAULT_PAGE = 50
_READS_AT_ONCE = 8
_VERSION = 1
_LONGEST = 4096
_LARGEST_OFFSET = 2**31 - 1

CHANGING = (
    " The backend pages by position: in a list that changes meanwhile a record may be shown twice, "
    "or not at all; nothing else can happen."
)
FIRST = Annotated[int, strawberry.argument(description="Most records of the page: from 0 to GATEWAY_MAX_PAGE, 100.")]
AFTER = Annotated[
    str | None,
    strawberry.argument(description="A cursor of this field with the same arguments: the page begins behind it."),
]


# Other subgraphs that follow Relay have this type, too.
@strawberry.federation.type(shareable=True, description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether records follow the page.")
    has_previous_page: bool = strawberry.field(description="Whether the page begins behind the list's first record.")
    start_cursor: str | None = strawberry.field(description="Cursor of the page's first record.")
    end_cursor: str | None = strawberry.field(
        description="Cursor to go on with: give it as `after`. Null where no record was received."
    )


@cache
def connection_types(listing: Listing) -> tuple[Any, Any]:
    """The connection, and its edge."""
    record: Any = listing.record
    name = record.__strawberry_definition__.name
    edge: Any = object_type(
        f"{name}Edge",
        f"One of the {listing.noun} of a page, with its cursor.",
        cursor=(str, "Give it as `after` to get what follows."),
        node=(record | None, "The record; null with an error where it could not be read."),
    )
    connection = object_type(
        f"{name}Connection",
        f"A page of {listing.noun}.",
        edges=(list[edge], "The records with their cursors."),
        nodes=(list[record | None], "The records. One that could not be read is null, with an error at its place."),
        page_info=(PageInfo, "Where the page stands in the list."),
        total_count=(int | None, "How many there are in all; null where the backend does not say."),
    )
    return connection, edge


def object_type(name: str, description: str, /, **fields: Any) -> Any:
    """A Strawberry type.

    A field is its annotation and its description, with further arguments of `strawberry.field` as a third; or it is a
    field with a resolver.
    """
    plain = {field: definition for field, definition in fields.items() if isinstance(definition, tuple)}
    members = {
        field: strawberry.field(description=text, **(further[0] if further else {}))
        for field, (_, text, *further) in plain.items()
    }
    annotations = {field: definition[0] for field, definition in plain.items()}
    attributes = {**fields, **members, "__annotations__": annotations}
    return strawberry.type(type(name, (), attributes), description=description)


async def connection(listing: Listing, info: Any, first: int, after: str | None, arguments: Options) -> Any:
    """The page as its connection. Raises GatewayError(s); invalid arguments are refused before any call."""
    context, cursors = info.context, Cursors(listing.name, arguments)
    start = cursors.start(context, first, after)
    selected = selection_of(info._raw_info)  # noqa: SLF001 - Strawberry's Info hides the fragments
    below = selected.fields
    node = below["edges"].fields.get("node") if "edges" in below else None
    chosen = {name for part in (below.get("nodes"), node) if part is not None for name in part.fields}
    chosen.discard("__typename")
    request = ListRequest(
        listing, arguments, first, start.offset, start.after, members=chosen, counts="totalCount" in below
    )
    backend = backend_of(info, listing.api)
    try:
        page = await backend.page(request, call=context.call)
    except GatewayFailure as failure:
        raise each(failure, partial(_placed, listing)) from failure
    if listing.members is None or chosen <= set(listing.members):
        records = [_record(listing, item) for item in page.items]
    else:
        records = await _whole(listing, page, backend, context)
    # Some received items are not shown, but the next page begins behind all of them.
    shown = [
        record if not isinstance(item, dict) or listing.shown(item) else None
        for record, item in zip(records, page.items, strict=True)
    ]
    places: Sequence[Place | None] = page.places or [None] * len(shown)
    types = connection_types(listing)
    return page_of(types, cursors, start, selected, places, shown, more=page.more, total_count=page.total)


def page_of(
    types: tuple[Any, Any],
    cursors: Cursors,
    start: Start,
    selected: Selected,
    places: Sequence[Place | None],
    records: Sequence[Any],
    *,
    more: bool,
    **further: Any,
) -> Any:
    """A connection, of the types of a connection and its edge. A record that is None is not shown."""
    connection, edge = types

    def cursor(number: int) -> str:
        return cursors.written(Start(start.offset + number + 1, places[number]))

    shown = [number for number, record in enumerate(records) if record is not None]
    # Cursors cost as much as the records of a list: only those that are selected are made.
    edges = shown if "edges" in selected.fields else ()
    return connection(
        edges=[edge(cursor=cursor(number), node=records[number]) for number in edges],
        nodes=[records[number] for number in shown],
        page_info=PageInfo(
            has_next_page=more,
            has_previous_page=start.offset > 0,
            start_cursor=cursor(shown[0]) if shown else None,
            end_cursor=cursor(len(records) - 1) if records else None,
        ),
        **further,
    )


def _placed(listing: Listing, error: GatewayError) -> GatewayError:
    """A row's place is one of an update's arguments; of those a list has at most the last one's name."""
    last = error.input_path[-1] if error.input_path else None
    names = {to_camel_case(argument.name) for argument in listing.arguments}
    placed = error.changed()
    placed.input_path = (last,) if last in names else None
    return placed


def _unreadable(listing: Listing, detail: str) -> GatewayError:
    return GatewayError(ANSWER_UNREADABLE, backend=BackendDetails(listing.api, 200), detail=detail)


def _record(listing: Listing, item: Any) -> Any:
    """A list item's record, or the error that stands in its place."""
    record_id = id_of(listing, item) if isinstance(item, dict) else None
    if record_id is None:
        return _unreadable(listing, f"an item of the list of {listing.noun} has no id")
    id_member = members_of(listing.record).named[listing.id_name]
    spelled = {name.casefold() for name in listing.id_members}
    data = {name: value for name, value in listing.prepare(item).items() if name.casefold() not in spelled}
    return from_wire(
        listing.record, {**data, id_member.name: record_id}, unreadable=lambda detail: _unreadable(listing, detail)
    )


async def _whole(listing: Listing, page: ListPage, backend: Backend, context: Any) -> list[Any]:
    """Reads each record by itself. A record that cannot be read has its error in its place."""
    context.record_reads = context.record_reads or asyncio.Semaphore(_READS_AT_ONCE)

    async def one(item: Any) -> Any:
        record_id = id_of(listing, item) if isinstance(item, dict) else None
        if record_id is None:
            return _record(listing, item)
        async with context.record_reads:
            return await _one(listing, record_id, backend, context.call)

    return await asyncio.gather(*(one(item) for item in page.items), return_exceptions=True)


async def _one(listing: Listing, record_id: str, backend: Backend, call: CallContext) -> Any:
    assert listing.resource is not None
    missing = next(iter(listing.resource.unknown))
    response: BackendDetails | None = None
    try:
        record = await read_record(listing.resource, backend, call, record_id, {})
    except GatewayError as error:
        if error.backend is None or error.backend.status != missing.http_status:
            raise _placed(listing, error) from error
        record, response = None, error.backend
    if record is None:
        raise GatewayError(
            missing, backend=response or BackendDetails(listing.api, missing.http_status, missing.vendor_code)
        )
    return record


class Start(NamedTuple):
    """Where a page begins: after so many records, and behind a place where the backend knows places."""

    offset: int = 0
    after: Place | None = None


class Cursors:
    """The cursors of a field with its arguments: base64url of version, field, their digest, offset and last place.

    They are not signed: rights are checked on every page, so that a forged one shows nothing else.
    """

    def __init__(self, field: str, arguments: Options) -> None:
        text = json.dumps(dict(arguments), sort_keys=True)
        self._head = [_VERSION, field, hashlib.sha256(text.encode()).hexdigest()[:16]]

    def written(self, start: Start) -> str:
        data = [*self._head, start.offset, *(start.after or ())]
        return base64.urlsafe_b64encode(json.dumps(data, separators=(",", ":")).encode()).decode().rstrip("=")

    def start(self, context: Any, first: int, after: str | None) -> Start:
        """Where a page of `first` records begins. Raises GatewayError."""
        if not 0 <= first <= context.max_page:
            text = f"first must be from 0 to {context.max_page}."
            raise GatewayError(PAGE_SIZE_INVALID, text, input_path=("first",))
        return self.read(after)

    def read(self, cursor: str | None) -> Start:
        """Raises GatewayError for a cursor that this field did not issue for these arguments."""
        if cursor is None:
            return Start()
        try:
            version, named, digest, offset, *place = _parts(cursor)
        except ValueError:
            raise _invalid() from None
        if [version, named, digest] != self._head:
            raise _invalid("The cursor is another list's, or of other arguments.")
        # For Python a bool is an int.
        if type(offset) is not int or not 0 <= offset <= _LARGEST_OFFSET:
            raise _invalid()
        if not place:
            return Start(offset)
        match place:
            case [str(sort_key), str(record_id)]:
                return Start(offset, (sort_key, record_id))
        raise _invalid()


def _parts(cursor: str) -> list[object]:
    if len(cursor) > _LONGEST:
        raise ValueError("too long")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = decode_json(text)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ValueError("no cursor") from error
    if not isinstance(parts, list):
        raise ValueError("no list")
    return parts


def _invalid(message: str | None = None) -> GatewayError:
    return GatewayError(CURSOR_INVALID, message, input_path=("after",))
