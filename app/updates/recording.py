"""An update and the journal: the key, the intent, the end, and the answer to a repeated request.

| step | REST | local |
|---|---|---|
| key | an ended entry answers; one that has not ended, or another request, is refused | the same |
| intent | `sending`, durable before the first byte | `committing`, in the record's own transaction, with its end |
| end | written late | a refusal by the rules is an entry of its own |
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Sequence
from typing import Any

from msgspec import Struct

from app.call import CallContext
from app.errors import (
    CONNECTION_LOST,
    IDEMPOTENCY_NOT_AVAILABLE,
    INTERNAL,
    OWN_ROWS,
    DocumentedError,
    GatewayError,
    GatewayFailure,
    Outcome,
    ReadBack,
)
from app.journal.entries import End, Entry, Intent, Key
from app.journal.journal import Journal
from app.journal.keys import KeyTakenError, earlier, key_of
from app.store.entry_table import begun_of, entry_id, now
from app.store.records import Statement, until
from app.updates.change import Change
from app.updates.proof import evidence_of, sent_fields
from app.updates.reading import timed_out
from app.updates.resource import Resource, UpdateRequest
from app.upstream.identity import identity

log = logging.getLogger(__name__)

_OWN: dict[tuple[str, str | None], DocumentedError] = {(row.reason, None): row for row in OWN_ROWS}


class Recorder(Struct):
    """Creates the recording of each update. `journal` is None until it is open, or if none is kept.

    `shown` says whether a caller without a name may query the journal.
    """

    shown: bool = False
    journal: Journal | None = None

    def recording(
        self, resource: Resource, change: Change, context: Any, key: str | None = None, position: int | None = None
    ) -> UpdateRecording | None:
        """The recording of one update; None where nothing is recorded. Raises GatewayError for an invalid key."""
        if self.journal is None:
            if key is not None:
                raise GatewayError(IDEMPOTENCY_NOT_AVAILABLE)
            return None
        return UpdateRecording(self.journal, resource, change, context, key, position)


class UpdateRecording:
    """Records one update, as its call's `Recording`. `request` is the planned request, before anything is recorded."""

    request: UpdateRequest

    def __init__(
        self, journal: Journal, resource: Resource, change: Change, context: Any, key: str | None, position: int | None
    ) -> None:
        self._position = position
        self._journal = journal
        self._resource = resource
        self._change = change
        self._mutation = resource.mutations[change.patches]
        self._call: CallContext = context.call
        self._caller: str | None = context.caller
        subject: str | None = context.subject
        self._person = None if subject is None else journal.hashes.person(subject)
        self._account = journal.hashes.account(identity(self._call.credentials.get(resource.api, {})))
        self._key: Key | None = None
        if key is not None:
            who = {"caller": self._caller, "person": self._person, "account": self._account}
            self._key = key_of(journal, key, mutation=self._mutation, arguments=change.arguments, **who)
        self._sent: str | None = None  # the entry of a sent update
        self._committed: str | None = None  # the entry in a record's own transaction

    async def earlier(self) -> Entry | None:
        """The entry of the same request that came before, if any. Raises GatewayError."""
        if self._key is None:
            return None
        async with until(self._call.deadline):
            return await earlier(self._journal, self._key)

    async def sending(self, deadline: float) -> None:
        self._sent = await self._journal.begin(self._intent(deadline), deadline)

    def committing(self) -> Sequence[Statement]:
        self._committed = entry_id(now())
        end = End(at=now(), outcome=Outcome.APPLIED.value)
        return [self._journal.statement(self._committed, self._intent(None), end)]

    @property
    def _gone(self) -> bool:
        """Whether the client has disconnected."""
        return self._call.client is not None and self._call.client.disconnected

    async def applied(self, read_back: ReadBack | None = None) -> None:
        """Records the end of an applied update. `read_back` is set if only a read has shown it."""
        shown = None if read_back is None else read_back.value
        end = End(at=now(), outcome=Outcome.APPLIED.value, read_back=shown, gone=self._gone)
        if self._sent is not None:
            self._journal.end(self._sent, end, at_once=self._key is not None)
        elif self._committed is None or read_back is not None:
            # No answered commit holds the entry: the answer was lost, or there was nothing to commit.
            await self._record(end)

    def cancelled(self) -> None:
        """Leaves a sent update whose task was cancelled to the journal's keeper."""
        if self._sent is not None:
            self._journal.leave(self._sent)

    async def failed(self, failure: Exception) -> bool:
        """Whether the update was applied after all: a lost commit may have written its entry.

        Raises KeyTakenError where a refusal under a key came second.
        """
        known = failure if isinstance(failure, GatewayFailure) else GatewayError(INTERNAL)
        end = End.failed(known, now(), gone=self._gone)
        if self._sent is not None:
            self._journal.end(self._sent, end, at_once=self._key is not None)
            return False
        if self._committed is not None and end.outcome == Outcome.UNKNOWN:
            if await self._stands(self._journal.get(self._committed)):
                return True
        elif self._key is not None and await self._stands(self._journal.by_claim(self._key.claim)):
            raise KeyTakenError  # the first request was faster, and changed what this one saw
        if self._committed is not None or end.status is not None:
            # A lost commit may have written the entry. If it is there, it stays as it is.
            await self._record(end)
        return False

    async def _stands(self, entry: Awaitable[Entry | None]) -> bool:
        """Whether the entry exists. False if it cannot be looked up."""
        with contextlib.suppress(GatewayError):
            async with until(self._call.deadline):
                return await entry is not None
        return False

    async def _record(self, end: End) -> None:
        """Records an end. A journal that cannot be written does not hide the result from the client."""
        try:
            identifier = self._committed or entry_id(now())
            await self._journal.record(identifier, self._intent(None), end, self._call.deadline)
        except GatewayError as error:
            log.warning("the end of an update is not recorded yet, or cannot be: %s", error.detail or error)

    def _intent(self, deadline: float | None) -> Intent:
        request, seconds = self.request, self._journal.backend_seconds
        if deadline is not None:
            seconds = max(0.0, deadline - asyncio.get_running_loop().time())
        evidence = None if deadline is None else evidence_of(request)
        return Intent(
            request_id=self._call.request_id,
            mutation=self._mutation,
            record_id=request.id,
            backend=request.resource.api,
            deadline=now() + round(seconds * 1000),
            sent_fields=sent_fields(self._change.input),
            company_id=request.options.get("company_id"),
            caller=self._caller,
            person=self._person,
            account=self._account,
            position=self._position,
            key=self._key,
            proof=None if evidence is None else self._journal.hashes.proof(evidence, whole=True),
        )

    def replay(self, entry: Entry) -> None:
        self._journal.replay(entry.id)

    def proven(self, entry: Entry) -> None:
        """A read has shown the outcome that was unknown."""
        end = End(at=now(), outcome=Outcome.APPLIED.value, read_back=ReadBack.SAME.value)
        self._journal.end(entry.id, end, at_once=True)

    def errors_of(self, entry: Entry) -> list[GatewayError]:
        """The errors of an ended entry, with their rows' own texts."""
        assert entry.end is not None
        rows = _OWN | {
            (reason, self._mutation): row
            for (mutation, reason), row in self._resource.table.by_reason.items()
            if mutation == self._resource.mutation
        }
        return [error.error(rows, self._mutation) for error in entry.end.errors]

    def judged(self, error: GatewayError, entry: Entry) -> GatewayError:
        """The error to reconcile. A write that timed out long ago is no longer on its way: a read may prove it."""
        waited = now() - begun_of(entry.id) > 2000 * self._journal.backend_seconds
        return GatewayError(CONNECTION_LOST) if waited and timed_out(error) else error
