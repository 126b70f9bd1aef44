"""The revision of a record: a digest of the members that the schema has, the same in every wiring and process."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import strawberry

from app.json_codec import encode_json
from app.mapping.members import members
from app.mapping.scalars import DateTime, normalised
from app.mapping.scalars import Decimal as DecimalScalar

REVISION = "revision"
_VERSION = "v1:"
_DIGEST_BYTES = 16
_FIRST = datetime.min.replace(tzinfo=UTC)


def revision_of(record: Any) -> str:
    """The revision of a whole read. Raises the exception that stands for a member that cannot be read."""
    return _VERSION + hashlib.blake2b(encode_json(state_of(record)), digest_size=_DIGEST_BYTES).hexdigest()


def state_of(value: Any) -> dict[str, Any]:
    """The members of a record, or of a part of it, that have a value, by GraphQL names. Raises like `revision_of`.

    A class names in `no_state` those of its members that do not count for the state.
    """
    result: dict[str, Any] = {}
    without: Collection[str] = getattr(type(value), "no_state", ())
    for member in members(type(value)):
        item = getattr(value, member.attribute)
        if item is not None and member.graphql_name not in without:
            result[member.graphql_name] = _value(item, member.scalar)
    return dict(sorted(result.items()))


def _value(value: Any, scalar: Any) -> Any:
    if isinstance(value, Exception):
        raise value  # two states that cannot be read are not comparable
    if isinstance(value, list):
        return [_value(item, scalar) for item in value]
    if isinstance(value, dict):
        return dict(sorted(value.items()))
    if hasattr(type(value), "__strawberry_definition__"):
        return state_of(value)
    if scalar is DecimalScalar:
        return format(normalised(Decimal(value)) or Decimal(0), "f")
    if scalar is DateTime:
        return _moment(datetime.fromisoformat(value))
    return value


def _moment(moment: datetime) -> str:
    try:
        return moment.astimezone(UTC).isoformat()
    except OverflowError:  # in UTC its year is 0 or 10000, such as that of .NET's least DateTime east of Greenwich
        return str((moment - _FIRST) // timedelta(microseconds=1))


def revision_field() -> Any:
    return strawberry.field(
        resolver=_revision,
        description="Changes whenever the record does. Sent back as `expectedRevision`, it keeps an update from "
        "writing over what somebody else changed meanwhile.",
    )


def _revision(self: Any) -> str:
    return revision_of(self)
