"""Operations drawn over a schema: valid ones, nearly valid ones, and the variables that go with them.

What clients send is all in it: variables with and without defaults, given, null and left out; literals with variables
inside; aliases, fragments, directives; several root fields; lists, nested inputs, entities.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
    is_union_type,
)
from hypothesis import strategies as st

_IDS = [
    "a0000000-0000-4000-8000-000000000001",
    "C0000000-0000-4000-8000-00000000000A",
    "50000000000040008000000000000001",
]
_TEXTS = ["", "x", "Müller & Söhne", 'with "quotes"\nand lines', "taken", "both", "bug", "void", "waits"]
_WRONG: list[Any] = [None, 7, "no", True, [], {}, 1.5, {"unknown": 1}]
_SCALARS: dict[str, list[Any]] = {
    "UUID": _IDS,
    "String": _TEXTS,
    "Boolean": [True, False],
    "Int": [0, -1, 42, 2**31 - 1],
    "Decimal": ["0.00", "12.50", 3, "1E+2"],
    "DateTime": ["2026-01-15T10:00:00Z"],
    "StringMap": [{}, {"key": "value"}, {"a": "b", "c": ""}],
    "ID": ["x"],
    "Float": [1, 2.5],
}


@dataclass
class Drawn:
    query: str
    variables: dict[str, Any]


@dataclass
class _Drawing:
    """The state of one operation while it is drawn. `wild` is how often, in percent, something wrong is drawn."""

    draw: Any
    schema: GraphQLSchema
    wild: int
    definitions: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)
    names: int = 0

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def one_of(self, items: Any) -> Any:
        return self.draw(st.sampled_from(list(items)))

    def name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"

    # Values.

    def json(self, type_: Any) -> Any:  # noqa: PLR0911 - one for each kind of type
        if self.chance(self.wild):
            return self.one_of(_WRONG)
        if is_non_null_type(type_):
            type_ = type_.of_type
        elif self.chance(12):
            return None
        if is_list_type(type_):
            if self.chance(5):
                return self.json(type_.of_type)
            return [self.json(type_.of_type) for _ in range(self.draw(st.integers(0, 2)))]
        if is_input_object_type(type_):
            return {
                name: self.json(member.type)
                for name, member in type_.fields.items()
                if self.chance(95 if is_required_input_field(member) else 35)
            }
        if is_enum_type(type_):
            return self.one_of(type_.values)
        if type_.name == "_Any":
            return self.representation()
        return self.one_of(_SCALARS[type_.name])

    def representation(self) -> Any:
        names = [item.name for item in self.schema.type_map["_Entity"].types]
        if self.chance(15):
            return self.one_of(
                [{}, 1, {"__typename": "Nothing"}, {"__typename": names[0], "id": "no"}, {"id": _IDS[0]}]
            )
        return {"__typename": self.one_of(names), "id": self.one_of(_IDS)}

    def value(self, type_: Any) -> str:  # noqa: PLR0911 - one for each kind of type
        """A value of the document: a variable, or a literal that may hold variables."""
        if self.chance(35):
            return self.variable(type_)
        if self.chance(self.wild):
            return self.one_of(["null", "7", '"no"', "true", "[]", "{}", "{unknown: 1}", "WORD"])
        if is_non_null_type(type_):
            type_ = type_.of_type
        elif self.chance(10):
            return "null"
        if is_list_type(type_):
            if self.chance(10):
                return self.value(type_.of_type)
            return "[" + ", ".join(self.value(type_.of_type) for _ in range(self.draw(st.integers(0, 2)))) + "]"
        if is_input_object_type(type_):
            members = [
                f"{name}: {self.value(member.type)}"
                for name, member in type_.fields.items()
                if self.chance(97 if is_required_input_field(member) else 30)
            ]
            return "{" + ", ".join(members) + "}"
        if is_enum_type(type_):
            return str(self.one_of(type_.values))
        return self.literal(self.representation() if type_.name == "_Any" else self.one_of(_SCALARS[type_.name]))

    def literal(self, value: Any) -> str:
        if isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name}: {self.literal(item)}" for name, item in value.items()) + "}"
        return (
            {True: "true", False: "false", None: "null"}.get(value, str(value))
            if value in (True, False, None)
            else str(value)
        )

    def variable(self, type_: Any) -> str:
        name = self.name("v")
        declared, default = type_, ""
        if is_non_null_type(type_):
            if self.chance(20):
                declared, default = type_.of_type, f" = {self.constant(type_)}"
        elif self.chance(25):
            default = f" = {self.constant(type_)}"
        elif self.chance(20):
            declared = GraphQLNonNull(type_)
        self.definitions.append(f"${name}: {declared}{default}")
        if self.chance(50 if default else 100 - self.wild if is_non_null_type(declared) else 70):
            self.variables[name] = self.json(declared)
        return f"${name}"

    def constant(self, type_: Any) -> str:
        type_ = get_nullable_type(type_)
        if is_list_type(type_):
            return "[]"
        if is_input_object_type(type_):
            required = ((name, member) for name, member in type_.fields.items() if is_required_input_field(member))
            return "{" + ", ".join(f"{name}: {self.constant(member.type)}" for name, member in required) + "}"
        if is_enum_type(type_):
            return str(self.one_of(type_.values))
        return self.literal(self.representation() if type_.name == "_Any" else self.one_of(_SCALARS[type_.name]))

    # Selections.

    def directives(self) -> str:
        if not self.chance(12):
            return ""
        if self.chance(40):
            condition = self.one_of(["true", "false"])
        else:
            condition = self.variable(self.schema.directives[0].args["if"].type)
        return f" @{self.one_of(['skip', 'include'])}(if: {condition})"

    def selection(self, type_: Any, depth: int) -> str:
        parts = [self.part(type_, depth) for _ in range(self.draw(st.integers(1, 5)))]
        return "{ " + " ".join(parts) + " }"

    def part(self, type_: Any, depth: int) -> str:
        if is_union_type(type_):
            if self.chance(15):
                return "__typename"
            inner = self.one_of(type_.types)
            return f"... on {inner.name}{self.directives()} {self.selection(inner, depth)}"
        if depth and self.chance(8):
            return f"...{self.one_of([' ', f' on {type_.name}'])}{self.directives()} {self.selection(type_, depth - 1)}"
        if depth and self.chance(8):
            name = self.name("F")
            self.fragments.append(f"fragment {name} on {type_.name} {self.selection(type_, depth - 1)}")
            return f"...{name}{self.directives()}"
        if self.chance(8):
            return "__typename" + self.directives()
        fields = [
            name for name, item in type_.fields.items() if depth or not is_composite_type(get_named_type(item.type))
        ]
        return self.field(type_, self.one_of(fields or ["__typename"]), depth) if fields else "__typename"

    def field(self, type_: Any, name: str, depth: int) -> str:
        definition = type_.fields[name]
        alias = f"{self.name('a')}: " if definition.args or self.chance(15) else ""
        arguments = [
            f"{key}: {self.value(item.type)}"
            for key, item in definition.args.items()
            if self.chance(98 if is_required_argument(item) else 40)
        ]
        called = f"({', '.join(arguments)})" if arguments else ""
        inner = get_named_type(definition.type)
        below = f" {self.selection(inner, depth - 1)}" if is_composite_type(inner) else ""
        return f"{alias}{name}{called}{self.directives()}{below}"


@st.composite
def operations(draw: Any, schema: GraphQLSchema) -> Drawn:
    drawing = _Drawing(draw, schema, wild=draw(st.sampled_from([0, 0, 0, 2])))
    kind = drawing.one_of(["mutation", "mutation", "query"])
    root = schema.mutation_type if kind == "mutation" else schema.query_type
    assert root is not None
    # About one field in four is `_entities`: there a null reaches the root.
    names = [*root.fields, *["_entities"] * (len(root.fields) // 4 if "_entities" in root.fields else 0)]
    fields = [drawing.field(root, drawing.one_of(names), 4) for _ in range(draw(st.integers(1, 3)))]
    if drawing.chance(10):
        fields.append("__typename")
    if drawing.chance(5):
        fields.append("kept: " + ("__typename" if kind == "mutation" else "__schema { queryType { name } }"))
    definitions = f"({', '.join(drawing.definitions)})" if drawing.definitions else ""
    query = "\n".join([f"{kind} Drawn{definitions} {{ {' '.join(fields)} }}", *drawing.fragments])
    return Drawn(query, drawing.variables)
