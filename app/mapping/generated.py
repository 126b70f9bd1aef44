"""All generated code: functions compiled for one class or one selection. Loops would cost several times as much.

A source holds numbers and names of our own classes and of the schema, each checked to be a name. Every other value is
passed to the function under a generated name. A caller's words, such as an alias, are among these values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, fields
from itertools import count
from typing import Any

from strawberry import UNSET

from app.mapping.members import members

_numbers = count()


class FunctionSource:
    """Lines of a function's body, and the values that they use."""

    def __init__(self, *parameters: str) -> None:
        self._lines = [f"def generated({', '.join(parameters)}):"]
        self._values: dict[str, Any] = {}

    def add(self, *lines: str, depth: int = 1) -> None:
        self._lines += ["    " * depth + line for line in lines]

    def value(self, value: Any) -> str:
        """The name under which the lines use a value."""
        value_name = f"_{len(self._values)}"
        self._values[value_name] = value
        return value_name

    def add_object(self, cls: type, values: Mapping[str, str]) -> None:
        """Ends the function with an object of a plain dataclass; `values` are names by attribute.

        The object is created without `__init__`, which costs three times as much. An attribute without a value has its
        default, which is also the class's; one without a default is not selected, and nobody reads it.
        """
        rest = {item.name: "None" for item in fields(cls) if item.name not in values and item.name not in cls.__dict__}
        self.add(f"made = {self.value(cls.__new__)}({self.value(cls)})")
        self.add(*(f"made.{name(key)} = {value}" for key, value in {**values, **rest}.items()), "return made")

    def function(self) -> Any:
        code = compile("\n".join(self._lines), f"<generated {next(_numbers)}>", "exec")
        exec(code, self._values)  # noqa: S102 - see above
        return self._values["generated"]


def name(text: str) -> str:
    """Returns a name that may stand in a source. Raises ValueError for anything else."""
    if not (text.isidentifier() and text.isascii()):
        raise ValueError(f"{text!r} is no name")
    return text


def input_writer(cls: type, writer_of: Callable[[type], Any]) -> Callable[[Any], dict[str, Any]]:
    """Writes an input object as the vendor's JSON. `writer_of` gives the writer of an object within it."""
    source = FunctionSource("value")
    unset = source.value(UNSET)
    source.add("result = {}")
    for member in members(cls):
        item = "item"
        if member.nested is not None:
            write_nested = source.value(writer_of(member.nested))
            item = f"[None if part is None else {write_nested}(part) for part in item]"
            item = f"None if item is None else {item if member.is_list else f'{write_nested}(item)'}"
        source.add(f"item = value.{name(member.attribute)}", f"if item is not {unset}:")
        source.add(f"result['{name(member.name)}'] = {item}", depth=2)
    source.add("return result")
    writer: Callable[[Any], dict[str, Any]] = source.function()
    return writer


def projection(
    cls: type,
    parts: Mapping[str, tuple[str, Callable[[Any], Any] | None, bool]],
    more: Collection[str],
    absent: type[Exception],
) -> Callable[..., Any]:
    """Projects an input object to an object of `cls` with the attributes `more` and those of `parts`.

    A part is the input's attribute, the projection below both or None, and whether it is a list. The function raises
    `absent` where the input leaves a part out.
    """
    source = FunctionSource("value", *map(name, more))
    unset, raised = source.value(UNSET), source.value(absent)
    values = {attribute: attribute for attribute in more}
    for attribute, (input_attribute, below, is_list) in parts.items():
        item = values[attribute] = f"v{len(values)}"
        source.add(f"{item} = value.{name(input_attribute)}", f"if {item} is {unset}:", f"    raise {raised}")
        if below is not None:
            project = source.value(below)
            projected = f"[part and {project}(part) for part in {item}]" if is_list else f"{project}({item})"
            source.add(f"if {item} is not None:", f"    {item} = {projected}")
    source.add_object(cls, values)
    function: Callable[..., Any] = source.function()
    return function


def input_reader(
    cls: type,
    members: Iterable[tuple[str, str, Callable[[Any], Any], type | None, Any]],
    *,
    nullable: bool,
    fallback: type[Exception],
) -> Callable[[Any], Any]:
    """Reads a variable's JSON into an input object. Raises `fallback` for a value that is not plainly valid.

    A member is its key, its attribute, its reader, a type whose values are used as they are, and its default: MISSING
    for a required one. The number of members shows whether one is unknown.
    """
    source = FunctionSource("raw")
    raised, absent = source.value(fallback), source.value(object())
    source.add("if type(raw) is not dict:")
    if nullable:
        source.add("if raw is None:", "    return None", depth=2)
    source.add(f"raise {raised}", depth=2)
    source.add("get = raw.get", "count = len(raw)")
    values: dict[str, str] = {}
    for key, attribute, read, exact, default in members:
        value = values[attribute] = f"v{len(values)}"
        source.add(f"{value} = get('{name(key)}', {absent})")
        source.add("if True:" if exact is None else f"if type({value}) is not {source.value(exact)}:")
        source.add(f"if {value} is {absent}:", depth=2)
        if default is MISSING:
            source.add(f"raise {raised}", depth=3)
        else:
            source.add("count += 1", f"{value} = {source.value(default)}", depth=3)
        source.add("else:", f"    {value} = {source.value(read)}({value})", depth=2)
    source.add(f"if count != {len(values)}:", f"    raise {raised}")
    source.add_object(cls, values)
    reader: Callable[[Any], Any] = source.function()
    return reader


def object_completion(
    cls: type, members: Iterable[tuple[str, str, Callable[[Any], Any], type | None]], fallback: type[Exception]
) -> Callable[[Any], Any]:
    """Completes an object into a dict of the answer. Raises `fallback` for a value of another class.

    A member is its key, its attribute, the function that completes it, and a type whose values are complete already.
    """
    source = FunctionSource("value", "_run=None", "_place=None")
    source.add(f"if type(value) is not {source.value(cls)}:")
    source.add("if value is None:", "    return None", f"raise {source.value(fallback)}", depth=2)
    items = []
    for key, attribute, complete, exact in members:
        read, completed = f"value.{name(attribute)}", f"{source.value(complete)}({{}})"
        item = completed.format(read)
        if exact is not None:
            item = f"item if type(item := {read}) is {source.value(exact)} else {completed.format('item')}"
        items.append(f"{source.value(key)}: {item}")
    source.add("return {" + ", ".join(items) + "}")
    completion: Callable[[Any], Any] = source.function()
    return completion
