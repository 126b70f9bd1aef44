"""Sends rows to a bulk mutation of one gateway, and returns the fate of each row. Knows no files.

| answer | what it means | raised |
|---|---|---|
| `results` | each row's own outcome | |
| refused before the bulk began | nothing was executed, and a retry would not help | RefusedError |
| not reached, or overloaded | nothing was executed, and a retry may help | BusyError |
| any other answer, or none | it may have been executed | LostError |
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import httpx
import msgspec

from app.apply.results import Fate, Outcome
from app.graphql.bulk_documents import APPLY, LOOK_UP, Bulk
from app.json_codec import encode_json

# The gateway ends a request by itself after GATEWAY_REQUEST_SECONDS, 60 by default. A retry is safe under keys.
_TIMEOUT = httpx.Timeout(180.0, connect=10.0)


class RefusedError(Exception):
    """Nothing was executed, and a retry would not help. The text is one line."""


class ItemRefusedError(RefusedError):
    """The item at `index` was refused with `fate`. No other item was begun."""

    def __init__(self, index: int, fate: Fate) -> None:
        super().__init__(fate.message)
        self.index = index
        self.fate = fate


class TooLargeError(RefusedError):
    """The request has more items or bytes than the gateway accepts."""


class BusyError(Exception):
    """Nothing was executed. A retry may help, after `wait` seconds if they are known."""

    def __init__(self, text: str, wait: int | None = None) -> None:
        super().__init__(text)
        self.wait = wait


class LostError(Exception):
    """What was sent may have been executed."""


class _Extensions(msgspec.Struct):
    input: dict[str, list[str | int]] = msgspec.field(default_factory=dict)
    code: str | None = None
    reason: str | None = None
    outcome: str | None = None


class _Error(msgspec.Struct):
    """An error of the response; without a code it is not the gateway's."""

    message: str = "the gateway's answer cannot be read"
    extensions: _Extensions = msgspec.field(default_factory=_Extensions)

    def refusal(self) -> RefusedError:
        code, reason = self.extensions.code, self.extensions.reason
        path = [*map(str, self.extensions.input.get("path", ()))]
        if reason == "TOO_MANY_ITEMS":
            return TooLargeError(str(self))
        if path[:1] != ["items"] or not "".join(path[1:2]).isdecimal():
            return RefusedError(f"the gateway refused the request: {self}")
        fate = Fate(outcome="NOT_APPLIED", code=code, reason=reason, input_path=path[2:], message=self.message)
        return ItemRefusedError(int(path[1]), fate)

    def __str__(self) -> str:
        cause = self.extensions.reason or self.extensions.code
        return f"{cause}: {self.message}" if cause else self.message


class _Response(msgspec.Struct):
    data: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    errors: list[_Error] = msgspec.field(default_factory=list)


class _UserError(msgspec.Struct, rename="camel"):
    message: str
    code: str
    reason: str
    input_path: list[str] | None = None
    retry_after_seconds: int | None = None


class _ItemResult(msgspec.Struct, rename="camel"):
    index: int
    outcome: Outcome
    replayed: bool
    user_errors: list[_UserError]

    def fate(self, *, dry_run: bool) -> Fate:
        if not self.user_errors:
            return Fate(outcome="PREVIEWED" if dry_run else self.outcome, replayed=self.replayed)
        first = self.user_errors[0]
        return Fate(
            outcome=self.outcome,
            code=first.code,
            reason=first.reason,
            input_path=first.input_path,
            message="; ".join(error.message for error in self.user_errors),
            replayed=self.replayed,
            wait=first.retry_after_seconds,
        )


class Client:
    """`credentials` are headers. Raises RefusedError for a URL that cannot be used. Use as a context manager."""

    def __init__(self, url: str, token: str | None, credentials: Mapping[str, str] = MappingProxyType({})) -> None:
        try:
            address = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            address = httpx.URL()
        if address.scheme not in {"http", "https"} or not address.host:
            raise RefusedError(f"--url: {url} is no http or https address")
        if address.userinfo:
            raise RefusedError("--url: holds a password; a token belongs into --token-file")
        if token is not None and address.scheme == "http" and not _is_loopback(address.host):
            raise RefusedError("--token-file: over plain http a token is sent to this machine alone; use https")
        if credentials and address.scheme == "http" and not _is_loopback(address.host):
            raise RefusedError("--credentials-file: over plain http they are sent to this machine alone; use https")
        self._url = address
        self._reached = False
        headers = {**credentials, "content-type": "application/json", "accept": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            headers=headers, timeout=_TIMEOUT, trust_env=False, verify=ssl.create_default_context()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, bulk: Bulk, items: Sequence[Mapping[str, Any]], *, dry_run: bool) -> list[Fate]:
        """The fate of each item, in their order. Raises RefusedError, BusyError and LostError."""
        data, error = self._post(bulk.document, APPLY, {"items": items, "dryRun": dry_run})
        payload = data.get(bulk.field)
        if payload is None:
            if error.extensions.outcome != "NOT_APPLIED":
                raise LostError(str(error))
            raise error.refusal()
        try:
            results = msgspec.convert(payload["results"], list[_ItemResult])
        except (msgspec.ValidationError, KeyError, TypeError) as error:
            raise LostError(f"the gateway's answer cannot be read: {error}") from None
        if [result.index for result in results] != list(range(len(items))):
            raise LostError("the gateway's answer does not tell of each row")
        return [result.fate(dry_run=dry_run) for result in results]

    def look_up(self, bulk: Bulk, key: str) -> Fate | None:
        """The fate that the gateway's journal has for a key. None without an end, or without the right to read it."""
        try:
            return next(iter(msgspec.convert(self._entries(bulk, key), list[Fate])), None)
        except msgspec.ValidationError:
            return None

    def is_foreign(self, bulk: Bulk, key: str) -> bool:
        """Whether the caller may read the gateway's journal, and it has no entry of the key."""
        return bool(self._entries(bulk, key) == [])

    def _entries(self, bulk: Bulk, key: str) -> Any:
        data, _ = self._post(bulk.document, LOOK_UP, {"key": key})
        updates = data.get("updates")
        return updates.get("nodes") if isinstance(updates, dict) else None

    def _post(self, document: str, operation: str, variables: Mapping[str, Any]) -> tuple[dict[str, Any], _Error]:
        """The `data` of an executed operation, and its first error."""
        body = encode_json({"query": document, "operationName": operation, "variables": variables})
        try:
            response = self._http.post(self._url, content=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = f"the gateway at {self._url} cannot be reached: {error}"
            # An address that never answered is more likely a wrong one than a gateway that is starting.
            raise (BusyError(failure) if self._reached else RefusedError(failure)) from None
        except httpx.HTTPError as error:
            self._reached = True
            raise LostError(f"the connection to the gateway was lost: {type(error).__name__}") from None
        self._reached = True
        try:
            content = msgspec.json.decode(response.content, type=_Response)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            content = _Response()
        first = content.errors[0] if content.errors else _Error()
        if isinstance(content.data, dict):
            return content.data, first
        status = response.status_code
        if content.data is msgspec.UNSET and first.extensions.outcome != "UNKNOWN":
            _raise_for(response, f"{self._url} answered {status}", first)
        raise LostError(f"{self._url} answered {status}, and nothing of the updates")


def _raise_for(response: httpx.Response, answered: str, error: _Error) -> None:
    """Raises if an answer without data is certain to have executed nothing.

    A proxy's 408 or 5xx is not certain: the proxy may have passed the request on.
    """
    status, own = response.status_code, error.extensions.code is not None
    if status == httpx.codes.TOO_MANY_REQUESTS or (status == httpx.codes.SERVICE_UNAVAILABLE and own):
        after = response.headers.get("retry-after", "")
        raise BusyError(f"{answered}: it is busy", int(after[:9]) if after.isdecimal() else None)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        raise TooLargeError(f"{answered}: a row is larger than it takes")
    if own and not response.is_server_error:
        raise error.refusal()
    if status != httpx.codes.REQUEST_TIMEOUT and (response.is_redirect or response.is_client_error):
        raise RefusedError(f"{answered}; is it the gateway's GraphQL address?")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
