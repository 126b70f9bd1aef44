"""`python -m app journal`: the journal's entries for a terminal or a script. Changes nothing."""

from __future__ import annotations

import asyncio
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from app.journal.entries import Entry
from app.journal.hashes import Hashes
from app.journal.journal import Journal
from app.journal.settings import JournalSettings
from app.json_codec import encode_json
from app.mapping.scalars import parse_uuid
from app.store.engine import look_at, open_store
from app.store.entry_table import first_id
from app.store.records import StoreUnavailableError

_PAGE = 500
_AGO = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_COLUMNS = ("begun", "outcome", "mutation", "record", "reason", "caller", "request")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--unknown", action="store_true", help="only updates whose outcome is not known")
    parser.add_argument("--record", type=_record, metavar="ID", help="only updates of this record")
    parser.add_argument(
        "--since", type=_since, metavar="TIME", help="only updates begun then or later: ISO-8601, or 30m, 24h, 7d ago"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object a line for a script")


def _record(text: str) -> str:
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _since(text: str) -> datetime:
    if match := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither ISO-8601 nor like 30m, 24h or 7d") from None
    return moment if moment.tzinfo else moment.astimezone()


def history(store_url: str, options: Namespace, output: TextIO) -> int:
    """Writes the entries, the newest first. Raises StoreUnavailableError."""
    filters: dict[str, Any] = {}
    if options.record is not None:
        filters["record_id"] = options.record
    if options.unknown:
        filters["UNKNOWN"] = None
    if options.since is not None:
        filters["since"] = first_id(round(options.since.timestamp() * 1000))
    return asyncio.run(_write(store_url, filters, output, as_json=options.json))


async def _write(store_url: str, filters: dict[str, Any], output: TextIO, *, as_json: bool) -> int:
    if await look_at(store_url) is None:
        raise StoreUnavailableError("there is no store yet: nothing was recorded", certain=True)
    store = await open_store(store_url, [], [])
    try:
        journal = Journal(store, JournalSettings(), Hashes(""))
        after: dict[str, Any] = {}
        rows = [] if as_json else [[name.upper() for name in _COLUMNS]]
        while entries := await journal.page({**filters, **after}, _PAGE):
            members = [_members(entry) for entry in entries]
            if as_json:
                output.writelines(encode_json(item).decode() + "\n" for item in members)
            else:
                output.writelines(_table(rows + [[item[name] or "-" for name in _COLUMNS] for item in members]))
                rows = []
            after = {"after": entries[-1].id}
        output.writelines(_table(rows))
    finally:
        await store.aclose()
    return 0


def _table(rows: list[list[str]]) -> Iterator[str]:
    """Columns as wide as what stands in them, so that a row fits a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n"


def _members(entry: Entry) -> dict[str, Any]:
    intent, end = entry.intent, entry.end
    error = end.errors[0] if end is not None and end.errors else None
    return {
        "begun": entry.begun.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ended": None if entry.ended is None else entry.ended.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": "SENDING" if end is None else end.outcome,
        "mutation": intent.mutation,
        "record": intent.record_id,
        "sentFields": intent.sent_fields,
        "code": None if error is None else error.code,
        "reason": None if error is None else error.reason,
        "backend": intent.backend,
        "backendStatus": None if end is None else end.status,
        "readBack": None if end is None else end.read_back,
        "caller": intent.caller,
        "person": intent.person,
        "backendAccount": intent.account,
        "request": intent.request_id,
        "idempotencyKey": None if intent.key is None else intent.key.value,
        "replayed": entry.replayed,
        "callerGone": end is not None and end.gone,
        "position": intent.position,
        "id": entry.id,
    }
