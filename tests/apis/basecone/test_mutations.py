"""From the mutation's arguments to the wire and back: three kinds of nothing, read-backs counted, outcomes told truly."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.apis import APIS
from app.apis.basecone.examples import CUSTOMER_ID, CUSTOMER_INPUT, SUPPLIER_ID, SUPPLIER_INPUT
from app.apis.basecone.seed import COMPANY_A
from app.apis.basecone.settings import BaseconeSettings, rest
from app.call import CallContext
from app.graphql.context import Context
from app.graphql.execution import Engine, GraphQLRequest
from app.upstream.upstream import Upstream
from tests.harness import Gateway, Recorder, _decode, check_error, schema_of
from tests.harness import gateway as open_gateway
from tests.switch import COMPILED

OWN = BaseconeSettings(mode="rest", client_identifier="client", api_access_key="key")
LEDGER = "f0000001-0000-4000-8000-000000000001"


class Backend:
    """A Basecone that answers from a table: (method, path's end) -> answer, or an exception to raise."""

    def __init__(self, answers):
        self.recorder = Recorder(httpx.MockTransport(self._answer))
        self.answers = answers
        self.backend = rest(OWN, Upstream("basecone", "https://backend.test/v1", transport=self.recorder))
        self.engine = Engine(schema_of(APIS), compiled=COMPILED)

    def _answer(self, request):
        resource = request.url.path.split("/")[2]
        answer = self.answers[request.method, resource]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def execute(self, query, variables=None):
        result = await self.engine.execute(
            GraphQLRequest(query, variables or {}), Context(CallContext("r"), {"basecone": self.backend})
        )
        body = result.body()
        for error in body.get("errors", ()):
            check_error(error)
        return body

    @property
    def calls(self):
        return [f"{request.method} {request.url.path.split('/')[2]}" for request in self.recorder.requests]

    @property
    def body(self):
        return self.recorder.requests[0].content


def update(selection, skip=False):
    flag = "true" if skip else "false"
    return (
        "mutation($id: UUID!, $input: UpdateCustomerInput!) { "
        f"updateCustomer(id: $id, input: $input, skipCreationInAccountingSystem: {flag}) {{ customer {{ {selection} }} }} }}"
    )


VARIABLES = {
    "id": CUSTOMER_ID,
    "input": {"company": {"companyId": COMPANY_A}, "name": "New", "address": {"city": "Baarn"}},
}
READ = {
    "customerId": CUSTOMER_ID,
    "name": "New",
    "externalId": "EXT",
    "company": {"companyId": COMPANY_A, "companyCode": "A"},
    "address": {"city": "Baarn", "country": None},
    "vatCode": "NL21",
    "substitutionGeneralLedger": {"generalLedgerId": LEDGER},
}
NO_CONTENT = httpx.Response(204)
UNKNOWN_ID = httpx.Response(404, json={"code": "resource_not_found", "message": "No such record."})

# What is selected -> the calls at the backend.
READ_BACKS = [
    ("id name", ["PUT customers"]),
    ("__typename id company { companyId }", ["PUT customers"]),
    ("address { city }", ["PUT customers"]),
    ("...on Customer { name } ...F", ["PUT customers"]),
    ("name externalId @skip(if: true)", ["PUT customers"]),
    ("name externalId @include(if: false)", ["PUT customers"]),
    ("externalId", ["PUT customers", "GET customers"]),
    ("company { companyCode }", ["PUT customers", "GET customers"]),
    ("address { city postalCode }", ["PUT customers", "GET customers"]),
    ("email", ["PUT customers", "GET customers"]),
    ("a: externalId b: email", ["PUT customers", "GET customers"]),
    ("substitutionGeneralLedger { generalLedgerId }", ["PUT customers", "GET customers"]),
    ("substitutionGeneralLedger { code }", ["PUT customers", "GET customers", "GET generalLedgers"]),
]


@pytest.mark.parametrize(("selection", "calls"), READ_BACKS, ids=[case[0] for case in READ_BACKS])
async def test_a_204_is_read_back_only_for_what_was_not_sent(selection, calls):
    backend = Backend(
        {
            ("PUT", "customers"): NO_CONTENT,
            ("GET", "customers"): httpx.Response(200, json=READ),
            ("GET", "generalLedgers"): httpx.Response(200, json={"id": LEDGER, "code": "8000"}),
        }
    )
    fragment = " fragment F on Customer { id }" if "...F" in selection else ""
    answer = await backend.execute(update(selection) + fragment, VARIABLES)
    assert "errors" not in answer
    assert backend.calls == calls


async def test_two_aliases_of_the_record_share_one_read_back():
    backend = Backend({("PUT", "customers"): NO_CONTENT, ("GET", "customers"): httpx.Response(200, json=READ)})
    query = update("externalId } again: customer { email")
    answer = await backend.execute(query, VARIABLES)
    assert answer["data"]["updateCustomer"] == {"customer": {"externalId": "EXT"}, "again": {"email": None}}
    assert backend.calls == ["PUT customers", "GET customers"]


@pytest.mark.parametrize(
    "selection", ["name } read: customer { name externalId", "name externalId } sent: customer { name"]
)
async def test_two_aliases_of_the_record_show_one_state_of_it(selection):
    """Somebody else changed the record between the update and the read: both show what was read."""
    backend = Backend(
        {("PUT", "customers"): NO_CONTENT, ("GET", "customers"): httpx.Response(200, json={**READ, "name": "Theirs"})}
    )
    answer = await backend.execute(update(selection), VARIABLES)
    assert {record["name"] for record in answer["data"]["updateCustomer"].values()} == {"Theirs"}
    assert backend.calls == ["PUT customers", "GET customers"]


FAILED_READ_BACKS = [
    (UNKNOWN_ID, "RECORD_NOT_READ_BACK"),
    (httpx.Response(404), "UNDOCUMENTED_NOT_FOUND"),
    (httpx.Response(500), "BACKEND_FAILED"),
    (httpx.Response(200, text="<html>"), "ANSWER_UNREADABLE"),
    (httpx.Response(200, json={"customerId": "x", "name": "n"}), "ANSWER_UNREADABLE"),
    (httpx.Response(403, json={"code": "unauthorized", "message": "User does not have access to the company provided."}), "COMPANY_ACCESS_DENIED"),
    (httpx.ReadTimeout("slow"), "ANSWER_TIMED_OUT"),
    (httpx.ConnectError("refused"), "NOT_CONNECTED"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "reason"), FAILED_READ_BACKS, ids=[case[1] for case in FAILED_READ_BACKS])
async def test_a_failed_read_back_never_makes_an_applied_update_a_failure(answer, reason):
    backend = Backend({("PUT", "customers"): NO_CONTENT, ("GET", "customers"): answer})
    body = await backend.execute(update("externalId"), VARIABLES)
    assert body["data"] == {"updateCustomer": {"customer": None}}
    (error,) = body["errors"]
    assert error["path"] == ["updateCustomer", "customer"]
    shown = error["extensions"]
    assert (shown["reason"], shown["outcome"], shown["retry"]["safe"]) == (reason, "APPLIED", False)
    assert backend.calls.count("PUT customers") == 1


async def test_a_general_ledger_that_cannot_be_read_is_one_null_field():
    backend = Backend(
        {
            ("PUT", "customers"): NO_CONTENT,
            ("GET", "customers"): httpx.Response(200, json=READ),
            ("GET", "generalLedgers"): httpx.Response(500),
        }
    )
    body = await backend.execute(update("name substitutionGeneralLedger { generalLedgerId code }"), VARIABLES)
    ledger = {"generalLedgerId": LEDGER, "code": None}
    assert body["data"]["updateCustomer"]["customer"] == {"name": "New", "substitutionGeneralLedger": ledger}
    (error,) = body["errors"]
    assert error["path"] == ["updateCustomer", "customer", "substitutionGeneralLedger", "code"]
    assert error["extensions"]["outcome"] == "APPLIED"


# Exactly what the update makes of the record.
EXACT = {**READ, "vatCode": None}

# After an unknown outcome: what the PUT met, what the read-back found, whether the accounting system was left alone.
UNKNOWN = [
    ("equal, nothing else asked for", True, httpx.Response(200, json=EXACT), None, ""),
    ("equal, but the accounting system", False, httpx.Response(200, json=EXACT), "SAME", "equals what was sent"),
    ("what was left out is there", True, httpx.Response(200, json=READ), "DIFFERS", "differs"),
    ("different", True, httpx.Response(200, json={**EXACT, "name": "Old"}), "DIFFERS", "differs"),
    ("not found", True, UNKNOWN_ID, "MISSING", "not found"),
    ("a proxy's 404", True, httpx.Response(404), "FAILED", "could not be read back"),
    ("unreadable", True, httpx.Response(200, text="?"), "FAILED", "could not be read back"),
    ("unreachable", True, httpx.ConnectError("x"), "FAILED", "could not be read back"),
]  # fmt: skip
BREAKS = [
    httpx.ReadTimeout("slow"),
    httpx.Response(504),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("closed"),
    httpx.Response(500),
]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    ("skip", "read", "read_back", "says"), [case[1:] for case in UNKNOWN], ids=[case[0] for case in UNKNOWN]
)
async def test_an_unknown_outcome_is_settled_by_one_read_or_stays_unknown(broken, skip, read, read_back, says):
    backend = Backend({("PUT", "customers"): broken, ("GET", "customers"): read})
    body = await backend.execute(update("name externalId", skip=skip), VARIABLES)
    assert backend.calls.count("PUT customers") == 1
    late = isinstance(broken, httpx.ReadTimeout) or getattr(broken, "status_code", 0) == 504
    if late and read_back is None:
        read_back, says = "SAME", "may still be on its way"
    if read_back is None:
        assert body == {"data": {"updateCustomer": {"customer": {"name": "New", "externalId": "EXT"}}}}
        assert backend.calls == ["PUT customers", "GET customers"]
    else:
        (error,) = body["errors"]
        assert body["data"] == {"updateCustomer": None}
        shown = error["extensions"]
        assert (shown["outcome"], shown["retry"], shown["readBack"]) == ("UNKNOWN", {"safe": False}, read_back)
        assert says in error["message"] or late


REFUSED_UNSENT = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")]


@pytest.mark.parametrize("broken", REFUSED_UNSENT, ids=lambda value: type(value).__name__)
async def test_what_was_not_sent_is_not_applied_and_not_read_back(broken):
    backend = Backend({("PUT", "customers"): broken})
    (error,) = (await backend.execute(update("name"), VARIABLES))["errors"]
    shown = error["extensions"]
    assert (shown["code"], shown["outcome"], shown["backend"]) == (
        "BACKEND_UNAVAILABLE",
        "NOT_APPLIED",
        {"name": "basecone"},
    )
    assert "GET customers" not in backend.calls


async def test_absent_null_and_empty_reach_basecone_as_three_things():
    backend = Backend({("PUT", "customers"): NO_CONTENT})
    given = {
        "company": {"companyId": COMPANY_A},
        "name": "N",
        "phone": None,
        "fax": "",
        "bankAccounts": None,
        "address": {"city": None},
    }
    answer = await backend.execute(
        update("phone fax bankAccounts { iban } address { city }"), {"id": CUSTOMER_ID, "input": given}
    )
    assert json.loads(backend.body) == {
        "company": {"companyId": COMPANY_A},
        "name": "N",
        "address": {"city": None},
        "phone": None,
        "fax": "",
        "bankAccounts": None,
    }
    assert answer["data"]["updateCustomer"]["customer"] == {
        "phone": None,
        "fax": "",
        "bankAccounts": None,
        "address": {"city": None},
    }


SUPPLIER_UPDATE = (
    "mutation($id: UUID!, $input: UpdateSupplierInput!) { updateSupplier(id: $id, input: $input) { supplier "
    "{ paymentDiscount { discountPercentage } } } }"
)


@pytest.mark.parametrize(
    ("digits", "plain"),
    [
        *((digits, digits) for digits in ("0.00", "0.10", "2.50", "100", "0.00000000", "0.0000001", "-0.0")),
        *(("0E-8", "0.00000000"), ("1E-7", "0.0000001"), ("1E+2", "100")),
        ("0.1234567890123456789012345678901234567890",) * 2,
    ],
)
@pytest.mark.parametrize("form", ["string", "number", "literal", "string literal"])
async def test_a_decimal_keeps_its_digits(digits, plain, form):
    backend = Backend({("PUT", "suppliers"): NO_CONTENT})
    query = SUPPLIER_UPDATE
    given = {"company": {"companyId": COMPANY_A}, "name": "N"}
    if form.endswith("literal"):
        literal = f'"{digits}"' if form.startswith("string") else digits
        query = (
            f'mutation {{ updateSupplier(id: "{SUPPLIER_ID}", input: {{ company: {{ companyId: "{COMPANY_A}" }}, name: "N", '
            f"paymentDiscount: {{ discountPercentage: {literal} }} }}) {{ supplier {{ paymentDiscount {{ discountPercentage }} }} }} }}"
        )
        variables = {}
    else:
        value = f'"{digits}"' if form == "string" else digits
        given["paymentDiscount"] = {"discountPercentage": "?"}
        variables = _decode(json.dumps({"id": SUPPLIER_ID, "input": given}).replace('"?"', value).encode())
    answer = await backend.execute(query, variables)
    assert "errors" not in answer, answer
    assert f'"DiscountPercentage":{plain}}}'.encode() in backend.body
    assert answer["data"]["updateSupplier"]["supplier"] == {"paymentDiscount": {"discountPercentage": plain}}


@pytest.mark.parametrize(
    "digits",
    ['"x"', '"NaN"', '"Infinity"', "true", '""', '"1,5"', "[1]", '" 1"', '"1e999999999"', '"' + "9" * 200 + '"'],
)
async def test_what_is_no_decimal_is_refused_by_name_and_nothing_is_sent(digits):
    backend = Backend({})
    given = {
        "company": {"companyId": COMPANY_A},
        "name": "N",
        "paymentDiscount": {"discountPercentage": json.loads(digits)},
    }
    body = await backend.execute(SUPPLIER_UPDATE, {"id": SUPPLIER_ID, "input": given})
    (error,) = body["errors"]
    assert (error["extensions"]["code"], "data" in body, backend.calls) == ("BAD_USER_INPUT", False, [])
    assert "discountPercentage" in error["message"]


TEXTS = {
    "ten thousand characters": "n" * 10_000,
    "emoji": "Café 👩‍👩‍👧‍👦 🇸🇪",
    "right to left": "\u202bשלום عليكم\u202c",
    "control characters": "a\x00b\x07c\x1bd\u2028e",
    "quotes and backslashes": "\"'\\\\n{{}}$x</script>",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_texts_survive_the_way_to_the_store_and_back(gateway: Gateway, text):
    given = {"company": {"companyId": COMPANY_A}, "name": text, "email": text}
    answer = await gateway.execute(update("name externalId"), {"id": CUSTOMER_ID, "input": given})
    assert answer["data"]["updateCustomer"]["customer"]["name"] == text
    later = await gateway.execute(f'{{ customer(id: "{CUSTOMER_ID}") {{ name email }} }}')
    assert later == {"data": {"customer": {"name": text, "email": text}}}


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_any_text_reaches_the_wire_unchanged(text):
    backend = Backend({("PUT", "customers"): NO_CONTENT})
    given_ = {"company": {"companyId": COMPANY_A}, "name": text}
    answer = await backend.execute(update("name"), {"id": CUSTOMER_ID, "input": given_})
    assert json.loads(backend.body)["name"] == text
    assert answer["data"]["updateCustomer"]["customer"]["name"] == text


UUIDS = ["C0000000-0000-4000-8000-000000000001", "c0000000000040008000000000000001", "C0000000000040008000000000000001"]


@pytest.mark.parametrize("written", UUIDS)
async def test_an_id_in_any_form_is_answered_dashed_in_lower_case(gateway: Gateway, written):
    variables = {"id": written, "input": CUSTOMER_INPUT}
    answer = await gateway.execute(update("id company { companyId }"), variables)
    assert answer["data"]["updateCustomer"]["customer"] == {"id": CUSTOMER_ID, "company": {"companyId": COMPANY_A}}


# Bad input: where it is, by the error's code, and what its message must name.
BAD = [
    ("unknown input field", {"id": CUSTOMER_ID, "input": {**CUSTOMER_INPUT, "nam": "x"}}, "nam", ["input", "nam"]),
    ("malformed UUID", {"id": "c0000000-0000", "input": CUSTOMER_INPUT}, "id", ["id"]),
    ("UUID with dashes elsewhere", {"id": "c00000000-000-4000-8000-000000000001", "input": CUSTOMER_INPUT}, "id", ["id"]),
    ("missing required field", {"id": CUSTOMER_ID, "input": {"company": {"companyId": COMPANY_A}}}, "name", ["input", "name"]),
    ("missing variable", {"id": CUSTOMER_ID}, "input", ["input"]),
    ("wrong type", {"id": CUSTOMER_ID, "input": {**CUSTOMER_INPUT, "name": 7}}, "name", ["input", "name"]),
    ("list for an object", {"id": CUSTOMER_ID, "input": {**CUSTOMER_INPUT, "address": [1]}}, "address", ["input", "address"]),
    ("null for what is required", {"id": CUSTOMER_ID, "input": {**CUSTOMER_INPUT, "name": None}}, "name", ["input", "name"]),
    ("deep in a list", {"id": CUSTOMER_ID, "input": {**CUSTOMER_INPUT, "bankAccounts": [{"default": True}, {"default": 3}]}}, "default", ["input", "bankAccounts", 1, "default"]),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "named", "path"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
async def test_bad_variables_are_refused_by_place_and_nothing_is_written(gateway: Gateway, variables, named, path):
    body = await gateway.execute(update("id"), variables)
    assert "data" not in body
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["input"]["path"] == path
    assert named in error["message"]
    assert all(recorder.count("PUT") == 0 for recorder in gateway.transports.values())
    assert (await gateway.execute(f'{{ customer(id: "{CUSTOMER_ID}") {{ name }} }}'))["data"]["customer"][
        "name"
    ] == "Anna Bakery"


def literal(value):
    """A value as a document has it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(member)}" for name, member in value.items()) + "}"
    return "[" + ", ".join(map(literal, value)) + "]" if isinstance(value, list) else json.dumps(value)


@pytest.mark.parametrize(("variables", "path"), [case[1::2] for case in BAD], ids=[case[0] for case in BAD])
async def test_what_is_wrong_inline_has_the_same_place(local_gateway: Gateway, variables, path):
    arguments = ", ".join(f"{name}: {literal(value)}" for name, value in variables.items())
    body = await local_gateway.execute(f"mutation {{ updateCustomer({arguments}) {{ customer {{ id }} }} }}")
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert error["extensions"]["input"]["path"] == path


INVALID = [
    ('mutation { updateCustomer(id: "x", input: {}) { customer { id } } }', "GRAPHQL_VALIDATION_FAILED"),
    ("mutation { updateCustomer { customer { id } } }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ customer(id: 5) { id } }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ customer(id: $id) { id } }", "GRAPHQL_VALIDATION_FAILED"),
    ("{ customer(id: ", "GRAPHQL_PARSE_FAILED"),
    ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
]


@pytest.mark.parametrize(("query", "code"), INVALID)
async def test_bad_documents_are_refused_before_anything_runs(local_gateway: Gateway, query, code):
    body = await local_gateway.execute(query)
    assert "data" not in body
    assert {error["extensions"]["code"] for error in body["errors"]} == {code}


async def test_mutations_of_one_document_run_in_order_and_fail_alone(gateway: Gateway):
    query = (
        "mutation($id: UUID!, $good: UpdateCustomerInput!, $bad: UpdateCustomerInput!) { "
        "first: updateCustomer(id: $id, input: $good) { customer { name } } "
        "second: updateCustomer(id: $id, input: $bad) { customer { name } } "
        "third: updateCustomer(id: $id, input: $good) { customer { name } } }"
    )
    bad = {**CUSTOMER_INPUT, "vatCode": {"code": "?"}}
    body = await gateway.execute(query, {"id": CUSTOMER_ID, "good": CUSTOMER_INPUT, "bad": bad})
    done = {"customer": {"name": CUSTOMER_INPUT["name"]}}
    assert body["data"] == {"first": done, "second": None, "third": done}
    assert [error["path"] for error in body["errors"]] == [["second"]]


async def test_what_is_left_out_is_cleared_and_what_an_update_cannot_carry_is_kept(gateway: Gateway):
    fields = "name phone email address { city } bankAccounts { iban } vatCode { code } externalId substitutionGeneralLedger { code }"
    given = {"company": {"companyId": COMPANY_A}, "name": "Only a name"}
    answer = await gateway.execute(update(fields), {"id": CUSTOMER_ID, "input": given})
    assert answer["data"]["updateCustomer"]["customer"] == {
        "name": "Only a name",
        "phone": None,
        "email": None,
        "address": None,
        "bankAccounts": [],
        "vatCode": None,
        "externalId": "EXT-C001",
        "substitutionGeneralLedger": {"code": "8000"},
    }


async def test_the_pages_example_survives_a_restart(tmp_path):
    supplier = (
        "supplier { id name code metadata paymentDiscount { paymentDays discountPercentage generalLedger { code } } }"
    )
    async with open_gateway("local", tmp_path) as opened:
        query = f"mutation($id: UUID!, $input: UpdateSupplierInput!) {{ updateSupplier(id: $id, input: $input) {{ {supplier} }} }}"
        answer = await opened.execute(query, {"id": SUPPLIER_ID, "input": SUPPLIER_INPUT})
        assert "errors" not in answer
    async with open_gateway("local", tmp_path) as reopened:
        later = await reopened.execute("{ " + supplier.replace("supplier", f'supplier(id: "{SUPPLIER_ID}")') + " }")
    assert later["data"]["supplier"] == answer["data"]["updateSupplier"]["supplier"]
    assert later["data"]["supplier"]["paymentDiscount"]["discountPercentage"] == "0.00"
