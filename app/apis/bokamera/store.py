"""The local adapter: BokaMera's documented rules over the store. Raises the rows that the REST client recognises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from msgspec import Struct
from msgspec.structs import replace

from app.apis.bokamera.errors import (
    ACTION_NOT_ALLOWED,
    BOOKING_CUSTOMER_NOT_FOUND,
    NAME,
    NOT_AUTHENTICATED,
    OPTIMISTIC_CONCURRENCY,
)
from app.apis.bokamera.merge import answered, merged
from app.apis.bokamera.seed import (
    ADMINISTRATOR,
    API_KEY,
    API_KEYS,
    BEARERS,
    COMPANIES,
    CUSTOMERS,
    USERS,
    bearer_of,
    digest,
)
from app.errors import ANSWER_TIMED_OUT, DEADLINE_BEFORE_SENDING, BackendDetails, GatewayError, refusal
from app.mapping.wire import Wire
from app.store.records import Record, Selection, Store, VersionConflictError, Write, until
from app.updates.listing import ListPage, ListRequest
from app.updates.local import LocalCall, page_of
from app.updates.resource import Options, Resource, UpdateRequest

if TYPE_CHECKING:
    from app.apis.bokamera.settings import BokameraSettings

# Only other processes compete, and each lost race is another's progress: this many in a row do not happen.
_ATTEMPTS = 1000
_BEARER = "bearer "


class User(Struct, frozen=True):
    """The caller. An administrator may change the customers of one company, as the page says."""

    name: str
    administrator_of: str | None


class _Facts(Struct, frozen=True):
    user: User
    record: Record | None
    company: Wire


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def demo_credentials(settings: BokameraSettings) -> dict[str, str]:
    """The demo administrator's credentials, where neither the caller nor the settings have any."""
    key = API_KEY if settings.api_key is None else settings.api_key.get_secret_value()
    return {"x-api-key": key, "authorization": f"Bearer {bearer_of(ADMINISTRATOR)}"}


class BokameraRules:
    """BokaMera as documented, over a local store.

    `issued` names the user of a bearer that the sandbox's token endpoint issued.
    """

    def __init__(
        self, store: Store, *, issued: Callable[[str], str | None] = lambda _: None, clock: Callable[[], str] = _now
    ) -> None:
        self._store = store
        self._issued = issued
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def update(self, request: UpdateRequest, call: LocalCall) -> Wire:
        customer_id, company_id = request.id, request.options.get("company_id")
        # The lock keeps this process's merges from losing the race again and again. The version decides.
        lock = self._locks.setdefault(customer_id, asyncio.Lock())
        await _acquired(lock, call)
        try:
            for _ in range(_ATTEMPTS):
                async with until(call.deadline):
                    facts = await self._facts(customer_id, call)
                record = facts.record
                if record is None:
                    raise refusal(BOOKING_CUSTOMER_NOT_FOUND)
                _check_may_change(facts.user, record, company_id)
                document = merged(customer_id, record.document, facts.company, request.body, self._clock())
                change = Write(CUSTOMERS, Record(customer_id, document, record.owner), record.version)
                try:
                    await call.commit([change])
                except VersionConflictError:
                    continue
                return answered(customer_id, document, facts.company)
        finally:
            lock.release()
        raise refusal(OPTIMISTIC_CONCURRENCY)

    async def read(self, _resource: Resource, customer_id: str, options: Options, call: LocalCall) -> Wire | None:
        company_id = options.get("company_id")
        async with until(call.deadline, ANSWER_TIMED_OUT):
            facts = await self._facts(customer_id, call)
        record = facts.record
        if record is None:
            return None
        if record.document["Account"] != facts.user.name and facts.user.administrator_of != record.owner:
            # Assumed: the refusal that the update documents.
            raise refusal(ACTION_NOT_ALLOWED)
        if company_id is not None and company_id != record.owner:
            return None
        return answered(customer_id, record.document, facts.company)

    async def page(self, request: ListRequest, call: LocalCall) -> ListPage:
        """Administrators see their company's customers; assumed: other users see those with their account."""
        company_id = request.arguments.get("company_id")
        async with until(call.deadline, ANSWER_TIMED_OUT):
            user = (await self._facts("", call)).user
            if user.administrator_of is None:
                selection = Selection(company_id, any_owner=company_id is None, match=user.name)
            elif company_id is None or company_id == user.administrator_of:
                selection = Selection(user.administrator_of)
            else:
                raise refusal(ACTION_NOT_ALLOWED, input_path=("companyId",))
            selection = replace(selection, search=request.arguments.get("search"))
            page = await page_of(self._store, CUSTOMERS, selection, request, lambda record: record)
            companies = await self._store.get_many((COMPANIES, str(record.owner)) for record in page.items)
        items = [
            answered(record.id, record.document, companies[COMPANIES, str(record.owner)].document)
            for record in page.items
        ]
        return replace(page, items=items)

    async def _facts(self, customer_id: str, call: LocalCall) -> _Facts:
        """The user, the customer and the company of a call, in two look-ups.

        Both the key and the bearer are needed, as the validator IsAuthenticated says. Raises the documented 401.
        """
        headers = call.headers
        bearer = headers.get("authorization", "")
        token = bearer[len(_BEARER) :].strip() if bearer[: len(_BEARER)].casefold() == _BEARER else ""
        key_id, bearer_id = digest(headers.get("x-api-key", "").strip().casefold()), digest(token)
        records = await self._store.get_many([(API_KEYS, key_id), (BEARERS, bearer_id), (CUSTOMERS, customer_id)])
        key, fixed = records.get((API_KEYS, key_id)), records.get((BEARERS, bearer_id))
        record = records.get((CUSTOMERS, customer_id))
        name = fixed.document["User"] if fixed is not None else self._issued(token)
        if key is None or not key.document["Active"] or name is None:
            raise refusal(NOT_AUTHENTICATED)
        keys = [(USERS, name)] if record is None else [(USERS, name), (COMPANIES, str(record.owner))]
        more = await self._store.get_many(keys)
        user = more.get((USERS, name))
        if user is None:
            raise refusal(NOT_AUTHENTICATED)
        company = {} if record is None else more[COMPANIES, str(record.owner)].document
        return _Facts(User(user.id, user.document["AdministratorOf"]), record, company)


async def _acquired(lock: asyncio.Lock, call: LocalCall) -> None:
    try:
        async with asyncio.timeout_at(call.deadline):
            await lock.acquire()
    except TimeoutError:
        raise GatewayError(DEADLINE_BEFORE_SENDING, backend=BackendDetails(NAME)) from None


def _check_may_change(user: User, record: Record, company_id: str | None) -> None:
    """Users may change themselves; administrators their company's customers that have no account of their own."""
    account = record.document["Account"]
    if account == user.name:
        if company_id is not None and company_id != record.owner:
            # Assumed: that company has no such customer.
            raise refusal(BOOKING_CUSTOMER_NOT_FOUND)
        return
    company = company_id or user.administrator_of
    # Another company's customer, or another company requested: the administrator may not change it (assumed: this row).
    if (
        account is not None
        or user.administrator_of is None
        or company != user.administrator_of
        or record.owner != company
    ):
        raise refusal(ACTION_NOT_ALLOWED)
