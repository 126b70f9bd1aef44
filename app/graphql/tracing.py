"""Federated tracing (ftv1) by Strawberry's extension, run as a graphql-core middleware and only for the trusted router.

https://www.apollographql.com/docs/graphos/platform/insights/reporting-to-graphos/trace-format
"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from strawberry.extensions.tracing.apollo_federation import (
    FTV1_HEADER,
    FTV1_HEADER_VALUE,
    ApolloFederationTracingExtension,
)

from app.errors import INTERNAL, GatewayError, GatewayErrors

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE_HEADER = FTV1_HEADER


def asks_for_trace(header: str | None) -> bool:
    return header is not None and header.lower() == FTV1_HEADER_VALUE


class FederatedTrace(ApolloFederationTracingExtension):
    """One per operation. A trace shows no more of a surprise than the client may see."""

    def __init__(self) -> None:
        super().__init__()
        # The extension would read the header from a framework's request.
        request = SimpleNamespace(headers={FTV1_HEADER: FTV1_HEADER_VALUE})
        self.execution_context: Any = SimpleNamespace(context=SimpleNamespace(request=request))

    @contextmanager
    def recording(self) -> Iterator[None]:
        yield from self.on_operation()

    def _make_error(self, e: Exception, info: Any) -> Any:
        return super()._make_error(e if isinstance(e, GatewayError | GatewayErrors) else GatewayError(INTERNAL), info)
