"""Functions that are written out for one class or one selection: on every request a loop costs several times as much.

What gets into a source are names of our own classes and of the schema, each checked to be one, and numbers; everything
else is handed over under a name. What a caller wrote, an alias for instance, is handed over as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

_numbers = count()
# Objects with so few attributes are made faster one by one than from a dict, others the other way round.
_FEW = 4


class FunctionSource:
    """Lines of a function's body, and the values that they name."""

    def __init__(self, *parameters: str) -> None:
        self._lines = [f"def written({', '.join(parameters)}):"]
        self._names: dict[str, Any] = {}

    def add(self, *lines: str, depth: int = 1) -> None:
        self._lines += ["    " * depth + line for line in lines]

    def value(self, given: Any) -> str:
        """The name under which the lines find a value."""
        name = f"_{len(self._names)}"
        self._names[name] = given
        return name

    def function(self) -> Any:
        code = compile("\n".join(self._lines), f"<written {next(_numbers)}>", "exec")
        exec(code, self._names)  # noqa: S102 - see above
        return self._names["written"]


def name(text: str) -> str:
    """A name that may stand in a source; anything else raises ValueError."""
    if not (text.isidentifier() and text.isascii()):
        raise ValueError(f"{text!r} is no name")
    return text


def builder(cls: type[T], names: Collection[str]) -> Callable[[dict[str, Any]], T]:
    """Makes an object of a dataclass from its attributes `names`, by name; the dict becomes the object's own.

    What the generated `__init__` would do, without handing each of them over by itself.
    """
    if not is_plain(cls, names):
        return lambda values: cls(**values)
    new = object.__new__

    def build(values: dict[str, Any]) -> T:
        made = new(cls)
        made.__dict__ = values
        return made

    return build


def add_object(source: FunctionSource, cls: type, values: Mapping[str, str]) -> None:
    """Ends a function with an object of a dataclass, made as `builder` does; `values` are names by attribute."""
    given = "{" + ", ".join(f"'{name(attribute)}': {value}" for attribute, value in values.items()) + "}"
    if not is_plain(cls, values):
        source.add(f"return {source.value(cls)}(**{given})")
        return
    source.add(f"made = {source.value(object.__new__)}({source.value(cls)})")
    if len(values) <= _FEW:
        source.add(*(f"made.{name(attribute)} = {value}" for attribute, value in values.items()))
    else:
        source.add(f"made.__dict__ = {given}")
    source.add("return made")


def is_plain(cls: type, names: Collection[str]) -> bool:
    """Whether to set the attributes `names` is all that making an object of a dataclass comes to.

    Another one that is left out has its default as the class's attribute.
    """
    fields = [field for field in dataclasses.fields(cls) if field.init]
    whole = all(field.name in names or field.default is not dataclasses.MISSING for field in fields)
    known = set(names) <= {field.name for field in fields}
    own = any(hasattr(cls, name) for name in ("__post_init__", "__slots__"))
    own = own or any("__new__" in vars(base) for base in cls.__mro__[:-1])
    return whole and known and hasattr(cls, "__dict__") and not own
