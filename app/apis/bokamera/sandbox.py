"""BokaMera's own part of its sandbox routes, and a token endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.routing import Route

from app.apis.bokamera import jsv
from app.apis.bokamera.envelope import Format, bind, render, write
from app.apis.bokamera.errors import NAME, SERIALIZATION_FAILED
from app.apis.bokamera.lists import LISTINGS
from app.apis.bokamera.resources import BOOKING_CUSTOMERS, INCLUDED
from app.apis.bokamera.seed import ADMINISTRATOR, API_KEY, CLIENT_ID, PASSWORD
from app.apis.bokamera.store import BokameraRules
from app.apis.bokamera.tokens import TokenEndpoint
from app.errors import BackendDetails, GatewayError, GatewayErrors, refusal
from app.json_codec import decode_json
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.sandbox.shell import Sandbox, query_of
from app.store.records import Store
from app.updates.listing import ListPage, ListRequest
from app.updates.local import LocalBackend
from app.updates.resource import Options, Resource
from app.upstream.messages import BackendResponse

if TYPE_CHECKING:
    from app.apis.bokamera.settings import BokameraSettings


def routes(_settings: BokameraSettings, store: Store, tokens: TokenEndpoint | None = None) -> Sequence[Route]:
    """`PUT /customers/{Id}`, `GET /customers` and `POST /token`."""
    tokens = tokens or TokenEndpoint(store)
    backend = LocalBackend(NAME, BokameraRules(store, issued=tokens.user_of), store, {})
    return [*SANDBOX.routes(backend), Route("/token", tokens.endpoint, methods=["POST"])]


def _form(request: Request) -> Format:
    """The format of the answer: `?format=`, the suffix or `Accept`, in ServiceStack's order; JSON otherwise."""
    suffix = query_of(request).get("format", "").casefold() or request.url.path.rpartition(".")[2].casefold()
    if suffix in {"json", "jsv"}:
        return cast("Format", suffix)
    return "jsv" if "jsv" in request.headers.get("accept", "").casefold() else "json"


def _decode(request: Request, body: bytes) -> Any:
    """Decodes the body by its `Content-Type`. No body is an empty request."""
    if not body.strip():
        return {}
    is_jsv = "jsv" in request.headers.get("content-type", "").casefold()
    data = jsv.decode(body) if is_jsv else decode_json(body)
    if not isinstance(data, Mapping):
        raise ValueError("no object")
    return data


def _bind(request: Request, _resource: Resource, data: Any) -> tuple[Any, Options]:
    """`CompanyId` binds from the query and from the body; the query wins."""
    body = bind(data)
    in_body = body.pop("CompanyId", None)
    text = query_of(request).get("companyid", "")
    try:
        return body, {"company_id": parse_uuid(text) if text else in_body}
    except ValueError as error:
        raise _invalid(BOOKING_CUSTOMERS, "CompanyId", text) from error


def _invalid(_resource: Resource, name: str, text: str) -> GatewayErrors:
    """ServiceStack's answer to a path or query value that does not fit, `StringMapTypeDeserializer`."""
    # `id` and `companyId` are arguments of the mutation. `CustomerId` belongs to the list alone.
    path = (name[0].lower() + name[1:],)
    return GatewayErrors(
        [refusal(SERIALIZATION_FAILED, f"'{text[:100]}' is an Invalid value for '{name}'", input_path=path)]
    )


def _shown(request: Request, _resource: Resource, record: Wire | None) -> Wire:
    """A list page with one customer or none."""
    customers = [] if record is None else [_with_included_members(request, record)]
    return {"Offset": 0, "Total": len(customers), "Results": customers}


def _with_included_members(request: Request, record: Wire) -> Wire:
    query = query_of(request)
    return {
        name: value
        for name, value in record.items()
        if name != "ResponseStatus"
        and (name not in INCLUDED or query.get(INCLUDED[name].casefold(), "").casefold() == "true")
    }


def _shown_page(request: Request, list_request: ListRequest, page: ListPage) -> Wire:
    customers = [_with_included_members(request, item) for item in page.items]
    return {"Offset": list_request.offset, "Total": page.total, "Results": customers}


def _failed(request: Request) -> BackendResponse:
    """Any other exception is ServiceStack's 500 with the type's name as its code."""
    backend = BackendDetails(NAME, 500, "Exception")
    error = GatewayError(SERIALIZATION_FAILED, "The service failed.", backend=backend, input_path=())
    return render(error, _form(request))


SANDBOX = Sandbox(
    api=NAME,
    resources=(BOOKING_CUSTOMERS,),
    headers=("x-api-key", "authorization"),
    render=lambda request, error: render(error, _form(request)),
    unreadable=lambda _: refusal(SERIALIZATION_FAILED),
    failed=_failed,
    decode=_decode,
    bind=_bind,
    shown=_shown,
    write=lambda request, data: write(data, 200, _form(request)),
    bad_id=_invalid,
    listings=LISTINGS,
    # Assumed: the default and the greatest number of customers on a page.
    take=100,
    most=1000,
    bad_argument=partial(_invalid, BOOKING_CUSTOMERS),
    shown_page=_shown_page,
    suffixes=(".json", ".jsv"),
)


def credentials_for(base_url: str) -> Mapping[str, str]:
    """The demo administrator's."""
    return {
        "api_key": API_KEY,
        "token_url": f"{base_url}/token",
        "client_id": CLIENT_ID,
        "username": ADMINISTRATOR,
        "password": PASSWORD,
    }
