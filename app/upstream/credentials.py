"""Authorises a call: the caller's headers or the gateway's own, by one of three strategies."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.call import CallContext
from app.errors import CREDENTIALS_MISSING, BackendDetails, GatewayError

if TYPE_CHECKING:
    from app.upstream.tokens import TokenSource


class Credentials:
    """`own` are the gateway's headers; `tokens` gives its bearer. A caller's header replaces the gateway's.

    `complete` says whether the settings hold all that a call needs.
    """

    def __init__(self, api: str, own: Mapping[str, str], *, complete: bool, tokens: TokenSource | None = None) -> None:
        self.complete = complete
        self._api = api
        self._own = own
        self._tokens = tokens

    async def headers(self, call: CallContext) -> tuple[Mapping[str, str], str | None]:
        """The headers to send, with the gateway's own token if it is used. Raises GatewayError: nothing was sent."""
        callers = call.credentials.get(self._api)
        headers = {**self._own, **callers} if callers else self._own
        token = None
        if self._tokens is not None and "authorization" not in headers:
            token = await self._tokens.bearer(call)
            headers = {**headers, "authorization": f"Bearer {token}"}
        if not headers:
            raise GatewayError(CREDENTIALS_MISSING, backend=BackendDetails(self._api))
        return headers, token

    def drop(self, token: str, call: CallContext) -> bool:
        """Forgets the gateway's token, which the backend refused. Returns whether a new one may help."""
        return self._tokens is not None and self._tokens.drop(token, alone=not call.credentials.get(self._api))

    async def aclose(self) -> None:
        """Closes the connections to the token endpoint."""
        if self._tokens is not None:
            await self._tokens.aclose()


def basic_header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def basic_user(header: str) -> str:
    """The user of a Basic header; empty for any other."""
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return ""
    return decoded.partition(":")[0] if scheme.casefold() == "basic" else ""


def basic(api: str, user: str | None, password: SecretStr | None) -> Credentials:
    """HTTP Basic, RFC 7617."""
    if user is None or password is None:
        return Credentials(api, {}, complete=False)
    return Credentials(api, {"authorization": basic_header(user, password.get_secret_value())}, complete=True)


def key(api: str, value: SecretStr | None, header: str = "x-api-key") -> Credentials:
    return Credentials(api, _key_header(value, header), complete=value is not None)


def key_and_bearer(
    api: str, value: SecretStr | None, tokens: TokenSource | None, header: str = "x-api-key"
) -> Credentials:
    """A key, and a bearer that is renewed. One is sent without the other: the service decides whether it suffices."""
    complete = value is not None and tokens is not None
    return Credentials(api, _key_header(value, header), complete=complete, tokens=tokens)


def _key_header(value: SecretStr | None, header: str) -> dict[str, str]:
    return {} if value is None else {header: value.get_secret_value()}
