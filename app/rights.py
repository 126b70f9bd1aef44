"""What a backend's credentials may do, as far as its lists and reads show. Sends nothing but GETs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, get_args

from strawberry import UNSET
from strawberry.utils.str_converters import to_camel_case

from app.apis.api import Api
from app.call import CallContext
from app.errors import GatewayFailure
from app.updates.listing import Listing, ListRequest, id_of
from app.updates.resource import Backend, Resource

# Enough to find a company with access among some without, and one with records among empty ones.
_LOOKED_AT = 20


@dataclass(slots=True)
class Rights:
    """GraphQL fields: those that the credentials may list and read, those that failed with the reason, the others."""

    lists: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything that could be tried was allowed. An API without lists shows no record to read."""
        return not self.failed and not (self.lists and self.untried)

    def __str__(self) -> str:
        named = {
            "may list": self.lists,
            "may read": self.reads,
            "failed:": self.failed,
            "could not be tried:": self.untried,
        }
        parts = [f"{text} {', '.join(names)}" for text, names in named.items() if names]
        return "; ".join([*parts, "only an update tells of writing"])


async def rights_of(api: Api, backend: Backend, call: CallContext) -> Rights:
    """Requests the beginning of each list, and one record of it. A list's ids serve the lists after it."""
    rights, ids = Rights(), dict[str, list[str]]()
    for listing in api.roots.listings:
        resources = [item for item in api.resources if item.record is listing.record]
        shown = await _shown(listing, ids, backend, call, rights, tries=_LOOKED_AT if resources else 1)
        ids.setdefault(listing.id_name, shown)
        for resource in resources:
            await _read(resource, shown, backend, call, rights)
    listed = {listing.record for listing in api.roots.listings}
    rights.untried += [item.name for item in api.resources if item.mutation and item.record not in listed]
    return rights


async def _shown(
    listing: Listing, ids: dict[str, list[str]], backend: Backend, call: CallContext, rights: Rights, *, tries: int
) -> list[str]:
    """The ids of the first records of the list, for the first combination of arguments that shows any."""
    names = [item.name for item in listing.arguments if _is_required(item)]
    combinations = itertools.product(*(ids.get(to_camel_case(name), ()) for name in names))
    shown: list[str] = []
    tried = False
    for values in itertools.islice(combinations, tries):
        try:
            page = await backend.page(
                ListRequest(listing, dict(zip(names, values, strict=True)), _LOOKED_AT), call=call
            )
        except GatewayFailure as error:
            _note(error, listing.name, rights)
            return []
        tried = True
        items = (item for item in page.items if isinstance(item, dict) and listing.shown(item))
        shown = [record_id for item in items if (record_id := id_of(listing, item)) is not None]
        if shown:
            break
    (rights.lists if tried else rights.untried).append(listing.name)
    return shown


async def _read(resource: Resource, shown: list[str], backend: Backend, call: CallContext, rights: Rights) -> None:
    record = None
    try:
        if shown:
            record = await backend.read(resource, shown[0], {}, call=call)
    except GatewayFailure as error:
        _note(error, resource.name, rights)
        return
    (rights.reads if record is not None else rights.untried).append(resource.name)


def _note(error: GatewayFailure, name: str, rights: Rights) -> None:
    first = error.errors[0]
    rights.failed.append(f"{name} ({first.row.reason})")


def _is_required(argument: Any) -> bool:
    return argument.default is UNSET and type(None) not in get_args(argument.type)
