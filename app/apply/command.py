"""`python -m app apply FILE` at a terminal: its options, a progress bar, and a summary at the end."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.apply import HOURS, URL
from app.apply.client import Client, RefusedError
from app.apply.results import Result, Results, ResultsError
from app.apply.rows import FileError, read_rows
from app.apply.run import Plan, Run, StoppedError
from app.graphql.bulk_documents import bulks

if TYPE_CHECKING:
    from graphql import GraphQLSchema

_DONE, _NOT_ALL, _WRONG = 0, 1, 2
_GOOD = frozenset({"APPLIED", "PREVIEWED"})
_LINES = 8
_COLOURS = {"UNKNOWN": "bold red", "NOT_APPLIED": "yellow"}


def apply(options: Namespace, schema: GraphQLSchema) -> int:
    """Returns the exit code: 0, all rows applied (in a dry run: previewed); 1, not all of them; 2, nothing was sent."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does: a message may be of any script
    path = options.results or Path(f"{options.file}.results.ndjson")
    stopped = None
    try:
        plan = Plan(bulks(schema), options.dry_run, options.retry_failed, options.idempotency_hours)
        rows = read_rows(options.file, plan.bulks, options.mutation)
        credentials = _credentials(options.credentials_file, options.credential_headers)
        with (
            Client(options.url, _token(options.token_file), credentials) as client,
            _results(options, path) as results,
        ):
            run = Run(plan, rows, results, client)
            try:
                _go(run, len(rows), dry_run=options.dry_run)
            except (StoppedError, ResultsError) as error:
                stopped = str(error)
            except KeyboardInterrupt:
                stopped, run.began = "stopped by hand: what was under way is UNKNOWN", True
    except (FileError, RefusedError, ResultsError) as error:
        for problem in error.problems if isinstance(error, FileError) else [str(error)]:
            _say(problem)
        return _WRONG
    if stopped:
        _say(stopped)
    nothing_sent = stopped is not None and not run.began
    if not nothing_sent or options.resume:
        # Who reads the summary may be gone. The results and the exit code say the same.
        with contextlib.suppress(OSError, SystemExit):  # rich's, for a broken pipe
            _summary(list(results), len(rows), options, path)
    if nothing_sent:
        return _WRONG
    return _DONE if sum(result.outcome in _GOOD for result in results) == len(rows) else _NOT_ALL


def _results(options: Namespace, path: Path) -> Results:
    if options.dry_run and (options.resume or options.retry_failed):
        raise RefusedError("--dry-run: writes nothing, so that there is nothing to --resume")
    if options.retry_failed and not options.resume:
        raise RefusedError("--retry-failed: needs --resume")
    if options.resume:
        return Results.resume(path)
    return Results.create(path) if options.results or not options.dry_run else Results()


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    token = _secret("--token-file", path).strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise RefusedError(f"--token-file: {path} does not hold one token and nothing else")
    return token


def _credentials(path: Path | None, known: Sequence[str]) -> dict[str, str]:
    """The headers of a file. No message shows a line: it may be a secret without its name."""
    if path is None:
        return {}
    headers: dict[str, str] = {}
    for number, line in enumerate(_secret("--credentials-file", path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        problem = None
        if name not in known:
            problem = f"does not begin with one of {', '.join(known)}"
        elif name in headers:
            problem = f"has {name} again"
        elif not value or not value.isascii() or not value.isprintable():
            problem = f"has no value for {name} that a header can carry"
        if problem is not None:
            raise RefusedError(f"--credentials-file: {path}, line {number}: {problem}")
        headers[name] = value
    if not headers:
        raise RefusedError(f"--credentials-file: {path} holds no credentials")
    return headers


def _secret(option: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise RefusedError(f"{option}: {path} cannot be read: {reason}") from None


def _go(run: Run, rows: int, *, dry_run: bool) -> None:
    console = Console(stderr=True)
    if not console.is_terminal:
        run.go(lambda _: None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("previewing" if dry_run else "applying", total=rows, completed=rows - run.left)
        run.go(lambda ended: progress.advance(task, ended))


def _summary(ended: Sequence[Result], rows: int, options: Namespace, path: Path) -> None:
    console = Console(soft_wrap=True)
    counts = Counter(result.outcome for result in ended)
    parts = [f"{count:,} {outcome}" for outcome, count in sorted(counts.items())]
    unsent = rows - len(ended)
    console.print(Text(f"{rows:,} rows: {', '.join(parts + [f'{unsent:,} not sent'] * bool(unsent))}"))
    failed = [result for result in ended if result.outcome not in _GOOD]
    has_file = options.results is not None or not options.dry_run
    if failed:
        _table(failed, lines=_LINES if has_file else len(failed))
    if has_file:
        console.print(Text(visible(f"Each row's result is in {path}")))
    if options.dry_run:
        return
    if unsent or counts["UNKNOWN"]:
        console.print(Text(visible(f"To go on: {_command(options, path, '--resume')}")))
    if counts["NOT_APPLIED"]:
        again = _command(options, path, "--resume", "--retry-failed")
        console.print(Text(visible(f"To try again what was not applied: {again}")))


def _table(failed: Sequence[Result], *, lines: int) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("rows", justify="right")
    table.add_column("outcome", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=3)
    table.add_column("lines", overflow="fold", ratio=1)
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in failed:
        groups.setdefault((result.outcome, result.reason or result.code or ""), []).append(result)
    for (outcome, reason), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        more = f" and {len(group) - lines:,} more" if len(group) > lines else ""
        table.add_row(
            f"{len(group):,}",
            Text(outcome, _COLOURS.get(outcome, "")),
            Text("\n".join(visible(text) for text in (reason, group[0].message) if text)),
            ", ".join(str(result.line) for result in group[:lines]) + more,
        )
    # A pipe has no width of its own.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _command(options: Namespace, path: Path, *flags: str) -> str:
    words = ["python", "-m", "app", "apply", str(options.file)]
    values: dict[str, Any] = {"--mutation": options.mutation, "--token-file": options.token_file}
    values |= {"--credentials-file": options.credentials_file, "--results": path}
    values["--url"] = None if options.url == URL else options.url
    values["--idempotency-hours"] = None if options.idempotency_hours == HOURS else f"{options.idempotency_hours:g}"
    for flag, value in values.items():
        words += [] if value is None else [flag, str(value)]
    return shlex.join([*words, *flags])


def _say(text: str) -> None:
    sys.stderr.write(f"{visible(text)}\n")


def visible(text: str) -> str:
    """A text for a terminal: control characters, which could move its cursor or hide text, are escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
