"""Documents named instead of sent: Apollo's automatic ones, and trusted ones."""

import hashlib
import json

import pytest

from app.graphql.execution import Engine
from app.graphql.persisted import ManifestError, PersistedDocuments, digest, read_trusted
from tests.graphql.asking import ask, schema
from tests.switch import COMPILED

QUERY = "query Hello { __typename }"
HASH = hashlib.sha256(QUERY.encode()).hexdigest()


def named(hash_=HASH, version=1):
    return {"extensions": {"persistedQuery": {"version": version, "sha256Hash": hash_}}}


async def test_an_unknown_hash_is_asked_for_and_then_known():
    engine = Engine(schema(), compiled=COMPILED)
    first = await ask(None, engine=engine, **named())
    assert [error["message"] for error in first.errors] == ["PersistedQueryNotFound"]
    assert first.errors[0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert (await ask(QUERY, engine=engine, **named())).errors == []
    again = await ask(None, engine=engine, **named(HASH.upper()))
    assert again.body == {"data": {"__typename": "Query"}}


async def test_a_document_that_does_not_fit_the_schema_is_not_registered():
    engine = Engine(schema(), compiled=COMPILED)
    bad = "{ nope }"
    await ask(bad, engine=engine, **named(digest(bad)))
    assert (await ask(None, engine=engine, **named(digest(bad)))).reasons == ["PERSISTED_QUERY_NOT_FOUND"]


async def test_a_hash_of_another_document_is_refused():
    engine = Engine(schema(), compiled=COMPILED)
    asked = await ask("{ __typename }", engine=engine, **named())
    assert asked.reasons == ["PERSISTED_QUERY_MISMATCH"]
    assert (await ask(None, engine=engine, **named())).reasons == ["PERSISTED_QUERY_NOT_FOUND"]


@pytest.mark.parametrize(
    "given", [{}, {"version": 2, "sha256Hash": HASH}, {"version": 1}, {"version": 1, "sha256Hash": "x"}, [], "text", 1]
)
async def test_a_malformed_extension_is_refused(given):
    assert (await ask(None, extensions={"persistedQuery": given})).reasons == ["PERSISTED_QUERY_MALFORMED"]


async def test_automatic_documents_can_be_turned_off():
    engine = Engine(schema(), persisted=PersistedDocuments(automatic=0), compiled=COMPILED)
    assert (await ask(QUERY, engine=engine, **named())).errors == []
    asked = await ask(None, engine=engine, **named())
    assert [error["message"] for error in asked.errors] == ["PersistedQueryNotSupported"]


async def test_registered_documents_are_bounded_in_number_and_length():
    store = PersistedDocuments(automatic=2, max_length=40)
    engine = Engine(schema(), persisted=store, compiled=COMPILED)
    queries = [f"query Q{n} {{ __typename }}" for n in range(3)] + ["{ __typename }" + " " * 40]
    for query in queries:
        assert (await ask(query, engine=engine, **named(digest(query)))).errors == []
    assert len(store) == 2
    found = [(await ask(None, engine=engine, **named(digest(query)))).errors == [] for query in queries]
    assert found == [False, True, True, False]


MANIFESTS = {
    "Apollo": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [{"id": HASH, "name": "Hello", "type": "query", "body": QUERY}],
    },
    "Relay or graphql-codegen": {HASH: QUERY},
    "with a prefix": {f"sha256:{HASH}": QUERY},
}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
async def test_a_manifest_names_the_documents_that_run(tmp_path, manifest):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    engine = Engine(schema(), persisted=PersistedDocuments(trusted=read_trusted(path), strict=True), compiled=COMPILED)
    answer = {"data": {"__typename": "Query"}}
    assert (await ask(None, engine=engine, **named())).body == answer
    assert (await ask(None, engine=engine, document_id=HASH)).body == answer
    assert (await ask(None, engine=engine, document_id=f"sha256:{HASH}")).body == answer
    assert (await ask(QUERY + "\n", engine=engine)).body == answer


async def test_in_strict_mode_nothing_else_runs(tmp_path):
    (tmp_path / "hello.graphql").write_text(QUERY + "\n")
    engine = Engine(
        schema(), persisted=PersistedDocuments(trusted=read_trusted(tmp_path), strict=True), compiled=COMPILED
    )
    assert (await ask(None, engine=engine, **named())).errors == []
    other = "query Other { __typename }"
    for asked in (
        await ask(other, engine=engine),
        await ask(other, engine=engine, **named(digest(other))),
        await ask(None, engine=engine, **named(digest(other))),
        await ask(None, engine=engine, document_id="other"),
        await ask("{ __schema { types { name } } }", engine=engine),
    ):
        assert asked.reasons == ["DOCUMENT_NOT_TRUSTED"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"a": 1}', '{"format": "apollo-persisted-query-manifest", "version": 2}',
                '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [1]}',
                '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": ["a"], "body": "b"}]}',
                pytest.param("[" * 100_000, id="deep")],
)  # fmt: skip
def test_an_unusable_manifest_is_refused_at_the_start(tmp_path, content):
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(ManifestError):
        read_trusted(path)


def test_a_missing_or_empty_folder_is_refused_at_the_start(tmp_path):
    with pytest.raises(ManifestError):
        read_trusted(tmp_path)
    with pytest.raises(ManifestError):
        read_trusted(tmp_path / "missing")
