"""A request from its document to its answer: every phase that can refuse it, and what the refusal says."""

import logging

import pytest

from app.graphql.execution import Engine
from tests.graphql.asking import UPDATE, ask, schema
from tests.graphql.notebook import FIRST, HIDDEN, SECOND
from tests.switch import COMPILED

NULLABLE = "$b: Boolean = true, $i: UpdateNoteInput!"
SKIPPING = " fragment F on UpdateNotePayload { note @skip(if: $b) { id } }"


def change(arguments, variables="", below="note { id }"):
    declared = f"({variables})" if variables else ""
    return f'mutation {declared} {{ updateNote(id: "{FIRST}", {arguments}) {{ {below} }} }}'


REFUSED = {
    "syntax": ("{", {}, None, "GRAPHQL_PARSE_FAILED", "DOCUMENT_UNPARSABLE"),
    "empty": ("", {}, None, "GRAPHQL_PARSE_FAILED", "DOCUMENT_UNPARSABLE"),
    "unknown field": ("{ nope }", {}, None, "GRAPHQL_VALIDATION_FAILED", "DOCUMENT_INVALID"),
    "no subscription": ("subscription { a }", {}, None, "GRAPHQL_VALIDATION_FAILED", "DOCUMENT_INVALID"),
    "no operation": ("fragment F on Note { id }", {}, None, "GRAPHQL_VALIDATION_FAILED", "DOCUMENT_INVALID"),
    "several operations": (
        "query A { __typename } query B { __typename }",
        {},
        None,
        "OPERATION_RESOLUTION_FAILURE",
        "OPERATION_NOT_FOUND",
    ),
    "unknown operation": ("query A { __typename }", {}, "B", "OPERATION_RESOLUTION_FAILURE", "OPERATION_NOT_FOUND"),
    "bad variable": (UPDATE, {"input": {"title": 1}}, None, "BAD_USER_INPUT", "VARIABLE_INVALID"),
    "missing variable": (UPDATE, {}, None, "BAD_USER_INPUT", "VARIABLE_INVALID"),
}


@pytest.mark.parametrize(("query", "variables", "name", "code", "reason"), REFUSED.values(), ids=REFUSED)
async def test_a_refused_request_has_no_data_and_reaches_no_backend(query, variables, name, code, reason):
    asked = await ask(query, variables, operation_name=name)
    assert "data" not in asked.body
    assert {error["extensions"]["code"] for error in asked.errors} == {code}
    assert set(asked.reasons) == {reason}
    assert not any({"outcome", "retry", "backend"} & set(error["extensions"]) for error in asked.errors)
    assert asked.notebook.calls == []


PLACES = {
    "wrong type": ({"title": 1}, ["input", "title"], "i.title"),
    "null": ({"title": None}, ["input", "title"], "i.title"),
    "missing": ({}, ["input", "title"], "i.title"),
    "unknown member": ({"title": "a", "colour": "red"}, ["input", "colour"], "i.colour"),
    "in a list": ({"title": "a", "tags": [{"name": "b"}, {"name": 1}]}, ["input", "tags", 1, "name"], "i.tags[1].name"),
    "one for a list": ({"title": "a", "tags": {"name": 1}}, ["input", "tags", "name"], "i.tags.name"),
    "null in a list": ({"title": "a", "tags": [None]}, ["input", "tags", 0], "i.tags[0]"),
    "no object": ({"title": "a", "tags": ["b"]}, ["input", "tags", 0], "i.tags[0]"),
    "scalar": ({"title": "a", "tags": [{"name": "b", "weight": "x"}]}, ["input", "tags", 0, "weight"], "weight"),
    "fraction": ({"title": "a", "pages": 1.5}, ["input", "pages"], "i.pages"),
    "large": ({"title": "a", "pages": 2**31}, ["input", "pages"], "i.pages"),
    "map": ({"title": "a", "labels": {"x": 1}}, ["input", "labels"], "i.labels"),
}


@pytest.mark.parametrize(("value", "path", "named"), PLACES.values(), ids=PLACES)
async def test_a_bad_variable_is_named_by_its_place_in_the_arguments(value, path, named):
    query = change("input: $i", "$i: UpdateNoteInput!")
    asked = await ask(query, {"i": value})
    (error,) = asked.errors
    assert error["extensions"]["input"] == {"path": path}
    assert named in error["message"]
    assert asked.notebook.calls == []


async def test_a_variable_below_an_argument_is_named_by_the_argument():
    query = change('input: {title: "a", tags: $t}', "$t: [TagInput!]")
    (error,) = (await ask(query, {"t": [{"name": 7}]})).errors
    assert error["extensions"]["input"] == {"path": ["input", "tags", 0, "name"]}


async def test_every_bad_place_is_an_error_of_its_own_up_to_a_bound():
    asked = await ask(UPDATE, {"input": {"title": "a", "tags": [{}] * 200}})
    assert len(asked.errors) == 20


async def test_a_literal_is_named_by_its_place_too():
    query = f'mutation {{ updateNote(id: "{FIRST}", input: {{title: "a", tags: [{{name: 7}}]}}) {{ note {{ id }} }} }}'
    (error,) = (await ask(query)).errors
    assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert error["extensions"]["input"] == {"path": ["input", "tags", 0, "name"]}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ notee { id } }", {}),
        ("{ errorCatalog(backend: NOTEBOK) { reason } }", {}),
        ("{ errorCatalog(backnd: NOTEBOOK) { reason } }", {}),
        ("query ($b: Backnd) { errorCatalog(backend: $b) { reason } }", {}),
        ("query ($b: Backend) { errorCatalog(backend: $b) { reason } }", {"b": "NOTEBOK"}),
        (UPDATE, {"input": {"titel": "a"}}),
        (f'{{ note(id: "{FIRST}") }}', {}),
    ],
)
async def test_nothing_is_suggested(query, variables):
    asked = await ask(query, variables)
    assert asked.errors
    assert not any("did you mean" in error["message"].lower() for error in asked.errors)


async def test_a_null_literal_is_called_null():
    (error,) = (await ask(change("input: {title: null}"))).errors
    assert error["message"] == "Expected value of non-null type 'String!' not to be null."


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (change("input: $i, loud: $b", NULLABLE), ["loud"]),
        (change("input: $i", NULLABLE, "note { id @skip(if: $b) }"), None),
        (change("input: $i", NULLABLE, "...F") + SKIPPING, None),
    ],
    ids=["argument", "below the mutation", "in a fragment"],
)  # fmt: skip
async def test_a_null_where_only_a_default_is_allowed_is_refused_before_the_mutation_runs(query, path):
    asked = await ask(query, {"i": {"title": "a"}, "b": None})
    assert asked.reasons == ["VARIABLE_INVALID"]
    assert asked.errors[0]["extensions"].get("input") == ({"path": path} if path else None)
    assert asked.notebook.calls == []
    assert (await ask(query, {"i": {"title": "a"}})).errors == []


async def test_mutations_run_in_the_order_in_which_they_are_written():
    query = "mutation { " + " ".join(
        f'm{n}: updateNote(id: "{FIRST}", input: {{title: "{"taken" if n == 2 else n}"}}) {{ note {{ title }} }}'
        for n in range(5)
    )
    asked = await ask(query + " }")
    assert [call[2]["title"] for call in asked.notebook.calls] == ["0", "1", "taken", "3", "4"]
    assert asked.result.data["m2"] is None
    assert asked.result.data["m3"] == {"note": {"title": "3"}}
    assert asked.errors[0]["path"] == ["m2"]


async def test_a_documented_refusal_has_the_whole_shape():
    (error,) = (await ask(UPDATE, {"input": {"title": "taken"}})).errors
    assert error == {
        "message": "The title is taken",
        "locations": [{"line": 1, "column": 45}],
        "path": ["updateNote"],
        "extensions": {
            "code": "CONFLICT",
            "reason": "TITLE_TAKEN",
            "backend": {"name": "notebook", "status": 409, "code": "taken", "message": "The title is taken"},
            "input": {"path": ["input", "title"]},
            "outcome": "NOT_APPLIED",
            "retry": {"safe": False},
            "requestId": "request-1",
        },
    }


async def test_several_faults_of_one_field_keep_their_order_at_one_path():
    asked = await ask(UPDATE, {"input": {"title": "both"}})
    assert asked.reasons == ["TITLE_TAKEN", "TAG_REFUSED"]
    assert [error["path"] for error in asked.errors] == [["updateNote"], ["updateNote"]]
    assert asked.errors[1]["extensions"]["input"] == {"path": ["input", "tags", 1, "name"]}


async def test_a_query_says_nothing_of_a_write():
    (error,) = (await ask(f'{{ note(id: "{HIDDEN}") {{ id }} }}')).errors
    assert error["extensions"]["reason"] == "NOTE_HIDDEN"
    assert not {"outcome", "retry"} & set(error["extensions"])
    (mutation,) = (await ask(UPDATE, {"input": {"title": "waits"}})).errors
    assert mutation["extensions"]["outcome"] == "NOT_APPLIED"
    assert mutation["extensions"]["retry"] == {"safe": True, "afterSeconds": 7}


async def test_a_surprise_is_masked_for_the_client_and_told_in_the_log(caplog):
    with caplog.at_level(logging.INFO):
        asked = await ask(UPDATE, {"input": {"title": "bug"}})
    (error,) = asked.errors
    assert error["extensions"] | {"requestId": ""} == {
        "code": "INTERNAL_SERVER_ERROR",
        "reason": "INTERNAL",
        "outcome": "UNKNOWN",
        "retry": {"safe": False},
        "requestId": "",
    }
    assert "secret-host" not in str(asked.body)
    (record,) = [item for item in caplog.records if item.levelno == logging.ERROR]
    assert "secret-host" in caplog.text
    assert record.exc_info is not None
    assert record.request_id == "request-1"


async def test_a_surprise_after_the_mutation_returned_does_not_doubt_the_write():
    query = f'mutation {{ updateNote(id: "{FIRST}", input: {{title: "void"}}) {{ note {{ promised }} }} }}'
    asked = await ask(query)
    (error,) = asked.errors
    assert error["path"] == ["updateNote", "note", "promised"]
    assert error["extensions"]["outcome"] == "APPLIED"
    assert error["message"].startswith("Internal server error.")


async def test_a_refusal_alarms_nobody_and_logs_nothing_that_was_sent(caplog):
    with caplog.at_level(logging.DEBUG):
        await ask(UPDATE, {"input": {"title": "taken", "tags": [{"name": "Mrs Secret"}]}})
    assert "Mrs Secret" not in caplog.text
    assert not [item for item in caplog.records if item.levelno > logging.INFO]


@pytest.mark.parametrize("weight", ["0.10", "12345678901234567890.000000001", "-0.00"])
async def test_a_decimal_literal_keeps_its_digits(weight):
    query = change(f'input: {{title: "a", tags: [{{name: "b", weight: {weight}}}]}}', below="note { weight }")
    assert (await ask(query)).result.data == {"updateNote": {"note": {"weight": weight}}}


async def test_a_variable_inside_a_map_is_checked_when_it_has_a_value():
    query = change('input: {title: "a", labels: {k: $x}}', "$x: String")
    asked = await ask(query, {"x": "y"})
    assert asked.notebook.calls == [("write", FIRST, {"title": "a", "labels": {"k": "y"}})]
    refused = await ask(query, {"x": None})
    assert refused.reasons == ["ARGUMENT_INVALID"]
    assert refused.errors[0]["extensions"]["outcome"] == "NOT_APPLIED"
    assert "labels" in refused.errors[0]["message"]
    assert refused.notebook.calls == []


async def test_federations_fields_are_for_the_trusted_router_when_there_is_a_secret():
    engine = Engine(schema(), router_secret_set=True, compiled=COMPILED)
    for query in ("{ _service { sdl } }", "{ ...F } fragment F on Query { x: _service { sdl } }"):
        asked = await ask(query, engine=engine)
        assert asked.reasons == ["ROUTER_NOT_TRUSTED"]
        assert asked.result.error.row.http_status == 401
        assert (await ask(query, engine=engine, trusted_router=True)).errors == []
    assert (await ask(f'{{ note(id: "{SECOND}") {{ id }} }}', engine=engine)).errors == []


async def test_only_a_query_may_be_read_only():
    asked = await ask(UPDATE, {"input": {"title": "a"}}, read_only=True)
    assert asked.reasons == ["MUTATION_OVER_GET"]
    assert asked.result.error.headers == {"allow": "POST"}
    assert asked.notebook.calls == []
