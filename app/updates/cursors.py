"""A page's cursor: base64url of a version, the field, a digest of its arguments, the offset, and the last place.

It is not signed: rights are checked on every page, so that a forged one shows nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from app.errors import CURSOR_INVALID, GatewayError
from app.json_codec import decode_json

if TYPE_CHECKING:
    from app.updates.listing import Place
    from app.updates.resource import Options

_VERSION = 1
_LONGEST = 4096
_LARGEST_OFFSET = 2**31 - 1


class Start(NamedTuple):
    """Where a page begins: after so many records, and behind a place where the backend knows places."""

    offset: int = 0
    after: Place | None = None


def written(field: str, arguments: Options, start: Start) -> str:
    data = [_VERSION, field, _digest(arguments), start.offset, *(start.after or ())]
    return base64.urlsafe_b64encode(json.dumps(data, separators=(",", ":")).encode()).decode().rstrip("=")


def read(field: str, arguments: Options, cursor: str | None) -> Start:
    """Raises GatewayError for a cursor that this field did not issue for these arguments."""
    if cursor is None:
        return Start()
    try:
        version, named, digest, offset, *place = _parts(cursor)
    except ValueError:
        raise _invalid() from None
    if (version, named, digest) != (_VERSION, field, _digest(arguments)):
        raise _invalid("The cursor is another list's, or of other arguments.")
    # For Python a bool is an int.
    if type(offset) is not int or not 0 <= offset <= _LARGEST_OFFSET:
        raise _invalid()
    if not place:
        return Start(offset)
    match place:
        case [str(sort_key), str(record_id)]:
            return Start(offset, (sort_key, record_id))
    raise _invalid()


def _parts(cursor: str) -> list[object]:
    if len(cursor) > _LONGEST:
        raise ValueError("too long")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = decode_json(text)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ValueError("no cursor") from error
    if not isinstance(parts, list):
        raise ValueError("no list")
    return parts


def _digest(arguments: Options) -> str:
    text = json.dumps(dict(arguments), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _invalid(message: str | None = None) -> GatewayError:
    return GatewayError(CURSOR_INVALID, message, input_path=("after",))
