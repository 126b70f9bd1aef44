"""The gateway's rows for requests that never execute, and for what GraphQL itself refuses.

They stand here and not in the edge: the catalogue lists every `reason` that a client can meet. `http_status` is the
status of the gateway's own answer, as far as the media type lets it show.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from app.errors import Code, DocumentedError, InputPath, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


def _row(code: Code, status: int, reason: str, text: str, outcome: Outcome | None = None) -> DocumentedError:
    return DocumentedError(reason=reason, code=code, http_status=status, text=text, any_text=True, outcome=outcome)


_misfit = partial(_row, Code.GRAPHQL_VALIDATION_FAILED, 400)
_bad_value = partial(_row, Code.BAD_USER_INPUT, 400)
_http = partial(_row, Code.BAD_REQUEST)
_bad_request = partial(_http, 400)
_unavailable = partial(_row, Code.BACKEND_UNAVAILABLE, 503)

# The document. Names of the codes as in Apollo Server: https://www.apollographql.com/docs/apollo-server/data/errors
DOCUMENT_UNPARSABLE = _row(
    Code.GRAPHQL_PARSE_FAILED, 400, "DOCUMENT_UNPARSABLE", "The GraphQL document has a syntax error."
)
DOCUMENT_TOO_LONG = _row(Code.GRAPHQL_PARSE_FAILED, 400, "DOCUMENT_TOO_LONG", "The GraphQL document is too long.")
DOCUMENT_INVALID = _misfit("DOCUMENT_INVALID", "The GraphQL document does not fit the schema.")
DOCUMENT_TOO_DEEP = _misfit("DOCUMENT_TOO_DEEP", "The selections of the document are nested too deeply.")
TOO_MANY_FIELDS = _misfit("TOO_MANY_FIELDS", "The document selects too many fields.")
TOO_MANY_ALIASES = _misfit("TOO_MANY_ALIASES", "The document has too many aliases.")
ALIAS_TOO_LONG = _misfit("ALIAS_TOO_LONG", "An alias of the document is too long.")
TOO_MANY_ROOT_FIELDS = _misfit("TOO_MANY_ROOT_FIELDS", "An operation of the document has too many root fields.")
TOO_MANY_DIRECTIVES = _misfit("TOO_MANY_DIRECTIVES", "The document has too many directives.")
INTROSPECTION_DISABLED = _misfit(
    "INTROSPECTION_DISABLED", "Introspection is turned off; __schema and __type are not answered."
)
OPERATION_NOT_FOUND = _row(
    Code.OPERATION_RESOLUTION_FAILURE,
    400,
    "OPERATION_NOT_FOUND",
    "The document has no such operation, or several and none was named.",
)
VARIABLE_INVALID = _bad_value("VARIABLE_INVALID", "A variable has a value that its type does not allow.")
ARGUMENT_INVALID = _bad_value(
    "ARGUMENT_INVALID", "An argument has a value that its type does not allow.", Outcome.NOT_APPLIED
)
# Federation: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
REPRESENTATION_INVALID = _bad_value(
    "REPRESENTATION_INVALID", "An entity representation names no entity of this subgraph or has no usable key."
)
TOO_MANY_RECORDS = _bad_value(
    "TOO_MANY_RECORDS", "The lists and entities of a request ask for more records than the gateway reads for one."
)
ROUTER_NOT_TRUSTED = _row(
    Code.UNAUTHENTICATED, 401, "ROUTER_NOT_TRUSTED", "_service and _entities are answered to the trusted router only."
)
# Who may call: https://www.rfc-editor.org/rfc/rfc6750
CALLER_UNAUTHENTICATED = _row(
    Code.UNAUTHENTICATED, 401, "CALLER_UNAUTHENTICATED", "The request needs a valid bearer token for this gateway."
)
CALLER_KEYS_UNAVAILABLE = _unavailable("CALLER_KEYS_UNAVAILABLE", "Callers cannot be authenticated at the moment.")
SCOPE_MISSING = _row(Code.FORBIDDEN, 403, "SCOPE_MISSING", "The bearer token does not allow this.", Outcome.NOT_APPLIED)
# Persisted documents: https://www.apollographql.com/docs/apollo-server/performance/apq. Clients compare the messages.
PERSISTED_QUERY_NOT_FOUND = _row(
    Code.PERSISTED_QUERY_NOT_FOUND, 400, "PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"
)
PERSISTED_QUERY_NOT_SUPPORTED = _row(
    Code.PERSISTED_QUERY_NOT_SUPPORTED, 400, "PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported"
)
PERSISTED_QUERY_MISMATCH = _bad_request("PERSISTED_QUERY_MISMATCH", "provided sha does not match query")
PERSISTED_QUERY_MALFORMED = _bad_request(
    "PERSISTED_QUERY_MALFORMED", "extensions.persistedQuery needs version 1 and a sha256Hash of 64 hexadecimal digits."
)
DOCUMENT_NOT_TRUSTED = _bad_request(
    "DOCUMENT_NOT_TRUSTED", "Only known operations are run here, and this one is not known."
)
# HTTP: https://graphql.github.io/graphql-over-http/draft/
METHOD_NOT_ALLOWED = _http(405, "METHOD_NOT_ALLOWED", "This address does not answer this HTTP method.")
MUTATION_OVER_GET = _http(405, "MUTATION_OVER_GET", "A mutation needs POST; GET answers queries only.")
PATH_NOT_FOUND = _http(404, "PATH_NOT_FOUND", "There is nothing at this address.")
NOT_ACCEPTABLE = _http(
    406, "NOT_ACCEPTABLE", "Accept allows neither application/graphql-response+json nor application/json."
)
BODY_TOO_LARGE = _http(413, "BODY_TOO_LARGE", "The request body is larger than the gateway reads.")
BODY_TOO_SLOW = _http(408, "BODY_TOO_SLOW", "The request body did not arrive in time.")
UNSUPPORTED_MEDIA_TYPE = _http(415, "UNSUPPORTED_MEDIA_TYPE", "The request needs the Content-Type application/json.")
UNSUPPORTED_CONTENT_ENCODING = _http(
    415, "UNSUPPORTED_CONTENT_ENCODING", "A request body may be compressed with gzip alone."
)
JSON_MALFORMED = _bad_request("JSON_MALFORMED", "The request body is not JSON.")
REQUEST_MALFORMED = _bad_request("REQUEST_MALFORMED", "The request is not a GraphQL request.")
BATCH_NOT_ALLOWED = _bad_request("BATCH_NOT_ALLOWED", "Several operations in one request are not answered here.")
BATCH_TOO_LARGE = _bad_request("BATCH_TOO_LARGE", "The request has more operations than the gateway answers at once.")
PREFLIGHT_REQUIRED = _bad_request(
    "PREFLIGHT_REQUIRED",
    "A GET request needs the header Apollo-Require-Preflight or GraphQL-Require-Preflight, against forged requests.",
)
GATEWAY_OVERLOADED = _unavailable(
    "GATEWAY_OVERLOADED", "The gateway runs as many operations as it can; nothing was done."
)
HEADER_MALFORMED = _bad_request("HEADER_MALFORMED", "A request header cannot be understood.")
JOURNAL_NOT_AVAILABLE = _unavailable("JOURNAL_NOT_AVAILABLE", "This gateway keeps no journal.")
JOURNAL_NOT_OPEN = _row(
    Code.FORBIDDEN,
    403,
    "JOURNAL_NOT_OPEN",
    "Where callers are not authenticated, the journal is shown on this machine alone.",
)
IDEMPOTENCY_KEY_NOT_SINGLE = _bad_request(
    "IDEMPOTENCY_KEY_NOT_SINGLE",
    "The header idempotency-key is for an operation with one update; nothing was executed.",
)
HOST_NOT_ALLOWED = _http(
    421,
    "HOST_NOT_ALLOWED",
    "The gateway does not answer for this host name; GATEWAY_ALLOWED_HOSTS lists those it does.",
)
SIMULATION_UNKNOWN = _bad_request("SIMULATION_UNKNOWN", "x-simulate names no documented reason of a backend.")
SIMULATION_REFUSED = _bad_request(
    "SIMULATION_REFUSED", "x-simulate is answered by the local backends and the sandbox only, and never in production."
)

ROWS: tuple[DocumentedError, ...] = tuple(row for row in list(globals().values()) if isinstance(row, DocumentedError))

# For a well-formed GraphQL request application/json answers 200: Apollo's gateway drops the errors otherwise.
WELL_FORMED = frozenset(
    {
        Code.GRAPHQL_PARSE_FAILED,
        Code.GRAPHQL_VALIDATION_FAILED,
        Code.BAD_USER_INPUT,
        Code.OPERATION_RESOLUTION_FAILURE,
        Code.PERSISTED_QUERY_NOT_FOUND,
        Code.PERSISTED_QUERY_NOT_SUPPORTED,
    }
)


# graphql-core and our own scalars quote the client's values and names, each as long as the request itself.
_MAX_MESSAGE = 500


def shortened(message: str) -> str:
    return message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]}…"


class ErrorEntry(Struct, frozen=True):
    """One error of a refused request: a row and what this occurrence adds."""

    row: DocumentedError
    message: str
    locations: tuple[tuple[int, int], ...] = ()
    input_path: InputPath | None = None
    retry_after: int | None = None

    def formatted(self, request_id: str) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message}
        if self.locations:
            error["locations"] = [{"line": line, "column": column} for line, column in self.locations]
        extensions: dict[str, Any] = {"code": self.row.code.value, "reason": self.row.reason}
        if self.input_path is not None:
            extensions["input"] = {"path": list(self.input_path)}
        if self.retry_after is not None:
            extensions["retry"] = {"afterSeconds": self.retry_after}
        extensions["requestId"] = request_id
        error["extensions"] = extensions
        return error


class RequestError(Exception):
    """A request that is not executed. All faults share one HTTP status; `headers` go with the answer.

    `detail` is for the log alone.
    """

    def __init__(
        self, errors: Sequence[ErrorEntry], headers: dict[str, str] | None = None, detail: str | None = None
    ) -> None:
        super().__init__(errors[0].message)
        self.errors = tuple(errors)
        self.headers = headers or {}
        self.detail = detail

    @property
    def row(self) -> DocumentedError:
        return self.errors[0].row


def request_error(row: DocumentedError, message: str | None = None, **headers: str) -> RequestError:
    """The one-fault form; `message` replaces the row's text. Header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return RequestError([ErrorEntry(row, message or row.text or row.reason)], named)
