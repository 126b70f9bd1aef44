"""Bounds the size of an answer: a short request can ask for a long text of many records, under many names each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.errors import GatewayError
from app.graphql.formatting import FieldError
from app.graphql.request_errors import TOO_MANY_RECORDS, request_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.updates.bulk import Bulk

MAX_BYTES = 64 * 1024 * 1024
_TEXT = f"The answer would be larger than {MAX_BYTES >> 20} MB; ask for fewer records or members."


def refuse_large(data: Any) -> None:
    """Raises RequestError for a query's answer that is too large."""
    if _size(data or {}, MAX_BYTES) > MAX_BYTES:
        raise request_error(TOO_MANY_RECORDS, _TEXT)


def without_excess(data: Mapping[str, Any], bulks: Mapping[str, Bulk]) -> list[FieldError]:
    """Takes away records and previews that make the answer of bulks too large: their outcomes stay. Returns errors."""
    errors: list[FieldError] = []
    left = MAX_BYTES
    for key, bulk in bulks.items():
        results = (data.get(key) or {}).get(bulk.path[1]) or ()
        for item, result in zip(bulk.items, results, strict=False):
            shown = [name for name, value in result.items() if isinstance(value, dict)]
            left -= sum(_size(result[name], left) for name in shown)
            if left < 0 and shown:
                result.update(dict.fromkeys(shown))
                error = GatewayError(TOO_MANY_RECORDS, _TEXT, outcome=item.outcome)
                errors.append(FieldError(error, (), (*bulk.path, item.index, shown[0])))
    return errors


def _size(value: Any, most: int) -> int:
    """About the bytes of a JSON object or list, counted until they are more than `most`."""
    size, pending = 0, [value]
    while pending and size <= most:
        part = pending.pop()
        if isinstance(part, dict):
            size += sum(map(len, part))
            part = part.values()
        size += 4 * len(part)
        for item in part:
            if isinstance(item, str):
                size += len(item)
            elif isinstance(item, dict | list):
                pending.append(item)
    return size
