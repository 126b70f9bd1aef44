"""The vendor pages' example bodies with real codes and ids: they update the first content, and a killed gateway has them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from app.apis import APIS
from app.apis.bokamera import jsv
from tests.processes import PATIENCE, program
from tests.test_contract import example_of, operation, record_type, whole

SAMPLES = Path(__file__).parent / "apis"
PAGES = {
    "updateCustomer": json.loads((SAMPLES / "basecone/samples/update-customer.json").read_text()),
    "updateSupplier": json.loads((SAMPLES / "basecone/samples/update-supplier.json").read_text()),
    "updateBookingCustomer": jsv.decode((SAMPLES / "bokamera/samples/update-customer/request.jsv").read_bytes()),
}
# An access key of the page has an id, which makes it one to change; the page's key to delete is an empty element.
KEY = "ba5e0000-0000-4000-8000-000000000001"


def variables_of(mutation):
    api = next(api for api in APIS if mutation in api.mutations)
    variables = json.loads(json.dumps(example_of(api, mutation)))
    for key in variables["input"].get("accessKeys", []):
        key["id"] = KEY
    return variables


def shape(value):
    """The names of a body's members, at every depth, in GraphQL's spelling; empty elements left out."""
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value if item][:1]
    return None


@pytest.mark.parametrize("mutation", PAGES)
def test_an_example_has_every_member_of_its_page(mutation):
    variables = variables_of(mutation)
    page = shape(PAGES[mutation])
    # A booking customer's company is an argument: the page has it as a query parameter.
    if "companyId" in page:
        del page["companyId"]
    assert shape(variables["input"]) == page


def contains(read, sent):
    """Whether everything that was sent is in what was read; in a list, in one of its items."""
    if isinstance(sent, dict):
        return all(contains(read[name], item) for name, item in sent.items())
    if isinstance(sent, list):
        return all(any(contains(candidate, item) for candidate in read) for item in sent)
    return read == sent


@pytest.mark.slow
def test_the_pages_bodies_update_the_first_content_and_survive_a_kill(tmp_path):
    updated = {}
    with program(tmp_path) as gateway:
        for mutation in PAGES:
            name, kind = record_type(mutation)
            content = {"query": operation(mutation, whole(kind)), "variables": variables_of(mutation)}
            answer = httpx.post(f"{gateway.url}/graphql", json=content).json()
            assert "errors" not in answer
            updated[mutation] = answer["data"][mutation][name]
        gateway.process.kill()
        gateway.process.wait(PATIENCE)
    with program(tmp_path) as gateway:
        for mutation, record in updated.items():
            name, kind = record_type(mutation)
            variables = variables_of(mutation)
            query = f"query($id: UUID!) {{ {name}(id: $id) {whole(kind)} }}"
            answer = httpx.post(f"{gateway.url}/graphql", json={"query": query, "variables": {"id": variables["id"]}})
            assert answer.json() == {"data": {name: record}}
            sent = variables["input"]
            if "customFields" in sent:
                # The reply has the values beside the fields' definitions.
                sent["customFieldValues"] = sent.pop("customFields")
                del sent["accessKeysToDelete"]
            assert contains(record, sent)
