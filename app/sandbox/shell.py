"""Serves a vendor's routes over its local backend. Written once for all vendors; the rules are the API's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.call import CallContext
from app.errors import GatewayError, GatewayFailure, refusal
from app.json_codec import decode_json, encode_json
from app.mapping.scalars import UUID, parse_uuid
from app.mapping.wire import Wire
from app.sandbox.faults import fault_of
from app.store.records import Store
from app.updates.listing import Listing, ListPage, ListRequest
from app.updates.local import LocalBackend, Rules
from app.updates.resource import Backend, Options, Resource, UpdateRequest
from app.upstream.messages import BackendResponse

_MAX_BODY = 1024 * 1024
_LAST_OFFSET = 2**31 - 1
_ID = "{id}"
_JSON = {"content-type": "application/json; charset=utf-8"}

_Handler = Callable[[Request, CallContext], Awaitable[BackendResponse]]


def _as_json(_request: Request, body: bytes) -> Any:
    return decode_json(body) if body.strip() else None


def _as_it_is(_request: Request, _resource: Resource, body: Any) -> tuple[Any, Options]:
    return body, {}


def _record_or_unknown(_request: Request, resource: Resource, record: Wire | None) -> Any:
    if record is None:
        raise _unknown(resource)
    return record


def _in_json(_request: Request, data: Any) -> BackendResponse:
    return BackendResponse(200, _JSON, encode_json(data))


def _unknown(resource: Resource, *_: str) -> GatewayError:
    return refusal(next(iter(resource.unknown)))


def _code_and_message(_request: Request, error: GatewayFailure) -> BackendResponse:
    """The most common envelope, of one error."""
    backend = error.errors[0].backend
    assert backend is not None
    assert backend.status is not None
    return BackendResponse(backend.status, _JSON, encode_json({"code": backend.code, "message": backend.message}))


class _UnreadableError(Exception):
    """A body that cannot be read, for a vendor that documents no refusal of it."""


def _undocumented(_resource: Resource) -> Exception:
    return _UnreadableError()


class Sandbox(Struct, frozen=True, kw_only=True):
    """A vendor's own part of its routes.

    `headers` carry credentials, and every request has them. `decode` reads a body; it raises ValueError. `bind` turns
    it into the body and the options of an update. `shown` is the data of a read's answer, and `write` writes that
    answer. A list has `take` records, or as many as the query says, up to `most`; `list_options` are further members of
    its request, from the query, and `shown_page` is the data of its answer. `render` answers a refusal, `failed` a
    store that failed. `unreadable` refuses a body, `bad_id` an invalid id in the path, or in the query by the name of
    its parameter, and `bad_argument` an invalid id in a list's query. `suffixes` of a path choose a format.
    """

    api: str
    resources: Sequence[Resource]
    headers: Sequence[str]
    render: Callable[[Request, GatewayFailure], BackendResponse] = _code_and_message
    unreadable: Callable[[Resource], Exception] = _undocumented
    failed: Callable[[Request], BackendResponse] = lambda _request: BackendResponse(500, {}, b"")
    decode: Callable[[Request, bytes], Any] = _as_json
    bind: Callable[[Request, Resource, Any], tuple[Any, Options]] = _as_it_is
    shown: Callable[[Request, Resource, Wire | None], Any] = _record_or_unknown
    write: Callable[[Request, Any], BackendResponse] = _in_json
    bad_id: Callable[[Resource, str, str], GatewayFailure] = _unknown
    suffixes: Sequence[str] = ()
    listings: Sequence[Listing] = ()
    take: int = 0
    most: int = 0
    list_options: Callable[[Mapping[str, str]], Mapping[str, Any]] = lambda _query: {}
    bad_argument: Callable[[str, str], Exception] = lambda _name, _text: _UnreadableError()
    shown_page: Callable[[Request, ListRequest, ListPage], Any] = lambda _request, _list_request, page: page.items

    def over(self, rules: Callable[[Store], Rules]) -> Callable[[Any, Store], Sequence[Route]]:
        """The routes over an API's rules for a store, as `Api.sandbox` needs them."""
        return lambda _settings, store: self.routes(LocalBackend(self.api, rules(store), store, {}))

    def routes(self, backend: Backend) -> list[Route]:
        """The routes are those to which the resources send their own requests."""
        pages = {listing.path: partial(self._page, backend, listing) for listing in self.listings}
        routes = []
        for resource in self.resources:
            path, query = resource.get(_ID, {})
            name = next((name for name, value in query if value == _ID), None)
            reading = partial(self._read, backend, resource, name)
            if name is not None and path in pages:
                reading = partial(_either, name, reading, pages.pop(path))
            read = self._answered(reading)
            paths = [path] if name is None else self._spelled(path)
            routes += [Route(path, read, methods=["GET"]) for path in paths]
            if resource.put is not None:
                path, _ = resource.put(_ID, {})
                update = self._answered(partial(self._update, backend, resource))
                routes.append(Route(path, update, methods=["PUT"]))
        for path, page in pages.items():
            routes += [Route(item, self._answered(page), methods=["GET"]) for item in self._spelled(path)]
        return routes

    def _spelled(self, path: str) -> list[str]:
        return [path, *(path + suffix for suffix in self.suffixes)]

    async def _page(self, backend: Backend, listing: Listing, request: Request, call: CallContext) -> BackendResponse:
        list_request = self._list_request(listing, query_of(request))
        return self.write(request, self.shown_page(request, list_request, await backend.page(list_request, call=call)))

    def _list_request(self, listing: Listing, query: Mapping[str, str]) -> ListRequest:
        """The request that the listing would have built into this query."""
        arguments = {}
        for argument in listing.arguments:
            name = listing.parameters[argument.name]
            text = query.get(name.casefold())
            is_id = argument.type in {UUID, UUID | None}
            if text is None or (is_id and not text):
                continue
            try:
                arguments[argument.name] = parse_uuid(text) if is_id else text
            except ValueError as error:
                raise self.bad_argument(name, text) from error
        offset, limit = (query.get(name.casefold()) for name in listing.page)
        return ListRequest(
            listing,
            arguments,
            limit=_whole_number(limit, self.take, self.most),
            offset=_whole_number(offset, 0, _LAST_OFFSET),
            counts=True,
            **self.list_options(query),
        )

    async def _update(
        self, backend: Backend, resource: Resource, request: Request, call: CallContext
    ) -> BackendResponse:
        record_id = self._id(resource, request, None)
        body, options = self.bind(request, resource, await self._body(resource, request))
        record = await backend.update(UpdateRequest(resource, record_id, body, options), call=call)
        return BackendResponse(204, {}, b"") if record is None else self.write(request, record)

    async def _read(
        self, backend: Backend, resource: Resource, name: str | None, request: Request, call: CallContext
    ) -> BackendResponse:
        record_id = self._id(resource, request, name)
        _, options = self.bind(request, resource, {})
        record = await backend.read(resource, record_id, options, call=call)
        return self.write(request, self.shown(request, resource, record))

    def _id(self, resource: Resource, request: Request, name: str | None) -> str:
        """The id in the path, or in the query under a name."""
        if name is None:
            text = request.path_params["id"]
            for suffix in self.suffixes:
                text = text.removesuffix(suffix)
        else:
            text = query_of(request).get(name.casefold(), "")
        try:
            return parse_uuid(text)
        except ValueError as error:
            raise self.bad_id(resource, name or "Id", text) from error

    async def _body(self, resource: Resource, request: Request) -> Any:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY:
                raise self.unreadable(resource)
        try:
            return self.decode(request, bytes(body))
        except (ValueError, RecursionError) as error:
            raise self.unreadable(resource) from error

    def _answered(self, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            injected = fault_of(request) if request.method == "PUT" else None
            if injected is not None:
                return injected
            try:
                response = await handler(request, self._call(request))
            except _UnreadableError:
                response = BackendResponse(400, {}, b"")
            except GatewayFailure as error:
                first = error.errors[0]
                # Without a backend's answer our own store failed.
                from_backend = first.backend is not None and first.backend.status is not None
                response = self.render(request, error) if from_backend else self.failed(request)
            return Response(response.body, response.status, dict(response.headers))

        return endpoint

    def _call(self, request: Request) -> CallContext:
        credentials = {name: request.headers[name] for name in self.headers if name in request.headers}
        simulate = request.headers.get("x-simulate", "").upper() if request.method == "PUT" else ""
        return CallContext(request.headers.get("x-request-id", ""), {self.api: credentials}, simulate=simulate or None)


async def _either(name: str, read: _Handler, page: _Handler, request: Request, call: CallContext) -> BackendResponse:
    """A read that is a list with a filter. Without the filter it is the list."""
    return await (read if name.casefold() in query_of(request) else page)(request, call)


def _whole_number(text: str | None, otherwise: int, most: int) -> int:
    """A count in a query. An invalid one counts as absent."""
    if text is None or not (text.isascii() and text.isdigit()):
        return otherwise
    return min(int(text[:10]), most)


def query_of(request: Request) -> dict[str, str]:
    """The query's names in lower case: the vendors' servers read them in any casing."""
    return {name.casefold(): value for name, value in request.query_params.items()}
