"""Who may call: static bearer tokens from the setting and a file, and the signed tokens of an issuer.

The answer to the client never says why a token is refused; the log does.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.graphql.request_errors import (
    CALLER_KEYS_UNAVAILABLE,
    CALLER_UNAUTHENTICATED,
    ErrorEntry,
    RequestError,
)

if TYPE_CHECKING:
    import httpx

    from app.edge.auth.issuer import Issuer, SignedTokens
    from app.edge.settings import AuthSettings
    from app.upstream.settings import Limits

log = logging.getLogger(__name__)

AUTHORIZATION = "authorization"
METRICS_SCOPE = "metrics:read"

# RFC 6750 section 2.1. GATEWAY_MAX_HEAD_BYTES bounds its length.
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
_CHALLENGE = 'Bearer realm="gateway"'
_INVALID = f'{_CHALLENGE}, error="invalid_token"'
_RETRY_SECONDS = 5

_TOKEN = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64}):(?P<digest>[0-9a-fA-F]{64})(?::(?P<scopes>[A-Za-z0-9:+_.-]+))?")
_NOTHING = hashlib.sha256(b"").digest()
_MAX_FILE = 1_000_000


@dataclass(frozen=True, slots=True)
class Caller:
    """`name` is for the log. `scopes` None means everything. `subject` is a person, and never shown."""

    name: str
    scopes: frozenset[str] | None = None
    subject: str | None = field(default=None, repr=False)

    def may(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes


class TokenRefusedError(Exception):
    """The token is not accepted; the text is the cause, for the log alone."""


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be fetched or read; the text is for the log and the terminal."""


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


def _read_tokens(path: Path, scopes: Collection[str], fixed: Sequence[StaticToken]) -> Sequence[StaticToken]:
    """Adds the entries of a file to the fixed tokens, one a line; `#` begins a comment. Raises TokensFileError."""
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
    tokens = list(fixed)
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
    if len(tokens) == len(fixed):
        raise TokensFileError(f"{path}: no token in it")
    return tokens


class StaticTokens:
    """The tokens of the setting, and of a file that is read again on `reload`. Raises TokensFileError."""

    def __init__(
        self, fixed: Sequence[StaticToken], path: Path | None = None, known_scopes: Collection[str] = ()
    ) -> None:
        self._fixed = fixed
        self._path = path
        self._known_scopes = known_scopes
        self.tokens = fixed if path is None else _read_tokens(path, known_scopes, fixed)

    def reload(self) -> None:
        if self._path is None:
            return
        try:
            self.tokens = _read_tokens(self._path, self._known_scopes, self._fixed)
            log.info("the file of callers' tokens was read again: %d tokens", len(self.tokens))
        except TokensFileError as error:
            log.error("GATEWAY_CALLER_TOKENS_FILE: %s; the former tokens stay", error)  # noqa: TRY400 - one line

    async def find(self, token: str) -> Caller:
        digest = hashlib.sha256(token.encode()).digest()
        caller = None
        for candidate in self.tokens:  # compares all of them, so that the time says nothing
            if hmac.compare_digest(digest, candidate.digest):
                caller = candidate.caller
        if caller is None:
            raise TokenRefusedError("unknown token: no static token has its hash")
        return caller


class Authenticator:
    """Checks a request's `Authorization` headers, before anything else of the request is read."""

    def __init__(self, checkers: Sequence[StaticTokens | SignedTokens]) -> None:
        self._checkers = checkers

    async def caller(self, authorization: str | None) -> Caller:
        """Raises RequestError: one answer for every wrong token, with the cause as its `detail`."""
        if authorization is None:
            raise _refused(_CHALLENGE, "missing: the request has no token")
        match = _BEARER.fullmatch(authorization.strip())
        if match is None:
            raise _refused(_INVALID, "malformed: the header is not one token of the scheme Bearer")
        causes: list[str] = []
        for checker in self._checkers:
            try:
                return await checker.find(match[1])
            except TokenRefusedError as error:
                causes.append(str(error))
            except KeysUnavailableError as error:
                row = CALLER_KEYS_UNAVAILABLE
                entry = ErrorEntry(row, row.text or row.reason, retry_after=_RETRY_SECONDS)
                headers = {"retry-after": str(_RETRY_SECONDS)}
                raise RequestError([entry], headers, f"unknown key: {error}") from None
        raise _refused(_INVALID, "; ".join(causes))


def _refused(challenge: str, detail: str) -> RequestError:
    row = CALLER_UNAUTHENTICATED
    return RequestError([ErrorEntry(row, row.text or row.reason)], {"www-authenticate": challenge}, detail)


class Entrance:
    """`authenticator` is None where anyone may call; `issuer` is None where no signed token is accepted.

    `limits` and `transport` are for the issuer's URL. Raises KeysUnavailableError or TokensFileError.
    """

    def __init__(
        self,
        settings: AuthSettings,
        known_scopes: Collection[str] = (),
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.static = StaticTokens(settings.caller_tokens, settings.caller_tokens_file, known_scopes)
        self.issuer: Issuer | None = None
        checkers: list[StaticTokens | SignedTokens] = [self.static] if self.static.tokens else []
        if settings.jwt_issuer is not None and settings.jwt_audience is not None:
            from app.edge.auth.issuer import Issuer  # noqa: PLC0415 - see there

            self.issuer = Issuer(settings, limits, transport)
            checkers.append(self.issuer)
        self.authenticator = Authenticator(checkers) if checkers else None

    def reload(self) -> None:
        """Reads the files again, as SIGHUP asks. A file that cannot be used leaves what it held before."""
        self.static.reload()
        if self.issuer is not None:
            self.issuer.keys.reload()

    async def aclose(self) -> None:
        if self.issuer is not None:
            await self.issuer.aclose()
