"""The documented rules over the real store: who may, what merges, what is refused and where."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from app.apis.bokamera import API
from app.apis.bokamera.merge import is_email, refused_value
from app.apis.bokamera.seed import API_KEY, COMPANY_1, COMPANY_2, CUSTOMERS
from app.apis.bokamera.settings import BokameraSettings
from app.apis.bokamera.store import BokameraRules, demo_credentials
from app.call import CallContext
from app.errors import GatewayError, GatewayErrors
from app.store.engine import open_store
from app.store.records import VersionConflictError
from app.updates.local import LocalBackend
from tests.apis.bokamera.asking import Bokamera
from tests.harness import fill

NO_ACCOUNT, WITH_ACCOUNT, ELSEWHERE, UNKNOWN = (f"b0000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 9))
KEY_1 = "ba5e0000-0000-4000-8000-000000000001"
KEY_2 = "ba5e0000-0000-4000-8000-000000000002"


def by(bearer, key=API_KEY):
    headers = {"x-api-key": key, "authorization": bearer}
    return CallContext("r", {"bokamera": {name: value for name, value in headers.items() if value is not None}})


def local_over(store, *, defaults=None, **options):
    """The demo administrator's where no credentials are given."""
    if defaults is None:
        defaults = demo_credentials(BokameraSettings())
    return Bokamera(LocalBackend("bokamera", BokameraRules(store, **options), store, defaults))


ADMINISTRATOR = by("Bearer demo-administrator")
USER = by("Bearer demo-user")


@pytest.fixture
async def store(tmp_path):
    await fill(tmp_path / "store.db", (API,))
    store = await open_store(f"sqlite:///{tmp_path}/store.db", API.collections, API.seed())
    yield store
    await store.aclose()


@pytest.fixture
def backend(store):
    ticks = count(1)
    return local_over(store, clock=lambda: f"2026-02-01T00:00:{next(ticks):02}Z")


async def faults(awaitable):
    """(reason, message, place) of each fault."""
    with pytest.raises((GatewayError, GatewayErrors)) as caught:
        await awaitable
    errors = caught.value.errors if isinstance(caught.value, GatewayErrors) else [caught.value]
    assert all(error.outcome == "NOT_APPLIED" for error in errors)
    return [(error.row.reason, error.message, error.input_path) for error in errors]


async def reason(awaitable):
    found = await faults(awaitable)
    return found[0][0]


@pytest.mark.parametrize(
    "call",
    [
        by("Bearer nobody"),
        by("Bearer "),
        by(""),
        by("demo-administrator"),
        by("Basic demo-administrator"),
        by("Bearer demo-administrator", "e0000000-0000-4000-8000-000000000009"),
        by("Bearer demo-administrator", ""),
        by("Bearer \ud800"),
    ],
)
async def test_key_and_bearer_must_both_be_right(backend, call):
    assert await reason(backend.update(NO_ACCOUNT, None, {}, call=call)) == "NOT_AUTHENTICATED"
    assert await reason(backend.read(NO_ACCOUNT, None, call=call)) == "NOT_AUTHENTICATED"


async def test_the_sandbox_has_no_credentials_of_its_own(store):
    backend = local_over(store, defaults={})
    for call in (CallContext("r"), by("Bearer demo-user", None), by(None)):
        assert await reason(backend.update(NO_ACCOUNT, None, {}, call=call)) == "NOT_AUTHENTICATED"


@pytest.mark.parametrize(
    ("call", "customer", "company", "expected"),
    [
        (CallContext("r"), NO_ACCOUNT, None, None),
        (ADMINISTRATOR, NO_ACCOUNT, None, None),
        (ADMINISTRATOR, NO_ACCOUNT, COMPANY_1, None),
        (ADMINISTRATOR, NO_ACCOUNT, COMPANY_2, "ACTION_NOT_ALLOWED"),
        (ADMINISTRATOR, WITH_ACCOUNT, None, "ACTION_NOT_ALLOWED"),
        (ADMINISTRATOR, ELSEWHERE, None, "ACTION_NOT_ALLOWED"),
        (ADMINISTRATOR, ELSEWHERE, COMPANY_2, "ACTION_NOT_ALLOWED"),
        (ADMINISTRATOR, UNKNOWN, None, "BOOKING_CUSTOMER_NOT_FOUND"),
        (USER, WITH_ACCOUNT, None, None),
        (USER, WITH_ACCOUNT, COMPANY_1, None),
        (USER, WITH_ACCOUNT, COMPANY_2, "BOOKING_CUSTOMER_NOT_FOUND"),
        (USER, NO_ACCOUNT, None, "ACTION_NOT_ALLOWED"),
        (USER, NO_ACCOUNT, COMPANY_1, "ACTION_NOT_ALLOWED"),
        (USER, ELSEWHERE, None, "ACTION_NOT_ALLOWED"),
        (USER, UNKNOWN, None, "BOOKING_CUSTOMER_NOT_FOUND"),
    ],
)
async def test_who_may_change_whom(backend, store, call, customer, company, expected):
    before = await store.get(CUSTOMERS, customer)
    update = backend.update(customer, company, {"Email": "new@example.com"}, call=call)
    if expected is None:
        assert (await update)["Email"] == "new@example.com"
        return
    assert await reason(update) == expected
    assert await store.get(CUSTOMERS, customer) == before


@pytest.mark.parametrize(
    ("call", "customer", "company", "expected"),
    [
        (ADMINISTRATOR, NO_ACCOUNT, None, "Anna"),
        (ADMINISTRATOR, WITH_ACCOUNT, None, "Erik"),
        (ADMINISTRATOR, NO_ACCOUNT, COMPANY_2, None),
        (ADMINISTRATOR, UNKNOWN, None, None),
        (USER, WITH_ACCOUNT, None, "Erik"),
        (USER, UNKNOWN, None, None),
    ],
)
async def test_who_may_read_whom(backend, call, customer, company, expected):
    record = await backend.read(customer, company, call=call)
    assert (record and record["Firstname"]) == expected


@pytest.mark.parametrize(("call", "customer"), [(ADMINISTRATOR, ELSEWHERE), (USER, NO_ACCOUNT), (USER, ELSEWHERE)])
async def test_a_record_without_access_is_forbidden_to_read(backend, call, customer):
    assert await reason(backend.read(customer, None, call=call)) == "ACTION_NOT_ALLOWED"


async def test_what_is_left_out_stays_and_empty_clears(backend):
    before = await backend.read(NO_ACCOUNT, None, call=ADMINISTRATOR)
    body = {
        "Firstname": "Åsa",
        "Lastname": "",
        "Email": "",
        "SubscribedToNewsletter": True,
        "InvoiceAddress": {"InvoiceCity": "Malmö", "InvoicePostalCode": ""},
        "CustomFields": [{"Id": 2, "Value": "Ås"}, {"Id": 4, "Value": ""}, {"Id": 1}],
    }
    answer = await backend.update(NO_ACCOUNT, None, body, call=ADMINISTRATOR)
    assert answer == {
        **before,
        "Firstname": "Åsa",
        "Lastname": "",
        "Email": "",
        "SubscribedToNewsletter": True,
        "InvoiceAddress": {**before["InvoiceAddress"], "InvoiceCity": "Malmö", "InvoicePostalCode": ""},
        "CustomFieldValues": answer["CustomFieldValues"],
        "Updated": "2026-02-01T00:00:01Z",
    }
    values = {item["Id"]: item["Value"] for item in answer["CustomFieldValues"]}
    assert values == {1: "Bring a towel", 2: "Ås", 4: ""}
    assert answer["Created"] == before["Created"]
    assert answer["ResponseStatus"] == {}
    assert await backend.read(NO_ACCOUNT, None, call=ADMINISTRATOR) == answer


async def test_an_empty_update_changes_the_time_alone(backend):
    before = await backend.read(NO_ACCOUNT, None, call=ADMINISTRATOR)
    after = await backend.update(NO_ACCOUNT, None, {}, call=ADMINISTRATOR)
    assert after == {**before, "Updated": after["Updated"]}


async def test_all_faults_are_reported_at_once_in_the_requests_order(backend, store):
    before = await store.get(CUSTOMERS, NO_ACCOUNT)
    body = {
        "Firstname": "never stored",
        "Email": "nobody",
        "CustomFields": [
            {"Id": 1, "Value": ""},
            {"Id": 2, "Value": "x" * 21},
            {"Id": 3, "Value": "12345"},
            {"Id": 4, "Value": "huge"},
            {"Id": 5, "Value": "x"},
            {"Value": "x"},
            {"Id": 2, "Value": "fine"},
        ],
        "AccessKeys": [
            {},
            {"Id": KEY_2, "Value": "x"},
            {"Id": KEY_1, "Value": "", "AccessKeyTypeId": 3},
            {"AccessKeyTypeId": 1, "Value": "x", "CompanyId": COMPANY_2, "CustomerId": WITH_ACCOUNT},
        ],
        "AccessKeysToDelete": [{"Id": KEY_2}, {}],
    }
    assert await faults(backend.update(NO_ACCOUNT, None, body, call=ADMINISTRATOR)) == [
        ("FIELD_EMAIL_INVALID", "'Email' is not a valid email address.", ("input", "email")),
        ("FIELD_EMPTY", "Please tell us what we should know about you.", ("input", "customFields", 0, "value")),
        ("FIELD_LENGTH_INVALID", "'Nickname' must be at most 20 characters.", ("input", "customFields", 1, "value")),
        ("FIELD_FORMAT_INVALID", "The pin must be four digits.", ("input", "customFields", 2, "value")),
        ("FIELD_CONDITION_FAILED", "'Shirt size' must be one of its values.", ("input", "customFields", 3, "value")),
        ("FIELD_CONDITION_FAILED", "The custom field does not exist.", ("input", "customFields", 4, "id")),
        ("FIELD_CONDITION_FAILED", "The custom field does not exist.", ("input", "customFields", 5, "id")),
        (
            "FIELD_CONDITION_FAILED",
            "The access key type does not exist.",
            ("input", "accessKeys", 0, "accessKeyTypeId"),
        ),
        ("FIELD_EMPTY", "'Value' must not be empty.", ("input", "accessKeys", 0, "value")),
        ("FIELD_CONDITION_FAILED", "The access key does not exist.", ("input", "accessKeys", 1, "id")),
        (
            "FIELD_CONDITION_FAILED",
            "The access key type does not exist.",
            ("input", "accessKeys", 2, "accessKeyTypeId"),
        ),
        ("FIELD_EMPTY", "'Value' must not be empty.", ("input", "accessKeys", 2, "value")),
        ("FIELD_CONDITION_FAILED", "'CompanyId' must be the customer's own.", ("input", "accessKeys", 3, "companyId")),
        (
            "FIELD_CONDITION_FAILED",
            "'CustomerId' must be the customer's own.",
            ("input", "accessKeys", 3, "customerId"),
        ),
        ("FIELD_CONDITION_FAILED", "The access key does not exist.", ("input", "accessKeysToDelete", 0, "id")),
        ("FIELD_CONDITION_FAILED", "The access key does not exist.", ("input", "accessKeysToDelete", 1, "id")),
    ]
    assert await store.get(CUSTOMERS, NO_ACCOUNT) == before


async def test_access_keys_are_created_changed_and_deleted(backend):
    first = await backend.update(
        NO_ACCOUNT, None, {"AccessKeys": [{"AccessKeyTypeId": 2, "Value": "new"}]}, call=ADMINISTRATOR
    )
    old, new = first["AccessKeys"]
    assert new == {
        "Id": new["Id"],
        "CompanyId": COMPANY_1,
        "CustomerId": NO_ACCOUNT,
        "AccessKeyTypeId": 2,
        "Value": "new",
    }
    body = {
        "AccessKeys": [{"Id": new["Id"], "Description": "Back door", "CompanyId": COMPANY_1, "CustomerId": NO_ACCOUNT}],
        "AccessKeysToDelete": [{"Id": old["Id"]}],
    }
    second = await backend.update(NO_ACCOUNT, None, body, call=ADMINISTRATOR)
    assert second["AccessKeys"] == [{**new, "Description": "Back door"}]


async def test_a_key_is_not_changed_and_deleted_at_once(backend):
    body = {"AccessKeys": [{"Id": KEY_1, "Value": "x"}], "AccessKeysToDelete": [{"Id": KEY_1}]}
    assert await faults(backend.update(NO_ACCOUNT, None, body, call=ADMINISTRATOR)) == [
        ("FIELD_CONDITION_FAILED", "The access key is also to be deleted.", ("input", "accessKeys", 0, "id"))
    ]


async def test_a_simulated_row_is_answered_before_anything_is_looked_at(backend, store):
    before = await store.get(CUSTOMERS, NO_ACCOUNT)
    call = CallContext("r", {"bokamera": {"x-api-key": "wrong"}}, simulate="FIELD_EMPTY")
    assert await reason(backend.update(NO_ACCOUNT, None, {"Firstname": "x"}, call=call)) == "FIELD_EMPTY"
    assert await store.get(CUSTOMERS, NO_ACCOUNT) == before
    other = CallContext("r", simulate="ANOTHER_APIS_REASON")
    assert (await backend.update(NO_ACCOUNT, None, {"Firstname": "x"}, call=other))["Firstname"] == "x"


async def test_merges_of_one_record_run_one_after_another(store):
    backends = [local_over(store) for _ in range(2)]
    bodies = [{"AccessKeys": [{"AccessKeyTypeId": 1, "Value": f"v{n}"}]} for n in range(30)]
    await asyncio.gather(
        *(backends[n % 2].update(NO_ACCOUNT, None, body, call=ADMINISTRATOR) for n, body in enumerate(bodies))
    )
    record = await backends[0].read(NO_ACCOUNT, None, call=ADMINISTRATOR)
    assert {key["Value"] for key in record["AccessKeys"]} == {"1001", *(f"v{n}" for n in range(30))}


class AlwaysLate:
    """A store in which another process is always first."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, writes, *, deadline, also=()):  # noqa: ARG002 - the port's
        raise VersionConflictError(writes[0])


async def test_a_merge_that_never_wins_says_so(store):
    backend = local_over(AlwaysLate(store))
    assert await reason(backend.update(NO_ACCOUNT, None, {}, call=ADMINISTRATOR)) == "OPTIMISTIC_CONCURRENCY"


class Slow:
    """A store whose commits wait until they are let go."""

    def __init__(self, store):
        self._store = store
        self.waiting = asyncio.Event()
        self.go = asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, writes, *, deadline, also=()):  # noqa: ARG002 - the port's
        self.waiting.set()
        await self.go.wait()
        await self._store.commit(writes)


async def test_a_deadline_holds_for_the_wait_too_and_nothing_is_written(store):
    slow = Slow(store)
    backend = local_over(slow)
    first = asyncio.create_task(backend.update(NO_ACCOUNT, None, {"Firstname": "first"}, call=ADMINISTRATOR))
    await slow.waiting.wait()
    late = CallContext("r", deadline=asyncio.get_running_loop().time())
    assert await reason(backend.update(NO_ACCOUNT, None, {"Lastname": "late"}, call=late)) == "DEADLINE_BEFORE_SENDING"
    slow.go.set()
    assert (await first)["Lastname"] == "Svensson"
    assert (await backend.update(NO_ACCOUNT, None, {}, call=ADMINISTRATOR))["Firstname"] == "first"


async def test_no_secret_is_stored_in_the_clear(tmp_path, backend):
    await backend.update(NO_ACCOUNT, None, {"Firstname": "stored-name"}, call=ADMINISTRATOR)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"stored-name" in content
    assert not any(secret in content for secret in (b"demo-administrator", b"demo-user", API_KEY.encode()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a@b", True), ("å@ä.example", True), ("a@b@c", False), ("@b", False), ("a@", False), ("a", False), ("@", False)],
)
def test_an_email_address_has_one_at_inside(text, expected):
    assert is_email(text) is expected


FIELD = {"Name": "F", "IsMandatory": False, "MaxLength": 0, "DataType": "TextBox", "Values": []}


@pytest.mark.parametrize(
    ("members", "value", "expected"),
    [
        ({}, "x" * 10_000, None),
        ({"IsMandatory": True}, "", "'F' must not be empty."),
        ({"MaxLength": 4}, "🙂🙂", None),
        ({"MaxLength": 4}, "🙂🙂x", "'F' must be at most 4 characters."),
        ({"MaxLength": 4}, "", None),
        ({"RegEx": "^[0-9]{4}$"}, "1234", None),
        ({"RegEx": "^[0-9]{4}$"}, "1234\n", "'F' is not in the correct format."),
        ({"RegEx": "^[0-9]{4}$"}, "١٢٣٤", "'F' is not in the correct format."),
        ({"RegEx": ".*"}, "x" * 5000, "'F' is not in the correct format."),
        ({"RegEx": "x"}, "", None),
        ({"DataType": "DropDown", "Values": [{"Value": "a"}]}, "a", None),
        ({"DataType": "DropDown", "Values": [{"Value": "a"}]}, "A", "'F' must be one of its values."),
        ({"DataType": "DropDown", "Values": []}, "", None),
    ],
)
def test_a_custom_fields_checks(members, value, expected):
    refused = refused_value(FIELD | members, value)
    assert (refused and refused[1]) == expected
