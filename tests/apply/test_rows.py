"""A file of updates: what it may hold, and that a wrong one is told by line and column before anything is sent."""

from __future__ import annotations

import contextlib
import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.apis import APIS
from app.apply.rows import FileError, read_rows
from app.graphql.bulk_documents import bulks
from app.json_codec import encode_json
from tests.harness import schema_of

BULKS = bulks(schema_of(tuple(APIS))._schema)
ID = "50000000-0000-4000-8000-000000000001"
DAYS, PERCENTAGE = "patch.paymentDiscount.paymentDays", "patch.paymentDiscount.discountPercentage"


def rows_of(tmp_path, content, mutation="patchSupplier"):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_rows(path, BULKS, mutation)


def problems_of(tmp_path, content, mutation="patchSupplier"):
    with pytest.raises(FileError) as refused:
        rows_of(tmp_path, content, mutation)
    return list(refused.value.problems)


def table(header, *rows, delimiter=","):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([["id", *header], *([ID, *cells] for cells in rows)])
    return text.getvalue()


def number(days=None, percentage=None):
    values = {"paymentDays": days, "discountPercentage": percentage}
    return {"paymentDiscount": {name: value for name, value in values.items() if value is not None}}


# Header, cells, what they make of a patch; a delimiter where it is not a comma.
CELLS = {
    "text": (["patch.name"], ["Vries, de"], {"name": "Vries, de"}),
    "several lines": (["patch.name"], ["A\r\nB"], {"name": "A\r\nB"}),
    "quotes": (["patch.name"], ['5" pipe'], {"name": '5" pipe'}),
    "absent": (["patch.name", "patch.phone"], ["A", ""], {"name": "A"}),
    "null": (["patch.phone"], [r"\N"], {"phone": None}),
    "empty text": (["patch.phone"], [r"\E"], {"phone": ""}),
    "a backslash": (["patch.name"], [r"\\N"], {"name": r"\N"}),
    "a backslash inside": (["patch.name"], [r"a\N"], {"name": r"a\N"}),
    "spaces stay": (["patch.name"], [" A "], {"name": " A "}),
    "leading zeros stay in a text": (["patch.phone"], ["0012"], {"phone": "0012"}),
    "a formula is a text": (["patch.name"], ["=1+1"], {"name": "=1+1"}),
    "nested": (["patch.address.country.code"], ["NL"], {"address": {"country": {"code": "NL"}}}),
    "an object cleared": (["patch.address"], [r"\N"], {"address": None}),
    "an empty object": (["patch.address"], [r"\E"], {"address": {}}),
    "an empty list": (["patch.bankAccounts"], [r"\E"], {"bankAccounts": []}),
    "a list": (
        ["patch.bankAccounts.0.default", "patch.bankAccounts.1.default", "patch.bankAccounts.1.iban"],
        ["TRUE", "false", "NL91"],
        {"bankAccounts": [{"default": True}, {"default": False, "iban": "NL91"}]},
    ),
    "a shorter list": (
        ["patch.bankAccounts.0.default", "patch.bankAccounts.1.default"],
        ["true", ""],
        {"bankAccounts": [{"default": True}]},
    ),
    "a whole number": ([DAYS], [" 14 "], number(14)),
    "digits are kept": ([PERCENTAGE], ["2.50"], number(percentage="2.50")),
    "a decimal comma": ([PERCENTAGE], ["2,50"], number(percentage="2.50")),
    "a decimal comma after three digits": ([PERCENTAGE], ["1,125"], number(percentage="1.125"), ";"),
    "a decimal point after three digits": ([PERCENTAGE], ["1.125"], number(percentage="1.125")),
    "a comma in a text": (["patch.phone"], ["2,50"], {"phone": "2,50"}, ";"),
    "a key of a map": (["patch.metadata.cost.center"], ["7"], {"metadata": {"cost.center": "7"}}),
    "an empty value of a map": (["patch.metadata.a"], [r"\E"], {"metadata": {"a": ""}}),
    "an empty map": (["patch.metadata"], [r"\E"], {"metadata": {}}),
}


@pytest.mark.parametrize("case", CELLS)
def test_a_cell_is_a_member_of_the_item(tmp_path, case):
    header, cells, expected, *delimiter = CELLS[case]
    (row,) = rows_of(tmp_path, table(header, cells, delimiter=delimiter[0] if delimiter else ","))
    assert row.item == {"id": ID, "patch": expected}


WRONG_CELLS = {
    "a gap in a list": (
        ["patch.bankAccounts.0.default", "patch.bankAccounts.2.default"],
        ["true", "true"],
        "line 2, patch.bankAccounts has no position 1, but a later one: lists count from 0 without a gap",
    ),
    "a list that begins late": (["patch.bankAccounts.1.default"], ["true"], "line 2, patch.bankAccounts has no position 0"),
    "thousands in an Int": ([DAYS], ["1.000"], f"line 2, {DAYS}: Int cannot represent"),
    "a fraction in an Int": ([DAYS], ["14,5"], f"line 2, {DAYS}: Int cannot represent"),
    "thousands in a Decimal": ([PERCENTAGE], ["1.234,50"], f"line 2, {PERCENTAGE}: Expected value of type 'Decimal'"),
    "thousands with a blank": ([PERCENTAGE], ["1 234"], f"line 2, {PERCENTAGE}: Expected value of type 'Decimal'"),
    "what may be thousands": ([PERCENTAGE], ["1,234"], f"line 2, {PERCENTAGE}: 1,234 may have a thousands separator"),
    "an empty Decimal": ([PERCENTAGE], [r"\E"], f"line 2, {PERCENTAGE}: Expected value of type 'Decimal'"),
    "no Boolean": (["patch.name", "skipCreationInAccountingSystem"], ["A", "ja"], "line 2, skipCreationInAccountingSystem: Boolean cannot"),
    "one backslash": (["patch.name"], [r"\n"], "line 2, patch.name: a text that begins with a backslash has it doubled"),
    "a value and its members": (["patch.address", "patch.address.city"], [r"\N", "X"], "line 2, patch.address.city: what it"),
    "members and a value": (["patch.address.city", "patch.address"], ["X", r"\N"], "line 2, patch.address: its members"),
    "an object's text": (["patch.address"], ["NL"], "line 2, patch.address: Expected value of type 'AddressPatch'"),
    "a key of its own": (["patch.name", "idempotencyKey"], ["A", "k"], "line 2, idempotencyKey: this command makes"),
    "a required member missing": (["patch.bankAccounts.0.iban"], ["NL91"], "line 2, patch.bankAccounts.0: "),
    "a required argument missing": ([], [], "line 2, row: Expected value of type 'PatchSupplierItem'"),
    "null where none may be": (["patch.bankAccounts.0.default"], [r"\N"], "line 2, patch.bankAccounts.0.default: Expected"),
    "null in a map": (["patch.metadata.a"], [r"\N"], "line 2, patch.metadata: Expected value of type 'StringMap'"),
    # Of the header.
    "an unknown member": (["patch.nmae"], ["A"], "line 1, column 2, patch.nmae: SupplierPatch has no member nmae; did you mean name?"),
    "an unknown member that no row uses": (["patch.name", "patch.nmae"], ["A", ""], "line 1, column 3, patch.nmae: "),
    "an unknown argument": (["name"], ["A"], "line 1, column 2, name: PatchSupplierItem has no member name"),
    "another spelling": (["Patch.Name"], ["A"], "line 1, column 2, Patch.Name: PatchSupplierItem has no member Patch; did you mean patch?"),
    "a list without a position": (["patch.bankAccounts.iban"], ["NL"], "line 1, column 2, patch.bankAccounts.iban: patch.bankAccounts is a list"),
    "a position with a zero": (["patch.bankAccounts.00.iban"], ["NL"], "patch.bankAccounts is a list"),
    "below a text": (["patch.name.first"], ["A"], "patch.name is of type String, which has no members"),
    "a column twice": (["patch.name", "patch.name"], ["A", "B"], "line 1, column 3, patch.name: stands twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_CELLS)
def test_a_wrong_cell_is_told_by_line_and_column(tmp_path, case):
    header, cells, expected = WRONG_CELLS[case]
    [problem] = problems_of(tmp_path, table(header, cells))
    assert problem.startswith(expected) or (not expected.startswith("line") and expected in problem)


A = {"id": ID, "patch": {"name": "A"}}
FORMS = {
    "commas": f"id,patch.name\n{ID},A\n",
    "Excel's semicolons, mark and line ends": f"\ufeffid;patch.name\r\n{ID};A\r\n\r\n",
    "tabs": f"id\tpatch.name\n{ID}\tA\n",
    "old line ends": f"id,patch.name\r{ID},A\r",
    "no line end": f"id,patch.name\n{ID},A",
    "quotes around everything": f'"id","patch.name"\n"{ID}","A"\n',
    "empty columns at the end": f"id,patch.name,,\n{ID},A,,,\n",
    "a row without its empty cells": f"id,patch.name,patch.phone\n{ID},A\n",
    "empty lines": f"\n\nid,patch.name\n\n,\n ,\n{ID},A\n\n",
    "the mutation in a column": f"mutation,id,patch.name\npatchSupplier,{ID},A\n",
    "blanks around a column's name": f" id , patch.name\n{ID},A\n",
    "NDJSON": json.dumps(A),
    "NDJSON that names its mutation": f"\ufeff\n{json.dumps({'mutation': 'patchSupplier', **A})}\r\n\r\n",
}


@pytest.mark.parametrize("case", FORMS)
def test_every_form_of_a_file_is_read(tmp_path, case):
    (row,) = rows_of(tmp_path, FORMS[case])
    assert (row.mutation, row.item) == ("patchSupplier", A)


BAD_FILES = {
    "nothing": (b"", "holds no rows"),
    "no column's name": (b"\n\nname\n", "line 3, column id: is missing"),
    "a header alone": (b"id,patch.name\n", "holds no rows"),
    "no header": (b"a,b\n1,2\n", "line 1, column id: is missing"),
    "Latin 1": ("id,patch.name\n1,é\n".encode("latin-1"), "is not UTF-8, from byte 16 on"),
    "UTF-16": ("id,patch.name\n1,A\n".encode("utf-16"), "is not UTF-8, from byte 0 on"),
    "a workbook": (b"PK\x03\x04\x14\x00\x06\x00\xff", "is not UTF-8, from byte 8 on"),
    "a JSON array": (json.dumps([A]).encode(), "line 1, column id: is missing"),
    "a cell too many": (f"id,patch.name\n{ID},A,B\n".encode(), "line 2, a cell: has no column's name above it"),
    "a cell under no name": (f"id,patch.name,\n{ID},A,B\n".encode(), "line 2, a cell: has no column's name above it"),
    "cut off": (f"id,patch.name,patch.phone\n{ID},A,1\n{ID},B".encode(), "line 3: ends in the middle"),
    "an open quote": (b'id,patch.name\n1,"A\n', "line 2: is no CSV"),
    "text after a quote": (b'id,patch.name\n1,"A"B\n', "line 2: is no CSV"),
    "a huge cell": (f"id,patch.name\n{ID},{'A' * 1_000_000}\n".encode(), "line 2: is no CSV: field larger than"),
    "a huge row": (json.dumps(A | {"patch": {"name": "A" * 1_000_000}}).encode(), "line 1: is larger than 900,000 bytes"),
    "a line after one of several lines": (f'id,patch.name\n{ID},"A\nB"\n{ID},\\x\n'.encode(), "line 4, patch.name: "),
    "another mutation in a column": (f"mutation,id\ndeleteAll,{ID}\n".encode(), "line 2, mutation: deleteAll is no mutation; there are"),
    "no JSON": (b'{"id": 1}\n{"id": \n', "line 2, character 8: is not JSON"),
    "no number": (b'{"id": NaN}\n', "line 1: is not JSON: NaN"),
    "no object": (json.dumps(A).encode() + b"\n[1]\n", "line 2: is no JSON object"),
    "deep": (b'{"a":' * 100_000, "line 1: is nested too deeply"),
    "nearly as deep": (b'{"id": ' + b"[" * 900 + b"]" * 900 + b"}", "line 1, id: Expected value of type 'UUID'"),
    "a member twice": (f'{{"id": "{ID}", "patch": {{"name": "A", "name": "B"}}}}'.encode(), "line 1: name stands twice in one object"),
    "half a surrogate": (f'{{"id": "{ID}", "patch": {{"name": "\\ud800"}}}}'.encode(), "line 1: holds half of a surrogate pair"),
    "a huge number": (b'{"id": ' + b"1" * 5000 + b"}", "line 1: is nested too deeply, or holds a number of too many digits"),
    "another mutation": (b'{"mutation": "deleteAll", "id": "1"}\n', "line 1, mutation: deleteAll is no mutation"),
    "a mutation that is none": (b'{"mutation": ["a"], "id": "1"}\n', "line 1, mutation: ['a'] is no mutation"),
    "a bulk's own name": (b'{"mutation": "patchSuppliers", "id": "1"}\n', "line 1, mutation: patchSuppliers is no mutation"),
    "a wrong type": (f'{{"id": "{ID}", "patch": 5}}\n'.encode(), "line 1, patch: Expected value of type 'SupplierPatch'"),
    "a number for a text": (f'{{"id": "{ID}", "patch": {{"name": 1.50}}}}\n'.encode(), "line 1, patch.name: String cannot represent"),
    "a number out of range": (f'{{"id": "{ID}", "patch": {{"paymentDiscount": {{"discountPercentage": 1e999}}}}}}\n'.encode(), f"line 1, {PERCENTAGE}: "),
    "no UUID": (b'{"id": "1", "patch": {}}\n', "line 1, id: Expected value of type 'UUID'"),
    "an unknown member": (f'{{"id": "{ID}", "patch": {{"nmae": "A"}}}}\n'.encode(), "line 1, patch: Expected value of type 'SupplierPatch'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_used_is_told_in_lines(tmp_path, case):
    content, expected = BAD_FILES[case]
    assert any(expected in problem for problem in problems_of(tmp_path, content)), problems_of(tmp_path, content)


def test_a_path_that_is_no_file_is_told(tmp_path):
    for path, expected in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(FileError, match=f"{path.name}: cannot be read: {expected}"):
            read_rows(path, BULKS, "patchSupplier")


def test_a_mutation_is_needed_and_known(tmp_path):
    names = ", ".join(BULKS)
    assert problems_of(tmp_path, FORMS["commas"], None) == [
        f"line 2, mutation: is missing; name it, or use --mutation: {names}"
    ]
    assert set(BULKS) == {"updateCustomer", "updateSupplier", "updateBookingCustomer", "patchCustomer", "patchSupplier"}
    assert problems_of(tmp_path, FORMS["commas"], "x") == [f"--mutation: x is no mutation; there are {names}"]


def test_rows_of_several_mutations_share_a_header(tmp_path):
    text = f"mutation,id,patch.name,input.email\n,{ID},A,\nupdateBookingCustomer,{ID},,b@example.com\n"
    first, second = rows_of(tmp_path, text)
    assert (first.line, first.mutation, first.item) == (2, "patchSupplier", A)
    assert (second.mutation, second.item) == ("updateBookingCustomer", {"id": ID, "input": {"email": "b@example.com"}})
    assert problems_of(tmp_path, text, None)[0].startswith("line 2, mutation: is missing; name it, or use --mutation: ")
    assert problems_of(tmp_path, text.replace(",A,", ",A,x")) == [
        "line 2, input.email: PatchSupplierItem has no member input"
    ]
    assert problems_of(tmp_path, text.replace("input.email", "input.emial")) == [
        "line 1, column 4, input.emial: no mutation has it"
    ]


def test_a_file_of_wrong_rows_alone_is_told_shortly(tmp_path):
    problems = problems_of(tmp_path, "id,patch.name\n" + f"{ID},\\x\n" * 1000)
    assert len(problems) == 101
    assert problems[0].startswith("line 2, patch.name: ")
    assert problems[-1].startswith("… and more")


@pytest.mark.parametrize(
    ("member", "digits"),
    [
        *(("discountPercentage", digits) for digits in ("2.50", "0.10000000000000000000000001", "1e-7", "1E+2", "3")),
        *(("paymentDays", digits) for digits in ("13", "13.0", "1e1", "130e-1")),
    ],
)
def test_numbers_of_json_keep_their_digits(tmp_path, member, digits):
    """A whole number is an Int however it is written, as the gateway reads it."""
    line = f'{{"id":"{ID}","patch":{{"paymentDiscount":{{"{member}":{digits}}}}}}}'
    (row,) = rows_of(tmp_path, line)
    assert encode_json(row.item).decode() == line


@pytest.mark.parametrize("digits", ["13.5", "1e10", "1e999"])
def test_a_number_that_is_no_int_is_shown_as_it_stands(tmp_path, digits):
    line = f'{{"id":"{ID}","patch":{{"paymentDiscount":{{"paymentDays":{digits}}}}}}}'
    (problem,) = problems_of(tmp_path, line)
    assert problem.startswith(f"line 1, {DAYS}: ")
    assert "instance" not in problem


def test_a_digest_is_of_the_content_alone(tmp_path):
    digests = {
        text: rows_of(tmp_path, text)[0].digest
        for text in (
            f"id,patch.name,patch.phone\n{ID},A,1\n",
            f"patch.phone,id,patch.name\n\n1,{ID},A\n",
            json.dumps({"patch": {"phone": "1", "name": "A"}, "id": ID}),
        )
    }
    assert len(set(digests.values())) == 1
    assert rows_of(tmp_path, f"id,patch.name,patch.phone\n{ID},A,2\n")[0].digest not in digests.values()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=50)
@given(names=st.lists(TEXTS, min_size=1, max_size=5), delimiter=st.sampled_from(",;\t"), mark=st.booleans())
def test_every_text_can_be_said_in_a_cell(tmp_path_factory, names, delimiter, mark):
    cells = [["\\" + name if name.startswith("\\") else name] for name in names]
    content = ("\ufeff" if mark else "") + table(["patch.name"], *cells, delimiter=delimiter)
    rows = rows_of(tmp_path_factory.mktemp("rows"), content)
    assert [row.item for row in rows] == [{"id": ID, "patch": {"name": name}} for name in names]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50)
@given(content=st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps({"id": value}).encode()))
def test_no_content_is_a_surprise(tmp_path_factory, content):
    # Were one usable, it would be a row.
    with contextlib.suppress(FileError):
        assert rows_of(tmp_path_factory.mktemp("rows"), content)
