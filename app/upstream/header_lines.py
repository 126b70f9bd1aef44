"""A request's headers as lines of its head. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.upstream.failures import malformed

if TYPE_CHECKING:
    from app.call import CallContext

# RFC 9110 sections 5.6.2 and 5.5. Text beyond ASCII is passed on as the bytes that arrived.
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_BLANK = " \t"


def header_lines(service: str, headers: tuple[tuple[str, str], ...]) -> str:
    """Raises GatewayError for a header that cannot be sent."""
    lines = ""
    for name, value in headers:
        if not _is_name(name) or not _is_value(value):
            raise malformed(service, name if _is_name(name) else "with a malformed name")
        lines += f"{name.lower()}: {value.strip(_BLANK)}\r\n"
    return lines


def optional_lines(call: CallContext) -> str:
    """Headers that are left out where they cannot be sent: a write must not fail because of them."""
    lines = ""
    for name, value in (("x-request-id", call.request_id), *call.trace_headers.items()):
        if _is_name(name) and _is_value(value):
            lines += f"{name.lower()}: {value.strip(_BLANK)}\r\n"
    return lines
