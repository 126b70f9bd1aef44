"""Whose credentials a call carries, for pauses and the journal. Pure; nothing is verified.

https://www.rfc-editor.org/rfc/rfc7617 (Basic), https://www.rfc-editor.org/rfc/rfc7519 (the claims of a bearer).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import msgspec

GATEWAY = "gateway"


class _Claims(msgspec.Struct):
    iss: str
    sub: str


def identity(credentials: Mapping[str, str]) -> str:
    """The identity of a caller's own backend headers (lower-case names); `GATEWAY` for a caller without any.

    For Basic it is the client identifier. For a bearer it is `iss` and `sub`, so that a renewed token has the same
    identity. Anything else is its own identity. The result holds no credential: it is a scheme and a digest.
    """
    if not credentials:
        return GATEWAY
    authorization = credentials.get("authorization")
    if authorization is None:
        return _digest("key", *(text for item in sorted(credentials.items()) for text in item))
    scheme, _, value = authorization.strip().partition(" ")
    scheme, value = scheme.lower(), value.strip()
    try:
        if scheme == "basic":
            user, colon, _ = base64.b64decode(value, validate=True).partition(b":")
            if colon:
                return _digest(scheme, user.decode("latin-1"))
        elif scheme == "bearer":
            payload = value.split(".")[1]
            padded = payload + "=" * (-len(payload) % 4)
            claims = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Claims)
            return _digest(scheme, claims.iss, claims.sub)
    except (ValueError, IndexError, RecursionError):
        pass
    return _digest("other", authorization)


def _digest(scheme: str, *parts: str) -> str:
    text = "\0".join(f"{len(part)}:{part}" for part in parts)
    return f"{scheme}:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
