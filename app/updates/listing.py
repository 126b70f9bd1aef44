"""A list of an API's records as plain values: its request and its answer. Knows no vendor and no GraphQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from app.errors import GatewayFailure
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.updates.judging import body_of_json, unreadable
from app.updates.resource import Argument, Options, Resource, Target
from app.upstream.messages import BackendResponse
from app.upstream.responses import member

_MOST = 2**31
# In local mode, a record's place in its list: its sort key and its id.
Place = tuple[str, str]


class ListRequest(Struct, frozen=True):
    """One page. `arguments` are the field's own, by their Python names; `members` are those selected of a record.

    The page begins behind `after` where the backend knows places, otherwise at `offset`. `counts` asks for the total.
    """

    listing: Listing
    arguments: Options
    limit: int
    offset: int = 0
    after: Place | None = None
    members: Collection[str] = ()
    counts: bool = False
    descending: bool = False


class ListPage(Struct, frozen=True):
    """`items` in the vendor's JSON, at most as many as requested. `more` says whether records follow them.

    `total` is None where the backend does not say it. `places` has one for each item, where the backend knows places.
    """

    items: Sequence[Any]
    more: bool
    total: int | None = None
    places: Sequence[Place] = ()


class Listing(Struct, frozen=True, kw_only=True, eq=False):
    """One root field of the schema that lists records.

    `name` is the field's name, `noun` its records'. A request goes to `path`; `parameters` are the vendor's names of
    the arguments, `page` those of the offset and the limit, and `further` gives the rest of the query. If the vendor
    `says_total`, a request asks for no record beyond the page. `refused` gives the error of an unsuccessful answer.
    `body` gives the data of a success. `items` finds the list and the total in it, None where there is none. An item
    has its id under one of `id_members`, the schema under `id_name`. `members` are the GraphQL names that an item has;
    None: all. `resource` reads the others, record by record. `shown` says whether an item belongs into the list, and
    `prepare` gives it members of the documented types.
    """

    api: str
    name: str
    noun: str
    scope: str
    description: str
    record: type
    id_members: Sequence[str]
    path: str
    page: tuple[str, str]
    refused: Callable[[BackendResponse], GatewayFailure]
    items: Callable[[Any], tuple[Any, Any]]
    body: Callable[[BackendResponse], Any] = body_of_json
    id_name: str = "id"
    says_total: bool = False
    resource: Resource | None = None
    members: Collection[str] | None = None
    prepare: Callable[[Wire], Wire] = lambda item: item
    shown: Callable[[Wire], bool] = lambda _item: True
    arguments: Sequence[Argument] = ()
    parameters: Mapping[str, str] = {}
    further: Callable[[ListRequest], Sequence[tuple[str, str]]] = lambda _request: ()

    def target(self, request: ListRequest) -> Target:
        arguments = ((self.parameters[name], str(value)) for name, value in request.arguments.items())
        page = zip(self.page, (str(request.offset), str(record_limit(request))), strict=True)
        return self.path, (*arguments, *self.further(request), *page)


def id_of(listing: Listing, item: Any) -> str | None:
    """An item's id, in any spelling of its name."""
    for name in listing.id_members:
        try:
            return parse_uuid(member(item, name))
        except ValueError:
            continue
    return None


def record_limit(request: ListRequest) -> int:
    """How many records a vendor is asked for: at least one, and one more than the page if that shows what follows."""
    return max(request.limit, 1) if request.listing.says_total else request.limit + 1


def judge_page(request: ListRequest, response: BackendResponse) -> ListPage:
    """The page of an answer. Raises GatewayError(s)."""
    listing = request.listing
    if response.status != 200:  # noqa: PLR2004 - the one success that a list has
        raise listing.refused(response)
    items, total = listing.items(listing.body(response))
    if not isinstance(items, list):
        raise unreadable(listing.api, response, f"the answer has no list of {listing.noun}")
    if type(total) is not int or not 0 <= total < _MOST:
        total = None
    page = items[: request.limit]
    # A list that ends before its total has shrunk: nothing follows, otherwise a client would ask for ever.
    more = len(items) > len(page) or (total is not None and bool(items) and request.offset + len(page) < total)
    if total is None and listing.says_total:
        more = len(items) >= record_limit(request)
    return ListPage(page, more, total)
