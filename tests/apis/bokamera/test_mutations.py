"""The mutation and the query through the whole gateway: local, and REST against the sandbox in JSON and in JSV."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from app.apis import APIS
from app.apis.bokamera.errors import ROWS
from app.apis.bokamera.proof import proves, shows
from app.apis.bokamera.settings import BokameraSettings, rest
from app.call import CallContext
from app.errors import GatewayError
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.updates.proof import Read
from app.upstream.upstream import Upstream
from tests.apis.bokamera.asking import booking_customer
from tests.harness import gateway as open_gateway
from tests.harness import schema_of
from tests.switch import COMPILED

NO_ACCOUNT, WITH_ACCOUNT, ELSEWHERE, UNKNOWN = (f"b0000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3, 9))
KEY = "ba5e0000-0000-4000-8000-000000000001"
USER = {"bokamera": {"authorization": "Bearer demo-user"}}
RECORD = """
  id firstname lastname email phone imageUrl updated created subscribedToNewsletter
  customFields { id name description width dataType defaultValue isMandatory mandatoryErrorMessage maxLength
    multipleLineText regEx regExErrorMessage values { value } }
  customFieldValues { id column name description value dataType }
  comments { id customerId comments updated created imageUrl }
  accessKeys { id companyId accessKeyTypeId value customerId description }
  invoiceAddress { corporateIdentityNumber invoiceAddress1 invoiceAddress2 invoiceCity
    invoicePostalCode invoiceCountryCode }
"""
UPDATE = (
    "mutation ($id: UUID!, $companyId: UUID, $input: UpdateBookingCustomerInput!) {"
    f" updateBookingCustomer(id: $id, companyId: $companyId, input: $input) {{ bookingCustomer {{ {RECORD} }} }} }}"
)
READ = f"query ($id: UUID!, $companyId: UUID) {{ bookingCustomer(id: $id, companyId: $companyId) {{ {RECORD} }} }}"


@pytest.fixture(params=["local", "rest-json", "rest-jsv"])
async def gateway(request, tmp_path):
    wiring = "local" if request.param == "local" else "sandbox-in-process"
    extra = {"GATEWAY_BOKAMERA_FORMAT": "jsv"} if request.param == "rest-jsv" else {}
    async with open_gateway(wiring, tmp_path, APIS, extra) as opened:
        yield opened


async def update(gateway, input_, id_=NO_ACCOUNT, **kwargs):
    return await gateway.execute(UPDATE, {"id": id_, "input": input_}, **kwargs)


def puts(gateway):
    return gateway.transports["bokamera"].count("PUT") if gateway.transports else None


FULL = {
    "firstname": "Åsa 🙂",
    "lastname": "",
    "phone": "a:b,{c}[d]\"e'f\\n",
    "email": "ny@example.com",
    "customFields": [{"id": 1, "value": "x\ny"}, {"id": 3, "value": "0042"}, {"id": 4, "value": "large"}],
    "accessKeys": [{"id": KEY, "description": " padded "}, {"accessKeyTypeId": 2, "value": "new\t"}],
    "accessKeysToDelete": [],
    "subscribedToNewsletter": True,
    "invoiceAddress": {"invoiceCity": "Malmö", "invoiceAddress2": "x" * 10_000},
}


async def test_an_update_answers_the_record_and_a_query_agrees(gateway):
    body = await update(gateway, FULL)
    record = body["data"]["updateBookingCustomer"]["bookingCustomer"]
    assert "errors" not in body
    given = {name: FULL[name] for name in ("firstname", "lastname", "phone", "email", "subscribedToNewsletter")}
    assert {name: record[name] for name in given} == given
    assert {item["id"]: item["value"] for item in record["customFieldValues"]} == {1: "x\ny", 3: "0042", 4: "large"}
    assert [key["value"] for key in record["accessKeys"]] == ["1001", "new\t"]
    assert record["accessKeys"][0]["description"] == " padded "
    assert record["invoiceAddress"]["invoiceCity"] == "Malmö"
    assert record["invoiceAddress"]["invoiceAddress1"] == "Storgatan 1"
    assert record["invoiceAddress"]["invoiceAddress2"] == "x" * 10_000
    assert [field["regEx"] for field in record["customFields"]] == [None, None, "^[0-9]{4}$", None]
    assert record["customFields"][3]["values"] == [{"value": size} for size in ("small", "medium", "large")]
    assert record["created"] == "2026-01-15T10:00:00Z" < record["updated"]
    assert puts(gateway) in {None, 1}
    read = await gateway.execute(READ, {"id": NO_ACCOUNT})
    assert read == {"data": {"bookingCustomer": record}}


async def test_every_wiring_answers_the_same(tmp_path):
    answers = []
    for wiring, form in (("local", "json"), ("sandbox-in-process", "json"), ("sandbox-in-process", "jsv")):
        folder = tmp_path / f"{wiring}-{form}"
        folder.mkdir()
        async with open_gateway(wiring, folder, APIS, {"GATEWAY_BOKAMERA_FORMAT": form}) as opened:
            bodies = [await update(opened, FULL), await update(opened, {"email": "no", "customFields": [{"id": 9}]})]
            text = repr(bodies)
        text = re.sub(r"'updated': '2026-(?!01-15)[^']*'|'updated': '20(?!26-01-15)[^']*'", "'updated': NOW", text)
        created = bodies[0]["data"]["updateBookingCustomer"]["bookingCustomer"]["accessKeys"][1]["id"]
        answers.append(text.replace(created, "NEW"))
    assert answers[0] == answers[1] == answers[2]
    assert "FIELD_EMAIL_INVALID" in answers[0]


async def test_null_is_refused_by_field_and_nothing_is_sent(gateway):
    nulls = {
        "firstname": None,
        "phone": "kept",
        "customFields": [{"id": 1, "value": "x"}, {"id": None, "value": None}],
        "accessKeysToDelete": None,
        "invoiceAddress": {"invoiceCity": None},
    }
    body = await update(gateway, nulls)
    assert body["data"] == {"updateBookingCustomer": None}
    assert [error["extensions"]["input"]["path"] for error in body["errors"]] == [
        ["input", "firstname"],
        ["input", "customFields", 1, "id"],
        ["input", "customFields", 1, "value"],
        ["input", "accessKeysToDelete"],
        ["input", "invoiceAddress", "invoiceCity"],
    ]
    for error in body["errors"]:
        assert error["path"] == ["updateBookingCustomer"]
        extensions = error["extensions"]
        assert (extensions["code"], extensions["reason"]) == ("BAD_USER_INPUT", "NULL_NOT_SUPPORTED")
        assert (extensions["outcome"], extensions["retry"]) == ("NOT_APPLIED", {"safe": False})
    assert body["errors"][2]["message"].startswith("input.customFields[1].value is null. ")
    assert puts(gateway) in {None, 0}
    read = await gateway.execute(READ, {"id": NO_ACCOUNT})
    assert read["data"]["bookingCustomer"]["phone"] != "kept"


async def test_a_null_company_is_left_out(gateway):
    variables = {"id": NO_ACCOUNT, "companyId": None, "input": {"firstname": "x"}}
    assert "errors" not in await gateway.execute(UPDATE, variables)
    if gateway.transports:
        assert not gateway.transports["bokamera"].requests[-1].url.query


async def test_half_a_surrogate_pair_is_refused_by_field(gateway):
    literal = (
        f'mutation {{ updateBookingCustomer(id: "{NO_ACCOUNT}", input: {{invoiceAddress: {{invoiceCity: "\\uD83D"}}}})'
        " { bookingCustomer { id } } }"
    )
    body = await gateway.execute(literal)
    assert body["errors"]
    assert "APPLIED" not in {error["extensions"].get("outcome") for error in body["errors"]}
    assert puts(gateway) in {None, 0}


async def test_faults_are_one_error_each_in_order(gateway):
    body = await update(
        gateway, {"email": "nobody", "customFields": [{"id": 4, "value": "huge"}, {"id": 1, "value": ""}]}
    )
    assert body["data"] == {"updateBookingCustomer": None}
    assert [(error["path"], error["message"], error["extensions"]) for error in body["errors"]] == [
        (
            ["updateBookingCustomer"],
            message,
            {
                "code": "BAD_USER_INPUT",
                "reason": reason,
                "backend": {"name": "bokamera", "status": 400, "code": code, "message": message},
                "input": {"path": path},
                "outcome": "NOT_APPLIED",
                "retry": {"safe": False},
                "requestId": "test-request",
            },
        )
        for reason, code, message, path in (
            ("FIELD_EMAIL_INVALID", "Email", "'Email' is not a valid email address.", ["input", "email"]),
            (
                "FIELD_CONDITION_FAILED",
                "Predicate",
                "'Shirt size' must be one of its values.",
                ["input", "customFields", 0, "value"],
            ),
            (
                "FIELD_EMPTY",
                "NotEmpty",
                "Please tell us what we should know about you.",
                ["input", "customFields", 1, "value"],
            ),
        )
    ]


@pytest.mark.parametrize(
    ("id_", "credentials", "code", "reason", "status"),
    [
        (UNKNOWN, None, "NOT_FOUND", "BOOKING_CUSTOMER_NOT_FOUND", 404),
        (ELSEWHERE, None, "FORBIDDEN", "ACTION_NOT_ALLOWED", 401),
        (WITH_ACCOUNT, None, "FORBIDDEN", "ACTION_NOT_ALLOWED", 401),
        (NO_ACCOUNT, USER, "FORBIDDEN", "ACTION_NOT_ALLOWED", 401),
        (NO_ACCOUNT, {"bokamera": {"authorization": "Bearer x"}}, "UNAUTHENTICATED", "NOT_AUTHENTICATED", 401),
        (NO_ACCOUNT, {"bokamera": {"x-api-key": "x"}}, "UNAUTHENTICATED", "NOT_AUTHENTICATED", 401),
    ],
)
async def test_refusals(gateway, id_, credentials, code, reason, status):
    body = await update(gateway, {"firstname": "x"}, id_, credentials=credentials)
    (error,) = body["errors"]
    extensions = error["extensions"]
    assert (extensions["code"], extensions["reason"], extensions["backend"]["status"]) == (code, reason, status)
    assert (extensions["outcome"], extensions["retry"]) == ("NOT_APPLIED", {"safe": False})


async def test_only_the_user_changes_a_record_with_an_account(gateway):
    body = await update(gateway, {"email": "mine@example.com"}, WITH_ACCOUNT, credentials=USER)
    assert body["data"]["updateBookingCustomer"]["bookingCustomer"]["email"] == "mine@example.com"


async def test_an_unknown_id_is_null_in_a_query(gateway):
    assert await gateway.execute(READ, {"id": UNKNOWN}) == {"data": {"bookingCustomer": None}}


async def test_a_customer_without_access_is_forbidden_in_a_query(gateway):
    error = await gateway.error(READ, {"id": ELSEWHERE})
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert not {"outcome", "retry"} & set(error["extensions"])


async def test_every_row_can_be_simulated(gateway):
    for row in ROWS:
        body = await update(gateway, {"firstname": "x"}, simulate=row.reason)
        (error,) = body["errors"]
        extensions = error["extensions"]
        assert (extensions["reason"], extensions["code"], error["message"]) == (row.reason, row.code, row.text)
        assert extensions["backend"]["status"] == row.http_status
        assert extensions["outcome"] == "NOT_APPLIED"


async def test_entities_are_resolved_by_id(gateway):
    query = "query ($r: [_Any!]!) { _entities(representations: $r) { ... on BookingCustomer { firstname } } }"
    representations = [
        {"__typename": "BookingCustomer", "id": id_} for id_ in (NO_ACCOUNT.upper(), UNKNOWN, "no uuid", WITH_ACCOUNT)
    ]
    body = await gateway.execute(query, {"r": representations})
    assert body["data"]["_entities"] == [{"firstname": "Anna"}, None, None, {"firstname": "Erik"}]
    (error,) = body["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["_entities", 2], "BAD_USER_INPUT")


BODY = {
    "Firstname": "Anna",
    "Email": "",
    "SubscribedToNewsletter": False,
    "CustomFields": [{"Id": 1, "Value": "old"}, {"Id": 1, "Value": "x"}, {"Id": 2}],
    "AccessKeys": [{"Id": KEY, "Value": "v"}],
    "AccessKeysToDelete": [{"Id": UNKNOWN}],
    "InvoiceAddress": {"InvoiceCity": "Malmö"},
}
SHOWN = {
    "Firstname": "Anna",
    "CustomFieldValues": [{"Id": 1, "Value": "x"}],
    "AccessKeys": [{"Id": KEY, "Value": "v", "Description": "d"}],
    "InvoiceAddress": {"InvoiceCity": "Malmö", "InvoiceAddress1": "a"},
}


SENT_AT = datetime(2026, 1, 15, 10, tzinfo=UTC).timestamp()
LATER = "2026-01-15T10:00:05Z"


def proof(body, data, *, ahead=0.0):
    return proves(body, Read(booking_customer(data, NO_ACCOUNT), data, SENT_AT, ahead)).name


def test_a_record_that_shows_every_member_and_was_changed_since_proves_the_update():
    assert proof(BODY, SHOWN | {"Updated": LATER}) == "WHOLE"
    assert proof(BODY, SHOWN | {"Updated": LATER, "Firstname": "Other"}) == "DIFFERS"


@pytest.mark.parametrize(
    ("updated", "ahead", "expected"),
    [
        (LATER, 0.0, "WHOLE"),
        ("2026-01-15T11:00:05+01:00", 0.0, "WHOLE"),
        ("2026-01-15T10:00:01.5Z", 0.0, "WHOLE"),
        ("2026-01-15T10:00:01.0000001Z", 0.0, "SAME"),
        ("2026-01-15T10:00:01Z", 0.0, "SAME"),
        ("2026-01-15T10:00:00Z", 0.0, "SAME"),
        ("2020-01-15T10:00:00Z", 0.0, "SAME"),
        ("2026-01-15T10:00:05", 0.0, "SAME"),
        ("2026-01-15", 0.0, "SAME"),
        (f"/Date({int(SENT_AT) + 5}000+0000)/", 0.0, "WHOLE"),
        (f"/Date({int(SENT_AT) + 5}000)/", 0.0, "SAME"),
        ("", 0.0, "SAME"),
        (None, 0.0, "SAME"),
        (5, 0.0, "SAME"),
        # By the backend's clock: an hour ahead, an hour behind, not known.
        (LATER, 3600.0, "SAME"),
        ("2026-01-15T11:00:05Z", 3600.0, "WHOLE"),
        ("2026-01-15T09:00:05Z", -3600.0, "WHOLE"),
        (LATER, None, "SAME"),
    ],
)
def test_only_a_later_time_with_an_offset_proves_anything(updated, ahead, expected):
    assert proof({"Firstname": "Anna"}, SHOWN | {"Updated": updated}, ahead=ahead) == expected
    assert proof({"Firstname": "Anna"}, SHOWN, ahead=ahead) == "SAME"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"CustomFields": []},
        {"CustomFields": [{}, {"Id": 1}]},
        {"AccessKeys": []},
        {"AccessKeysToDelete": []},
        {"InvoiceAddress": {}},
        {"AccessKeys": [{"Id": KEY}]},
        # Whose key it is that is there now cannot be told.
        {"AccessKeys": [{"Value": "new"}]},
        {"Firstname": "Anna", "AccessKeys": [{"Value": "v", "AccessKeyTypeId": 1}]},
    ],
    ids=repr,
)
def test_what_a_read_cannot_show_is_not_proven(body):
    assert proof(body, SHOWN | {"Updated": LATER}) == "SAME"


@pytest.mark.parametrize(
    "member", ["Firstname", "Email", "SubscribedToNewsletter", "CustomFieldValues", "AccessKeys", "InvoiceAddress"]
)
def test_a_needed_member_that_cannot_be_read_is_told_as_such(member):
    with pytest.raises(GatewayError):
        proof(BODY, SHOWN | {"Updated": LATER, member: [{"Id": {}}] if member.endswith("s") else [1]})
    assert proof({"Lastname": ""}, SHOWN | {"Updated": LATER, member: 12.5}) == "WHOLE"


@pytest.mark.parametrize(
    "difference",
    [
        {"Firstname": "Other"},
        {"Email": "old@example.com"},
        {"SubscribedToNewsletter": True},
        {"CustomFieldValues": [{"Id": 1, "Value": "old"}]},
        {"CustomFieldValues": None},
        {"AccessKeys": []},
        {"AccessKeys": [{"Id": KEY, "Value": "old"}]},
        {"AccessKeys": [{"Id": KEY, "Value": "v"}, {"Id": UNKNOWN}]},
        {"InvoiceAddress": None},
        {"InvoiceAddress": {"InvoiceCity": "Lund"}},
    ],
)
def test_any_difference_proves_nothing(difference):
    assert not shows(BODY, booking_customer(SHOWN | difference, NO_ACCOUNT))


@pytest.mark.parametrize("read", [{"Firstname": "Anna"}, {"Firstname": "Anna", "AccessKeys": None}])
def test_a_record_without_any_keys_does_not_show_that_one_is_gone(read):
    body = {"Firstname": "Anna", "AccessKeysToDelete": [{"Id": UNKNOWN}]}
    assert not shows(body, booking_customer(read, NO_ACCOUNT))
    assert shows(body, booking_customer(read | {"AccessKeys": []}, NO_ACCOUNT))


@pytest.mark.parametrize("fault", ["HTML-500", "RESET", "204-WITH-BODY"])
@pytest.mark.parametrize("form", ["json", "jsv"])
async def test_a_lost_answer_is_proven_or_stays_unknown(tmp_path, fault, form):
    async with open_gateway("sandbox-in-process", tmp_path, APIS, {"GATEWAY_BOKAMERA_FORMAT": form}) as opened:
        await update(opened, {"firstname": "Anna"})
        for input_, read_back in (
            ({"firstname": "Anna"}, "SAME"),
            ({"firstname": "Other"}, "DIFFERS"),
            ({"accessKeys": [{"accessKeyTypeId": 1, "value": "x"}]}, "SAME"),
        ):
            (error,) = (await update(opened, input_, simulate=fault))["errors"]
            assert (error["extensions"]["code"], error["extensions"]["readBack"]) == ("BACKEND_ERROR", read_back)
            assert (error["extensions"]["outcome"], error["extensions"]["retry"]) == ("UNKNOWN", {"safe": False})
        assert opened.transports["bokamera"].count("PUT") == 4


class Service:
    """A BokaMera that loses the answer to a PUT with several faults, and holds one customer."""

    def __init__(self, firstname):
        self.firstname = firstname
        self.methods = []

    def __call__(self, request):
        self.methods.append(request.method)
        if request.method == "GET":
            # The service's clock is an hour behind, and the update took five seconds.
            now = datetime.now(UTC) - timedelta(hours=1)
            record = {
                "Id": NO_ACCOUNT,
                "Firstname": self.firstname,
                "Updated": (now + timedelta(seconds=5)).isoformat(),
            }
            return httpx.Response(200, json=[record], headers={"date": format_datetime(now, usegmt=True)})
        faults = [{"ErrorCode": code, "FieldName": "Firstname", "Message": "secret"} for code in ("A", "B")]
        return httpx.Response(500, json={"ResponseStatus": {"ErrorCode": "A", "Errors": faults}})


@pytest.mark.parametrize(("firstname", "errors"), [("Anna", 0), ("Other", 2)])
async def test_several_faults_of_a_failed_service_are_proven_wrong_or_stay_unknown(firstname, errors):
    service = Service(firstname)
    upstream = Upstream("bokamera", "http://bokamera.invalid", transport=httpx.MockTransport(service))
    backend = rest(BokameraSettings(mode="rest", api_key="k"), upstream)
    query = (
        f'mutation {{ updateBookingCustomer(id: "{NO_ACCOUNT}", input: {{firstname: "Anna"}})'
        " { bookingCustomer { firstname } } }"
    )
    result = await Engine(schema_of(APIS), compiled=COMPILED).execute(
        GraphQLRequest(query, {}), Context(CallContext("r"), {"bokamera": backend})
    )
    await upstream.aclose()
    body = result.body()
    assert service.methods == ["PUT", "GET"]
    assert (body["data"]["updateBookingCustomer"] is None) == bool(errors)
    found = body.get("errors", [])
    assert [error["extensions"]["backend"]["code"] for error in found] == ["A", "B"][:errors]
    assert [(error["extensions"]["outcome"], error["extensions"]["readBack"]) for error in found] == [
        ("UNKNOWN", "DIFFERS")
    ] * errors
    assert "secret" not in repr(body)
