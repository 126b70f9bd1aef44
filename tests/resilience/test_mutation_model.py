"""Mutations over the local store against a plain model: whatever is asked in whatever order, both answer alike."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.exploring import explore
from tests.harness import gateway
from tests.resilience.model import (
    ACCOUNT,
    ADDRESS,
    BOOKING,
    COMPANY,
    IDS,
    INVOICE,
    KEY,
    NOBODY,
    PLAIN,
    Booking,
    Relations,
)

_UPDATES = {
    "customer": "mutation($id: UUID!, $input: UpdateCustomerInput!, $skip: Boolean!) { u: updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: $skip) { customer { name } } }",
    "supplier": "mutation($id: UUID!, $input: UpdateSupplierInput!, $skip: Boolean!) { u: updateSupplier(id: $id, input: $input, skipCreationInAccountingSystem: $skip) { supplier { name } } }",
}
_BOOKED = f"{' '.join(PLAIN)} subscribedToNewsletter customFieldValues {{ id value }} accessKeys {{ id accessKeyTypeId value description }} invoiceAddress {{ {' '.join(INVOICE)} }}"
_BOOK = f"mutation($id: UUID!, $input: UpdateBookingCustomerInput!) {{ u: updateBookingCustomer(id: $id, input: $input) {{ bookingCustomer {{ {_BOOKED} }} }} }}"
_RELATION = f"code name externalId phone vatCode {{ code }} address {{ {' '.join(ADDRESS)} }} bankAccounts {{ {' '.join(ACCOUNT)} }} metadata"
_RELATIONS = " ".join(
    f'{kind}{number}: {kind}(id: "{record_id}") {{ {_RELATION} }}'
    for kind, ids in IDS.items()
    for number, record_id in enumerate(ids)
)
_ALL = f'{{ {_RELATIONS} booking: bookingCustomer(id: "{BOOKING}") {{ {_BOOKED} }} }}'

texts = st.text(max_size=4) | st.sampled_from(["", " ", "x", "\0", "é", '"\\'])
names = st.sampled_from(["A", "B", "Ö", "x" * 50]) | texts
maybe = st.none() | texts
accounts = st.fixed_dictionaries(
    {"default": st.booleans()},
    optional={"iban": st.sampled_from(["NL91ABNA0417164300", None]), "bankName": maybe},
)
OPTIONAL = {
    "code": st.none() | st.sampled_from(["C001", "C002", "S001", "S002", "Z", "z", " ", ""]),
    "phone": maybe,
    "vatCode": st.none() | st.fixed_dictionaries({"code": st.sampled_from(["NL21", "NL9", "NL99"])}),
    "address": st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(ADDRESS, maybe)),
    "bankAccounts": st.none() | st.lists(accounts, max_size=2),
}
METADATA = {"metadata": st.none() | st.dictionaries(st.sampled_from(["a", "A", "ü"]), texts, max_size=2)}
relations = st.one_of(
    st.tuples(st.just(kind), st.sampled_from([*IDS[kind], NOBODY]), st.fixed_dictionaries({"name": names}, optional=more))
    for kind, more in (("customer", OPTIONAL), ("supplier", OPTIONAL | METADATA))
)  # fmt: skip
fields = st.fixed_dictionaries(
    {"id": st.sampled_from([1, 2, 3, 4, 9]), "value": st.sampled_from(["", "1234", "small", "x" * 21, "12345"])}
)
OPTIONAL_BOOKING = {
    "firstname": texts,
    "lastname": texts,
    "phone": texts,
    "email": st.sampled_from(["", "a@b", "@b", "a@", "a@b@c", "ab"]),
    "subscribedToNewsletter": st.booleans(),
    "customFields": st.lists(fields, max_size=3, unique_by=lambda item: item["id"]),
    "invoiceAddress": st.fixed_dictionaries({}, optional=dict.fromkeys(INVOICE, texts)),
}
bookings = st.fixed_dictionaries({}, optional=OPTIONAL_BOOKING | {"lastname": maybe})
key_members = {
    "accessKeyTypeId": st.sampled_from([1, 2, 9]),
    "value": st.sampled_from(["", "77", "88"]),
    "description": texts,
}
new_keys = st.fixed_dictionaries({}, optional=key_members)
# Which of the keys that there are; one more than the last stands for a key of nobody.
picks = st.integers(0, 3)


class Machine(RuleBasedStateMachine):
    new_url = staticmethod(lambda: None)  # set by the test
    folder: Path

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.url = self.runner.run(self.new_url())
        self.open()

    def open(self):
        self.opened = gateway("local", self.folder, extra={"GATEWAY_STORE_URL": self.url})
        self.gateway = self.runner.run(self.opened.__aenter__())

    def teardown(self):
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()

    async def read(self):
        """Every record as a client sees it."""
        body = await self.gateway.execute(_ALL)
        assert "errors" not in body
        found = {
            (kind, record_id): body["data"][f"{kind}{number}"]
            for kind, ids in IDS.items()
            for number, record_id in enumerate(ids)
        }
        return found, self.booked(body["data"]["booking"])

    def booked(self, told):
        """The answer, with lists by their ids; the keys' order is kept."""
        keys = {key.pop("id"): key for key in deepcopy(told["accessKeys"])}
        return told | {
            "customFieldValues": {item["id"]: item["value"] for item in told["customFieldValues"]},
            "accessKeys": keys,
        }

    @initialize()
    def first(self):
        found, booked = self.runner.run(self.read())
        self.relations, self.booking = Relations(found), Booking(booked)
        assert list(booked["accessKeys"]) == [KEY]

    def variables(self, record_id, given, skip):
        return {"id": record_id, "input": {"company": {"companyId": COMPANY}, **given}, "skip": skip}

    @rule(drawn=relations, skip=st.booleans())
    def replace(self, drawn, skip):
        kind, record_id, given = drawn
        expected = self.relations.update(kind, record_id, given)
        body = self.runner.run(self.gateway.execute(_UPDATES[kind], self.variables(record_id, given, skip)))
        assert [error["extensions"]["reason"] for error in body.get("errors", [])] == [expected] * (
            expected is not None
        )
        for error in body.get("errors", []):
            assert error["extensions"]["outcome"] == "NOT_APPLIED"

    @rule(
        kind=st.sampled_from(["customer", "supplier"]),
        number=st.integers(0, 2),
        names=st.lists(st.sampled_from("ABCDEF"), min_size=2, max_size=5, unique=True),
    )
    def replace_at_once(self, kind, number, names):
        """One wins or more do, one after another; the rest is told of the conflict and has changed nothing."""
        record_id = IDS[kind][number]

        async def all_of_them():
            return await asyncio.gather(
                *(
                    self.gateway.execute(_UPDATES[kind], self.variables(record_id, {"name": name}, skip=True))
                    for name in names
                )
            )

        told = self.runner.run(all_of_them())
        winners = [name for name, body in zip(names, told, strict=True) if "errors" not in body]
        for body in told:
            for error in body.get("errors", ()):
                assert (error["extensions"]["reason"], error["extensions"]["retry"]) == (
                    "CONCURRENT_REQUEST",
                    {"safe": True},
                )
        found, _ = self.runner.run(self.read())
        final = found[kind, record_id]
        assert final["name"] in winners
        self.relations.update(kind, record_id, {"name": final["name"]})

    @rule(
        given=bookings,
        made=st.lists(new_keys, max_size=2),
        changed=st.lists(st.tuples(picks, new_keys), max_size=2, unique_by=lambda pair: pair[0]),
        deleted=st.lists(picks, max_size=2, unique=True),
        with_keys=st.booleans(),
    )
    def merge(self, given, made, changed, deleted, with_keys):
        if with_keys:
            there = [*self.booking.record["accessKeys"], NOBODY]
            keys = [{"id": there[pick], **key} for pick, key in changed if pick < len(there)]
            given = given | {
                "accessKeys": [*keys, *made[: max(0, 5 - len(there))]],
                "accessKeysToDelete": [{"id": there[pick]} for pick in deleted if pick < len(there)],
            }
        expected = self.booking.update(given)
        body = self.runner.run(self.gateway.execute(_BOOK, {"id": BOOKING, "input": given}))
        told = [error["extensions"] for error in body.get("errors", [])]
        assert [(error["reason"], error["input"]["path"]) for error in told] == expected
        assert {error["outcome"] for error in told} <= {"NOT_APPLIED"}
        if not expected:
            answered = self.booked(body["data"]["u"]["bookingCustomer"])
            self.booking.name_new_keys(list(answered["accessKeys"]))
            assert answered == self.booking.record

    @rule(values=st.tuples(*[st.sampled_from("ABCDEF")] * 3))
    def merge_at_once(self, values):
        """Merges run one after another, so that none is lost and none refused."""

        async def all_of_them():
            return await asyncio.gather(
                *(
                    self.gateway.execute(_BOOK, {"id": BOOKING, "input": {name: value}})
                    for name, value in zip(PLAIN, values, strict=False)
                )
            )

        assert all("errors" not in body for body in self.runner.run(all_of_them()))
        for name, value in zip(PLAIN, values, strict=False):
            assert self.booking.update({name: value}) == []

    @rule()
    def restart(self):
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.open()

    @invariant()
    def they_answer_alike(self):
        self.runner.run(self.compare())

    async def compare(self):
        found, booked = await self.read()
        assert found == self.relations.records
        assert booked == self.booking.record
        assert list(booked["accessKeys"]) == list(self.booking.record["accessKeys"])


@pytest.mark.parametrize(
    ("engine", "examples", "least"),
    [
        ("sqlite", 2, 2),
        pytest.param("sqlite", 45, 2000, marks=pytest.mark.slow),
        pytest.param("postgres", 12, 500, marks=pytest.mark.slow),
    ],
)
def test_no_divergence_from_a_plain_model(engine, examples, least, request, tmp_path):
    postgres = request.getfixturevalue("postgres") if engine == "postgres" else None
    explore(Machine, least, examples, tmp_path, postgres)
