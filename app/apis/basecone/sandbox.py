"""Basecone's routes over the local adapter: request in, answer out. The rules are in store.py."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.apis.basecone.backend import KINDS, NAME, SUPPLIER, Kind
from app.apis.basecone.errors import render, row_of
from app.apis.basecone.seed import DEMO
from app.apis.basecone.settings import BaseconeSettings
from app.apis.basecone.store import LocalBackend
from app.apis.sandbox_faults import fault_of
from app.call import Call
from app.errors import GatewayError, refusal
from app.json_codec import decode_json, encode_json
from app.mapping.scalars import parse_uuid
from app.store.records import Store

_JSON = "application/json; charset=utf-8"
_MAX_BODY = 1024 * 1024
_SPACE = re.compile(rb"\s*")


def routes(settings: BaseconeSettings, store: Store) -> Sequence[Route]:
    """`PUT` and `GET` of customers and suppliers, `GET` of general ledgers. Every request brings its credentials."""
    backend = LocalBackend(settings, store, default_authorization=None)
    found = [Route("/generalLedgers/{id}", _answered(SUPPLIER, _ledger(backend)), methods=["GET"])]
    for kind in KINDS:
        found.append(Route(f"/{kind.plural}/{{id}}", _answered(kind, _update(backend, kind)), methods=["PUT"]))
        found.append(Route(f"/{kind.plural}/{{id}}", _answered(kind, _read(backend, kind)), methods=["GET"]))
    return found


def settings_for(url: str) -> Mapping[str, str]:
    """The settings that point a gateway at the sandbox under `url`."""
    client_identifier, access_key = DEMO
    return {"mode": "rest", "url": f"{url}/v1", "client_identifier": client_identifier, "api_access_key": access_key}


Handler = Callable[[Request, str, Call], Awaitable[Response]]


def _answered(kind: Kind, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request, _id_of(kind, request), _call(request))
        except GatewayError as error:
            if error.backend is None:
                # Our own store failed: Basecone's documented 500 has no code, and one object as metadata.
                return Response(
                    encode_json({"message": "An error has occurred.", "_metadata": {}}), 500, media_type=_JSON
                )
            answer = render(error)
            return Response(answer.body, answer.status, dict(answer.headers))

    return endpoint


def _update(backend: LocalBackend, kind: Kind) -> Handler:
    async def update(request: Request, record_id: str, call: Call) -> Response:
        fault = fault_of(request)
        if fault is not None:
            return fault
        skip = request.query_params.get("skipCreationInAccountingSystem", "false").casefold() == "true"
        await backend.update(kind, record_id, await _body(kind, request), skip=skip, call=call)
        return Response(status_code=204)

    return update


def _read(backend: LocalBackend, kind: Kind) -> Handler:
    async def read(request: Request, record_id: str, call: Call) -> Response:
        record = await backend.read(kind, record_id, call=call)
        if record is None:
            raise refusal(row_of(kind, "RESOURCE_NOT_FOUND"), f"The {kind.singular} does not exist.")
        record["_links"] = [{"rel": "self", "href": str(request.url)}]
        return Response(encode_json(record), media_type=_JSON)

    return read


def _ledger(backend: LocalBackend) -> Handler:
    async def ledger(_: Request, ledger_id: str, call: Call) -> Response:
        record = await backend.general_ledger(ledger_id, call=call)
        if record is None:
            raise refusal(row_of(SUPPLIER, "RESOURCE_NOT_FOUND"), "The general ledger does not exist.")
        return Response(encode_json(record), media_type=_JSON)

    return ledger


def _id_of(kind: Kind, request: Request) -> str:
    try:
        return parse_uuid(request.path_params["id"])
    except ValueError as error:
        # Assumed: the route takes GUIDs only, so that another text finds nothing.
        raise refusal(row_of(kind, "RESOURCE_NOT_FOUND"), f"The {kind.singular} does not exist.") from error


def _call(request: Request) -> Call:
    # An absent header is checked like a malformed one.
    credentials = {NAME: {"authorization": request.headers.get("authorization", "")}}
    simulate = request.headers.get("x-simulate")
    return Call(request.headers.get("x-request-id", ""), credentials, simulate=simulate.upper() if simulate else None)


async def _body(kind: Kind, request: Request) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise refusal(row_of(kind, "JSON_PARSE_ERROR"))
    if _SPACE.fullmatch(body):
        return None
    try:
        return decode_json(bytes(body))
    except (ValueError, RecursionError) as error:
        raise refusal(row_of(kind, "JSON_PARSE_ERROR")) from error
