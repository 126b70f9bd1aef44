"""Reads a file of updates, NDJSON or CSV, whole, and checks each row by the schema before anything is sent."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from graphql import validate_input_value

from app.apply.cells import CellError, Column, column_of, finished, put, value_of
from app.graphql.bulk_documents import Bulk
from app.json_codec import JsonNumber, encode_json

if TYPE_CHECKING:
    from graphql import GraphQLError

    Bulks = Mapping[str, Bulk]

KEY = "idempotencyKey"
_MUTATION = "mutation"
_MOST_PROBLEMS = 100
_LONGEST_MESSAGE = 300
_LARGEST_FILE = 100_000_000
# A request holds at least one row, and by default at most 1,000,000 bytes.
_LARGEST_ROW = 900_000
# The decimal sign of the programs that write a delimiter: Excel separates by semicolons where a comma is decimal.
_DECIMAL_SIGNS = {";": ",", "\t": None, ",": "."}


class FileError(Exception):
    """The file cannot be used; `problems` are one line each, and name line and column."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Row(NamedTuple):
    """One update. `line` is where it begins in the file, from 1; `item` is an item of the bulk mutation."""

    line: int
    mutation: str
    item: dict[str, Any]

    @property
    def digest(self) -> str:
        content = json.dumps([self.mutation, self.item], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_rows(path: Path, bulks: Bulks, mutation: str | None) -> list[Row]:
    """The rows of a file, in its order. `mutation` is that of a row that names none. Raises FileError."""
    if mutation is not None and mutation not in bulks:
        raise FileError(f"--mutation: {_no_mutation(mutation, bulks)}")
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: is not UTF-8, from byte {error.start} on; save it as CSV UTF-8") from None
    if len(content) > _LARGEST_FILE:
        raise FileError(f"{path}: is larger than {_LARGEST_FILE:,} bytes; split it")
    rows: list[Row] = []
    problems: list[str] = []
    # A reader yields a problem in place of an unusable row.
    read = _from_ndjson if text.lstrip()[:1] == "{" else _from_csv
    for row in read(text, bulks, mutation):
        if isinstance(row, str):
            problems.append(row)
        else:
            rows.append(row)
            problems += _errors(row, bulks[row.mutation])
        if len(problems) > _MOST_PROBLEMS:
            raise FileError(*problems[:_MOST_PROBLEMS], "… and more: the rest of the file was not looked at")
    if problems or not rows:
        raise FileError(*problems or [f"{path}: holds no rows"])
    return rows


def _no_mutation(name: object, bulks: Bulks) -> str:
    names = ", ".join(bulks)
    return f"{name} is no mutation; there are {names}" if name else f"is missing; name it, or use --mutation: {names}"


def _errors(row: Row, bulk: Bulk) -> Iterator[str]:
    errors: list[str] = []

    def collect(error: GraphQLError, path: list[str | int]) -> None:
        errors.append(f"line {row.line}, {'.'.join(map(str, path)) or 'row'}: {error.message[:_LONGEST_MESSAGE]}")

    validate_input_value(row.item, bulk.item, collect)
    yield from errors
    if KEY in row.item:
        yield f"line {row.line}, {KEY}: this command makes the keys itself"
    try:
        if len(encode_json(row.item)) > _LARGEST_ROW:
            yield f"line {row.line}: is larger than {_LARGEST_ROW:,} bytes"
    except UnicodeEncodeError:
        yield f"line {row.line}: holds half of a surrogate pair, which is no text"


def _from_ndjson(text: str, bulks: Bulks, mutation: str | None) -> Iterator[Row | str]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line, parse_float=JsonNumber.of, parse_constant=_refuse, object_pairs_hook=_members)
        except json.JSONDecodeError as error:
            yield f"line {number}, character {error.pos + 1}: is not JSON: {error.msg}"
        except CellError as error:
            yield f"line {number}: {error}"
        except (ValueError, RecursionError):
            yield f"line {number}: is nested too deeply, or holds a number of too many digits"
        else:
            name = content.pop(_MUTATION, mutation) if isinstance(content, dict) else None
            if not isinstance(content, dict):
                yield f"line {number}: is no JSON object"
            elif isinstance(name, str) and name in bulks:
                yield Row(number, name, content)
            else:
                yield f"line {number}, {_MUTATION}: {_no_mutation(name, bulks)}"


def _refuse(constant: str) -> Any:
    raise CellError(f"is not JSON: {constant}")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise CellError(f"{name} stands twice in one object")
    return members


def _from_csv(text: str, bulks: Bulks, mutation: str | None) -> Iterator[Row | str]:
    delimiter = max(_DECIMAL_SIGNS, key=next(iter(text.lstrip().splitlines()), "").count)
    csv.field_size_limit(_LARGEST_ROW)
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    line, table = 1, None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                pass
            elif table is None:
                table = _Table([title.strip() for title in cells], bulks, mutation, _DECIMAL_SIGNS[delimiter])
                if problems := [f"line {line}, {problem}" for problem in table.problems()]:
                    yield from problems
                    return
            # Excel leaves out empty cells at a line's end, but never the line's end.
            elif len(cells) < table.width and source.tell() == len(text) and not text.endswith(("\n", "\r")):
                yield f"line {line}: ends in the middle; is the file complete?"
            else:
                yield from table.row(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        yield f"line {line}: is no CSV: {error}"


class _Table:
    """The header of a CSV file: the place of each column in an item of each mutation."""

    def __init__(self, header: Sequence[str], bulks: Bulks, mutation: str | None, decimal_sign: str | None) -> None:
        self.width = len(header)
        self._header = header
        self._bulks = bulks
        self._mutation = mutation
        self._decimal_sign = decimal_sign
        named = bulks if mutation is None or _MUTATION in header else {mutation: bulks[mutation]}
        titles = {*header, ""} - {_MUTATION}
        self._columns = {name: {title: _column(title, bulk) for title in titles} for name, bulk in named.items()}

    def problems(self) -> Iterator[str]:
        if "id" not in self._header:
            yield "column id: is missing; is this a CSV file with a header?"
            return
        for number, title in enumerate(self._header, 1):
            columns = [by_title[title] for by_title in self._columns.values() if title not in {"", _MUTATION}]
            if title and title in self._header[: number - 1]:
                yield f"column {number}, {title}: stands twice"
            elif columns and all(isinstance(column, CellError) for column in columns):
                yield f"column {number}, {title}: {columns[0] if len(columns) == 1 else 'no mutation has it'}"

    def row(self, line: int, cells: Sequence[str]) -> Iterator[Row | str]:
        named = dict(zip(self._header, cells, strict=False)).get(_MUTATION, "").strip() or self._mutation
        if named not in self._columns:
            yield f"line {line}, {_MUTATION}: {_no_mutation(named, self._bulks)}"
            return
        item: dict[str, Any] = {}
        problems: list[Row | str] = []
        for title, text in zip_longest(self._header, cells, fillvalue=""):
            column = self._columns[named].get(title)
            try:
                if isinstance(column, CellError) and text.strip():
                    raise column
                if isinstance(column, Column) and text:
                    put(item, column, value_of(column, text, self._decimal_sign))
            except CellError as error:
                problems.append(f"line {line}, {title or 'a cell'}: {error}")
        try:
            yield from problems or [Row(line, named, finished(item))]
        except CellError as error:
            yield f"line {line}, {error}"


def _column(title: str, bulk: Bulk) -> Column | CellError:
    try:
        return column_of(title, bulk.item) if title else CellError("has no column's name above it")
    except CellError as error:
        return error
