"""Basecone's own part of its sandbox routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from app.apis.basecone.errors import NAME, UPDATE_SUPPLIER, render, row_of
from app.apis.basecone.ledgers import LEDGER
from app.apis.basecone.lists import LISTINGS
from app.apis.basecone.resources import RESOURCES
from app.apis.basecone.seed import DEMO
from app.errors import GatewayError, refusal
from app.json_codec import encode_json
from app.mapping.wire import Wire
from app.sandbox.shell import Sandbox, query_of
from app.updates.listing import ListPage, ListRequest
from app.updates.resource import Options, Resource
from app.upstream.messages import BackendResponse


def credentials_for(_url: str) -> Mapping[str, str]:
    """The demo user's."""
    client_identifier, access_key = DEMO
    return {"client_identifier": client_identifier, "api_access_key": access_key}


def _unknown(resource: Resource, *_: str) -> GatewayError:
    # Assumed: the route accepts GUIDs only, so that no other text names a record.
    named = "general ledger" if resource is LEDGER else resource.name
    return refusal(row_of(resource.mutation, "RESOURCE_NOT_FOUND"), f"The {named} does not exist.")


def _bind(request: Request, _resource: Resource, body: Any) -> tuple[Any, Options]:
    skip = query_of(request).get("skipcreationinaccountingsystem", "false")
    return body, {"skip_creation_in_accounting_system": skip.casefold() == "true"}


def _shown(request: Request, resource: Resource, record: Wire | None) -> Wire:
    if record is None:
        raise _unknown(resource)
    if resource is not LEDGER:
        record["_links"] = [{"rel": "self", "href": str(request.url)}]
    return record


def _shown_page(request: Request, list_request: ListRequest, page: ListPage) -> Wire:
    modules = "modules" in list_request.members
    items = [
        {**{name: value for name, value in item.items() if modules or name != "modules"}, "_links": []}
        for item in page.items
    ]
    return {
        list_request.listing.name: items,
        "_links": [{"rel": "self", "href": str(request.url)}],
        "_metadata": {"total": page.total, "count": len(items)},
    }


def _failed(_request: Request) -> BackendResponse:
    """Basecone's documented 500 has no code, and one object as metadata."""
    body = encode_json({"message": "An error has occurred.", "_metadata": {}})
    return BackendResponse(500, {"content-type": "application/json; charset=utf-8"}, body)


SANDBOX = Sandbox(
    api=NAME,
    resources=(*RESOURCES, LEDGER),
    headers=("authorization",),
    render=lambda _request, error: render(error),
    unreadable=lambda resource: refusal(row_of(resource.mutation, "JSON_PARSE_ERROR")),
    failed=_failed,
    bind=_bind,
    shown=_shown,
    bad_id=_unknown,
    listings=LISTINGS,
    # Assumed: the pages say that the default limit depends on the list, and show 10 and 20.
    take=20,
    most=10_000,
    list_options=lambda query: {
        "members": query.get("fields", "").split(","),
        "descending": query.get("sort", "").startswith("-"),
    },
    bad_argument=lambda *_: refusal(row_of(UPDATE_SUPPLIER, "PROPERTIES_NOT_VALID")),
    shown_page=_shown_page,
)
