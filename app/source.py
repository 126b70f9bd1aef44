"""Functions that are written out for one class or one selection: on every request a loop costs several times as much.

What gets into a source are names of our own classes and of the schema, each checked to be one, and numbers; everything
else is handed over under a name. What a caller wrote, an alias for instance, is handed over as well.
"""

from __future__ import annotations

from itertools import count
from typing import Any

_numbers = count()


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
