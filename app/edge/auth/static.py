"""Static bearer tokens, compared by their hashes, from the setting and from a file of the same entries."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.edge.auth.authenticator import Caller, TokenRefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

_TOKEN = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<digest>[0-9a-fA-F]{64})(?::(?P<scopes>[A-Za-z0-9:+_.-]+))?")
_NOTHING = hashlib.sha256(b"").digest()
_MAX_FILE = 1_000_000


class TokensFileError(Exception):
    """The file cannot be used; the text names the line and never shows it."""


@dataclass(frozen=True, slots=True)
class StaticToken:
    """A caller, recognised by the SHA-256 of its token. A token needs 128 random bits or more."""

    caller: Caller
    digest: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> StaticToken:
        """Parses `name:sha256hex[:scope+scope]`; without scopes everything is allowed.

        Raises ValueError without the text.
        """
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise ValueError("each token is written name:sha256 in 64 hexadecimal digits, and perhaps :scope+scope")
        scopes = None if match["scopes"] is None else frozenset(match["scopes"].split("+"))
        digest = bytes.fromhex(match["digest"])
        if digest == _NOTHING:
            raise ValueError(f"the hash of {match['name']} is that of an empty text, which is no token")
        return cls(Caller(match["name"], scopes), digest)


def doubled(tokens: Sequence[StaticToken]) -> str | None:
    """A problem where one token names two callers: only the last of them would be used."""
    names: dict[bytes, str] = {}
    for token in tokens:
        if token.digest in names:
            return f"{token.caller.name} has the same token as {names[token.digest]}"
        names[token.digest] = token.caller.name
    return None


def unknown_scope(token: StaticToken, scopes: Collection[str]) -> str | None:
    unknown = sorted((token.caller.scopes or frozenset()) - set(scopes))
    return f"{unknown[0]} is no scope; there are {', '.join(sorted(scopes))}" if unknown else None


def read_tokens(path: Path, scopes: Collection[str]) -> tuple[StaticToken, ...]:
    """Reads the entries of a file, one a line; `#` begins a comment. Raises TokensFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise TokensFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise TokensFileError(f"{path}: not UTF-8") from None
    if len(content) > _MAX_FILE:
        raise TokensFileError(f"{path}: larger than {_MAX_FILE} bytes")
    tokens: list[StaticToken] = []
    for number, line in enumerate(lines, 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            tokens.append(StaticToken.parse(entry))
        except ValueError as error:
            raise TokensFileError(f"{path}: line {number}: {error}") from None
        if problem := unknown_scope(tokens[-1], scopes) or doubled(tokens):
            raise TokensFileError(f"{path}: line {number}: {problem}")
    if not tokens:
        raise TokensFileError(f"{path}: no token in it")
    return tuple(tokens)


class StaticTokens:
    """`tokens` may be replaced while requests are answered."""

    def __init__(self, tokens: Sequence[StaticToken]) -> None:
        self.tokens = tuple(tokens)

    async def find(self, token: str) -> Caller:
        """Raises TokenRefusedError."""
        digest = hashlib.sha256(token.encode()).digest()
        caller = None
        for candidate in self.tokens:  # compares all of them, so that the time says nothing
            if hmac.compare_digest(digest, candidate.digest):
                caller = candidate.caller
        if caller is None:
            raise TokenRefusedError("unknown token: no static token has its hash")
        return caller
