"""Which pages of other origins may call. A refused preflight is logged with the setting that decides."""

import logging
import re
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.apis.api import Api
from app.edge.caller import PREFLIGHT_HEADERS, REQUEST_ID, REQUEST_TIMEOUT, SIMULATE, TRACE_PARENT, TRACE_STATE
from app.edge.settings import EdgeSettings

log = logging.getLogger(__name__)

# Sent by GraphQL clients, tracing and error reporting in browsers without being told to.
HEADERS = (
    *("content-type", "authorization", REQUEST_ID, REQUEST_TIMEOUT, SIMULATE, *PREFLIGHT_HEADERS),
    *(TRACE_PARENT, TRACE_STATE, "baggage", "sentry-trace", "apollographql-client-name"),
    *("apollographql-client-version", "x-requested-with", "idempotency-key", "x-language"),
)
_ASKED = "access-control-request-headers"
_SECONDS_BETWEEN = 10.0
_ORIGIN = re.compile(r"[a-z0-9+.:/_\[\]-]{1,200}")
_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~, -]{1,500}")


class Cors(CORSMiddleware):
    """Starlette's, which answers the preflights. Without origins it answers none."""

    def __init__(self, app: ASGIApp, *, settings: EdgeSettings, apis: Sequence[Api] = ()) -> None:
        own = (name for api in apis for name in api.caller_headers)
        self._names = {name.lower() for name in (*HEADERS, *own, *settings.cors_headers)}
        super().__init__(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=sorted(self._names),
            expose_headers=(REQUEST_ID,),
        )
        self._logged_at: float | None = None
        self._untold = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.allow_origins or self.allow_all_origins:
            await super().__call__(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = Headers(scope=scope)
            if "access-control-request-method" in headers:
                self._log_refused("GATEWAY_CORS_ORIGINS", headers.get("origin", ""))
        await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        # https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2: a list's empty elements are ignored.
        asked = [name for part in request_headers.get(_ASKED, "").split(",") if (name := part.strip().lower())]
        request_headers = MutableHeaders(raw=list(request_headers.raw))
        del request_headers[_ASKED]
        if asked:
            request_headers[_ASKED] = ", ".join(asked)
        response = super().preflight_response(request_headers)
        if response.status_code != 200:  # noqa: PLR2004
            origin = request_headers["origin"]
            names = ", ".join(name for name in asked if name not in self._names)
            if not self.is_allowed_origin(origin=origin):
                self._log_refused("GATEWAY_CORS_ORIGINS", origin)
            else:
                setting = "GATEWAY_CORS_HEADERS" if names else "no setting (the method, or a private network)"
                self._log_refused(setting, origin, names or None)
        return response

    def _log_refused(self, setting: str, origin: str, names: str | None = None) -> None:
        """Logs at most one line in ten seconds: anyone can cause them."""
        now = time.monotonic()
        if self._logged_at is not None and now - self._logged_at < _SECONDS_BETWEEN:
            self._untold += 1
            return
        self._logged_at = now
        extra = {
            "origin": origin if _ORIGIN.fullmatch(origin.lower()) else "(not shown)",
            "headers": names if names is None or _NAMES.fullmatch(names.lower()) else "(not shown)",
            "refused_since": self._untold or None,
        }
        log.warning("a browser's preflight was refused; %s decides", setting, extra=extra)
        self._untold = 0
