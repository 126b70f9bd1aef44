"""Reads the record of an update that a stopped process left, and says whether it proves the update."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.call import CallContext
from app.errors import GatewayErrors, ReadBack
from app.updates.evidence import observed
from app.updates.proof import Read
from app.updates.reading import read_data, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.journal.entries import Entry
    from app.journal.journal import Journal
    from app.updates.resource import Backend, Resource


class Closing:
    """Uses the gateway's own credentials, those of a call that brings none."""

    def __init__(self, journal: Journal, resources: Iterable[Resource], backends: Mapping[str, Backend]) -> None:
        self._journal = journal
        self._resources = {name: resource for resource in resources if resource.mutation for name in resource.mutations}
        self._backends = backends

    async def prove(self, entry: Entry) -> tuple[bool, str | None]:
        """Whether the record proves the update, and the read-back. Raises GatewayError where it cannot be read."""
        intent = entry.intent
        resource, proof = self._resources.get(intent.mutation), intent.proof
        if resource is None or resource.api not in self._backends:
            return False, None
        backend = self._backends[resource.api]
        options = {} if intent.company_id is None else {"company_id": intent.company_id}
        call = CallContext(
            intent.request_id, deadline=asyncio.get_running_loop().time() + self._journal.backend_seconds
        )
        try:
            data = await read_data(resource, backend, call, intent.record_id, options)
        except GatewayErrors as several:
            raise several.errors[0] from several
        if data is None:
            return False, ReadBack.MISSING.value
        if proof is None:
            return False, None
        record = await resource.completed(record_of(resource, intent.record_id, data), backend, call)
        if not self._journal.hashes.agrees(proof, observed(resource, record)):
            return False, ReadBack.DIFFERS.value
        since = resource.since(Read(record, data, entry.begun_at, backend.clock_ahead))
        return proof.whole and since, ReadBack.SAME.value
