"""Explains to a person why a setting cannot be used: words for pydantic's errors, a guess for an unknown name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from pydantic_core import ErrorDetails

_WORDS = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}
# Of a secret, whose characters pydantic calls items.
_LENGTH = re.compile(r"Value should (have at (?:least|most) \d+) items .*")
_CLOSE = 0.75


def in_words(error: ErrorDetails) -> str:
    """Never the value."""
    words = _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    words = _LENGTH.sub(r"must \1 characters", words)
    return words.replace("Input should be", "must be").replace("Input should", "must").replace("String should", "must")


def guess(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant. The names have no common prefix here, which would make all of them similar."""
    if close := difflib.get_close_matches(name, names, 1, _CLOSE):
        return close[0]
    longer = [other for other in names if other.startswith(f"{name}_")]
    return longer[0] if len(longer) == 1 else None
