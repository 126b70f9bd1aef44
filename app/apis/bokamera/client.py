"""The REST adapter: builds BokaMera's requests and judges its answers, both pure, with one send between them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.apis.bokamera import jsv
from app.apis.bokamera.backend import NAME
from app.apis.bokamera.errors import BOOKING_CUSTOMER_NOT_FOUND, NOT_AUTHENTICATED, Format, body_of, parse, simulated
from app.apis.sandbox_faults import is_fault
from app.errors import (
    ANSWER_UNREADABLE,
    CREDENTIALS_MISSING,
    VALUE_NOT_SUPPORTED,
    BackendAnswer,
    GatewayError,
    GatewayErrors,
)
from app.json_codec import encode_json
from app.mapping.scalars import parse_uuid
from app.mapping.wire import Wire
from app.upstream.answers import log_body, member, undocumented
from app.upstream.exchange import Answer, Request
from app.upstream.tokens import TokenSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.apis.bokamera.settings import BokameraSettings
    from app.call import Call
    from app.upstream.upstream import Upstream

_OK = 200
_MIME = {"json": "application/json", "jsv": "text/jsv"}
# What a list of customers holds only when asked for.
_INCLUDED = (
    "IncludeCustomFields",
    "IncludeCustomFieldValues",
    "IncludeComments",
    "IncludeAccessKeys",
    "IncludeInvoiceAddress",
)
# A customer is told from any other object by a member that only a record has.
_RECORD_MEMBERS = (
    "Id",
    "Firstname",
    "Lastname",
    "Email",
    "Phone",
    "SubscribedToNewsletter",
    "InvoiceAddress",
    "CustomFieldValues",
)


def build_update(
    customer_id: str, company_id: str | None, body: Wire, *, form: Format, headers: Mapping[str, str]
) -> Request:
    try:
        content = jsv.encode(body) if form == "jsv" else encode_json(body)
    except (ValueError, TypeError) as error:
        raise GatewayError(VALUE_NOT_SUPPORTED, detail=str(error)) from error
    query = (("CompanyId", company_id),) if company_id else ()
    sent = {"accept": _MIME[form], "content-type": _MIME[form], **headers}
    return Request("PUT", f"/customers/{customer_id}", query, sent, content)


def build_read(customer_id: str, company_id: str | None, *, form: Format, headers: Mapping[str, str]) -> Request:
    company = (("CompanyId", company_id),) if company_id else ()
    query = (("CustomerId", customer_id), *company, *((name, "true") for name in _INCLUDED))
    return Request("GET", "/customers", query, {"accept": _MIME[form], **headers})


def judge_update(answer: Answer, customer_id: str) -> Wire:
    """The record of a 200. Everything else is an error; raises GatewayError or GatewayErrors."""
    data = _success(answer)
    if not isinstance(data, dict) or not any(member(data, name) is not None for name in _RECORD_MEMBERS):
        raise _unreadable(answer)
    if not _is(data, customer_id, missing=True):
        raise _unreadable(answer, "the answer is another customer's record")
    return data


def judge_read(answer: Answer, customer_id: str) -> Wire | None:
    """The asked record of a bare list or of `{Results}`; None for an empty list. Raises GatewayError(s)."""
    try:
        data = _success(answer)
    except GatewayError as error:
        if error.row is BOOKING_CUSTOMER_NOT_FOUND:
            return None
        raise
    records = data if isinstance(data, list) else member(data, "Results")
    if not isinstance(records, list):
        raise _unreadable(answer)
    found = next(
        (record for record in records if isinstance(record, dict) and _is(record, customer_id, missing=False)), None
    )
    if found is None and records:
        # The filter was not applied: that the customer is unknown cannot be concluded.
        raise _unreadable(answer, "the list does not hold the asked customer")
    return found


def _success(answer: Answer) -> Any:
    """The data of a 200 that says it is one: a filled ErrorCode says that it is not."""
    if answer.status != _OK:
        raise parse(answer)
    data = body_of(answer)
    code = member(member(data, "ResponseStatus"), "ErrorCode")
    if code.strip() if isinstance(code, str) else code:
        raise undocumented(NAME, answer, code=str(code))
    return data


def _is(record: Wire, customer_id: str, *, missing: bool) -> bool:
    value = member(record, "Id")
    if value is None:
        return missing
    try:
        return parse_uuid(value) == customer_id
    except ValueError:
        return False


def _unreadable(answer: Answer, detail: str | None = None) -> GatewayError:
    log_body(NAME, answer)
    return GatewayError(ANSWER_UNREADABLE, backend=BackendAnswer(NAME, answer.status), detail=detail)


def _token_source(settings: BokameraSettings, upstream: Upstream) -> TokenSource | None:
    """OpenID Connect, the password grant: https://github.com/bokamera/api-examples."""
    if (
        settings.token_url is None
        or settings.client_id is None
        or settings.username is None
        or settings.password is None
    ):
        return None
    secret = settings.password.get_secret_value()
    return TokenSource(
        settings.token_url,
        settings.client_id,
        settings.username,
        secret,
        transport=upstream.transport,
        limits=upstream.limits,
        backend=NAME,
    )


class RestBackend:
    """BokaMera itself, or the sandbox, over HTTP."""

    def __init__(self, settings: BokameraSettings, upstream: Upstream, tokens: TokenSource | None = None) -> None:
        self._upstream = upstream
        self._form: Format = settings.format
        self._own = {} if settings.api_key is None else {"x-api-key": settings.api_key.get_secret_value()}
        self._tokens = tokens or _token_source(settings, upstream)

    async def aclose(self) -> None:
        """Closes the connections to the token endpoint; the upstream belongs to whoever made it."""
        if self._tokens is not None:
            await self._tokens.aclose()

    async def update(self, customer_id: str, company_id: str | None, body: Wire, *, call: Call) -> Wire:
        headers, token = await self._credentials(call)
        if call.simulate is not None and (simulated(call.simulate) or is_fault(call.simulate)):
            # Another API's reason is not for this service: it may be the real one, next to another one's sandbox.
            headers["x-simulate"] = call.simulate
        request = build_update(customer_id, company_id, body, form=self._form, headers=headers)
        with self._dropping(token, call):
            return judge_update(await self._upstream.send(request, call), customer_id)

    async def read(self, customer_id: str, company_id: str | None, *, call: Call) -> Wire | None:
        headers, token = await self._credentials(call)
        request = build_read(customer_id, company_id, form=self._form, headers=headers)
        with self._dropping(token, call):
            return judge_read(await self._upstream.send(request, call), customer_id)

    async def _credentials(self, call: Call) -> tuple[dict[str, str], str | None]:
        """The headers to send, the caller's own in place of the gateway's, and the gateway's token among them.

        A key without a bearer, or a bearer without a key, is sent: whether one suffices is not documented, and the
        service says so itself.
        """
        headers = {**self._own, **call.credentials.get(NAME, {})}
        token = None
        if self._tokens is not None and "authorization" not in headers:
            token = await self._tokens.bearer(call)
            headers["authorization"] = f"Bearer {token}"
        if not headers:
            raise GatewayError(CREDENTIALS_MISSING, backend=BackendAnswer(NAME))
        return headers, token

    @contextmanager
    def _dropping(self, token: str | None, call: Call) -> Iterator[None]:
        """Forgets the gateway's token where it was not taken: the next call fetches a new one, this is not sent again.

        A 401 that says what the user may not do is no word against the token.
        """
        try:
            yield
        except (GatewayError, GatewayErrors) as error:
            faults = error.errors if isinstance(error, GatewayErrors) else (error,)
            refused = [fault for fault in faults if fault.row is NOT_AUTHENTICATED]
            # A simulated refusal says nothing of the token.
            if refused and token is not None and self._tokens is not None and call.simulate is None:
                passing = self._tokens.drop(token, alone=not call.credentials.get(NAME))
                for fault in refused:
                    fault.passing = passing
            raise
