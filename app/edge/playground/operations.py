"""The prepared operations: every API's examples, and the error catalogue. Tests run each of them."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

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


def prepared(apis: Iterable[Api]) -> Sequence[Example]:
    """Operations that succeed come first, in the APIs' own order: the page opens with the first one."""
    operations = [_named(example) for api in apis for example in api.examples]
    operations.append(Example(title="Every error there is", operation=_CATALOGUE, variables={"backend": None}))
    return sorted(operations, key=lambda example: example.reason is not None)


def _named(example: Example) -> Example:
    """With a name, after which GraphiQL calls its tab, and with a comment."""
    plain = example.title.partition(" (")[0]
    words = [word for word in re.findall(r"\w+", plain.replace("'", "")) if word not in _ARTICLES]
    name = "".join(word[:1].upper() + word[1:] for word in words)
    operation = _OPERATION.sub(lambda match: f"{match[1]} {name}", example.operation, count=1)
    notes = [f"{example.title}."]
    if example.reason is not None:
        notes.append(f"It is refused: {example.reason}.")
    if example.headers:
        notes.append(f"See the headers: {', '.join(example.headers)}.")
    return replace(example, operation="".join(f"# {note}\n" for note in notes) + operation)


def as_json(example: Example) -> dict[str, str | None]:
    """What the editors hold, as texts. `reason` is null where the operation succeeds."""
    return {
        "title": example.title,
        "query": example.operation,
        "variables": json.dumps(example.variables, indent=2, ensure_ascii=False),
        "headers": json.dumps(example.headers, indent=2) if example.headers else "",
        "reason": example.reason,
    }
