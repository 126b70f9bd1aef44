"""Prints one TypeScript module for a page: the types of an error, guards, and a record as an input.

`typescript.ts` is the part that no API changes; the enums, the texts and the inputs are made from the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_list_type,
    is_non_null_type,
)

from app.errors import Code, Outcome
from app.graphql.catalogue import all_rows

if TYPE_CHECKING:
    from app.apis.api import Api

# GraphQL scalar -> TypeScript in an input, in a record.
_SCALARS = {
    "Boolean": ("boolean", "boolean"),
    "Int": ("number", "number"),
    "Float": ("number", "number"),
    "Decimal": ("string | number", "string"),
    "StringMap": ("Record<string, string>", "Record<string, string>"),
}
_READ_BACK = ("SAME", "DIFFERS", "MISSING", "FAILED")


def print_typescript(schema: GraphQLSchema, apis: Sequence[Api]) -> str:
    texts: dict[str, str] = {}
    for row in all_rows(apis):
        texts.setdefault(row.reason, row.text or row.meaning)
    parts = [
        "// Made by `python -m app typescript`. Do not edit: print it again when the gateway changes.\n",
        *_union("ERROR_CODES", "ErrorCode", list(Code)),
        *_union("ERROR_REASONS", "ErrorReason", sorted(texts)),
        *_union("OUTCOMES", "Outcome", list(Outcome)),
        f"export type ReadBack = {' | '.join(map(json.dumps, _READ_BACK))};\n",
        Path(__file__).with_suffix(".ts").read_text(encoding="utf-8"),
        "\n/** The documented texts. A backend fills in what is in braces: see an error's `message`. */\n",
        "export const MESSAGES: Record<MessageKey, string> = {\n",
        *(f"  {json.dumps(f'gateway.{reason}')}: {_text(text)},\n" for reason, text in sorted(texts.items())),
        "};\n",
        *_inputs(schema),
    ]
    return "".join(parts).rstrip() + "\n"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _union(constant: str, name: str, values: Sequence[str]) -> Iterator[str]:
    lines = "".join(f"  {json.dumps(str(value))},\n" for value in values)
    yield f"export const {constant} = [\n{lines}] as const;\n"
    yield f"export type {name} = (typeof {constant})[number];\n"


def _inputs(schema: GraphQLSchema) -> Iterator[str]:
    """Functions for the updates whose whole input a record can fill: a part might do what nobody asked for."""
    assert schema.mutation_type is not None
    types: dict[str, str] = {}
    functions = []
    for name, field in schema.mutation_type.fields.items():
        payload = get_named_type(field.type)
        if not name.startswith("update") or "input" not in field.args or not isinstance(payload, GraphQLObjectType):
            continue
        input_type = get_named_type(field.args["input"].type)
        subject = name.removeprefix("update")
        record = get_named_type(payload.fields[subject[0].lower() + subject[1:]].type)
        if _fills(record, input_type):
            _declare(record, input_type, types)
            functions.append(_function(subject, record, input_type))
    yield from types.values()
    yield from functions


def _fills(record: GraphQLNamedType, input_type: GraphQLNamedType) -> bool:
    if isinstance(record, GraphQLObjectType) and isinstance(input_type, GraphQLInputObjectType):
        return all(
            name in record.fields and _fills(get_named_type(record.fields[name].type), get_named_type(member.type))
            for name, member in input_type.fields.items()
        )
    return record is input_type


def _declare(record: GraphQLNamedType, input_type: GraphQLNamedType, types: dict[str, str]) -> None:
    if not isinstance(input_type, GraphQLInputObjectType) or input_type.name in types:
        return
    assert isinstance(record, GraphQLObjectType)
    for name, member in input_type.fields.items():
        _declare(get_named_type(record.fields[name].type), get_named_type(member.type), types)
    members = input_type.fields.items()
    selected = "".join(
        f"  {name}: {_record_type(record.fields[name].type, member.type)};\n" for name, member in members
    )
    sent = "".join(
        f"  {name}: {_type(member.type, 0)};\n"
        if is_non_null_type(member.type)
        else f"  {name}?: {_type(member.type, 0)} | null;\n"
        for name, member in members
    )
    types[input_type.name] = (
        f"\n/** What an update needs of a {record.name} that was queried: all of these members, selected. */\n"
        f"export interface {record.name}Record {{\n{selected}}}\n"
        f"\nexport interface {input_type.name} {{\n{sent}}}\n"
    )


def _type(graphql_type: Any, side: int) -> str:
    """The TypeScript type without null; `side` is 0 in an input, 1 in a record."""
    nullable = graphql_type.of_type if is_non_null_type(graphql_type) else graphql_type
    if is_list_type(nullable):
        item = _type(nullable.of_type, side)
        return f"{item}[]" if side == 0 else f"readonly {item}[]"
    return _SCALARS.get(nullable.name, ("string", "string"))[side] if not hasattr(nullable, "fields") else nullable.name


def _record_type(record_type: Any, input_type: Any) -> str:
    text = _type(record_type, 1)
    named = get_named_type(input_type)
    if isinstance(named, GraphQLInputObjectType):
        text = text.replace(get_named_type(record_type).name, f"{get_named_type(record_type).name}Record")
    return text if is_non_null_type(record_type) else f"{text} | null"


def _members(input_type: GraphQLInputObjectType) -> dict[str, Any]:
    members = {}
    for name, field in input_type.fields.items():
        named = get_named_type(field.type)
        member: dict[str, Any] = {"required": True} if is_non_null_type(field.type) else {}
        if isinstance(named, GraphQLInputObjectType):
            member["members"] = _members(named)
        members[name] = member
    return members


def _selection(members: dict[str, Any]) -> str:
    names = (f"{name} {_selection(item['members'])}" if "members" in item else name for name, item in members.items())
    return f"{{ {' '.join(names)} }}"


def _function(subject: str, record: GraphQLNamedType, input_type: GraphQLNamedType) -> str:
    assert isinstance(input_type, GraphQLInputObjectType)
    constant, members = f"{subject.upper()}_MEMBERS", _members(input_type)
    fragment = f"fragment {subject}AsInput on {record.name} {_selection(members)}"
    return (
        f"\n/** Selects what `to{subject}Input` needs: put it into the document of the query. */\n"
        f"export const {subject.upper()}_AS_INPUT = {json.dumps(fragment)};\n"
        f"\nconst {constant}: Members = {json.dumps(members)};\n"
        f"\n/** The {record.name} that a query answered, as the input of an update that changes nothing yet. */\n"
        f"export function to{subject}Input(record: {record.name}Record): {input_type.name} {{\n"
        f'  return asInput({constant}, record, "{subject[0].lower() + subject[1:]}") as unknown as {input_type.name};\n'
        "}\n"
    )
