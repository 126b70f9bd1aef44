"""The file of results: one NDJSON line for each row, noted as UNKNOWN before the row is sent.

While a run is under way a later line of a row replaces an earlier one; at its end the file is written anew, in order.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec

Outcome = Literal["APPLIED", "NOT_APPLIED", "UNKNOWN", "PREVIEWED"]


class ResultsError(Exception):
    """The file of results cannot be used; one line."""


class Fate(msgspec.Struct, kw_only=True, rename="camel", frozen=True):
    """The end of a row. A retry may help after `wait` seconds."""

    outcome: Outcome
    code: str | None = None
    reason: str | None = None
    input_path: list[str] | None = None
    message: str | None = None
    replayed: bool = False
    wait: int | None = None


class Result(msgspec.Struct, kw_only=True, rename="camel", frozen=True, forbid_unknown_fields=True):
    """A line of the file. `key` is the row's idempotency key, None in a dry run; `sent` is Unix time in seconds."""

    line: int
    id: str
    outcome: Outcome
    code: str | None = None
    reason: str | None = None
    input_path: list[str] | None = None
    message: str | None = None
    replayed: bool = False
    key: str | None = None
    sent: float | None = None

    def noted(self, now: float) -> Result:
        """The line of a row while it is being sent."""
        return msgspec.structs.replace(self, sent=self.sent or now, message="sent, no answer yet")

    def became(self, fate: Fate) -> Result:
        members = msgspec.structs.asdict(fate)
        del members["wait"]
        return msgspec.structs.replace(self, **members)


_FIRST_MEMBER = b'{"line":'
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Result).decode


class Results:
    """The result of each row, by line. Without a path there is no file. Use as a context manager."""

    def __init__(self, path: Path | None = None, descriptor: int = -1, earlier: Sequence[Result] = ()) -> None:
        self._path = path
        self._descriptor = descriptor
        self._by_line = {result.line: result for result in earlier}

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new file with mode 0600, never over another one. Raises ResultsError."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileExistsError:
            raise ResultsError(f"{path} exists: go on with it by --resume, or name another one by --results") from None
        except OSError as error:
            raise ResultsError(f"{path} cannot be written: {error.strerror}") from None
        return cls(path, descriptor)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """The file of an earlier run. Raises ResultsError."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise ResultsError(f"{path} cannot be gone on with: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = path.read_bytes()
            earlier = [*_read(path, content)]
            os.ftruncate(descriptor, content.rfind(b"\n") + 1)
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise BlockingIOError  # noqa: TRY301 - another run has just written it anew
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):
                raise ResultsError(f"{path} is in use by another run") from None
            raise
        # A link stays one when the file is written anew.
        return cls(Path(os.path.realpath(path)), descriptor, earlier)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Rewrites the file: one line for each row, in their order. If that fails, the old file stays."""
        if self._path is None:
            return
        temporary = self._path.with_name(f".{self._path.name}.new")
        try:
            if self._by_line:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                try:
                    _write(descriptor, self)
                finally:
                    os.close(descriptor)
                temporary.replace(self._path)
            else:
                self._path.unlink()  # nothing was sent: the same command may be given again
        except OSError:
            temporary.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)

    def __iter__(self) -> Iterator[Result]:
        return iter([self._by_line[line] for line in sorted(self._by_line)])

    def get(self, line: int) -> Result | None:
        return self._by_line.get(line)

    def put(self, results: Sequence[Result]) -> None:
        """Durable when it returns. Raises ResultsError."""
        self._by_line |= {result.line: result for result in results}
        try:
            if self._path is not None:
                _write(self._descriptor, results)
        except OSError as error:
            raise ResultsError(f"{self._path} cannot be written: {error.strerror}") from None

    def drop(self, lines: Iterable[int]) -> None:
        """Forgets rows that were certainly not begun. Until the end the file has them as UNKNOWN, with their keys."""
        for line in lines:
            self._by_line.pop(line, None)


def _read(path: Path, content: bytes) -> Iterator[Result]:
    """The results in a file. A last line that a stop cut off is ignored.

    Its row was not sent, or an earlier line says that it was.
    """
    *whole, rest = content.split(b"\n")
    for number, line in enumerate(whole, 1):
        try:
            result = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ResultsError(f"{path}: line {number} is no result of this command") from None
        if result.key is None:
            raise ResultsError(f"{path} holds the results of a dry run: there is nothing to go on with")
        yield result
    if not _FIRST_MEMBER.startswith(rest[: len(_FIRST_MEMBER)]):
        raise ResultsError(f"{path}: its last line is no result of this command")


def _write(descriptor: int, results: Iterable[Result]) -> None:
    content = b"".join(_encode(result) + b"\n" for result in results)
    while content:
        content = content[os.write(descriptor, content) :]
    os.fsync(descriptor)
