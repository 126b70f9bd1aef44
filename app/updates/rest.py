"""The port over HTTP: builds a request, sends it once, judges the answer. Written once for every resource."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from cachetools import TTLCache
from msgspec import Struct

from app.call import CallContext, is_fault
from app.errors import VALUE_NOT_SUPPORTED, Code, GatewayError, GatewayFailure
from app.json_codec import encode_json
from app.mapping.wire import Wire
from app.updates.judging import judge_read, judge_update
from app.updates.listing import ListPage, ListRequest, judge_page
from app.updates.resource import Options, Resource, UpdateRequest
from app.upstream.credentials import Credentials
from app.upstream.messages import BackendRequest, BackendResponse
from app.upstream.responses import BackendClock

if TYPE_CHECKING:
    from app.upstream.upstream import Upstream  # an API's package may load this file, and its mode be local

T = TypeVar("T")
_RECORDS_KEPT = 1024
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_LONGEST = 500  # characters of `Accept-Language` that are read


class Media(Struct, frozen=True):
    """The media types of requests and answers. `encode` raises ValueError or TypeError."""

    accept: str = "application/json"
    content_type: str = "application/json; charset=utf-8"
    encode: Callable[[Any], bytes] = encode_json


class Languages(Struct, frozen=True):
    """The vendor's header, and its languages: https://www.rfc-editor.org/rfc/rfc9110#name-accept-language."""

    header: str
    spoken: tuple[str, ...]

    def headers(self, accept_language: str | None) -> dict[str, str]:
        """The caller's best language. The first of two with one weight; a malformed part, and `*`, say nothing."""
        if not accept_language or len(accept_language) > _LONGEST:
            return {}
        weights: dict[str, float] = {}
        for part in accept_language.split(","):
            language = _RANGE.fullmatch(part)
            if language is not None and (name := language[1].lower()) in self.spoken:
                weights[name] = max(weights.get(name, 0.0), float(language[2] or 1))
        best = max(weights, key=lambda name: weights[name], default=None)
        return {self.header: best} if best is not None and weights[best] > 0 else {}


class RestSettings(Protocol):
    @property
    def sandbox(self) -> bool:
        """Whether the service is a sandbox: only a sandbox may be asked for a simulated failure."""
        ...


class RestBackend:
    """The vendor itself, or the sandbox, over HTTP.

    `omits` gives, from a call's headers, the members of a request that its client may not send.
    """

    def __init__(
        self,
        settings: RestSettings,
        upstream: Upstream,
        credentials: Credentials,
        media: Media | None = None,
        omits: Callable[[Mapping[str, str]], Collection[str]] = lambda _headers: (),
        languages: Languages | None = None,
    ) -> None:
        self._sandbox = settings.sandbox
        self.credentials = credentials
        self._omits = omits
        self._upstream = upstream
        self._clock = BackendClock()
        self._media = media or Media()
        self._languages = languages
        self._read_headers = {"accept": self._media.accept}
        self._update_headers = {**self._read_headers, "content-type": self._media.content_type}
        # A resource's cached records, by credential: nobody sees what only another caller may read.
        self._records: dict[Resource, TTLCache[Any, Wire]] = {}
        self._reading: WeakValueDictionary[Any, asyncio.Task[Wire | None]] = WeakValueDictionary()

    @property
    def clock_ahead(self) -> float | None:
        return self._clock.ahead

    async def aclose(self) -> None:
        """The upstream belongs to the code that created it."""
        await self.credentials.aclose()

    async def update(self, request: UpdateRequest, *, call: CallContext) -> Wire | None:
        resource = request.resource
        credentials, token = await self.credentials.headers(call)
        headers = {**self._update_headers, **credentials, **self._language(call)}
        # Another API's reason does not concern this service, which may be the real one next to another's sandbox.
        if call.simulate is not None and (resource.simulated(call.simulate) or is_fault(call.simulate)):
            if not self._sandbox:
                raise GatewayError(VALUE_NOT_SUPPORTED, "A failure is simulated by a sandbox alone; nothing was sent.")
            headers["x-simulate"] = call.simulate
        sent = self.built(request, headers)
        return await self._send(sent, call, token, partial(judge_update, request))

    async def omitted(self, resource: Resource, names: Collection[str], *, call: CallContext) -> Collection[str]:  # noqa: ARG002 - the port's
        credentials, _ = await self.credentials.headers(call)
        omitted = self._omits(credentials)
        return [name for name in names if name in omitted]

    async def previewed(self, request: UpdateRequest, *, call: CallContext) -> BackendRequest:
        await self.credentials.headers(call)  # refuses a call without credentials
        built = self.built(request, {})
        return BackendRequest(
            built.method, urlsplit(self._upstream.base_url).path + built.path, built.query, {}, built.body
        )

    def _language(self, call: CallContext) -> dict[str, str]:
        return {} if self._languages is None else self._languages.headers(call.accept_language)

    def built(self, request: UpdateRequest, headers: Mapping[str, str]) -> BackendRequest:
        """The PUT of an update: what is sent, and what a preview shows."""
        assert request.resource.put is not None
        try:
            content = self._media.encode(request.body)
        except (ValueError, TypeError) as error:
            raise GatewayError(VALUE_NOT_SUPPORTED, detail=str(error)) from error
        path, query = request.resource.put(request.id, request.options)
        return BackendRequest("PUT", path, query, headers, content)

    async def read(self, resource: Resource, record_id: str, options: Options, *, call: CallContext) -> Wire | None:
        credentials, token = await self.credentials.headers(call)
        path, query = resource.get(record_id, options)
        request = BackendRequest("GET", path, query, {**self._read_headers, **credentials, **self._language(call)})
        judge = partial(judge_read, resource, record_id)
        if not resource.kept_seconds:
            return await self._send(request, call, token, judge)
        records = self._records.setdefault(resource, TTLCache(_RECORDS_KEPT, resource.kept_seconds))
        key = (record_id, *credentials.values())
        if key in records:
            return records[key]
        # Two fields of one operation may name the same record and share one read. Other calls have their own deadlines.
        read_key = (resource, key, id(call))
        reading = self._reading.get(read_key)
        if reading is None:
            reading = self._reading[read_key] = asyncio.create_task(self._send(request, call, token, judge))
        record = await reading
        if record is not None and resource.keeps(record):
            records[key] = record
        return record

    async def _send(
        self, request: BackendRequest, call: CallContext, token: str | None, judge: Callable[[BackendResponse], T]
    ) -> T:
        begun = time.time()

        def judged(response: BackendResponse) -> T:
            self._clock.note(response.headers, begun)
            return judge(response)

        try:
            return await self._upstream.send(request, call, judged)
        except GatewayFailure as error:
            # A simulated refusal says nothing about the token.
            if token is not None and call.simulate is None:
                self._drop(token, call, error)
            raise

    async def page(self, request: ListRequest, *, call: CallContext) -> ListPage:
        credentials, token = await self.credentials.headers(call)
        path, query = request.listing.target(request)
        sent = BackendRequest("GET", path, query, {**self._read_headers, **credentials})
        return await self._send(sent, call, token, partial(judge_page, request))

    def _drop(self, token: str, call: CallContext, error: GatewayFailure) -> None:
        """Forgets the gateway's token if it was refused. A refusal of the action does not concern the token."""
        errors = error.errors
        refused = [one for one in errors if one.row.code is Code.UNAUTHENTICATED]
        if refused:
            passing = self.credentials.drop(token, call)
            for one in refused:
                one.passing = passing
