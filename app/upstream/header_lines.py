"""A request's headers as lines of its head. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from app.call import CallContext
from app.upstream.failures import malformed

# RFC 9110 sections 5.6.2 and 5.5. Text beyond ASCII is passed on as the bytes that arrived.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_BLANK = " \t"
_KNOWN = 256


@lru_cache(_KNOWN)
def _name(name: str) -> str:
    """In lower case; empty for one that cannot be sent."""
    return name.lower() if _NAME.fullmatch(name) else ""


def _is_value(value: str) -> bool:
    return (value.isascii() and value.isprintable()) or _VALUE.fullmatch(value) is not None


def header_lines(service: str, headers: tuple[tuple[str, str], ...]) -> str:
    """Raises GatewayError for a header that cannot be sent."""
    lines = ""
    for name, value in headers:
        known = _name(name)
        if not known or not _is_value(value):
            raise malformed(service, name if known else "with a malformed name")
        lines += f"{known}: {value.strip(_BLANK)}\r\n"
    return lines


def optional_lines(call: CallContext) -> str:
    """Headers that are left out where they cannot be sent: a write must not fail because of them."""
    lines = ""
    for name, value in (("x-request-id", call.request_id), *call.trace_headers.items()):
        if (known := _name(name)) and _is_value(value):
            lines += f"{known}: {value.strip(_BLANK)}\r\n"
    return lines
