"""A patch changes what it names and nothing else, an expected revision is compared, a dry run writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.apis import APIS
from app.apis.basecone.examples import CUSTOMER_ID, SUPPLIER_ID
from app.apis.basecone.resources import CUSTOMERS, SUPPLIERS
from app.apis.basecone.seed import RECORDS
from app.apis.basecone.shape import read_shape, request_of
from app.apis.basecone.types import GeneralLedgerInput
from app.bootstrap import Backends
from app.call import CallContext
from app.config import parse_settings
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.json_codec import decode_json, encode_json
from app.mapping.members import members
from app.store.records import Record, UniqueConflictError, Write
from app.updates.expression import expressed
from tests.harness import WIRINGS, gateway, schema_of

# Of each member of a patch: a value, how the record shows it, and the place of its one part for a merge.
VALUES = {
    "code": ("N-1", "code"),
    "address": ({"city": "Utrecht"}, "address { city streetName }"),
    "payCollectType": ({"code": "DIRECTDEBIT"}, "payCollectType { code }"),
    "vatCode": ({"code": "NL9"}, "vatCode { code }"),
    "name": ("Another name", "name"),
    "vatNumber": ("NL123456782B90", "vatNumber"),
    "chamberOfCommerce": ("7", "chamberOfCommerce"),
    "phone": ("+31 6", "phone"),
    "fax": ("+31 7", "fax"),
    "bankAccounts": ([{"default": False, "iban": "NL91ABNA0417164300"}], "bankAccounts { iban default country { code } }"),
    "paymentDiscount": ({"paymentDays": 5}, "paymentDiscount { paymentDays discountPercentage generalLedger { code } }"),
    "number": ("N-2", "number"),
    "paymentCondition": ({"code": "NET14"}, "paymentCondition { code }"),
    "email": ("new@example.com", "email"),
    "metadata": ({"only": "one"}, "metadata"),
}  # fmt: skip
COMPANY = "a0000000-0000-4000-8000-000000000001"
KINDS = {"customer": (CUSTOMERS, CUSTOMER_ID), "supplier": (SUPPLIERS, SUPPLIER_ID)}
CASES = [
    pytest.param(kind, member.graphql_name, id=f"{kind}-{member.graphql_name}")
    for kind, (resource, _) in KINDS.items()
    for member in members(resource.patch.input)
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(tmp_path_factory):
    async with AsyncExitStack() as stack:
        yield {
            wiring: await stack.enter_async_context(gateway(wiring, tmp_path_factory.mktemp(wiring)))
            for wiring in WIRINGS
        }


def whole(kind):
    names = {member.graphql_name for member in members(KINDS[kind][0].patch.input)}
    return " ".join(shown for name, (_, shown) in VALUES.items() if name in names) + " externalId revision"


async def read(wires, kind):
    answer = await wires.execute(f'{{ {kind}(id: "{KINDS[kind][1]}") {{ {whole(kind)} }} }}')
    assert "errors" not in answer
    return answer["data"][kind]


async def patched(wires, kind, patch, more="", fields="", **kwargs):
    name = kind.capitalize()
    document = (
        f'mutation($patch: {name}Patch!) {{ patch{name}(id: "{KINDS[kind][1]}", patch: $patch{more}) '
        f"{{ {kind} {{ {whole(kind)} }} {fields} }} }}"
    )
    return await wires.execute(document, {"patch": patch}, **kwargs)


def puts(wires):
    return (
        [] if not wires.transports else [item for item in wires.transports["basecone"].requests if item.method == "PUT"]
    )


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize(("kind", "member"), CASES)
async def test_a_patch_changes_the_member_that_it_names(wired, wiring, kind, member):
    """A value, then null; all other members stay, and the answer is what a query reads afterwards."""
    wires = wired[wiring]
    for value in (VALUES[member][0], None):
        before = await read(wires, kind)
        preview = await patched(
            wires, kind, {member: value}, ", dryRun: true", "preview { path body changes { path } }"
        )
        sent = len(puts(wires))
        answer = await patched(wires, kind, {member: value})
        if member == "name" and value is None:
            (error,) = answer["errors"]
            assert error["extensions"]["reason"] == "NULL_NOT_SUPPORTED"
            assert error["extensions"]["input"] == {"path": ["patch", "name"]}
            assert len(puts(wires)) == sent
            continue
        assert "errors" not in answer
        after = answer["data"][f"patch{kind.capitalize()}"][kind]
        assert after == await read(wires, kind)
        changed = {name for name in before if before[name] != after[name]} - {"revision"}
        assert changed <= {member}
        assert (before["revision"] == after["revision"]) == (not changed)
        shown = preview["data"][f"patch{kind.capitalize()}"]["preview"]
        assert {path["path"][0] for path in shown["changes"]} == changed
        if wires.transports:
            assert puts(wires)[-1].content.decode() == shown["body"]
            assert puts(wires)[-1].url.raw_path.decode() == shown["path"]
        if value is None:
            assert after[member] in (None, [])
        elif isinstance(value, dict) and member != "metadata":
            assert {name: after[member][name] for name in value} == value


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_an_empty_patch_is_sent_and_changes_nothing(wired, wiring):
    wires = wired[wiring]
    before, sent = await read(wires, "supplier"), len(puts(wires))
    answer = await patched(wires, "supplier", {})
    assert answer == {"data": {"patchSupplier": {"supplier": before}}}
    assert len(puts(wires)) == sent + bool(wires.transports)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_an_object_is_merged_member_by_member_and_a_map_is_not(wired, wiring):
    wires = wired[wiring]
    await patched(wires, "supplier", {"address": {"streetName": "A", "city": "B"}, "metadata": {"a": "1", "b": "2"}})
    answer = await patched(wires, "supplier", {"address": {"city": None}, "metadata": {"b": "3"}})
    record = answer["data"]["patchSupplier"]["supplier"]
    assert (record["address"], record["metadata"]) == ({"city": None, "streetName": "A"}, {"b": "3"})
    emptied = dict.fromkeys(("streetName", "streetNumber", "city", "postalCode", "country"))
    answer = await patched(wires, "supplier", {"address": emptied})
    assert answer["data"]["patchSupplier"]["supplier"]["address"] is None


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_an_unknown_record_cannot_be_patched_and_nothing_is_sent(wired, wiring):
    wires, sent = wired[wiring], len(puts(wired[wiring]))
    document = (
        'mutation { patchSupplier(id: "50000000-0000-4000-8000-0000000000ff", patch: {name: "A"}) { supplier { id } } }'
    )
    error = await wires.error(document)
    assert (error["extensions"]["reason"], error["extensions"]["outcome"]) == ("RESOURCE_NOT_FOUND", "NOT_APPLIED")
    assert error["extensions"]["backend"]["status"] == 404
    assert len(puts(wires)) == sent


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
async def test_a_refused_value_of_the_record_itself_is_not_blamed_on_the_patch(wired, wiring):
    """The stored VAT number is refused by the linked accounting system; the patch says nothing of it."""
    wires = wired[wiring]
    await patched(wires, "supplier", {"vatNumber": "NL1"}, ", skipCreationInAccountingSystem: true")
    for patch, place in ({"phone": "1"}, None), ({"vatCode": {"code": "NO"}}, ["patch", "vatCode", "code"]):
        answer = await patched(wires, "supplier", patch)
        (error,) = answer["errors"]
        assert error["extensions"].get("input", {}).get("path") == place
    await patched(wires, "supplier", {"vatNumber": None})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("dry_run", [False, True], ids=["write", "dry-run"])
@pytest.mark.parametrize("patches", [False, True], ids=["update", "patch"])
async def test_another_revision_is_refused_and_the_right_one_is_not(wired, wiring, patches, dry_run):
    wires = wired[wiring]
    current = (await read(wires, "supplier"))["revision"]
    company = '{companyId: "a0000000-0000-4000-8000-000000000001"}'
    values = 'patch: {name: "R"}' if patches else f'input: {{company: {company}, name: "R"}}'
    field = "patchSupplier" if patches else "updateSupplier"
    flag = "true" if dry_run else "false"

    def document(revision):
        return (
            f'mutation {{ {field}(id: "{SUPPLIER_ID}", {values}, dryRun: {flag}, expectedRevision: "{revision}") '
            "{ supplier { revision } preview { method } userErrors { reason currentRevision outcome retrySafe } } }"
        )

    sent = len(puts(wires))
    for other in ("v1:0", "v2:" + current[3:], ""):
        answer = await wires.execute(document(other))
        (fault,) = answer["data"][field]["userErrors"]
        assert fault == {
            "reason": "REVISION_MISMATCH",
            "currentRevision": current,
            "outcome": "NOT_APPLIED",
            "retrySafe": False,
        }
    assert len(puts(wires)) == sent
    payload = (await wires.execute(document(current)))["data"][field]
    assert payload["userErrors"] == []
    assert (payload["supplier"] is None) == dry_run
    assert (payload["preview"] is None) == (not dry_run)
    assert ((await read(wires, "supplier"))["revision"] == current) == dry_run or patches


async def test_of_two_people_with_one_revision_one_wins(tmp_path):
    async with gateway("local", tmp_path) as wires:
        for number in range(20):
            revision = (await read(wires, "supplier"))["revision"]
            answers = await asyncio.gather(
                *(
                    patched(wires, "supplier", {"name": f"{number}-{person}"}, f', expectedRevision: "{revision}"')
                    for person in range(4)
                )
            )
            reasons = [answer["errors"][0]["extensions"]["reason"] for answer in answers if "errors" in answer]
            assert reasons == ["REVISION_MISMATCH"] * 3


async def _first(tmp_path):
    """The revisions of a new local store."""
    (tmp_path / "local").mkdir()
    async with gateway("local", tmp_path / "local") as wires:
        return [(await read(wires, kind))["revision"] for kind in KINDS]


@pytest.mark.parametrize("wiring", WIRINGS)
async def test_the_revision_is_the_same_in_every_wiring(tmp_path, wiring):
    async with gateway(wiring, tmp_path) as wires:
        booking = await wires.execute('{ bookingCustomer(id: "b0000000-0000-4000-8000-000000000001") { revision } }')
        revisions = [(await read(wires, kind))["revision"] for kind in KINDS] + [
            booking["data"]["bookingCustomer"]["revision"]
        ]
        assert len(set(revisions)) == 3
        assert all(text.startswith("v1:") for text in revisions)
        assert revisions[:2] == await _first(tmp_path)


@pytest.mark.parametrize("wiring", WIRINGS)
async def test_a_customers_code_is_sent_by_wkbelgium_clients_alone(tmp_path, wiring):
    other = {
        "basecone": {
            "authorization": "Basic ZDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAyOmQxMDAwMDAwLTAwMDAtNDAwMC04MDAwLTAwMDAwMDAwMDAwMg=="
        }
    }
    only = {"GATEWAY_BASECONE_WKBELGIUM_CLIENTS": "d0000000-0000-4000-8000-000000000001"}
    async with gateway(wiring, tmp_path, extra=only) as wires:
        answer = await patched(wires, "customer", {"phone": "1"}, credentials=other)
        assert "errors" not in answer
        assert answer["data"]["patchCustomer"]["customer"]["code"] == "C001"
        assert [b'"code":"C001"' in item.content for item in puts(wires)] == [False] * len(puts(wires))
        await patched(wires, "customer", {"phone": "2"})
        assert [b'"code":"C001"' in item.content for item in puts(wires)[1:]] == [True] * len(puts(wires)[1:])


LEDGER_ID = "f0000001-0000-4000-8000-000000000001"
UNSAYABLE = {
    "a member of its own": ({"creditLimit": 5}, ["patch", "creditLimit"]),
    "an empty one of its own": ({"creditLimit": None, "tags": [], "note": ""}, None),
    "another type": ({"phone": 7}, ["patch", "phone"]),
    "a member whose name tells of a host": (
        {"see https://db.internal.example:5432/x\n\u202e": 5},
        ["patch", "see [removed]"],
    ),
    "a member without a name": ({"": 5}, ["patch", "unnamed member"]),
    "a member of a name without end": ({"a" * 100_000: 5}, ["patch", "a" * 100]),
    "a member deep inside": ({"address": {"city": "A", "floor": 2}}, ["patch", "address", "floor"]),
    "no name": ({"name": None}, ["patch", "name"]),
    "a member of the record alone": ({"address": {"city": "A", "externalId": "E"}}, ["patch", "address", "externalId"]),
    "an account of nothing": ({"bankAccounts": [{"default": None, "iban": None}]}, ["patch", "bankAccounts"]),
    "a discount that stands twice": (
        {
            "code": "4000",
            "paymentDiscount": {"generalLedger": {"generalLedgerId": LEDGER_ID}},
            "PaymentDiscount": {"paymentDays": 1},
        },
        ["patch", "paymentDiscount"],
    ),
    "a ledger that stands twice": (
        {
            "code": "4000",
            "paymentDiscount": {"generalLedger": {"generalLedgerId": LEDGER_ID}, "GeneralLedger": {"code": "7"}},
        },
        ["patch", "paymentDiscount", "generalLedger"],
    ),
    "an account of another shape": ({"bankAccounts": [{"iban": "NL"}]}, ["patch", "bankAccounts", "default"]),
}


@pytest.mark.parametrize("case", UNSAYABLE)
def test_what_an_update_cannot_say_is_named(case):
    members_read, place = UNSAYABLE[case]
    base = {"supplierId": SUPPLIER_ID, "_links": [], "company": {"companyId": "a", "companyCode": "1"}, "name": "N"}
    _, problems = expressed(SUPPLIERS.input, {**base, **members_read}, SUPPLIERS.patch.left_out)
    assert [len(names) for names in problems] == ([] if place is None else [len(place) - 1])


MISREAD = {
    f"a company's id that is none: {value!r}": ({"company": {"companyId": value}}, ["patch"])
    for value in ("x", "{a0000000-0000-4000-8000-000000000001}", "a0000000")
}


@pytest.mark.parametrize("case", [name for name, (_, place) in UNSAYABLE.items() if place is not None] + [*MISREAD])
async def test_a_record_that_an_update_cannot_say_is_not_patched_unless_the_patch_replaces_it(case):
    """Over a service whose reads hold more than its requests; the update is counted."""
    members_read, place = (UNSAYABLE | MISREAD)[case]
    read = {"supplierId": SUPPLIER_ID, "company": {"companyId": "a0000000-0000-4000-8000-000000000001"}, "name": "N"}
    sent = []

    def service(request):
        if request.method == "PUT":
            sent.append(decode_json(request.content))
            return httpx.Response(204)
        return httpx.Response(200, json={**read, **members_read})

    configured = parse_settings(
        APIS, {"GATEWAY_BASECONE_MODE": "rest", "GATEWAY_BASECONE_URL": "http://127.0.0.1:9/v1",
               "GATEWAY_BASECONE_CLIENT_IDENTIFIER": "i", "GATEWAY_BASECONE_API_ACCESS_KEY": "k",
               "GATEWAY_BOKAMERA_MODE": "rest", "GATEWAY_BOKAMERA_URL": "http://127.0.0.1:9"},
    )  # fmt: skip
    backends = Backends(configured, APIS, {"basecone": httpx.MockTransport(service)})
    await backends.open()
    call = CallContext("test-request")
    engine = Engine(schema_of(APIS))

    async def run(patch):
        document = "mutation($id: UUID!, $p: SupplierPatch!) { patchSupplier(id: $id, patch: $p) { supplier { id } } }"
        context = Context(call, {"basecone": backends.by_name["basecone"]})
        return (await engine.execute(GraphQLRequest(document, {"id": SUPPLIER_ID, "p": patch}), context)).body()

    (error,) = (await run({"email": "a@example.com"}))["errors"]
    shown = error["extensions"]
    assert (shown["reason"], shown["outcome"], sent) == ("RECORD_NOT_EXPRESSIBLE", "NOT_APPLIED", [])
    assert shown.get("input", {"path": ["patch"]})["path"] == place
    replacement = {"phone": "1", "name": "A", "bankAccounts": [], "address": None}
    if place[-1:] != ["patch"] and place[1] in replacement:
        assert "errors" not in await run({place[1]: replacement[place[1]]})
        assert len(sent) == 1
    await backends.aclose()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SAID = TEXT.filter(str.strip)
LEDGERS = {code: f"4afa8d3e-0000-4000-8000-00000000{code}" for code in ("4000", "7000", "8000")}
# What the store takes at these places; elsewhere anything of the member's type.
TAKEN = {
    "vatCode.code": st.sampled_from(["NL21", "NL9", "NL0"]),
    "payCollectType.code": st.sampled_from(["BANK", "DIRECTDEBIT"]),
    "paymentCondition.code": st.sampled_from(["NET14", "NET30"]),
    "country.code": st.sampled_from(["NL", "SE"]),
    "generalLedger.code": st.sampled_from(list(LEDGERS)),
    "company.companyId": st.just(COMPANY),
    ".name": SAID,
    ".code": SAID,
    ".metadata": st.dictionaries(SAID, TEXT, max_size=3),
    "paymentDiscount.paymentDays": st.integers(0, 99),
    "paymentDiscount.discountCalculationMethod": st.sampled_from(
        ["ExcludingVatWithoutDiscount", "IncludingVatWithoutDiscount", "ExcludingVatWithDiscount"]
    ),
    "paymentDiscount.discountPercentage": st.decimals(-99, 99, places=3),
    "bankAccounts.default": st.just(False),  # of several one at most is it
}


def records(cls, above=""):
    """Every record that the store can hold, as an update of the input class `cls` makes it: each member, or not."""
    parts = {True: {}, False: {}}
    for member in members(cls):
        name = member.graphql_name
        values = TAKEN.get(f"{above}.{name}", TEXT) if member.nested is None else records(member.nested, name)
        parts[member.required][name] = st.lists(values, max_size=3) if member.is_list else values
    if not above:
        parts[False] |= {"externalId": TEXT, "substitutionGeneralLedger": records(GeneralLedgerInput, "generalLedger")}
    return st.fixed_dictionaries(parts[True], optional=parts[False])


DRAWN = st.sampled_from([CUSTOMERS, SUPPLIERS]).flatmap(lambda one: st.tuples(st.just(one), records(one.input)))


def read_of(resource, document):
    """A read, with the code of the discount's ledger."""
    shape = read_shape(resource, SUPPLIER_ID, document, {"companyCode": "1"}, LEDGERS)
    ledger = (shape["paymentDiscount"] or {}).get("generalLedger")
    if ledger is not None:
        ledger["code"] = document["paymentDiscount"]["generalLedger"]["code"]
    return decode_json(encode_json(shape))


@pytest.mark.parametrize("examples", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_record_that_was_read_and_sent_back_is_the_record(examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(DRAWN)
    def sent_back(drawn):
        resource, document = drawn[0], decode_json(encode_json(drawn[1]))
        read_back = read_of(resource, document)
        body, problems = expressed(resource.input, read_back, resource.patch.left_out)
        assert problems == {}
        request = request_of(resource.mutation, decode_json(encode_json(body)))
        kept = {name: document[name] for name in ("externalId", "substitutionGeneralLedger") if name in document}
        assert read_of(resource, {**request, **kept}) == read_back
        # A read answers a list without accounts where none are stored, and no map where it is empty.
        assert {"bankAccounts": [], **request, **kept} == {"bankAccounts": [], **document}

    sent_back()


@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=DRAWN)
async def test_an_empty_patch_changes_nothing_of_a_stored_record(wired, drawn):
    resource, document = drawn[0], decode_json(encode_json(drawn[1]))
    wires, collection, record_id = wired["local"], RECORDS[resource.mutation], KINDS[resource.name][1]
    before = await wires.store.get(collection, record_id)
    record = Record(record_id, document, COMPANY, document.get("code"))
    with contextlib.suppress(UniqueConflictError):  # the code of another one
        await wires.store.commit([Write(collection, record, before.version)])
    stored, revision = (
        (await wires.store.get(collection, record_id)).document,
        (await read(wires, resource.name))["revision"],
    )
    more = ", skipCreationInAccountingSystem: true"
    preview = await patched(wires, resource.name, {}, f"{more}, dryRun: true", "preview { changes { path } }")
    answer = await patched(wires, resource.name, {}, more)
    name = f"patch{resource.name.capitalize()}"
    assert preview["data"][name]["preview"]["changes"] == []
    assert answer["data"][name][resource.name]["revision"] == revision
    after = (await wires.store.get(collection, record_id)).document
    assert {"bankAccounts": [], **after} == {"bankAccounts": [], **stored}
