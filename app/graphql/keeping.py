"""What was made once and may be wanted again, within bounds: by number, and by weight."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """The least recently used goes first. What weighs more than all may together is not kept."""

    def __init__(self, most: int, weight: int) -> None:
        self._most = most
        self._room = weight
        self._items: OrderedDict[str, tuple[T, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> T | None:
        found = self._items.get(key)
        if found is None:
            return None
        self._items.move_to_end(key)
        return found[0]

    def put(self, key: str, item: T, weight: int) -> None:
        """For a key that is not there yet."""
        self._items[key] = item, weight
        self._room -= weight
        while len(self._items) > self._most or self._room < 0:
            _, (_, freed) = self._items.popitem(last=False)
            self._room += freed
