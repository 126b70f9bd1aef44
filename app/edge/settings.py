"""Every knob of the edge in one frozen value. Where it comes from, the composition root knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.edge.statuses import HttpStatuses
from app.graphql.limits import DocumentLimits
from app.updates.bulk import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """`None` for `get_queries`, `introspection` and `playground` means: on in development, off in production.

    `rest_hosts` are the hosts of the real services by API name, for the playground to show.
    """

    production: bool = False
    max_body_bytes: int = 1_000_000
    body_timeout_seconds: float = 30.0
    max_batch: int = 0
    max_operations: int = 1000
    request_seconds: float = 60.0
    get_queries: bool | None = None
    introspection: bool | None = None
    playground: bool | None = None
    http_statuses: HttpStatuses = field(default_factory=HttpStatuses)
    cors_origins: tuple[str, ...] = ()
    cors_headers: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    rest_hosts: Mapping[str, str] = field(default_factory=dict)
    router_secret: str | None = field(default=None, repr=False)
    limits: DocumentLimits = field(default_factory=DocumentLimits)
    max_documents: int = 1000
    compiled: bool = True
    bulk_concurrency: int = AT_ONCE
    persisted_queries: int = 1000
    trusted_documents: Path | None = None
    trusted_only: bool = False

    def __post_init__(self) -> None:
        if self.trusted_only and self.trusted_documents is None:
            raise ValueError("trusted_only needs trusted_documents")

    @property
    def answers_get(self) -> bool:
        return self._on(self.get_queries)

    @property
    def demands_preflight(self) -> bool:
        """Development answers plain GET queries, as the reference audit demands; they write nothing."""
        return self.production

    @property
    def answers_introspection(self) -> bool:
        return self._on(self.introspection)

    @property
    def shows_playground(self) -> bool:
        return self._on(self.playground)

    def _on(self, switch: bool | None) -> bool:
        return not self.production if switch is None else switch
