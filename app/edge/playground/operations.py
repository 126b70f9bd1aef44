"""The prepared operations: every API's examples, and the error catalogue. Tests run each of them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.apis.api import Api, Example

_OPERATION = re.compile(r"^(query|mutation)\s+\w+")
_ARTICLES = frozenset({"a", "an", "the"})
_CATALOGUE = """# Every error that the gateway can answer, with its place in the input and whether a retry is safe.
query ErrorCatalogue($backend: Backend) {
  errorCatalog(backend: $backend) {
    reason
    code
    backend
    httpStatus
    vendorCode
    text
    inputPath
    mutations
    outcome
    retrySafe
  }
}"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation for a tab, which GraphiQL names after it. `reason` is None where the operation succeeds."""

    title: str
    query: str
    variables: Mapping[str, Any]
    headers: Mapping[str, str]
    reason: str | None

    @property
    def writes(self) -> bool:
        return re.search(r"^mutation\b", self.query, re.MULTILINE) is not None

    def as_json(self) -> dict[str, str | None]:
        """What the editors hold, as texts."""
        return {
            "title": self.title,
            "query": self.query,
            "variables": json.dumps(self.variables, indent=2, ensure_ascii=False),
            "headers": json.dumps(self.headers, indent=2) if self.headers else "",
            "reason": self.reason,
        }


def prepared(apis: Iterable[Api]) -> tuple[Prepared, ...]:
    """Operations that succeed come first, in the APIs' own order: the page opens with the first one."""
    operations = [_of_example(example) for api in apis for example in api.examples]
    operations.append(Prepared("Every error there is", _CATALOGUE, {"backend": None}, {}, None))
    return tuple(sorted(operations, key=lambda operation: operation.reason is not None))


def _of_example(example: Example) -> Prepared:
    plain = example.title.partition(" (")[0]
    words = [word for word in re.findall(r"\w+", plain.replace("'", "")) if word not in _ARTICLES]
    name = "".join(word[:1].upper() + word[1:] for word in words)
    query = _OPERATION.sub(lambda match: f"{match[1]} {name}", example.operation, count=1)
    notes = [f"{example.title}."]
    if example.reason is not None:
        notes.append(f"It is refused: {example.reason}.")
    if example.headers:
        notes.append(f"See the headers: {', '.join(example.headers)}.")
    comment = "".join(f"# {note}\n" for note in notes)
    return Prepared(example.title, comment + query, example.variables, example.headers, example.reason)
