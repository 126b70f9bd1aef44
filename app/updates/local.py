"""The port over the local store: simulation, credentials and the commit, written once. An API brings its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from app.errors import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.call import Call
    from app.mapping.wire import Wire
    from app.store.records import Store, Write
    from app.updates.resource import Options, Resource, UpdateRequest


class LocalCall:
    """One call to the rules: the headers with its credentials, its deadline, and the only way to write."""

    def __init__(self, store: Store, headers: Mapping[str, str], deadline: float | None) -> None:
        self.headers = headers
        self.deadline = deadline
        self._store = store

    async def commit(self, writes: Sequence[Write]) -> None:
        """As `Store.commit`. What belongs into the transaction of every update is added here."""
        await self._store.commit(writes, deadline=self.deadline)


class Rules(Protocol):
    """The documented rules of an API over its records. Both raise GatewayError(s) of the API's rows."""

    async def update(self, request: UpdateRequest, call: LocalCall) -> Wire | None: ...

    async def read(self, resource: Resource, record_id: str, options: Options, call: LocalCall) -> Wire | None: ...


class LocalBackend:
    """`defaults` are the credentials of a call that brings none: a demo user's in the gateway, none in the sandbox."""

    def __init__(self, api: str, rules: Rules, store: Store, defaults: Mapping[str, str]) -> None:
        self._api = api
        self._rules = rules
        self._store = store
        self._defaults = defaults

    async def update(self, request: UpdateRequest, *, call: Call) -> Wire | None:
        row = request.resource.simulated(call.simulate)
        if row is not None:
            raise refusal(row)
        return await self._rules.update(request, self._local(call))

    async def read(self, resource: Resource, record_id: str, options: Options, *, call: Call) -> Wire | None:
        return await self._rules.read(resource, record_id, options, self._local(call))

    def _local(self, call: Call) -> LocalCall:
        callers: Any = call.credentials.get(self._api)
        headers = {**self._defaults, **callers} if callers else self._defaults
        return LocalCall(self._store, headers, call.deadline)
