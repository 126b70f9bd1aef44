"""BokaMera's routes over the local adapter, and a token endpoint: request in, answer out. The rules are in store.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.apis.bokamera import jsv
from app.apis.bokamera.backend import NAME
from app.apis.bokamera.binding import bind
from app.apis.bokamera.errors import SERIALIZATION_FAILED, Format, render, write
from app.apis.bokamera.seed import ADMINISTRATOR, API_KEY, CLIENT_ID, PASSWORD
from app.apis.bokamera.store import LocalBackend
from app.apis.bokamera.tokens import TokenEndpoint
from app.apis.sandbox_faults import fault_of
from app.call import Call
from app.errors import BackendAnswer, GatewayError, GatewayErrors, refusal
from app.json_codec import decode_json
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.upstream.exchange import Answer

if TYPE_CHECKING:
    from app.apis.bokamera.settings import BokameraSettings
    from app.store.records import Store

_MAX_BODY = 1024 * 1024
# Members of a list's items that have to be asked for, and the flag that asks.
_ASKED_FOR = {
    "CustomFields": "IncludeCustomFields",
    "CustomFieldValues": "IncludeCustomFieldValues",
    "Comments": "IncludeComments",
    "AccessKeys": "IncludeAccessKeys",
    "InvoiceAddress": "IncludeInvoiceAddress",
}

Handler = Callable[[Request, Format], Awaitable[Answer]]


def routes(settings: BokameraSettings, store: Store) -> Sequence[Route]:
    return Sandbox(settings, store).routes


class Sandbox:
    """`PUT /customers/{Id}`, `GET /customers` and `POST /token`. Every request brings its credentials."""

    def __init__(self, settings: BokameraSettings, store: Store, tokens: TokenEndpoint | None = None) -> None:
        self.tokens = tokens or TokenEndpoint(store)
        self._backend = LocalBackend(settings, store, defaults=False, issued=self.tokens.user_of)
        self.routes = (
            Route("/customers/{id}", _answered(self._update), methods=["PUT"]),
            *(
                Route(path, _answered(self._list), methods=["GET"])
                for path in ("/customers", "/customers.json", "/customers.jsv")
            ),
            Route("/token", self.tokens.endpoint, methods=["POST"]),
        )

    async def _update(self, request: Request, form: Format) -> Answer:
        customer_id = request.path_params["id"].removesuffix(".json").removesuffix(".jsv")
        body = bind(await _body(request))
        company_id = _guid(request, "CompanyId") or body.pop("CompanyId", None)
        body.pop("CompanyId", None)
        record = await self._backend.update(_parsed_guid("Id", customer_id), company_id, body, call=_call(request))
        return write(record, 200, form)

    async def _list(self, request: Request, form: Format) -> Answer:
        """The page of a list with one customer or none: the filter `CustomerId` is needed here."""
        customer_id = _guid(request, "CustomerId")
        if customer_id is None:
            raise _invalid("CustomerId", "")
        record = await self._backend.read(customer_id, _guid(request, "CompanyId"), call=_call(request))
        found = [] if record is None else [_included(record, _query(request))]
        return write({"Offset": 0, "Total": len(found), "Results": found}, 200, form)


def _answered(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        fault = fault_of(request) if request.method == "PUT" else None
        if fault is not None:
            return fault
        form = _form(request)
        try:
            answer = await handler(request, form)
        except (GatewayError, GatewayErrors) as error:
            answer = _refused(error, form)
        return Response(answer.body, answer.status, dict(answer.headers))

    return endpoint


def _refused(error: GatewayError | GatewayErrors, form: Format) -> Answer:
    first = error.errors[0] if isinstance(error, GatewayErrors) else error
    if first.backend is None or first.backend.status is None:
        # Our own store failed: any other exception is ServiceStack's 500, the type's name its code.
        first = GatewayError(
            first.row, "The service failed.", backend=BackendAnswer(NAME, 500, "Exception"), input_path=()
        )
        return render(first, form)
    return render(error, form)


def _form(request: Request) -> Format:
    """What the answer is written in: `?format=`, the suffix or `Accept`, in ServiceStack's order; JSON otherwise."""
    asked = _query(request).get("format", "").casefold() or request.url.path.rpartition(".")[2].casefold()
    if asked in {"json", "jsv"}:
        return cast("Format", asked)
    return "jsv" if "jsv" in request.headers.get("accept", "").casefold() else "json"


def _query(request: Request) -> Mapping[str, str]:
    return {name.casefold(): value for name, value in request.query_params.items()}


def _included(record: Wire, query: Mapping[str, str]) -> Wire:
    return {
        name: value
        for name, value in record.items()
        if name != "ResponseStatus"
        and (name not in _ASKED_FOR or query.get(_ASKED_FOR[name].casefold(), "").casefold() == "true")
    }


def _guid(request: Request, name: str) -> str | None:
    text = _query(request).get(name.casefold(), "")
    return _parsed_guid(name, text) if text else None


def _parsed_guid(name: str, text: str) -> str:
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise _invalid(name, text) from error


def _invalid(name: str, text: str) -> GatewayErrors:
    """ServiceStack's answer to a path or query value that does not fit, `StringMapTypeDeserializer`."""
    # `id` and `companyId` are arguments of the mutation; `CustomerId` is the list's alone.
    path = (name[0].lower() + name[1:],)
    return GatewayErrors(
        [refusal(SERIALIZATION_FAILED, f"'{text[:100]}' is an Invalid value for '{name}'", input_path=path)]
    )


def _call(request: Request) -> Call:
    credentials = {name: request.headers[name] for name in ("x-api-key", "authorization") if name in request.headers}
    simulate = request.headers.get("x-simulate") if request.method == "PUT" else None
    return Call(
        request.headers.get("x-request-id", ""), {NAME: credentials}, simulate=simulate.upper() if simulate else None
    )


async def _body(request: Request) -> Any:
    """The body by its `Content-Type`; none is an empty request. Raises the documented 400 for an unreadable one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise refusal(SERIALIZATION_FAILED)
    if not body.strip():
        return {}
    try:
        data = (
            jsv.decode(bytes(body))
            if "jsv" in request.headers.get("content-type", "").casefold()
            else decode_json(bytes(body))
        )
    except (ValueError, RecursionError) as error:
        raise refusal(SERIALIZATION_FAILED) from error
    if not isinstance(data, Mapping):
        raise refusal(SERIALIZATION_FAILED)
    return data


def settings_for(base_url: str) -> Mapping[str, str]:
    """The settings that point a gateway at this sandbox, as the demo administrator."""
    return {
        "mode": "rest",
        "url": base_url,
        "api_key": API_KEY,
        "token_url": f"{base_url}/token",
        "client_id": CLIENT_ID,
        "username": ADMINISTRATOR,
        "password": PASSWORD,
    }
