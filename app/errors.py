"""The error tree, a documented row, and the `extensions` that every client sees.

Knows no vendor and no library: an API package lists its rows, a backend raises them, GraphQL shows them. graphql-core
copies an exception's attribute `extensions` into the GraphQL error; there is no other coupling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

InputPath = tuple[str | int, ...]


class Code(StrEnum):
    """The small, frozen set that a client may branch on, spelled as in Apollo Server where it has the code."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    RATE_LIMITED = "RATE_LIMITED"
    BACKEND_REJECTED = "BACKEND_REJECTED"
    BACKEND_ERROR = "BACKEND_ERROR"
    BACKEND_UNAVAILABLE = "BACKEND_UNAVAILABLE"
    BACKEND_TIMEOUT = "BACKEND_TIMEOUT"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_REQUEST = "BAD_REQUEST"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"


class Outcome(StrEnum):
    """Whether the write happened."""

    APPLIED = "APPLIED"
    NOT_APPLIED = "NOT_APPLIED"
    UNKNOWN = "UNKNOWN"


class ReadBack(StrEnum):
    """The result of one read after an update whose outcome is unknown."""

    SAME = "SAME"
    DIFFERS = "DIFFERS"
    MISSING = "MISSING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentedError:
    """One row of an error table, used in both directions: a client recognises it, a store raises it.

    `backend` is None for the gateway's own rows. `text` None or `any_text` means that the row stands for any text.
    `input_path` is the place in the mutation's arguments, without list positions (`app.updates.placing` adds them).
    `meaning` explains the row where the vendor publishes no text; `source` is the page or assumption behind it.
    `mutations` are those that can cause it, () for all; no mutation causes a row `of_reads`.
    """

    reason: str
    code: Code
    backend: str | None = None
    http_status: int | None = None
    vendor_code: str | None = None
    text: str | None = None
    meaning: str = ""
    any_text: bool = False
    input_path: tuple[str, ...] | None = None
    mutations: tuple[str, ...] = ()
    outcome: Outcome | None = Outcome.NOT_APPLIED
    retry_safe: bool = False
    of_reads: bool = False
    source: str = ""


class BackendDetails(NamedTuple):
    """A backend's answer, as a client may see it. It has only the name when the backend could not be reached."""

    name: str
    status: int | None = None
    code: str | None = None
    message: str | None = None

    def as_extension(self) -> dict[str, Any]:
        members = {"name": self.name, "status": self.status, "code": self.code, "message": self.message}
        return {key: value for key, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Undocumented:
    """A response that matches no row, without its credentials. `body` is its JSON value; None without one."""

    backend: str
    status: int
    code: str | None
    text: str | None
    media: str
    body: Any = field(repr=False)
    empty: bool = False


class GatewayFailure(Exception):  # noqa: N818 - its two classes have the suffix
    """One error or several of one field, as every part of the gateway raises them."""

    @property
    def errors(self) -> tuple[GatewayError, ...]:
        raise NotImplementedError


class GatewayError(GatewayFailure):
    """One error as the client sees it: a row, and the details of this occurrence.

    `message` is for the client. `detail` is for the log alone and may name hosts; it never holds a credential.
    `passing` says that the gateway has removed the cause since, so that the same call may be sent again. `read_back` is
    the result of one read after an unknown outcome.
    """

    passing = False
    current_revision: str | None = None
    replayed = False  # repeats the answer of an earlier request with the same idempotency key
    undocumented: Undocumented | None = None
    read_back: ReadBack | None = None

    def __init__(
        self,
        row: DocumentedError,
        message: str | None = None,
        *,
        backend: BackendDetails | None = None,
        input_path: Sequence[str | int] | None = None,
        outcome: Outcome | None = None,
        retry_after: int | None = None,
        detail: str | None = None,
    ) -> None:
        self.row = row
        self.message = message or row.text or row.meaning or row.reason
        super().__init__(self.message)
        self.backend = backend
        self.input_path: InputPath | None = tuple(input_path) if input_path is not None else row.input_path
        self.outcome = outcome or row.outcome
        self.retry_after = retry_after
        self.detail = detail

    def changed(
        self,
        *,
        message: str | None = None,
        outcome: Outcome | None = None,
        input_path: Sequence[str | int] | None = None,
        read_back: ReadBack | None = None,
    ) -> GatewayError:
        """A copy with another message, outcome, place or read-back. The original keeps its cause and traceback."""
        other = GatewayError(self.row, message or self.message)
        changes: dict[str, Any] = {"message": message, "outcome": outcome, "read_back": read_back}
        changes["input_path"] = None if input_path is None else tuple(input_path)
        vars(other).update(vars(self) | {name: value for name, value in changes.items() if value is not None})
        other.__cause__ = self
        return other

    @property
    def errors(self) -> tuple[GatewayError, ...]:
        return (self,)

    @property
    def retry_safe(self) -> bool:
        safe = self.row.retry_safe or self.passing
        return safe and self.outcome in {Outcome.NOT_APPLIED, self.row.outcome}

    @property
    def extensions(self) -> dict[str, Any]:
        """The members that apply, in the documented order. `requestId` is added where the answer is written."""
        members: dict[str, Any] = {"code": self.row.code.value, "reason": self.row.reason}
        if self.backend is not None:
            members["backend"] = self.backend.as_extension()
        if self.input_path is not None:
            members["input"] = {"path": list(self.input_path)}
        if self.current_revision is not None:
            members["currentRevision"] = self.current_revision
        retry: dict[str, Any] = {}
        if self.outcome is not None:
            members["outcome"] = self.outcome.value
            retry["safe"] = self.retry_safe
        if self.retry_after is not None:
            retry["afterSeconds"] = self.retry_after
        if retry:
            members["retry"] = retry
        if self.replayed:
            members["replayed"] = True
        if self.read_back is not None:
            members["readBack"] = self.read_back.value
        return members


class GatewayErrors(GatewayFailure):
    """Several errors of one field, in the backend's order. GraphQL shows each of them, at one path."""

    def __init__(self, errors: Sequence[GatewayError]) -> None:
        self._errors = tuple(errors)
        super().__init__("; ".join(error.message for error in self._errors))

    @property
    def errors(self) -> tuple[GatewayError, ...]:
        return self._errors


def each(failure: BaseException, change: Callable[[GatewayError], GatewayError]) -> BaseException:
    """The failure with every error of it changed. Any other exception stays as it is."""
    if isinstance(failure, GatewayErrors):
        return GatewayErrors([change(error) for error in failure.errors])
    return change(failure) if isinstance(failure, GatewayError) else failure


def refusal(
    row: DocumentedError, text: str | None = None, *, input_path: Sequence[str | int] | None = None
) -> GatewayError:
    """A backend's documented refusal, as a store raises it and a client recognises it."""
    message = text if text and (row.any_text or row.text is None) else row.text
    assert row.backend is not None
    assert row.http_status is not None
    response = BackendDetails(row.backend, row.http_status, row.vendor_code, message)
    return GatewayError(row, message, backend=response, input_path=input_path)


def _own(
    reason: str, code: Code, text: str, outcome: Outcome | None = Outcome.NOT_APPLIED, *, safe: bool = False
) -> DocumentedError:
    return DocumentedError(reason=reason, code=code, text=text, any_text=True, outcome=outcome, retry_safe=safe)


def _input(reason: str, text: str) -> DocumentedError:
    """The input is refused, by the gateway or the backend. Nothing was applied."""
    return _own(reason, Code.BAD_USER_INPUT, text)


def _unsent(reason: str, text: str) -> DocumentedError:
    """The backend could not be called. Nothing was sent, and the cause may pass."""
    return _own(reason, Code.BACKEND_UNAVAILABLE, text, safe=True)


def _unknown(reason: str, text: str, code: Code = Code.BACKEND_ERROR) -> DocumentedError:
    """The update may have been applied."""
    return _own(reason, code, text, Outcome.UNKNOWN)


# The gateway's own rows. Before sending: certainly not applied.
NULL_NOT_SUPPORTED = _input(
    "NULL_NOT_SUPPORTED", "This backend cannot tell null from absent; leave the field out, or send an empty value."
)
VALUE_NOT_SUPPORTED = _input("VALUE_NOT_SUPPORTED", "The value cannot be expressed in a request to the backend.")
RECORD_NOT_EXPRESSIBLE = _input(
    "RECORD_NOT_EXPRESSIBLE", "An update cannot say what the record holds; nothing was sent."
)
REVISION_MISMATCH = _own("REVISION_MISMATCH", Code.CONFLICT, "The record has changed since that revision.")
LIST_TOO_LONG = _input("LIST_TOO_LONG", "A list or map of the input has too many members.")
TOO_MANY_ITEMS = _input("TOO_MANY_ITEMS", "The request's bulks have too many items; nothing was sent.")
IDEMPOTENCY_KEY_REPEATED = _input(
    "IDEMPOTENCY_KEY_REPEATED", "Two items have one idempotency key; nothing of the bulk was sent."
)
CREDENTIALS_MISSING = _own(
    "CREDENTIALS_MISSING",
    Code.UNAUTHENTICATED,
    "No credentials for the backend: the gateway has none and the request brought none.",
)
CREDENTIALS_MALFORMED = _own(
    "CREDENTIALS_MALFORMED", Code.UNAUTHENTICATED, "The credentials for the backend cannot be sent as an HTTP header."
)
TOKEN_REFUSED = _own("TOKEN_REFUSED", Code.UNAUTHENTICATED, "The token endpoint did not issue a token.")
TOKEN_UNAVAILABLE = _unsent(
    "TOKEN_UNAVAILABLE", "The token endpoint could not be reached or gave no token; nothing was sent to the backend."
)
PAGE_SIZE_INVALID = _input("PAGE_SIZE_INVALID", "The page is larger than the gateway reads at once.")
CURSOR_INVALID = _input("CURSOR_INVALID", "The cursor was not given by this gateway.")
NOT_CONNECTED = _unsent("NOT_CONNECTED", "The backend could not be reached; nothing was sent.")
NO_FREE_CONNECTION = _unsent(
    "NO_FREE_CONNECTION", "No connection to the backend became free in time; nothing was sent."
)
DEADLINE_BEFORE_SENDING = _unsent("DEADLINE_BEFORE_SENDING", "The deadline passed before anything was sent.")
BREAKER_OPEN = _unsent("BREAKER_OPEN", "The backend failed repeatedly and is not called for a while; nothing was sent.")
OVERLOADED = _unsent("OVERLOADED", "Too many calls to the backend are in flight; nothing was sent.")
BACKEND_PAUSED = _unsent("BACKEND_PAUSED", "The backend asked for a pause that is not over; nothing was sent.")
NOT_BEGUN = _unsent("NOT_BEGUN", "The bulk ended before this item was begun; nothing was sent.")
STORE_UNAVAILABLE = _unsent("STORE_UNAVAILABLE", "The local store cannot be reached; nothing was written.")
IDEMPOTENCY_KEY_MALFORMED = _own(
    "IDEMPOTENCY_KEY_MALFORMED",
    Code.BAD_REQUEST,
    "An idempotency key has 1 to 255 printable ASCII characters; nothing was sent.",
)
IDEMPOTENCY_NOT_AVAILABLE = _own(
    "IDEMPOTENCY_NOT_AVAILABLE",
    Code.BAD_REQUEST,
    "This gateway keeps no journal, so that it cannot tell a repeated request; nothing was sent.",
)
IDEMPOTENCY_KEY_REUSED = _input(
    "IDEMPOTENCY_KEY_REUSED", "The idempotency key belongs to another request; nothing was sent."
)
# Its outcome is the first request's. A second request under the key sends nothing, so that a retry is safe.
IDEMPOTENT_REQUEST_IN_PROGRESS = _own(
    "IDEMPOTENT_REQUEST_IN_PROGRESS",
    Code.CONFLICT,
    "The first request with this idempotency key has not ended yet; ask again under the key.",
    Outcome.UNKNOWN,
    safe=True,
)
GATEWAY_STOPPED = _unknown("GATEWAY_STOPPED", "The gateway stopped before it knew the outcome of the update.")
# After sending, without an answer that can be understood.
CONNECTION_LOST = _unknown("CONNECTION_LOST", "The connection was lost after the request may have been sent.")
ANSWER_TIMED_OUT = _unknown("ANSWER_TIMED_OUT", "There was no answer in time.", Code.BACKEND_TIMEOUT)
ANSWER_UNREADABLE = _unknown("ANSWER_UNREADABLE", "The backend's answer cannot be understood.")
ANSWER_TOO_LARGE = _unknown("ANSWER_TOO_LARGE", "The backend's answer is larger than the gateway reads.")
RECORD_NOT_READ_BACK = _own(
    "RECORD_NOT_READ_BACK",
    Code.BACKEND_ERROR,
    "The update was applied, but the record could not be read back.",
    Outcome.APPLIED,
)
STORE_LOST = _unknown("STORE_LOST", "The connection to the local store was lost during the write.")
INTERNAL = _unknown(
    "INTERNAL", "Internal server error. The request id leads to the cause in the log.", Code.INTERNAL_SERVER_ERROR
)
# An answer that matches no row of the backend: its status decides.
REDIRECTED = _unknown("REDIRECTED", "The backend answered with a redirection, which is never followed.")
UNEXPECTED_SUCCESS = _unknown("UNEXPECTED_SUCCESS", "The backend answered with a success it does not document.")
UNDOCUMENTED_BAD_REQUEST = _input("UNDOCUMENTED_BAD_REQUEST", "The backend refused the request.")
UNDOCUMENTED_UNAUTHENTICATED = _own(
    "UNDOCUMENTED_UNAUTHENTICATED", Code.UNAUTHENTICATED, "The backend refused the credentials."
)
UNDOCUMENTED_FORBIDDEN = _own("UNDOCUMENTED_FORBIDDEN", Code.FORBIDDEN, "The backend refused permission.")
UNDOCUMENTED_NOT_FOUND = _own("UNDOCUMENTED_NOT_FOUND", Code.NOT_FOUND, "The backend found nothing at this address.")
UNDOCUMENTED_CONFLICT = _own("UNDOCUMENTED_CONFLICT", Code.CONFLICT, "The backend reported a conflict.")
BACKEND_REQUEST_TIMEOUT = _unknown(
    "BACKEND_REQUEST_TIMEOUT", "The backend gave up waiting for the request.", Code.BACKEND_REJECTED
)
RATE_LIMITED = _own(
    "RATE_LIMITED", Code.RATE_LIMITED, "The backend refused the request because there were too many.", safe=True
)
UNDOCUMENTED_REJECTION = _own("UNDOCUMENTED_REJECTION", Code.BACKEND_REJECTED, "The backend refused the request.")
BACKEND_FAILED = _unknown("BACKEND_FAILED", "The backend failed.")

_FAMILIES: dict[int, DocumentedError] = {
    400: UNDOCUMENTED_BAD_REQUEST,
    401: UNDOCUMENTED_UNAUTHENTICATED,
    403: UNDOCUMENTED_FORBIDDEN,
    404: UNDOCUMENTED_NOT_FOUND,
    408: BACKEND_REQUEST_TIMEOUT,
    409: UNDOCUMENTED_CONFLICT,
    422: UNDOCUMENTED_BAD_REQUEST,
    429: RATE_LIMITED,
}


_CLASSES = {2: UNEXPECTED_SUCCESS, 3: REDIRECTED, 4: UNDOCUMENTED_REJECTION}


def family(status: int) -> DocumentedError:
    """The row for an answer that matches no documented row, by its status alone."""
    return _FAMILIES.get(status) or _CLASSES.get(status // 100, BACKEND_FAILED)


OWN_ROWS: tuple[DocumentedError, ...] = tuple(
    row for row in list(globals().values()) if isinstance(row, DocumentedError)
)
