"""The command line: `python -m app [serve | sandbox | schema | typescript | apply | journal | check]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    gc.disable()  # until everything is loaded, and for a server created (`settle`): saves a tenth of the start
    if sys.argv[1:2] in ([], ["serve"], ["sandbox"]):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server has a handler: loading alone takes seconds

from starlette.applications import Starlette

from app import history
from app.apis import APIS
from app.apply import add_arguments as add_apply_arguments
from app.bootstrap import Backends, create_app, create_sandbox, open_store_for
from app.config import Settings, SettingsError, check_settings, read_settings, share_metrics
from app.graphql.schema import build_schema, print_sdl
from app.server.serving import ServerError, address_of, bound_socket, run, settle
from app.store.records import StoreUnavailableError
from app.telemetry import logs
from app.telemetry.processes import VERSION

log = logging.getLogger("app")

_STANDARD_ERROR = 2
_DESCRIPTION = (
    "A GraphQL gateway in front of REST update APIs. Settings are environment variables GATEWAY_…, or a .env file."
)
COMMANDS = {
    "serve": "serve the gateway (the default)",
    "sandbox": "serve the vendors' REST APIs over the local store, to try REST mode without an account",
    "schema": "print the GraphQL schema",
    "typescript": "print a TypeScript module with the types of errors and functions for a page",
    "apply": "send the updates that a file lists to a running gateway, and go on after a stop",
    "journal": "list what became of the updates, the newest first",
    "check": "try the settings, the store and the backends without changing anything, and say what is wrong",
}


def main(arguments: Sequence[str] | None = None) -> int:
    if sys.stdout is None or sys.stderr is None:  # closed, such as by `>&-`: nobody wants to read it
        # No file or socket of ours may get the number of a standard stream: whatever prints would write into it.
        while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
            pass
        os.close(number)
        sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115 - as Python opens it
        sys.stderr = sys.stderr or open(_STANDARD_ERROR, "w")  # noqa: SIM115 - as above
    options = _parser().parse_args(arguments)
    code = 1
    try:
        code = _run(options)
        sys.stdout.flush()
    except OSError as error:
        if options.command in {None, "serve", "sandbox"}:
            raise
        if not isinstance(error, BrokenPipeError):  # whoever reads, such as `head`, has enough
            sys.stderr.write(f"python -m app {options.command}: {error.strerror or error}\n")
        # What is still buffered goes nowhere, without a word at the exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # What was applied is applied, read or not.
        return code if options.command == "apply" else 1
    return code


def _run(options: argparse.Namespace) -> int:
    command = options.command or "serve"
    if command != "serve":
        gc.enable()
    try:
        if command in {"schema", "typescript", "apply"}:
            return _with_schema(command, options)
        if command == "check":
            logs.configure("error", "auto")
            from app.check import check, undocumented  # noqa: PLC0415 - a server loads nothing of it

            return (undocumented if options.undocumented else check)(APIS, sys.stdout, as_json=options.json)
        settings = read_settings(APIS)
        if command == "journal":
            logs.configure("error", "auto")
            return history.history(settings.gateway.store_url, options, sys.stdout)
        _configure_logs(settings)
        return _serve(settings) if command == "serve" else _sandbox(settings)
    except SettingsError as error:
        sys.stderr.write("".join(f"{problem}\n" for problem in error.problems))
        return 2
    except (ServerError, StoreUnavailableError) as error:
        name = "GATEWAY_STORE_URL: " if isinstance(error, StoreUnavailableError) else ""
        sys.stderr.write(f"{name}{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m app", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", metavar="command")
    for name, text in COMMANDS.items():
        added = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == "check":
            added.add_argument("--json", action="store_true", help="write JSON for a script")
            added.add_argument(
                "--undocumented", action="store_true", help="list the backends' answers that no documented row matches"
            )
        if name == "apply":
            add_apply_arguments(added, [name for api in APIS for name in api.caller_headers])
        if name == "journal":
            history.add_arguments(added)
    return parser


def _with_schema(command: str, options: argparse.Namespace) -> int:
    """The commands that need no settings."""
    schema = build_schema(APIS)
    if command == "apply":
        from app.apply.command import apply  # noqa: PLC0415 - what it draws with is of no use to a server

        return apply(options, schema._schema)  # noqa: SLF001 - Strawberry's only handle
    if command == "schema":
        sys.stdout.write(f"{print_sdl(schema)}\n")
    else:
        from app.graphql.typescript import print_typescript  # noqa: PLC0415 - a server loads nothing of it

        sys.stdout.write(print_typescript(schema._schema, APIS))  # noqa: SLF001 - Strawberry's only handle
    return 0


def worker_app() -> Starlette:
    """The gateway in one of several server processes: each reads the same environment."""
    settings = read_settings(APIS)
    _configure_logs(settings)
    app = create_app(settings)
    settle()
    return app


def _configure_logs(settings: Settings) -> None:
    logs.configure(settings.gateway.log_level, settings.gateway.log_format, settings.secrets, colour=settings.colour)


def _serve(settings: Settings) -> int:
    gateway = settings.gateway
    check_settings(settings, APIS)
    several = gateway.workers > 1
    # Each of several workers creates its own app; this one only proves that it can be created.
    app = create_app(replace(settings, traces=settings.traces and not several))
    if any(api.mode == "local" for api in settings.apis.values()):
        # Opened once here, so that an unusable store ends the start with one line.
        asyncio.run(_open_and_close(settings))
    elif gateway.journal:
        asyncio.run(_journal_opens(settings))
    listening = bound_socket(gateway.host, gateway.port)
    modes = ", ".join(f"{api.title}: {_where(settings, api.name)}" for api in APIS)
    log.info("GraphQL gateway on %s/graphql (%s)", address_of(listening), modes)
    bounds: dict[str, Any] = {
        "grace": gateway.shutdown_seconds,
        "max_head_bytes": gateway.max_head_bytes,
        "head_seconds": gateway.head_seconds,
        "keep_alive_seconds": gateway.keep_alive_seconds,
        "shutdown_delay_seconds": gateway.shutdown_delay_seconds,
        # The endpoint answers earlier than these.
        "body_seconds": 2 * gateway.body_seconds,
        "answer_seconds": gateway.request_seconds + 60,
    }
    settle()
    if not several:
        return run(app, listening, **bounds)
    from app.server.workers import run_workers  # noqa: PLC0415 - one process loads nothing of it

    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as folder:
        if settings.metrics_folder is None:
            share_metrics(Path(folder))
        return run_workers("app.__main__:worker_app", listening, gateway.workers, **bounds)


def _where(settings: Settings, name: str) -> str:
    api = settings.apis[name]
    return f"REST at {api.url}" if api.mode == "rest" else "local store"


def _sandbox(settings: Settings) -> int:
    gateway = settings.gateway
    asyncio.run(_open_and_close(settings))
    listening = bound_socket(gateway.sandbox_host, gateway.sandbox_port)
    url = address_of(listening)
    log.info("Sandbox of the REST APIs on %s. Start a gateway in front of it with these settings:", url)
    for api in APIS:
        for name, value in api.sandbox_settings(url).items():
            sys.stdout.write(f"export GATEWAY_{api.name.upper()}_{name.upper()}={value}\n")
    sys.stdout.flush()
    return run(create_sandbox(settings), listening, grace=gateway.shutdown_seconds)


async def _open_and_close(settings: Settings) -> None:
    store = await open_store_for(settings, APIS)
    await store.aclose()


async def _journal_opens(settings: Settings) -> None:
    backends = Backends(settings, ())
    try:
        await backends.any_store()
    finally:
        await backends.aclose()


if __name__ == "__main__":
    sys.exit(main())
