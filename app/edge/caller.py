"""Reads a caller's headers: a request id, a deadline, credentials for the backends, a simulated failure."""

import hmac
import random
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from app.apis.api import Api
from app.call import CallContext, is_fault
from app.graphql.request_errors import HEADER_MALFORMED, SIMULATION_REFUSED, SIMULATION_UNKNOWN, request_error
from app.graphql.tracing import TRACE_HEADER
from app.server.direct import EndpointRequest

REQUEST_ID = "x-request-id"
REQUEST_TIMEOUT = "x-request-timeout"
SIMULATE = "x-simulate"
ACCEPT_LANGUAGE = "accept-language"
IDEMPOTENCY_KEY = "idempotency-key"
TRACE_PARENT = "traceparent"
TRACE_STATE = "tracestate"
ROUTER_AUTHORIZATION = "router-authorization"
# Headers that a page of another site cannot send without a preflight, as Apollo Server names them.
PREFLIGHT_HEADERS = ("apollo-require-preflight", "graphql-require-preflight", "x-apollo-operation-name")
# Every header that is read, besides those with credentials for a backend. No other one is decoded.
READ_HEADERS = (
    *("accept", "authorization", "content-encoding", "content-length", "content-type", "host"),
    *(ACCEPT_LANGUAGE, IDEMPOTENCY_KEY, REQUEST_ID, REQUEST_TIMEOUT, ROUTER_AUTHORIZATION, SIMULATE),
    *(TRACE_HEADER, TRACE_PARENT, TRACE_STATE, *PREFLIGHT_HEADERS),
)

# May have several values: they are lists, a malformed one is ignored, or there is a check of their own.
_REPEATABLE = frozenset(
    {
        *("accept", ACCEPT_LANGUAGE, "content-encoding", TRACE_STATE),
        *(REQUEST_ID, TRACE_HEADER, TRACE_PARENT, *PREFLIGHT_HEADERS),
        *("authorization", "host"),
    }
)

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_STATE = 512
_MILLISECONDS = re.compile(r"[0-9]{1,9}")


def request_id(header: str | None) -> str:
    """The caller's own id where it is harmless in a log and a header, otherwise a new one."""
    if header is not None and _ID.fullmatch(header):
        return header
    # Unique, but no secret: the system's random numbers cost a system call each.
    return f"{random.getrandbits(128):032x}"


def is_router(header: str | None, secret: str | None) -> bool:
    """Compares in constant time."""
    if secret is None or header is None:
        return False
    return hmac.compare_digest(header.encode("utf-8", "surrogateescape"), secret.encode())


class Callers:
    """Reads the headers of requests.

    `headers` are those with credentials: a name in lower case, the API that it is for, and its name at that backend.
    `simulated` says who obeys `x-simulate`, by API name: the local backend, a sandbox on this machine, or nobody; an
    API not named has a local backend.
    """

    def __init__(
        self,
        apis: Sequence[Api],
        simulated: Mapping[str, Literal["local", "sandbox", "refused"]],
        *,
        production: bool,
        seconds: float,
    ) -> None:
        self.headers = [(name.lower(), api.name, own) for api in apis for name, own in api.caller_headers.items()]
        self._reasons = {api.name: frozenset(row.reason for row in api.errors) for api in apis}
        self._modes = {api.name: simulated.get(api.name, "local") for api in apis}
        self._production = production
        self._seconds = seconds

    def call(self, request: EndpointRequest) -> CallContext:
        """Reads what a request needs. Raises RequestError."""
        headers, most = request.headers, self._seconds
        for name in request.ambiguous - _REPEATABLE:
            raise request_error(HEADER_MALFORMED, f"The header {name} is there more than once, with different values.")
        credentials: dict[str, dict[str, str]] = {}
        for name, api, backend in self.headers:
            if name in headers:
                credentials.setdefault(api, {})[backend] = headers[name]
        return CallContext(
            request.identifier,
            credentials,
            request.arrived + (_seconds(headers[REQUEST_TIMEOUT], most) if REQUEST_TIMEOUT in headers else most),
            self._simulated(headers[SIMULATE].strip()) if SIMULATE in headers else None,
            _trace(headers),
            headers.get(ACCEPT_LANGUAGE),
            headers.get(IDEMPOTENCY_KEY),
        )

    def _simulated(self, reason: str) -> str:
        """The reason that a call carries. Raises RequestError rather than let a real update happen."""
        if is_fault(reason):
            concerned, needed = set(self._modes), {"sandbox"}
        else:
            concerned = {name for name, reasons in self._reasons.items() if reason.upper() in reasons}
            needed = {"local", "sandbox"}
        if not concerned:
            shown = repr(reason) if _ID.fullmatch(reason) else "the given value"
            raise request_error(SIMULATION_UNKNOWN, f"x-simulate: {shown} is no documented reason of a backend.")
        if self._production or any(self._modes[name] not in needed for name in concerned):
            raise request_error(SIMULATION_REFUSED)
        return reason.upper()


def _trace(headers: Mapping[str, str]) -> dict[str, str]:
    """The caller's trace, to be passed on: https://www.w3.org/TR/trace-context/."""
    parent, state = headers.get(TRACE_PARENT), headers.get(TRACE_STATE)
    if parent is None or not _TRACE_PARENT.fullmatch(parent):
        return {}
    return {TRACE_PARENT: parent} | ({TRACE_STATE: state} if state is not None and len(state) <= _TRACE_STATE else {})


def _seconds(header: str, most: float) -> float:
    if not _MILLISECONDS.fullmatch(header) or int(header) == 0:
        raise request_error(HEADER_MALFORMED, f"{REQUEST_TIMEOUT} is a whole number of milliseconds, at least 1.")
    return min(most, int(header) / 1000)
