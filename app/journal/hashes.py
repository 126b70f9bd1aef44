"""Keyed hashes: they stand in the journal for a person, an account, a request or a record's values.

`person` is HMAC-SHA256 of `person:` and the token's `sub`, under the journal's secret, in hexadecimal; so is the
account. Only somebody with the secret and a `sub` can find what that person changed.
"""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from app.json_codec import encode_json

_SALT_BYTES = 16


class Proof(Struct, frozen=True, omit_defaults=True):
    """A salted digest of the sent members. `whole`: equal members prove the whole update."""

    salt: str
    digest: str
    members: tuple[str, ...] = ()
    whole: bool = False


class Hashes:
    """Hashes under one secret, from the settings or the store."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        # There are few callers and accounts, and many updates.
        self.person = functools.lru_cache(1024)(functools.partial(self._named, "person"))
        self.account = functools.lru_cache(1024)(functools.partial(self._named, "account"))

    def _named(self, kind: str, value: str) -> str:
        return hmac.digest(self._secret, f"{kind}:{value}".encode("utf-8", "surrogatepass"), "sha256").hex()

    def claim(self, caller: str | None, person: str | None, mutation: str, key: str) -> str:
        """The owner of a key: different for each caller, person and mutation."""
        return self._named("claim", encode_json([caller, person, mutation, key]).decode())

    def request(self, arguments: Any, account: str | None) -> str:
        """The request of a key: the mutation's arguments and the credential's identity."""
        return hmac.digest(self._secret, b"request:" + _canonical([arguments, account]), "sha256").hex()

    def proof(self, values: Mapping[str, Any], *, whole: bool) -> Proof:
        """The proof of the sent members by name, as a read would show them."""
        salt = secrets.token_hex(_SALT_BYTES)
        return Proof(salt, self._digest(salt, values), tuple(values), whole)

    def agrees(self, proof: Proof, read: Mapping[str, Any]) -> bool:
        """Whether a read record has the sent values; other members do not count."""
        if any(name not in read for name in proof.members):
            return False
        return hmac.compare_digest(proof.digest, self._digest(proof.salt, {name: read[name] for name in proof.members}))

    def _digest(self, salt: str, values: Mapping[str, Any]) -> str:
        return hmac.digest(self._secret, salt.encode() + _canonical(values), "sha256").hex()


# Sorts members at every depth: JSON objects are equal in any order.
_canonical = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode
