"""Idempotency: what happens to an update whose key was used before.

| the key's entry | the same request | another request |
|---|---|---|
| none, or one whose hours are over | is sent | is sent |
| SENDING | IDEMPOTENT_REQUEST_IN_PROGRESS | IDEMPOTENCY_KEY_REUSED |
| ended | is answered from it | IDEMPOTENCY_KEY_REUSED |
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any

from app.errors import (
    IDEMPOTENCY_KEY_MALFORMED,
    IDEMPOTENCY_KEY_REUSED,
    IDEMPOTENT_REQUEST_IN_PROGRESS,
    GatewayError,
)
from app.journal.entries import Key
from app.store.entry_table import begun_of, now
from app.store.records import Statement

if TYPE_CHECKING:
    from app.journal.entries import Entry
    from app.journal.journal import Journal

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_HOUR = 3_600_000  # milliseconds
_LONGEST_WAIT = 60  # seconds


class KeyTakenError(Exception):
    """Another update came first with the key. Nothing was recorded, and nothing may be sent."""


def checked(value: str) -> str:
    """1 to 255 printable ASCII characters, as an HTTP header can carry them. Raises GatewayError."""
    if _KEY.fullmatch(value) is None:
        raise GatewayError(IDEMPOTENCY_KEY_MALFORMED)
    return value


def key_of(
    journal: Journal,
    value: str,
    *,
    caller: str | None,
    person: str | None,
    mutation: str,
    arguments: Any,
    account: str | None,
) -> Key:
    """`person` and `account` are hashed already. Raises GatewayError for a malformed key."""
    hashes = journal.hashes
    return Key(
        checked(value), hashes.claim(caller, person, mutation, value), hashes.request([mutation, arguments], account)
    )


async def earlier(journal: Journal, key: Key) -> Entry | None:
    """The ended entry that answers this request; None for the first request. Raises GatewayError."""
    entry = await journal.by_claim(key.claim)
    if entry is None:
        return None
    over = begun_of(entry.id) + round(journal.settings.idempotency_hours * _HOUR) < now()
    if over and entry.end is not None:
        await journal.store.execute([Statement(journal.statements.free, [(entry.id,)])])
        return None
    assert entry.intent.key is not None
    if not hmac.compare_digest(entry.intent.key.digest, key.digest):
        raise GatewayError(IDEMPOTENCY_KEY_REUSED)
    if entry.end is None:
        left = ((entry.due or 0) - now()) // 1000 if not journal.lives(entry.id) else 0
        raise GatewayError(IDEMPOTENT_REQUEST_IN_PROGRESS, retry_after=min(max(1, left), _LONGEST_WAIT))
    if entry.end.frees_key:  # the entry was found because its end is not written yet
        await journal.flush()
        return None
    return entry
