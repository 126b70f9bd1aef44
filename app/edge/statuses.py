"""The HTTP status of a GraphQL answer, by the release of GraphQL over HTTP that the gateway follows.

| answer | reference audit (default) | 2026-09 |
|---|---|---|
| data, no errors | 200 | 200 |
| data and errors | 200 | 294 |
| not JSON, or a document that cannot be parsed | 400 | 400 |
| any other request error of GraphQL | 400 | 422 |
| the last two as `application/json` | a well-formed request 200 | the same as above |

https://graphql.github.io/graphql-over-http/draft/#sec-Status-Codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.edge.negotiation import JSON
from app.errors import Code
from app.graphql.request_errors import REQUEST_MALFORMED, WELL_FORMED

if TYPE_CHECKING:
    from app.errors import DocumentedError

Release = Literal["2026-09"]
# Statuses whose answer is still GraphQL's and has the negotiated media type.
GRAPHQL_STATUSES = frozenset({200, 294, 400, 401, 403, 422})
_PARTIAL = 294  # RFC 9110's registry has no name for it


@dataclass(frozen=True, slots=True)
class HttpStatuses:
    """`release` None: what the reference audit and today's routers expect."""

    release: Release | None = None

    def of_result(self, *, errors: bool) -> int:
        return _PARTIAL if errors and self.release else 200

    def of_request_error(self, row: DocumentedError, media: str) -> int:
        status = row.http_status or 400
        if self.release is None:
            return 200 if media == JSON and row.code in WELL_FORMED else status
        parsed = row is REQUEST_MALFORMED or (row.code in WELL_FORMED and row.code is not Code.GRAPHQL_PARSE_FAILED)
        return 422 if status == 400 and parsed else status  # noqa: PLR2004 - the one that is divided
