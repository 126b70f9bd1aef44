"""The REST adapter: builds requests and judges answers, both pure, with one send between them."""

from __future__ import annotations

from app.apis.library.backend import NAME
from app.apis.library.errors import parse
from app.apis.library.settings import LibrarySettings
from app.call import Call
from app.errors import ANSWER_UNREADABLE, CREDENTIALS_MISSING, BackendAnswer, GatewayError
from app.json_codec import encode_json
from app.mapping.wire import Wire
from app.upstream.answers import parsed
from app.upstream.exchange import Answer, Request
from app.upstream.upstream import Upstream

_OK = 200
_NOT_FOUND = 404
_JSON = {"accept": "application/json", "content-type": "application/json"}


def judge(answer: Answer) -> Wire:
    """The book of a 200. Raises GatewayError."""
    if answer.status != _OK:
        raise parse(answer)
    data = parsed(answer.body)
    if not isinstance(data, dict):
        raise GatewayError(ANSWER_UNREADABLE, backend=BackendAnswer(NAME, answer.status))
    return data


class RestBackend:
    """The library itself, or the sandbox, over HTTP."""

    def __init__(self, settings: LibrarySettings, upstream: Upstream) -> None:
        self._upstream = upstream
        self._own = {} if settings.api_key is None else {"x-api-key": settings.api_key.get_secret_value()}

    def _headers(self, call: Call) -> dict[str, str]:
        found = dict(call.credentials.get(NAME) or self._own)
        if not found:
            raise GatewayError(CREDENTIALS_MISSING, backend=BackendAnswer(NAME))
        return {**_JSON, **found}

    async def update(self, book_id: str, body: Wire, *, call: Call) -> Wire:
        simulated = {} if call.simulate is None else {"x-simulate": call.simulate}
        headers = {**self._headers(call), **simulated}
        request = Request("PUT", f"/books/{book_id}", headers=headers, body=encode_json(body))
        return judge(await self._upstream.send(request, call))

    async def read(self, book_id: str, *, call: Call) -> Wire | None:
        answer = await self._upstream.send(Request("GET", f"/books/{book_id}", headers=self._headers(call)), call)
        return None if answer.status == _NOT_FOUND else judge(answer)
