"""The journal's settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class JournalSettings(BaseModel):
    """Settings `GATEWAY_JOURNAL…` and `GATEWAY_IDEMPOTENCY_HOURS`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    journal: bool | None = Field(
        None,
        description="Keeps every update's fate in the store, and idempotency keys. Not set: where the store can be "
        "opened; `true`: the start fails without it.",
    )
    journal_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        90, description="Days that the journal keeps an ended update."
    )
    journal_max: Annotated[int, Field(ge=1)] = Field(
        5_000_000, description="Most entries of the journal: the oldest ended ones go first; keys that hold stay."
    )
    journal_secret: SecretStr | None = Field(
        None,
        description="Keys the journal's hashes of persons, accounts and requests. Not set: made once and kept in the "
        "store, so that a dump holds it.",
        min_length=16,
    )
    idempotency_hours: Annotated[float, Field(gt=0, le=8760)] = Field(
        24.0, description="Hours that an idempotency key holds."
    )
    journal_seconds: Annotated[float, Field(gt=0, le=86_400)] = Field(
        60.0, description="Time between two looks for abandoned updates and old entries of the journal."
    )

    def problems(self) -> Iterator[str]:
        """Problems that no single setting can show."""
        if self.idempotency_hours > 24 * self.journal_days:
            yield "GATEWAY_IDEMPOTENCY_HOURS: is longer than GATEWAY_JOURNAL_DAYS, which keeps what a key stands for"
