"""Sends the rest of a file, request by request. Each row is noted, sent, and its result stored. Knows no terminal.

| a row's result | without `--resume` | with `--resume` |
|---|---|---|
| none | sent | sent |
| APPLIED | | skipped |
| NOT_APPLIED | | skipped; with `--retry-failed` sent under a new key |
| UNKNOWN, its key is valid | | sent under its key: the gateway replays it, or it was never begun |
| UNKNOWN, its key is too old | | looked up in the gateway's journal, never sent |
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.apply.client import BusyError, Client, ItemRefusedError, LostError, RefusedError, TooLargeError
from app.apply.results import Fate, Result, Results, ResultsError
from app.apply.rows import KEY, Row
from app.graphql.bulk_documents import Bulk
from app.json_codec import encode_json

T = TypeVar("T")

_BATCH = 50
# Well below the largest body that the gateway takes by default.
_BATCH_BYTES = 250_000
_TRIES = 6
_LONGEST_WAIT = 60
_HOUR = 3600
# The gateway forgets a key after some hours. A key near that age is looked up, not sent.
_SAFE_SHARE = 0.9
_NOT_BEGUN = "NOT_BEGUN"
_IN_PROGRESS = "IDEMPOTENT_REQUEST_IN_PROGRESS"
# Refusals that do not depend on the row: every other row would get the same.
_ANY_ROW = frozenset({"IDEMPOTENCY_NOT_AVAILABLE", "SCOPE_MISSING"})
_ROW_NOT_BEGUN = _ANY_ROW | {_NOT_BEGUN}
# Refusals before the key was checked: they do not tell how an earlier request under it ended.
_KEY_NOT_CHECKED = _ROW_NOT_BEGUN | {
    "IDEMPOTENCY_KEY_REUSED",
    "STORE_UNAVAILABLE",
    "LIST_TOO_LONG",
    "VARIABLE_INVALID",
}
_UNREACHED = frozenset({"BACKEND_UNAVAILABLE", "UNAUTHENTICATED"})


class StoppedError(Exception):
    """The run stops; the text is one line. Every sent row has its result."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is applied. `hours` is how long the gateway remembers a key."""

    bulks: Mapping[str, Bulk]
    dry_run: bool = False
    retry_failed: bool = False
    hours: float = 24.0


@dataclass(frozen=True, slots=True)
class _Item:
    """`doubt`: a request with this row may have been executed. `earlier`: an earlier run did not apply it."""

    row: Row
    result: Result
    doubt: bool = False
    earlier: Result | None = None

    @property
    def sendable(self) -> dict[str, Any]:
        return dict(self.row.item) if self.result.key is None else {**self.row.item, KEY: self.result.key}


class Run:
    """Raises ResultsError for another file's results. `began` says whether any row may have been executed."""

    def __init__(
        self,
        plan: Plan,
        rows: Sequence[Row],
        results: Results,
        client: Client,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plan = plan
        self._sleep = sleep
        self._results = results
        self._client = client
        self._waiting: list[_Item] = []
        self._old: list[_Item] = []
        self._known: tuple[str, str] | None = None  # the mutation and key of an applied row
        self._most = _BATCH
        self.began = False
        lines = {row.line for row in rows}
        if any(result.line not in lines for result in results):
            raise ResultsError("the results are those of another file: they name lines that it does not have")
        keys = [result.key for result in results if result.key]
        first_run = keys[0].partition("-")[0] if keys else secrets.token_hex(8)
        this_run = secrets.token_hex(8)
        for row in rows:
            self._add(row, results.get(row.line), first_run, this_run)

    @property
    def left(self) -> int:
        return len(self._waiting) + len(self._old)

    def _add(self, row: Row, result: Result | None, first_run: str, this_run: str) -> None:
        digest = row.digest
        failed = result is not None and result.outcome == "NOT_APPLIED"
        if result is None or (failed and self._plan.retry_failed):
            key = None if self._plan.dry_run else f"{this_run if failed else first_run}-{row.line}-{digest}"
            new = Result(line=row.line, id=row.item["id"], outcome="UNKNOWN", key=key)
            self._waiting.append(_Item(row, new, earlier=result))
        elif failed:
            return
        elif not (result.key or "").endswith(f"-{digest}"):
            raise ResultsError(f"line {row.line} was changed after it was sent, and its outcome is {result.outcome}")
        elif result.outcome == "UNKNOWN":
            (self._waiting if self._is_valid(result) else self._old).append(_Item(row, result, doubt=True))
        elif self._is_valid(result):
            self._known = row.mutation, str(result.key)

    def _is_valid(self, result: Result) -> bool:
        """Whether the gateway still knows the row's key."""
        return (result.sent or 0) > time.time() - self._plan.hours * _HOUR * _SAFE_SHARE

    def go(self, ended: Callable[[int], None]) -> None:
        """Calls `ended` with the number of rows that each request ended. Raises StoppedError and ResultsError."""
        self._check_gateway()
        for item in self._old:
            self._look_up(item)
            ended(1)
        failures = 0
        while self._waiting:
            batch = self._next()
            unfinished, wait, cause = self._send(batch)
            self._waiting[:0] = unfinished
            ended(len(batch) - len(unfinished))
            failures = failures + 1 if len(unfinished) == len(batch) else 0
            if failures == _TRIES:
                raise StoppedError(cause)
            pause = max(wait, 2 ** (failures - 1) if failures else 0)
            if self._waiting and pause:
                self._sleep(min(pause, _LONGEST_WAIT))

    def _next(self) -> list[_Item]:
        """The next rows of one mutation, in the order of the file."""
        batch: list[_Item] = []
        size = 0
        for item in self._waiting[: self._most]:
            size += len(encode_json(item.sendable))
            if batch and (size > _BATCH_BYTES or item.row.mutation != batch[0].row.mutation):
                break
            batch.append(item)
        del self._waiting[: len(batch)]
        return batch

    def _send(self, batch: Sequence[_Item]) -> tuple[list[_Item], int, str]:
        """Sends rows. Returns the unfinished ones, the seconds to wait and the cause. Raises StoppedError."""
        dry_run, stop, lost = self._plan.dry_run, None, False
        if not dry_run:
            now = round(time.time(), 3)
            batch = [replace(item, result=item.result.noted(now)) for item in batch]
            self._results.put([item.result for item in batch])
        try:
            fates = self._client.send(
                self._plan.bulks[batch[0].row.mutation], [item.sendable for item in batch], dry_run=dry_run
            )
        except LostError as error:
            lost = True
            fates = [Fate(outcome="UNKNOWN", message=str(error))] * len(batch)
        except BusyError as error:
            fates = [Fate(outcome="NOT_APPLIED", reason=_NOT_BEGUN, message=str(error), wait=error.wait)] * len(batch)
        except RefusedError as error:
            fates = [Fate(outcome="NOT_APPLIED", reason=_NOT_BEGUN, message=str(error))] * len(batch)
            if isinstance(error, ItemRefusedError) and error.index < len(batch):
                fates[error.index] = error.fate
            elif isinstance(error, TooLargeError) and len(batch) > 1:
                self._most = len(batch) // 2
            else:
                stop = str(error)
        own = fates[0].reason in {None, _NOT_BEGUN}
        cause = str(fates[0].message) if own else f"{fates[0].reason}: {fates[0].message}"
        if all(fate.reason in _ANY_ROW for fate in fates):
            stop = cause
        elif all(fate.outcome == "NOT_APPLIED" and fate.code in _UNREACHED for fate in fates):
            stop = f"all rows of the last request were refused alike, {cause}"
        unfinished = self._settle(batch, fates, lost=lost)
        if stop is not None:
            raise StoppedError(stop)
        return unfinished, max(fate.wait or 0 for fate in fates), cause

    def _settle(self, batch: Sequence[_Item], fates: Sequence[Fate], *, lost: bool) -> list[_Item]:
        """Stores the results of rows that ended or are in doubt. Returns the rows to send again."""
        unfinished: list[_Item] = []
        results: list[Result] = []
        for item, fate in zip(batch, fates, strict=True):
            begun = lost or fate.reason not in _ROW_NOT_BEGUN
            self.began |= begun
            doubt = (item.doubt or fate.outcome == "UNKNOWN") and not self._plan.dry_run
            if doubt and fate.outcome == "NOT_APPLIED" and fate.reason in _KEY_NOT_CHECKED:
                results.append(item.result.became(Fate(outcome="UNKNOWN", message=fate.message)))
            elif doubt or (begun and not lost):
                results.append(item.result.became(fate))
            elif item.earlier is not None:
                results.append(item.earlier)
            if lost or not begun or fate.reason == _IN_PROGRESS:
                unfinished.append(replace(item, doubt=doubt))
        self._results.put(results)
        in_file = {result.line for result in results}
        self._results.drop(item.row.line for item in batch if item.row.line not in in_file)
        return unfinished

    def _check_gateway(self) -> None:
        """A key protects a row in doubt only at the gateway that knows it. The key of an applied row shows which."""
        if self._known is None or not any(item.doubt for item in self._waiting):
            return
        mutation, key = self._known
        if self._asked(lambda: self._client.is_foreign(self._plan.bulks[mutation], key)):
            raise StoppedError(
                "the gateway does not know the rows that are applied: it has another store, or this is another caller"
            )

    def _look_up(self, item: _Item) -> None:
        bulk, key = self._plan.bulks[item.row.mutation], str(item.result.key)
        fate = self._asked(lambda: self._client.look_up(bulk, key))
        unknown = Fate(outcome="UNKNOWN", message="the key is too old to be sent again, and the journal does not tell")
        self._results.put([item.result.became(fate or unknown)])

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except (BusyError, LostError, RefusedError) as error:
            raise StoppedError(str(error)) from None
