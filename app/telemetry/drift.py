"""Answers that match no documented row: counted by the fingerprint of their shape, and stored for a developer.

No value is stored. A body keeps its members and their types; a text loses everything that comes from the request, is
quoted or is a number. A separate task writes: it never makes an operation wait, or fail.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from app.errors import Undocumented, family
from app.json_codec import encode_json
from app.redaction import cleaned
from app.store.records import Collection, Record, Store, UniqueConflictError, VersionConflictError, Write

log = logging.getLogger(__name__)

UNDOCUMENTED = Collection("telemetry_undocumented")

_GAP = "…"
_VALUE = re.compile(
    r"\"[^\"]*\"|'[^']*'|“[^”]*”|\S+@\S+|\b[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\b|[+-]?[0-9][0-9.,:/-]*"
)
_MEMBER = re.compile(r"[A-Za-z_$][A-Za-z_$.-]{0,39}")
_SHORTEST_VALUE = 2
_DEEPEST = 6
_WIDEST = 50
_MOST_VALUES = 200
_MOST_WAITING = 200
_MOST_KEPT = 500
_ATTEMPTS = 5
_CLOSING_SECONDS = 2.0
_REFUSALS = range(400, 500)


def without_values(text: str, values: Iterable[str]) -> str:
    """`text` with a gap in place of everything that may be somebody's data."""
    text = cleaned(text)
    longest_first = sorted({value for value in values if len(value) >= _SHORTEST_VALUE}, key=len, reverse=True)
    if len(longest_first) > _MOST_VALUES:
        return _GAP  # to search for each of them would be slow
    for value in longest_first:
        text = re.sub(rf"(?i)(?<!\w){re.escape(value)}(?!\w)", _GAP, text)
    return " ".join(_VALUE.sub(_GAP, text).split())


def shape_of_body(value: Any, request_texts: frozenset[str], depth: int = 0) -> Any:
    """A JSON value with its members, and types in place of values; a list keeps its first item."""
    if depth == _DEEPEST:
        return _GAP
    if isinstance(value, dict):
        shape: dict[str, Any] = {}
        for name, item in list(value.items())[:_WIDEST]:
            is_name = _MEMBER.fullmatch(name) is not None and name not in request_texts
            shape[name if is_name else "<member>"] = shape_of_body(item, request_texts, depth + 1)
        return shape
    if isinstance(value, list):
        return [shape_of_body(value[0], request_texts, depth + 1)] if value else []
    if value is None or isinstance(value, bool):
        return value
    return "<text>" if isinstance(value, str) else 0


def shape_of(response: Undocumented, fields: Sequence[str], request_texts: Iterable[str]) -> dict[str, Any]:
    """What is stored of an answer. `request_texts` are the texts of the request."""
    values = frozenset(request_texts)
    text = response.text if response.status in _REFUSALS else None
    return {
        "backend": response.backend,
        "fields": sorted(set(fields))[:10],
        "status": response.status,
        "code": without_values(response.code, values)[:100] if response.code else None,
        "text": without_values(text, values)[:300] if text else None,
        "media": response.media.partition(";")[0].strip().lower()[:50],
        "body": "<empty>"
        if response.empty
        else "<no JSON>"
        if response.body is None
        else shape_of_body(response.body, values),
    }


def fingerprint(shape: dict[str, Any]) -> str:
    return hashlib.sha256(encode_json(shape)).hexdigest()[:16]


class Drift:
    """Counts into the store of `open_store`, which is opened for the first answer."""

    def __init__(self, open_store: Callable[[], Awaitable[Store]]) -> None:
        self._open_store = open_store
        self._waiting: dict[str, tuple[dict[str, Any], int]] = {}
        self._writing: asyncio.Task[None] | None = None

    def met(self, response: Undocumented, fields: Sequence[str], request_texts: Iterable[str]) -> None:
        shape = shape_of(response, fields, request_texts)
        key = fingerprint(shape)
        if key not in self._waiting and len(self._waiting) >= _MOST_WAITING:
            return
        self._waiting[key] = (shape, self._waiting.get(key, (shape, 0))[1] + 1)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())

    async def aclose(self) -> None:
        """Waits a moment for what is not yet written."""
        if self._writing is not None:
            _, waiting = await asyncio.wait({self._writing}, timeout=_CLOSING_SECONDS)
            for task in waiting:
                log.warning("undocumented answers could not be counted before the end")
                task.cancel()
                await asyncio.wait({task})

    async def _write_all(self) -> None:
        try:
            store = await self._open_store()
            while self._waiting:
                key = next(iter(self._waiting))
                shape, count = self._waiting.pop(key)
                await _count(store, key, shape, count)
        except Exception as error:  # noqa: BLE001 - counting is worth no failure of anything else
            lost = len(self._waiting) + 1
            self._waiting.clear()
            log.warning("%d undocumented answers could not be counted: %s", lost, error)


async def _count(store: Store, key: str, shape: dict[str, Any], count: int) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    backend = shape["backend"]
    for _ in range(_ATTEMPTS):
        stored = await store.get(UNDOCUMENTED, key)
        if stored is None and len(await store.owned(UNDOCUMENTED, backend)) >= _MOST_KEPT:
            key, shape = f"{backend}-others", {"backend": backend, "others": True}
            stored = await store.get(UNDOCUMENTED, key)
        before: dict[str, Any] = {"first": now, "count": 0} if stored is None else stored.document
        document = {**shape, "first": before["first"], "last": now, "count": before["count"] + count}
        write = Write(UNDOCUMENTED, Record(key, document, owner=backend), None if stored is None else stored.version)
        try:
            await store.commit([write])
        except (VersionConflictError, UniqueConflictError):  # another worker counts the same answer
            continue
        return
    log.warning("an undocumented answer of %s could not be counted: too many count it at once", backend)


async def listed(store: Store, backends: Iterable[str]) -> list[Record]:
    """The stored answers, the most frequent first."""
    records = [record for backend in backends for record in await store.owned(UNDOCUMENTED, backend)]
    return sorted(records, key=lambda record: -record.document["count"])


def as_row(record: Record) -> str:
    """A line for `errors.csv`, below the names of its columns; a developer names the reason and the source."""
    shape = record.document
    if shape.get("others"):
        return f"# {shape['count']} further answers of {shape['backend']}, of more shapes than are kept"
    row = family(shape["status"])
    cells = {
        "reason": re.sub(r"[^A-Z0-9]+", "_", (shape["code"] or shape["text"] or row.reason).upper()).strip("_")[:60],
        "http_status": shape["status"],
        "vendor_code": shape["code"],
        "text": shape["text"],
        "code": row.code.value,
        "outcome": row.outcome and row.outcome.value,
        "mutations": " ".join(shape["fields"]),
        "source": f"not documented; met {shape['first'][:10]}",
    }
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows((cells.keys(), cells.values()))
    met = f"# met {shape['count']} x between {shape['first']} and {shape['last']}; {_GAP} stands for a value"
    return f"{met}\n{lines.getvalue().rstrip()}"


def as_sample(record: Record) -> str:
    """The body of a sample for the API's tests, with placeholders where values were."""
    shape = record.document
    return json.dumps(shape.get("body"), ensure_ascii=False, indent=2)
