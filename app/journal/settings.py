"""The journal's settings: as values, and as fields of the gateway's settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field, SecretStr


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSettings:
    """`backend_seconds` is the longest call. `interval` is the time between two looks for abandoned or old entries."""

    secret: str | None = None
    days: int = 90
    most: int = 5_000_000
    key_hours: float = 24.0
    backend_seconds: float = 30.0
    interval: float = 60.0


_JOURNAL = JournalSettings()


class JournalFields(BaseModel):
    """Settings `GATEWAY_JOURNAL…` and `GATEWAY_IDEMPOTENCY_HOURS`."""

    journal: bool | None = Field(
        None,
        description="Keeps every update's fate in the store, and idempotency keys. Not set: where the store can be "
        "opened; `true`: the start fails without it.",
    )
    journal_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        _JOURNAL.days, description="Days that the journal keeps an ended update."
    )
    journal_max: Annotated[int, Field(ge=1)] = Field(
        _JOURNAL.most, description="Most entries of the journal: the oldest ended ones go first; keys that hold stay."
    )
    journal_secret: SecretStr | None = Field(
        None,
        description="Keys the journal's hashes of persons, accounts and requests. Not set: made once and kept in the "
        "store, so that a dump holds it.",
        min_length=16,
    )
    idempotency_hours: Annotated[float, Field(gt=0, le=8760)] = Field(
        _JOURNAL.key_hours, description="Hours that an idempotency key holds."
    )
    journal_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        _JOURNAL.interval, description="Time between two looks for abandoned updates and old entries of the journal."
    )

    def journal_settings(self, backend_seconds: float) -> JournalSettings:
        return JournalSettings(
            secret=None if self.journal_secret is None else self.journal_secret.get_secret_value(),
            days=self.journal_days,
            most=self.journal_max,
            key_hours=self.idempotency_hours,
            backend_seconds=backend_seconds,
            interval=self.journal_seconds,
        )

    def problems(self) -> Iterator[str]:
        """Problems that no single setting can show."""
        if self.idempotency_hours > 24 * self.journal_days:
            yield "GATEWAY_IDEMPOTENCY_HOURS: is longer than GATEWAY_JOURNAL_DAYS, which keeps what a key stands for"
