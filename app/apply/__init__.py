"""`python -m app apply FILE`: sends a file of updates to a running gateway, and resumes after a stop.

This file has the arguments alone: a server loads no more of the command.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

URL = "http://127.0.0.1:8000/graphql"
HOURS = 24.0


def add_arguments(parser: ArgumentParser, credential_headers: Sequence[str]) -> None:
    """`credential_headers` bring a caller's own credentials of a backend."""
    parser.set_defaults(credential_headers=credential_headers)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="NDJSON, or CSV whose header names arguments such as patch.name")
    add("--mutation", metavar="NAME", help="the mutation of rows that name none, such as patchSupplier")
    add("--url", default=URL, help="the gateway's GraphQL address (%(default)s)")
    caller = "a file that holds the caller's bearer token; over plain HTTP it is sent to this machine alone"
    add("--token-file", type=Path, metavar="FILE", help=caller)
    credentials = (
        f"a file with the caller's own credentials of a backend, a header a line: {', '.join(credential_headers)}"
    )
    add("--credentials-file", type=Path, metavar="FILE", help=credentials)
    results = "a new file for each row's result, as JSON lines (FILE.results.ndjson; none in a dry run)"
    add("--results", type=Path, metavar="FILE", help=results)
    add("--dry-run", action="store_true", help="write nothing, show what would be refused")
    add("--resume", action="store_true", help="go on with the run whose results are there")
    add("--retry-failed", action="store_true", help="with --resume: send again what was certainly not applied")
    hours = "how long the gateway remembers a key: its GATEWAY_IDEMPOTENCY_HOURS (%(default)g)"
    add("--idempotency-hours", type=float, default=HOURS, metavar="HOURS", help=hours)
