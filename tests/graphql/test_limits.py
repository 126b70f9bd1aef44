"""Each limit: refused just above, passing just below, and one error however much is wrong."""

import pytest
from graphql import get_introspection_query

from app.graphql.documents import MAX_ERRORS, Documents
from app.graphql.execution import Engine
from app.graphql.limits import DocumentLimits
from app.graphql.request_errors import RequestError
from tests.graphql.asking import UPDATE, ask, schema
from tests.graphql.notebook import FIRST
from tests.switch import COMPILED

NOTE = f'note(id: "{FIRST}")'


def deep(levels):
    """A document with so many levels of selections."""
    return f"{{ {NOTE} " + "{ again " * (levels - 2) + "{ id }" + " }" * (levels - 1)


def spread_deep(levels):
    return f"{{ {NOTE} {{ ...F }} }} fragment F on Note " + "{ again " * (levels - 2) + "{ id }" + " }" * (levels - 2)


def inline_deep(levels):
    return f"{{ ... on Query {{ {NOTE} {{ ... {{ id {'again { id }' if levels > 2 else ''} }} }} }} }}"


def spread_fields(count):
    spreads = f"{{ {NOTE} {{ ...F ...F ...F {'id ' * (count - 13)} }} }}"
    return spreads + " fragment F on Note { id title promised weight }"


def spread_root_fields(count):
    spreads = "{ ...F ... { ...F } }" if count == 6 else "{ ...F ...F ...F }"
    return spreads + " fragment F on Query { __typename __typename __typename }"


def aliases(count):
    return "{ " + " ".join(f"a{n}: __typename" for n in range(count)) + " }"


def directives(count):
    return "{ " + "__typename @skip(if: false) " * count + "}"


def outer_directives(count):
    return "query ($a: Int @x) @y { __typename }" if count > 1 else "{ __typename @skip(if: false) }"


LIMITS = {
    "characters": ("max_length", 60, lambda n: "{ __typename }" + " " * (n - 14), "DOCUMENT_TOO_LONG"),
    "tokens": ("max_tokens", 30, lambda n: "{" + " __typename" * (n - 2) + "}", "DOCUMENT_TOO_LONG"),
    "tokens in comments": ("max_tokens", 30, lambda n: "{__typename}" + "#\n" * (n - 3), "DOCUMENT_TOO_LONG"),
    "depth": ("max_depth", 7, deep, "DOCUMENT_TOO_DEEP"),
    "depth by a fragment": ("max_depth", 7, spread_deep, "DOCUMENT_TOO_DEEP"),
    "depth by an inline fragment": ("max_depth", 2, inline_deep, "DOCUMENT_TOO_DEEP"),
    "fields": ("max_fields", 12, lambda n: f"{{ {NOTE} {{ {'id ' * (n - 1)} }} }}", "TOO_MANY_FIELDS"),
    "fields by fragments": ("max_fields", 13, spread_fields, "TOO_MANY_FIELDS"),
    "aliases": ("max_aliases", 9, aliases, "TOO_MANY_ALIASES"),
    "an alias": ("max_alias_length", 9, lambda n: f"{{ {'a' * n}: __typename }}", "ALIAS_TOO_LONG"),
    "an alias in a fragment": (
        "max_alias_length",
        9,
        lambda n: f"{{ ... {{ ...F }} }} fragment F on Query {{ {'a' * n}: __typename }}",
        "ALIAS_TOO_LONG",
    ),
    "root fields": ("max_root_fields", 6, lambda n: "{ " + "__typename " * n + "}", "TOO_MANY_ROOT_FIELDS"),
    "root fields by a fragment": ("max_root_fields", 6, spread_root_fields, "TOO_MANY_ROOT_FIELDS"),
    "directives": ("max_directives", 8, directives, "TOO_MANY_DIRECTIVES"),
    "directives on variables and operations": ("max_directives", 1, outer_directives, "TOO_MANY_DIRECTIVES"),
}


@pytest.mark.parametrize(("limit", "most", "document", "reason"), LIMITS.values(), ids=LIMITS)
async def test_a_limit_is_refused_just_above_and_passes_just_below(limit, most, document, reason):
    engine = Engine(schema(), limits=DocumentLimits(**{limit: most}), compiled=COMPILED)
    assert (await ask(document(most), engine=engine)).errors == []
    above = await ask(document(most + 1), engine=engine)
    assert above.reasons == [reason]
    assert str(most) in above.errors[0]["message"]
    assert "data" not in above.body


@pytest.mark.parametrize(
    "query",
    [
        "{ __typename " + " ".join(f"@x{n}" for n in range(10)) + " }",
        "{ __typename " + "@skip(if: false) " * 10 + "}",
        "{ __typename @deprecated }",
    ],
    ids=["unknown", "repeated", "misplaced"],
)
async def test_ten_bad_directives_are_one_error(query):
    assert (await ask(query)).reasons == ["DOCUMENT_INVALID"]


async def test_the_number_of_validation_errors_is_bounded():
    asked = await ask("{ " + " ".join(f"x{n}" for n in range(50)) + " }")
    assert len(asked.errors) == MAX_ERRORS + 1
    assert asked.errors[-1]["message"] == "The document has more faults than are listed."


@pytest.mark.parametrize(
    "query",
    [
        get_introspection_query(
            specified_by_url=True, directive_is_repeatable=True, schema_description=True, input_value_deprecation=True
        ),
        "query __ApolloGetServiceDefinition__ { _service { sdl } }",
    ],
    ids=["introspection", "Apollo's gateway"],
)
async def test_what_tools_ask_fits_the_defaults(query):
    assert (await ask(query)).errors == []


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ x: __type(name: "Note") { name } }',
        "{ ...F } fragment F on Query { __schema { description } }",
    ],
)
async def test_introspection_is_one_refusal_when_it_is_off_but_typename_is_answered(query):
    engine = Engine(schema(), introspection=False, compiled=COMPILED)
    assert (await ask(query)).errors == []
    assert (await ask(query, engine=engine)).reasons == ["INTROSPECTION_DISABLED"]
    assert (await ask("{ __typename }", engine=engine)).body == {"data": {"__typename": "Query"}}


HOSTILE = {
    "fragments that double": f"{{ {NOTE} {{ ...F0 }} }}"
    + "".join(f"fragment F{n} on Note {{ ...F{n + 1} ...F{n + 1} }} " for n in range(60))
    + "fragment F60 on Note { id }",
    "a cycle": f"{{ {NOTE} {{ ...A }} }} fragment A on Note {{ ...B }} fragment B on Note {{ ...A }}",
    "open braces": "{" * 5000,
    "nested selections": "{a" * 900 + "}" * 900,
    "nested lists": "{ a(x: " + "[" * 1900,
    "nested values": "{ a(x: " + "{a: " * 600,
    "nested types": "query ($a: " + "[" * 1900,
}


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_document_is_a_plain_refusal(query):
    asked = await ask(query)
    assert asked.result.error is not None
    assert len(asked.errors) <= 2


async def test_prepared_documents_are_kept_within_bounds():
    documents = Documents(schema()._schema, DocumentLimits(), max_cached=3)
    for name in ("a", "b", "c", "a", "d"):
        documents.get(f"query {name} {{ __typename }}")
    assert (len(documents), documents.hits, documents.misses) == (3, 1, 4)
    assert documents.get("query a { __typename }") is documents.get("query a { __typename }")
    documents.get("query b { __typename }")
    assert documents.misses == 5
    documents.get("query long { __typename }" + " " * 70_000)
    assert len(documents) == 3


async def test_nonsense_drives_out_nonsense_alone():
    documents = Documents(schema()._schema, DocumentLimits(), max_cached=20)
    kept = documents.get("query a { __typename }")
    for number in range(100):
        with pytest.raises(RequestError):
            documents.get(f"{{ x{number} }}")
    assert documents.get("query a { __typename }") is kept
    assert len(documents) == 3
    documents.hits = 0
    with pytest.raises(RequestError):
        documents.get("{ x99 }")
    assert documents.hits == 1


async def test_prepared_documents_are_kept_within_their_weight():
    """However many tokens or characters a caller puts into each: a thousand of the largest took a third of a gigabyte."""
    documents = Documents(schema()._schema, DocumentLimits(), max_cached=20)
    for number in range(20):
        documents.get(f"query a{number} {{ __typename }}" + "#\n" * 1900)
    assert len(documents) == 20 * 65_536 // (200 * 1900 + 4000)


async def test_a_document_that_is_heavier_than_the_whole_cache_is_run_and_not_cached():
    documents = Documents(schema()._schema, DocumentLimits(), max_cached=1)
    small = documents.get("{ __typename }")
    documents.get("query heavy { __typename }" + "#\n" * 1900)
    assert documents.get("{ __typename }") is small
    assert len(documents) == 1


LONG = "x" * 90_000
REPEATED = {
    "an unknown field": ("{ " + LONG + " }", None),
    "a literal": (f'{{ note(id: "{LONG}") {{ id }} }}', None),
    "a literal inside an input": (
        f'mutation {{ updateNote(id: "{FIRST}", input: {{promised: "{LONG}"}}) {{ note {{ id }} }} }}',
        None,
    ),
    "a syntax error": ("{ a(x: 1" + "1" * 90_000 + "a) }", None),
    "a member of a variable": (UPDATE, {"input": {LONG: 1}}),
}


@pytest.mark.parametrize(("query", "variables"), REPEATED.values(), ids=REPEATED)
async def test_a_message_does_not_repeat_what_is_long(query, variables):
    asked = await ask(query, variables)
    assert asked.errors
    assert max(len(error["message"]) for error in asked.errors) <= 501


@pytest.mark.parametrize(
    "query",
    [
        f"{{ {NOTE} {{ {'id ' * 990} }} }}",
        f"{{ {NOTE} {{ {'again{id} ' * 400} }} }}",
        f"{{ {NOTE} {{ ...F0 }} }}"
        + "".join(f"fragment F{n} on Note {{ id ...F{n + 1} }} " for n in range(200))
        + "fragment F200 on Note { id }",
    ],
    ids=["fields", "nested fields", "fragments"],
)
async def test_a_document_that_is_dear_to_validate_is_one_plain_refusal(query):
    (error,) = (await ask(query)).errors
    assert error["message"] == (
        "The document cannot be validated: its fields repeat too often, or its fragments nest too deeply."
    )
