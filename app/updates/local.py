"""The port over the local store: simulation, credentials and the commit, written once. An API brings its rules."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Names
from typing import Any, Protocol, cast

from app.call import CallContext, Recording
from app.errors import refusal
from app.journal.keys import KeyTakenError
from app.json_codec import encode_json
from app.mapping.wire import Wire
from app.store.records import (
    Collection,
    Place,
    Record,
    Selection,
    StatementConflictError,
    Store,
    UniqueConflictError,
    VersionConflictError,
    Write,
)
from app.updates.change import compare, mismatch
from app.updates.listing import ListPage, ListRequest
from app.updates.resource import Options, Resource, UpdateRequest
from app.upstream.messages import BackendRequest


class LocalCall:
    """One call to the rules: the headers with its credentials, its deadline, and the only way to write."""

    def __init__(
        self, store: Store, headers: Mapping[str, str], deadline: float | None, recording: Recording | None = None
    ) -> None:
        self.headers = headers
        self.deadline = deadline
        self.recording = recording
        self._store = store

    async def commit(self, writes: Sequence[Write]) -> None:
        """Like `Store.commit`, with the statements that belong to every update's transaction."""
        also = () if self.recording is None else self.recording.committing()
        try:
            await self._store.commit(writes, deadline=self.deadline, also=also)
        except StatementConflictError as error:
            raise KeyTakenError from error


class _GuardedCall(LocalCall):
    """Writes only over the expected revision.

    It reads the record again, and the commit fails if the version is not the one that the rules read. So the compared
    record is the one that is overwritten.
    """

    def __init__(self, plain: LocalCall, store: Store, rules: Rules, request: UpdateRequest) -> None:
        super().__init__(store, plain.headers, plain.deadline, plain.recording)
        self._rules = rules
        self._request = request

    async def _compare(self, *, changed: bool = False) -> None:
        request = self._request
        read = await self._rules.read(request.resource, request.id, request.options, self)
        if read is None:
            raise refusal(next(iter(request.resource.unknown)))
        compare(request.resource, request, read)
        if changed:
            # The record changed and changed back meanwhile.
            raise mismatch(request.resource, str(request.expected_revision))

    async def commit(self, writes: Sequence[Write]) -> None:
        await self._compare()
        try:
            await super().commit(writes)
        except VersionConflictError:
            await self._compare(changed=True)


class _Previewed(Exception):  # noqa: N818 - it ends a dry run, which is no error
    """Ends a dry run instead of a commit; never leaves this file."""


class _DryCall(LocalCall):
    """Refuses what a commit would refuse, and writes nothing."""

    async def commit(self, writes: Sequence[Write]) -> None:
        for write in writes:
            unique = write.record.unique
            holder = None if unique is None else await self._store.find(write.collection, write.record.owner, unique)
            if holder is not None and holder.id != write.record.id:
                raise UniqueConflictError(write)
        raise _Previewed


class Rules(Protocol):
    """The documented rules of an API over its records. All raise GatewayError(s) of the API's rows."""

    async def update(self, request: UpdateRequest, call: LocalCall) -> Wire | None: ...

    async def read(self, resource: Resource, record_id: str, options: Options, call: LocalCall) -> Wire | None: ...


async def page_of(
    store: Store, collection: Collection, selection: Selection, request: ListRequest, item: Callable[[Record], Any]
) -> ListPage:
    """A page of the selected records, each as the vendor's list has it. The total is counted only on request."""
    after = None if request.after is None else Place(*request.after)
    records = await store.page(
        collection,
        selection,
        limit=request.limit + 1,
        offset=0 if after else request.offset,
        after=after,
        descending=request.descending,
    )
    total = await store.count(collection, selection) if request.counts else None
    page = records[: request.limit]
    return ListPage(
        [item(record) for record, _ in page],
        more=len(records) > len(page),
        total=total,
        places=[(place.sort_key, place.record_id) for _, place in page],
    )


class FurtherRules(Rules, Protocol):
    """What only some APIs have: lists, and members of a request that only some clients may send."""

    async def page(self, request: ListRequest, call: LocalCall) -> ListPage: ...

    async def omitted(self, resource: Resource, names: Names[str], call: LocalCall) -> Names[str]:
        """The `names` that the calling user may not send."""
        ...


class LocalBackend:
    """The backend over the store. Its times are this machine's.

    `defaults` are the credentials of a call that brings none: a demo user's in the gateway, none in the sandbox.
    """

    clock_ahead = 0.0

    def __init__(self, api: str, rules: Rules, store: Store, defaults: Mapping[str, str]) -> None:
        self._api = api
        self._rules = rules
        self._store = store
        self._defaults = defaults

    async def update(self, request: UpdateRequest, *, call: CallContext) -> Wire | None:
        row = request.resource.simulated(call.simulate)
        if row is not None:
            raise refusal(row)
        local = self._local(call)
        if request.expected_revision is not None:
            local = _GuardedCall(local, self._store, self._rules, request)
        return await self._rules.update(request, local)

    async def previewed(self, request: UpdateRequest, *, call: CallContext) -> BackendRequest:
        local = self._local(call)
        with contextlib.suppress(_Previewed):
            await self._rules.update(request, _DryCall(self._store, local.headers, local.deadline))
        assert request.resource.put is not None
        path, query = request.resource.put(request.id, request.options)
        return BackendRequest("PUT", request.resource.base_path + path, query, {}, encode_json(request.body))

    async def omitted(self, resource: Resource, names: Names[str], *, call: CallContext) -> Names[str]:
        return await cast("FurtherRules", self._rules).omitted(resource, names, self._local(call))

    async def read(self, resource: Resource, record_id: str, options: Options, *, call: CallContext) -> Wire | None:
        return await self._rules.read(resource, record_id, options, self._local(call))

    async def page(self, request: ListRequest, *, call: CallContext) -> ListPage:
        return await cast("FurtherRules", self._rules).page(request, self._local(call))

    def _local(self, call: CallContext) -> LocalCall:
        callers: Any = call.credentials.get(self._api)
        headers = {**self._defaults, **callers} if callers else self._defaults
        return LocalCall(self._store, headers, call.deadline, call.recording)


def local_over(
    api: str, rules: Callable[[Store], Rules], defaults: Callable[[Any], Mapping[str, str]]
) -> Callable[[Any, Store], LocalBackend]:
    """Builds `Api.local`: the backend over an API's rules, with the credentials of its settings or its seed."""
    return lambda settings, store: LocalBackend(api, rules(store), store, defaults(settings))
