"""How one input object is read from a variable's JSON: a function that is written out for its type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

from app.mapping.generated import FunctionSource, add_object, builder, is_plain
from app.mapping.generated import name as named

Reader = Callable[[Any], Any]

ABSENT: Any = object()


class UnusualError(Exception):
    """A value for graphql-core: it is wrong, or right in a way that is not prepared here."""


@dataclass(frozen=True)
class Shape:
    """How an input object is built: its members, what stands for absent ones, and which may not be absent."""

    declared: type
    names: Collection[str]
    members: Mapping[str, tuple[str, Any]]
    fixed: Mapping[str, Any]
    required: tuple[str, ...]

    @property
    def build(self) -> Callable[[dict[str, Any]], Any]:
        return builder(self.declared, self.names)


@dataclass(frozen=True)
class Single:
    """An object of one member, which is as it is in JSON: most objects within others are nothing but a code."""

    declared: type
    name: str
    python: str
    kind: type


@dataclass(frozen=True)
class Written:
    """How an input object is read; `single` where that is so little that no function is called for it."""

    read: Reader
    single: Single | None


def written_reader(
    shape: Shape,
    readers: Mapping[str, Reader],
    exact: Mapping[str, type | None],
    singles: Mapping[str, Single | None],
    *,
    null: bool,
) -> Written:
    """Member by member. A member of another name than these is noticed by the number of those that are there."""
    source = FunctionSource("raw")
    unusual = source.value(UnusualError)
    source.add("if type(raw) is not dict:")
    if null:
        source.add("if raw is None:", "    return None", depth=2)
    source.add(f"raise {unusual}", depth=2)
    source.add(f"missing = {len(readers)} - len(raw)")
    values = {}
    for number, (name, (python, _)) in enumerate(shape.members.items()):
        value, kind, single = f"v{number}", exact[name], singles[name]
        values[python] = value
        read = f"{value} = {source.value(readers[name])}({value})"
        source.add(f"if '{named(name)}' in raw:", f"    {value} = raw['{named(name)}']")
        if kind is not None:
            source.add(f"if type({value}) is not {source.value(kind)}:", f"    {read}", depth=2)
        elif single is not None:
            member = f"only := {value}.get('{named(single.name)}')"
            is_one = f"type({value}) is dict and len({value}) == 1"
            source.add(f"if {is_one} and type({member}) is {source.value(single.kind)}:", depth=2)
            source.add(f"{value} = {source.value(object.__new__)}({source.value(single.declared)})", depth=3)
            source.add(f"    {value}.{named(single.python)} = only", "else:", f"    {read}", depth=2)
        else:
            source.add(read, depth=2)
        source.add("else:")
        if name in shape.required:
            source.add(f"raise {unusual}", depth=2)
        else:
            source.add("missing -= 1", f"{value} = {_absent(source, shape, python)}", depth=2)
    source.add("if missing:", f"    raise {unusual}")
    add_object(source, shape.declared, values)
    return Written(cast("Reader", source.function()), _single(shape, exact))


def _single(shape: Shape, exact: Mapping[str, type | None]) -> Single | None:
    if len(shape.members) != 1 or not is_plain(shape.declared, shape.names):
        return None
    [(name, (python, _))] = shape.members.items()
    kind = exact[name]
    return None if kind is None else Single(shape.declared, name, python, kind)


def _absent(source: FunctionSource, shape: Shape, python: str) -> str:
    """What a member is that was not given: the schema's default, else that of the class."""
    if python in shape.fixed:
        return source.value(shape.fixed[python])
    [field] = [field for field in fields(shape.declared) if field.name == python]
    if field.default is not MISSING:
        return source.value(field.default)
    return f"{source.value(field.default_factory)}()"
