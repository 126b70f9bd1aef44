"""How one input object is read from a variable's JSON: a function that is written out for its type."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

from app.source import FunctionSource
from app.source import name as named
from app.wire import add_object, builder

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


def written_reader(
    shape: Shape, readers: Mapping[str, Reader], exact: Mapping[str, type | None], *, null: bool
) -> Reader:
    """Member by member. A member of another name than these is noticed by the number of those that are there."""
    source = FunctionSource("raw")
    absent, unusual = source.value(ABSENT), source.value(UnusualError)
    source.add("if type(raw) is not dict:")
    if null:
        source.add("if raw is None:", "    return None", depth=2)
    source.add(f"raise {unusual}", depth=2)
    source.add("get = raw.get", f"missing = {len(readers)} - len(raw)")
    values = {}
    for number, (name, (python, _)) in enumerate(shape.members.items()):
        value, read, kind = f"v{number}", source.value(readers[name]), exact[name]
        values[python] = value
        source.add(f"{value} = get('{named(name)}', {absent})")
        if kind is not None:
            source.add(f"if type({value}) is not {source.value(kind)}:")
        else:
            source.add("if True:")
        source.add(f"if {value} is {absent}:", depth=2)
        if name in shape.required:
            source.add(f"raise {unusual}", depth=3)
        else:
            source.add("missing -= 1", f"{value} = {_absent(source, shape, python)}", depth=3)
        source.add("else:", f"    {value} = {read}({value})", depth=2)
    source.add("if missing:", f"    raise {unusual}")
    add_object(source, shape.declared, values)
    return cast("Reader", source.function())


def _absent(source: FunctionSource, shape: Shape, python: str) -> str:
    """What a member is that was not given: the schema's default, else that of the class."""
    if python in shape.fixed:
        return source.value(shape.fixed[python])
    [field] = [field for field in fields(shape.declared) if field.name == python]
    if field.default is not MISSING:
        return source.value(field.default)
    return f"{source.value(field.default_factory)}()"
