"""The local adapter: BokaMera's documented rules over the store. Raises the rows that the REST client recognises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from app.apis.bokamera.backend import NAME
from app.apis.bokamera.errors import (
    ACTION_NOT_ALLOWED,
    BOOKING_CUSTOMER_NOT_FOUND,
    NOT_AUTHENTICATED,
    OPTIMISTIC_CONCURRENCY,
    simulated,
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
from app.errors import refusal
from app.store.records import Record, Store, VersionConflictError, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.apis.bokamera.settings import BokameraSettings
    from app.call import Call
    from app.wire import Wire

# Only other processes are raced; each lost race is another's progress, so this many in a row do not happen.
_ATTEMPTS = 1000
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. An administrator may do what the page says for the customers of one company."""

    name: str
    administrator_of: str | None


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class LocalBackend:
    """BokaMera as documented, over a store on this machine.

    `defaults` are the credentials of a call that brings none: the demo administrator's in the gateway, none in the
    sandbox. `issued` names the user of a bearer that the sandbox's token endpoint issued.
    """

    def __init__(
        self,
        settings: BokameraSettings,
        store: Store,
        *,
        defaults: bool = True,
        issued: Callable[[str], str | None] = lambda _: None,
        clock: Callable[[], str] = _now,
    ) -> None:
        self._store = store
        self._defaults: dict[str, str] = {}
        if defaults:
            key = API_KEY if settings.api_key is None else settings.api_key.get_secret_value()
            self._defaults = {"x-api-key": key, "authorization": f"Bearer {bearer_of(ADMINISTRATOR)}"}
        self._issued = issued
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def update(self, customer_id: str, company_id: str | None, body: Wire, *, call: Call) -> Wire:
        row = simulated(call.simulate)
        if row is not None:
            raise refusal(row)
        user = await self._user(call)
        # The lock keeps merges of this process from losing the race again and again; the version decides.
        lock = self._locks.setdefault(customer_id, asyncio.Lock())
        async with lock:
            for _ in range(_ATTEMPTS):
                record = await self._store.get(CUSTOMERS, customer_id)
                if record is None:
                    raise refusal(BOOKING_CUSTOMER_NOT_FOUND)
                _check_may_change(user, record, company_id)
                company = await self._company(record)
                document = merged(customer_id, record.document, company, body, self._clock())
                try:
                    await self._store.commit(
                        [Write(CUSTOMERS, Record(customer_id, document, record.owner), record.version)]
                    )
                except VersionConflictError:
                    continue
                return answered(customer_id, document, company)
        raise refusal(OPTIMISTIC_CONCURRENCY)

    async def read(self, customer_id: str, company_id: str | None, *, call: Call) -> Wire | None:
        user = await self._user(call)
        record = await self._store.get(CUSTOMERS, customer_id)
        if record is None:
            return None
        if record.document["Account"] != user.name and user.administrator_of != record.owner:
            # Assumed: the refusal that is documented for the update.
            raise refusal(ACTION_NOT_ALLOWED)
        if company_id is not None and company_id != record.owner:
            return None
        return answered(customer_id, record.document, await self._company(record))

    async def _company(self, record: Record) -> Wire:
        company = await self._store.get(COMPANIES, str(record.owner))
        assert company is not None, "every customer belongs to a company"
        return company.document

    async def _user(self, call: Call) -> User:
        """Both the key and the bearer are needed, the validator IsAuthenticated says. Raises the documented 401."""
        headers = {**self._defaults, **call.credentials.get(NAME, {})}
        bearer = headers.get("authorization", "")
        token = bearer[len(_BEARER) :].strip() if bearer[: len(_BEARER)].casefold() == _BEARER else ""
        key_id, bearer_id = digest(headers.get("x-api-key", "").strip().casefold()), digest(token)
        found = await self._store.get_many([(API_KEYS, key_id), (BEARERS, bearer_id)])
        key = found.get((API_KEYS, key_id))
        fixed = found.get((BEARERS, bearer_id))
        name = fixed.document["User"] if fixed is not None else self._issued(token)
        user = None if name is None else await self._store.get(USERS, name)
        if key is None or not key.document["Active"] or user is None:
            raise refusal(NOT_AUTHENTICATED)
        return User(user.id, user.document["AdministratorOf"])


def _check_may_change(user: User, record: Record, company_id: str | None) -> None:
    """Users change themselves; administrators the customers of their company, until one has an account of its own."""
    account = record.document["Account"]
    if account == user.name:
        if company_id is not None and company_id != record.owner:
            # Assumed: there is no such customer in that company.
            raise refusal(BOOKING_CUSTOMER_NOT_FOUND)
        return
    company = company_id or user.administrator_of
    # Another company's customer, or another company asked for: not the administrator's to change (assumed: this row).
    if (
        account is not None
        or user.administrator_of is None
        or company != user.administrator_of
        or record.owner != company
    ):
        raise refusal(ACTION_NOT_ALLOWED)
