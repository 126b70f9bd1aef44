"""The library's routes over the local adapter: request in, answer out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.apis.library.backend import NAME
from app.apis.library.errors import BOOK_NOT_FOUND, render
from app.apis.library.seed import API_KEY
from app.apis.library.store import LocalBackend
from app.apis.sandbox_faults import fault_of
from app.call import Call
from app.errors import GatewayError, refusal
from app.json_codec import decode_json, encode_json

if TYPE_CHECKING:
    from app.apis.library.settings import LibrarySettings
    from app.store.records import Store


def settings_for(base_url: str) -> Mapping[str, str]:
    return {"mode": "rest", "url": f"{base_url}/library", "api_key": API_KEY}


def routes(settings: LibrarySettings, store: Store) -> Sequence[Route]:
    backend = LocalBackend(settings, store, demo=False)

    async def book(request: Request) -> Response:
        simulate = request.headers.get("x-simulate", "").upper() or None
        given = {"x-api-key": request.headers.get("x-api-key", "")}
        call = Call(request.headers.get("x-request-id", ""), {NAME: given}, simulate=simulate)
        book_id = request.path_params["id"]
        try:
            if request.method == "PUT":
                fault = fault_of(request)
                if fault is not None:
                    return fault
                found = await backend.update(book_id, decode_json(await request.body()), call=call)
            else:
                read = await backend.read(book_id, call=call)
                if read is None:
                    raise refusal(BOOK_NOT_FOUND)
                found = read
        except GatewayError as error:
            if error.backend is None:
                return Response(status_code=500)
            answer = render(error)
            return Response(answer.body, answer.status, dict(answer.headers))
        return Response(encode_json(found), media_type="application/json")

    return [Route("/books/{id}", book, methods=["PUT", "GET"])]
