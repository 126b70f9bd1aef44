"""Answers that nobody documented: counted by their shape, kept without values, shown as rows to add."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.apis import APIS
from app.bootstrap import open_store_for
from app.config import parse_settings
from app.errors import Code, Undocumented, family
from app.store.engine import open_store
from app.store.records import Record, StoreUnavailableError
from app.telemetry.drift import UNDOCUMENTED, Drift, as_row, as_sample, fingerprint, listed, shape_of, without_values
from app.updates.table import rows_of
from app.upstream.messages import BackendResponse
from app.upstream.responses import undocumented
from tests.telemetry.running import running, update


def answered(message: str, code: str = "new_code", status: int = 400, **more: object) -> httpx.MockTransport:
    body = {"code": code, "message": message, **more}
    return httpx.MockTransport(lambda _: httpx.Response(status, json=body))


async def kept(folder: Path) -> list[Record]:
    store = await open_store(f"sqlite:///{folder / 'gateway.db'}", [UNDOCUMENTED], [])
    try:
        return await listed(store, [api.name for api in APIS])
    finally:
        await store.aclose()


async def test_answers_of_one_shape_are_one_line_however_their_values_differ(tmp_path: Path):
    names = ("Jansen", "De Vries", "Bakker")
    replies = iter(
        [{"code": "new_code", "message": f"{name} is on list {number}."} for number, name in enumerate(names)]
    )
    transport = httpx.MockTransport(lambda _: httpx.Response(400, json=next(replies)))
    async with running(tmp_path, {}, transport, rest=True) as gateway:
        for name in names:
            answer = await gateway.post(update(name))
            assert answer.json()["errors"][0]["extensions"]["reason"] == "UNDOCUMENTED_BAD_REQUEST"
        metrics = (await gateway.client.get("/metrics")).text
    (record,) = await kept(tmp_path)
    assert record.document["count"] == 3
    assert record.document["text"] == "… is on list …"
    assert record.document["fields"] == ["updateCustomer"]
    assert not any(name in json.dumps(record.document) for name in names)
    assert 'gateway_undocumented_answers_total{backend="basecone"} 3.0' in metrics


async def test_a_row_and_a_sample_are_ready_to_add(tmp_path: Path):
    async with running(tmp_path, {}, answered("The IBAN is on a sanctions list."), rest=True) as gateway:
        await gateway.post(update())
    (record,) = await kept(tmp_path)
    (tmp_path / "errors.csv").write_text(as_row(record).partition("\n")[2], encoding="utf-8")
    (row,) = rows_of(tmp_path / "errors.csv", backend="basecone")
    assert row.vendor_code == "new_code"
    assert row.text == "The IBAN is on a sanctions list."
    assert row.http_status == 400
    assert row.mutations == ("updateCustomer",)
    assert row.reason == "NEW_CODE"
    assert (row.code, row.outcome) == (Code.BAD_USER_INPUT, family(400).outcome)
    assert json.loads(as_sample(record)) == {"code": "<text>", "message": "<text>"}


async def test_documented_answers_are_not_counted(tmp_path: Path):
    async with running(tmp_path, {"GATEWAY_JOURNAL": "false"}, rest=True) as gateway:
        await gateway.post(update(input={"vatCode": {"code": "WRONG"}}))
    assert not (tmp_path / "gateway.db").exists()


async def test_it_can_be_turned_off(tmp_path: Path):
    async with running(
        tmp_path, {"GATEWAY_DRIFT": "false", "GATEWAY_JOURNAL": "false"}, answered("x"), rest=True
    ) as gateway:
        await gateway.post(update())
    assert not (tmp_path / "gateway.db").exists()


async def test_a_store_that_cannot_be_opened_fails_no_mutation(tmp_path: Path):
    given_settings = {"GATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'missing' / 'gateway.db'}"}
    async with running(tmp_path, given_settings, answered("x"), rest=True) as gateway:
        error = (await gateway.post(update())).json()["errors"][0]
    assert error["extensions"]["reason"] == "UNDOCUMENTED_BAD_REQUEST"
    assert error["extensions"]["outcome"] == "NOT_APPLIED"


async def test_a_later_local_start_still_gets_its_first_content(tmp_path: Path):
    async with running(tmp_path, {}, answered("x"), rest=True) as gateway:
        await gateway.post(update())
    async with running(tmp_path) as gateway:
        assert (await gateway.post(update())).json()["data"]["updateCustomer"] is not None
    assert len(await kept(tmp_path)) == 1


async def test_two_workers_count_together(tmp_path: Path):
    local = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"})
    stores = [await open_store_for(local, APIS) for _ in range(2)]
    drifts = [Drift(lambda store=store: _given(store)) for store in stores]
    answer = Undocumented("basecone", 400, "new", "text", "application/json", {})
    for _ in range(10):
        for drift in drifts:
            drift.met(answer, ["updateCustomer"], [])
            await drift.aclose()
    for store in stores:
        await store.aclose()
    (record,) = await kept(tmp_path)
    assert record.document["count"] == 20


async def _given(store: object) -> object:
    return store


async def test_what_is_kept_is_bounded(tmp_path: Path):
    local = parse_settings(APIS, {"GATEWAY_STORE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"})
    store = await open_store_for(local, APIS)
    drift = Drift(lambda: _given(store))
    for number in range(520):
        code = "".join(chr(97 + int(digit)) for digit in str(number))
        drift.met(Undocumented("basecone", 400, code, None, "", None), [], [])
        await drift.aclose()
    await store.aclose()
    found = await kept(tmp_path)
    assert len(found) == 501
    assert found[0].document["count"] == 20
    assert "20 further answers" in as_row(found[0])


class Gone:
    """A store that is lost while it is used."""

    async def get(self, *_: object) -> None:
        raise StoreUnavailableError("gone", certain=True)


async def test_a_store_that_is_lost_is_a_warning(caplog: pytest.LogCaptureFixture):
    drift = Drift(lambda: _given(Gone()))
    drift.met(Undocumented("basecone", 400, "x", None, "", None), [], [])
    await drift.aclose()
    assert "could not be counted: gone" in caplog.text


TEXTS = {
    "The customer 'Jan' exists.": "The customer … exists.",
    'No "x y" here': "No … here",
    "mail jan@example.nl now": "mail … now",
    "id 6f9619ff-8b86-d011-b42d-00cf4fc964ff is unknown": "id … is unknown",
    "at most 12,50 of 100 on 2026-11-21": "at most … of … on …",
    "Jansen in Kerkstraat": "… in Kerkstraat",
    "jansens are others": "jansens are others",
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts_lose_their_values(text: str):
    assert without_values(text, ["Jansen", "x"]) == TEXTS[text]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


def _other_values(value: object) -> object:
    if isinstance(value, dict):
        return {name: _other_values(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_other_values(item) for item in value]
    if isinstance(value, str):
        return value + "secret"
    return value + 1 if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=100)
@given(JSON)
def test_a_fingerprint_is_of_the_shape_alone(value: object):
    shapes = [
        shape_of(Undocumented("basecone", 400, None, None, "application/json", body), [], [])
        for body in (value, _other_values(value))
    ]
    assert fingerprint(shapes[0]) == fingerprint(shapes[1])
    assert "secret" not in json.dumps(shapes[1])


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b"", "<empty>"),
        (b"<html>", "<no JSON>"),
        (b'{"jan@example.nl": 1}', {"<member>": 0}),
        (b"[" * 500, "<no JSON>"),
    ],
)
def test_bodies_of_any_kind_have_a_shape(body: bytes, shape: object):
    met = undocumented("basecone", BackendResponse(502, {}, body)).undocumented
    assert shape_of(met, [], [])["body"] == shape


def test_with_more_values_than_are_looked_for_no_text_is_kept():
    values = ["Anna", "Baarn", *(f"value number {number}" for number in range(300))]
    assert "Anna" not in without_values("Customer Anna of Baarn is invalid", values)
