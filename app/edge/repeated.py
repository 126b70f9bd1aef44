"""A head that comes again byte for byte is not parsed again: all but the length of what follows it is known.

Most clients send the same head with each request of a connection. The parser is asked for everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.edge.exchange import Head

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_MOST_DIGITS = 9


class RepeatedHead:
    """The bytes of a head before and after the value of its content-length, and what the parser made of them."""

    __slots__ = ("_after", "_before", "head")

    def __init__(self, before: bytes, after: bytes, head: Head) -> None:
        self._before = before
        self._after = after
        self.head = head

    @classmethod
    def of(cls, message: bytes, length: bytes, head: Head) -> RepeatedHead | None:
        """From one whole message, as the parser understood it; None where its bytes are not plainly that."""
        end = message.find(_END) + len(_END)
        if end < len(_END) or len(message) - end != int(length):
            return None
        start = message[:end].lower()
        name = start.find(_LENGTH)
        if name < 0 or start.find(_LENGTH, name + 1) >= 0:
            return None
        at = name + len(_LENGTH)
        while start[at : at + 1] in {b" ", b"\t"}:
            at += 1
        rest = at + len(length)
        if message[at:rest] != length or message[rest : rest + 1] != b"\r":
            return None
        return cls(message[:at], message[rest:end], head)

    def body_of(self, message: bytes, most: int) -> bytes | None:
        """The body, of at most `most` bytes, of a whole message with this head; None for anything else."""
        before, after = self._before, self._after
        if not message.startswith(before):
            return None
        start = len(before)
        end = message.find(b"\r", start, start + _MOST_DIGITS + 1)
        if end < 0 or not message.startswith(after, end):
            return None
        digits, begin = message[start:end], end + len(after)
        if not digits.isdigit():
            return None
        length = int(digits)
        return message[begin:] if length <= most and len(message) - begin == length else None
