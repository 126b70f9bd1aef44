"""The vendor's routes over the local store, spoken to as the vendor's page says."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette

from app.apis.bokamera import API, jsv
from app.apis.bokamera.envelope import JSON_MEMBERS, bind
from app.apis.bokamera.sandbox import routes
from app.apis.bokamera.seed import API_KEY, CLIENT_ID
from app.apis.bokamera.settings import BokameraSettings
from app.apis.bokamera.tokens import TokenEndpoint
from app.call import CallContext
from app.store.engine import open_store
from app.upstream.settings import Limits
from app.upstream.tokens import TokenSource
from app.upstream.upstream import Upstream
from tests.apis.bokamera.asking import Bokamera
from tests.harness import fill

ID = "b0000000-0000-4000-8000-000000000001"
COMPANY_2 = "ba000000-0000-4000-8000-000000000002"
KEYS = {"x-api-key": API_KEY, "authorization": "Bearer demo-administrator"}
ALL = {
    f"Include{name}": "true"
    for name in ("CustomFields", "CustomFieldValues", "Comments", "AccessKeys", "InvoiceAddress")
}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def store(tmp_path):
    await fill(tmp_path / "store.db", (API,))
    store = await open_store(f"sqlite:///{tmp_path}/store.db", API.collections, API.seed())
    yield store
    await store.aclose()


@pytest.fixture
def sandbox(store, clock):
    tokens = TokenEndpoint(store, lifetime=60, clock=clock)
    return SimpleNamespace(tokens=tokens, routes=routes(BokameraSettings(), store, tokens))


@pytest.fixture
async def client(sandbox):
    app = Starlette(routes=list(sandbox.routes))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sandbox", headers=KEYS) as client:
        yield client


def data_of(answer):
    if answer.headers["content-type"].startswith("text/jsv"):
        return jsv.decode(answer.content, json_members=JSON_MEMBERS)
    return answer.json()


FORMS = [
    ("", {}, {}, "application/json"),
    ("", {"accept": "application/json"}, {}, "application/json"),
    ("", {"accept": "text/jsv"}, {}, "text/jsv"),
    ("", {"accept": "application/jsv"}, {}, "text/jsv"),
    (".jsv", {}, {}, "text/jsv"),
    (".json", {"accept": "text/jsv"}, {}, "application/json"),
    ("", {}, {"format": "jsv"}, "text/jsv"),
    (".jsv", {"accept": "text/jsv"}, {"format": "json"}, "application/json"),
    ("", {"accept": "text/html"}, {"format": "xml"}, "application/json"),
]


@pytest.mark.parametrize(("suffix", "headers", "query", "mime"), FORMS)
async def test_the_answers_format_is_chosen_by_accept_suffix_or_query(client, suffix, headers, query, mime):
    put = await client.put(f"/customers/{ID}{suffix}", json={"Firstname": "Åsa"}, headers=headers, params=query)
    get = await client.get(f"/customers{suffix}", headers=headers, params={**query, **ALL, "CustomerId": ID})
    bad = await client.put(f"/customers/{ID}{suffix}", json={"Email": "x"}, headers=headers, params=query)
    for answer, status in ((put, 200), (get, 200), (bad, 400)):
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith(mime)
    assert data_of(put)["Firstname"] == "Åsa"
    assert data_of(bad)["ResponseStatus"]["Errors"][0]["FieldName"] == "Email"
    record = data_of(put)
    record.pop("ResponseStatus")
    assert data_of(get)["Results"] == [record]


@pytest.mark.parametrize(
    ("mime", "body"),
    [
        ("application/json", '{"firstname":"Åsa","PHONE":5,"Unknown":{"a":[]},"Lastname":null}'),
        ("application/json; charset=utf-8", '{"Firstname":"Åsa","Phone":"5"}'),
        ("text/jsv", "{Firstname:Åsa,phone:5,Unknown:{a:[]},Lastname:}"),
        ("application/jsv", '{Firstname:"Åsa",Phone:"5"}'),
    ],
)
async def test_a_body_is_read_by_its_content_type_in_any_casing(client, mime, body):
    answer = await client.put(f"/customers/{ID}", content=body.encode(), headers={"content-type": mime})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["Firstname"], answer.json()["Phone"], answer.json()["Lastname"]) == ("Åsa", "5", "Svensson")


@pytest.mark.parametrize(
    ("mime", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'"x"'),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"Firstname":"' + b"x" * 2_000_000 + b'"}'),
        ("text/jsv", b"{Firstname:"),
        ("text/jsv", b"{Firstname: {A:b}}"),
        ("text/jsv", b"x"),
    ],
)
async def test_an_unreadable_body_is_servicestacks_400(client, mime, body):
    answer = await client.put(f"/customers/{ID}", content=body, headers={"content-type": mime})
    assert (answer.status_code, answer.json()["ResponseStatus"]["ErrorCode"]) == (400, "SerializationException")


async def test_no_body_changes_nothing_but_the_time(client):
    answer = await client.put(f"/customers/{ID}", content=b"")
    assert (answer.status_code, answer.json()["Firstname"]) == (200, "Anna")


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [("/customers/nope", {}, "Id"), (f"/customers/{ID}", {"CompanyId": "nope"}, "CompanyId")],
)
async def test_a_bad_path_or_query_value_is_a_400_that_names_it(client, path, query, name):
    answer = await client.put(path, params=query, json={})
    status = answer.json()["ResponseStatus"]
    assert answer.status_code == 400
    assert status["Errors"] == [
        {
            "ErrorCode": "SerializationException",
            "FieldName": name,
            "Message": f"'nope' is an Invalid value for '{name}'",
        }
    ]


async def test_a_company_binds_from_query_and_body_and_the_query_wins(client):
    company_1 = COMPANY_2.replace("2", "1")
    for query, body, status in (
        ({}, {"CompanyId": COMPANY_2}, 401),
        ({"companyid": COMPANY_2}, {}, 401),
        ({"CompanyId": company_1.replace("-", "").upper()}, {"CompanyId": COMPANY_2}, 200),
    ):
        assert (await client.put(f"/customers/{ID}", params=query, json=body)).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": ""},
        {"authorization": ""},
        {"authorization": "Bearer x"},
        {"authorization": "Basic demo-administrator"},
        {"x-api-key": "e0000000-0000-4000-8000-000000000002"},
    ],
)
async def test_credentials_are_checked(client, headers):
    for answer in (
        await client.put(f"/customers/{ID}", json={}, headers=headers),
        await client.get("/customers", params={"CustomerId": ID}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["ResponseStatus"]["ErrorCode"]) == (401, "Unauthorized")


async def test_a_list_holds_what_was_asked_for(client):
    plain = (await client.get("/customers", params={"CustomerId": ID})).json()
    assert (plain["Offset"], plain["Total"]) == (0, 1)
    assert set(plain["Results"][0]) == {
        "Id",
        "Firstname",
        "Lastname",
        "Email",
        "Phone",
        "ImageUrl",
        "Updated",
        "Created",
        "SubscribedToNewsletter",
    }
    unknown = (await client.get("/customers", params={"CustomerId": ID.replace("1", "9")})).json()
    assert unknown == {"Offset": 0, "Total": 0, "Results": []}
    every = (await client.get("/customers", params={"take": "3", "SKIP": "80"})).json()
    assert (every["Offset"], every["Total"], len(every["Results"])) == (80, 84, 3)
    assert set(every["Results"][0]) == set(plain["Results"][0])
    assert (await client.get("/customers", params={"CustomerId": ""})).status_code == 400


async def test_jsv_holds_raw_json_custom_fields(client):
    answer = await client.put(f"/customers/{ID}.jsv", json={})
    assert '"RegEx":"^[0-9]{4}$"' in answer.text
    assert ",SubscribedToNewsletter:False," in answer.text


async def test_a_lost_store_is_a_500_that_tells_nothing(client, store):
    await store.aclose()
    answer = await client.put(f"/customers/{ID}", json={})
    assert answer.status_code == 500
    assert answer.json()["ResponseStatus"] == {"ErrorCode": "Exception", "Message": "The service failed.", "Errors": []}


async def test_x_simulate_answers_rows_and_faults_of_a_put_alone(client):
    row = await client.put(f"/customers/{ID}", json={}, headers={"x-simulate": "field_Empty"})
    assert (row.status_code, row.json()["ResponseStatus"]["ErrorCode"]) == (400, "NotEmpty")
    fault = await client.put(f"/customers/{ID}", json={}, headers={"x-simulate": "html-500"})
    assert (fault.status_code, fault.headers["content-type"].partition(";")[0]) == (500, "text/html")
    assert (await client.put(f"/customers/{ID}", json={}, headers={"x-simulate": "OTHER"})).status_code == 200
    get = await client.get("/customers", params={"CustomerId": ID}, headers={"x-simulate": "html-500"})
    assert get.status_code == 200


PASSWORD = {"grant_type": "password", "client_id": CLIENT_ID, "username": "administrator", "password": "demo"}


async def test_an_issued_token_opens_until_it_expires(client, sandbox, clock):
    issued = (await client.post("/token", data=PASSWORD)).json()
    assert (issued["token_type"], issued["expires_in"]) == ("Bearer", 60)
    bearer = {"authorization": f"Bearer {issued['access_token']}"}
    assert (await client.put(f"/customers/{ID}", json={}, headers=bearer)).status_code == 200
    clock.now += 60
    assert (await client.put(f"/customers/{ID}", json={}, headers=bearer)).status_code == 401
    renewed = await client.post(
        "/token", data={"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": issued["refresh_token"]}
    )
    bearer = {"authorization": f"Bearer {renewed.json()['access_token']}"}
    assert (await client.put(f"/customers/{ID}", json={}, headers=bearer)).status_code == 200
    sandbox.tokens.expire()
    assert (await client.put(f"/customers/{ID}", json={}, headers=bearer)).status_code == 401
    assert sandbox.tokens.requests == 2


async def test_a_users_token_has_the_users_rights(client):
    issued = (await client.post("/token", data={**PASSWORD, "username": "user"})).json()
    bearer = {"authorization": f"Bearer {issued['access_token']}"}
    assert (await client.put(f"/customers/{ID}", json={}, headers=bearer)).status_code == 401
    assert (await client.put(f"/customers/{ID[:-1]}2", json={}, headers=bearer)).status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({**PASSWORD, "password": "wrong"}, 401, "invalid_grant"),
        ({**PASSWORD, "username": "nobody"}, 401, "invalid_grant"),
        ({**PASSWORD, "username": "\x00"}, 401, "invalid_grant"),
        ({**PASSWORD, "client_id": ""}, 401, "invalid_client"),
        ({**PASSWORD, "client_id": "unknown"}, 401, "invalid_client"),
        ({**PASSWORD, "grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "client_id": CLIENT_ID, "refresh_token": "x"}, 400, "invalid_grant"),
        ({"padding": "x" * 20_000}, 401, "invalid_client"),
        ({f"f{n}": "x" for n in range(30)}, 401, "invalid_client"),
    ],
)
async def test_token_refusals_have_an_error_and_its_description(client, form, status, error):
    answer = await client.post("/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert "wrong" not in answer.text


def test_the_settings_that_point_at_the_sandbox_are_valid():
    settings = BokameraSettings(**API.sandbox_settings("http://127.0.0.1:8001"))
    assert (settings.mode, settings.url) == ("rest", "http://127.0.0.1:8001")


def test_scalars_that_do_not_fit_are_ignored_as_servicestack_does():
    body = {
        "firstname": {"a": 1},
        "LASTNAME": True,
        "Phone": None,
        "SubscribedToNewsletter": "maybe",
        "CustomFields": [{"Id": "x", "Value": 3}, None, {"Id": "7"}],
        "AccessKeys": [{"Id": "nope", "AccessKeyTypeId": 2**40, "Value": "v"}],
        "AccessKeysToDelete": "x",
        "InvoiceAddress": [],
        "Shoes": 1,
    }
    assert bind(json.loads(json.dumps(body))) == {
        "Lastname": "True",
        "CustomFields": [{"Value": "3"}, {}, {"Id": 7}],
        "AccessKeys": [{"Value": "v"}],
    }
    assert bind({"SubscribedToNewsletter": "True"}) == {"SubscribedToNewsletter": True}


async def test_two_hundred_updates_with_an_expired_token_ask_for_one_token(sandbox, clock):
    transport = httpx.ASGITransport(Starlette(routes=list(sandbox.routes)))
    tokens = TokenSource(
        "http://sandbox.invalid/token", CLIENT_ID, "administrator", "demo", transport=transport, margin=0, clock=clock
    )
    limits = Limits(max_in_flight=200)
    async with Upstream("bokamera", "http://sandbox.invalid", limits, transport=transport) as upstream:
        backend = Bokamera.rest(BokameraSettings(mode="rest", api_key=API_KEY), upstream, tokens)
        await backend.update(ID, None, {}, call=CallContext("r"))
        assert sandbox.tokens.requests == 1
        clock.now += 61
        answers = await asyncio.gather(
            *(backend.update(ID, None, {"Firstname": f"n{n}"}, call=CallContext("r")) for n in range(200))
        )
        await backend.aclose()
    assert len(answers) == 200
    assert sandbox.tokens.requests == 2
