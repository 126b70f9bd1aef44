"""What a caller sent, for the log and for drift: the ids of records, and every text, so that no text is stored."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from graphql import StringValueNode, ValueNode, VariableNode

# As most callers write it, and as the log does.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def ids_of(arguments: Sequence[ValueNode], variables: Mapping[str, Any]) -> list[str]:
    """The records that an operation names. Only UUIDs, so that a caller can write nothing else into the log."""
    ids = []
    for argument in arguments:
        value = variables.get(argument.name.value) if isinstance(argument, VariableNode) else None
        text = argument.value if isinstance(argument, StringValueNode) else str(value)
        if _UUID.fullmatch(text) is None:
            try:
                text = str(uuid.UUID(text))
            except ValueError:
                continue
        ids.append(text)
    return ids


def texts_of(variables: Mapping[str, Any], node: Any) -> list[str]:
    """Every text that the caller sent, in variables and in the document."""
    sent = texts([dict(variables)])
    nodes: list[Any] = [node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, StringValueNode):
            sent.append(node.value)
        elif isinstance(node, list | tuple):
            nodes += node
        elif hasattr(node, "keys"):
            nodes += [getattr(node, key, None) for key in node.keys if key != "loc"]
    return sent


def texts(waiting: list[Any]) -> list[str]:
    """Every text and number inside values of JSON."""
    sent: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif value is not None and not isinstance(value, bool):
            sent.append(str(value))
    return sent
