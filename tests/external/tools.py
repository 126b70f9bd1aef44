"""What the external checks share: npm's tools in a folder outside the repository, and the gateway as a process."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCHEMA = ROOT / "schema.graphql"
_INSTALL = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


@dataclass(frozen=True)
class Tools:
    """npm's packages, and a folder per test below them in which Node finds them."""

    packages: Path
    folder: Path

    def node(self, script: str, *arguments: str, env: Mapping[str, str] | None = None) -> Any:
        """Runs a script of this folder; the last line that it prints is JSON. Libraries print before it."""
        shutil.copy(HERE / script, self.folder)
        return json.loads(self.run("node", script, *arguments, env=env).splitlines()[-1])

    def run(self, *command: str, env: Mapping[str, str] | None = None, fails: bool = False) -> str:
        """Runs a command, npm's among them by name. Unless it may fail, its failure is the test's, with all it said."""
        found = self.packages / "node_modules" / ".bin" / command[0]
        program = str(found) if found.exists() else command[0]
        # Development builds of the libraries add stack traces to errors.
        environment = {**os.environ, "NODE_ENV": "production", "NO_COLOR": "1", **(env or {})}
        ran = subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert fails or ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not on this machine")
    return found


def installed() -> Path:
    """The packages of `package.json`, installed once for its content. Never into the repository."""
    npm = need("npm")
    need("node")
    wanted = (HERE / "package.json").read_bytes()
    folder = Path(tempfile.gettempdir()) / f"gateway-external-{hashlib.sha256(wanted).hexdigest()[:12]}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            (folder / "package.json").write_bytes(wanted)
            ran = subprocess.run([npm, *_INSTALL], cwd=folder, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stderr
            done.touch()
    return folder


@contextlib.contextmanager
def serving(folder: Path, tree: Path = ROOT, **settings: str) -> Iterator[str]:
    """`python -m app` of a source tree over a fresh store in `folder`; gives the endpoint's address."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "GATEWAY_PORT": "0",
        "GATEWAY_STORE_URL": f"sqlite:///{folder / 'gateway.db'}",
        **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()},
    }
    log = folder / "gateway.log"
    with log.open("w") as written:
        process = subprocess.Popen([sys.executable, "-m", "app"], cwd=folder, env=environment, stderr=written)
    try:
        # The line is written once the port is bound, so the first request only has to wait.
        while (line := re.search(r"on (http://\S+/graphql)", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        yield line[1]
    finally:
        process.terminate()
        process.wait(600)


def snippet(name: str) -> str:
    """The code block of the README or a reference page under `<!-- name -->`."""
    pages = (ROOT / "README.md", *sorted((ROOT / ".github/docs").glob("*.md")))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    found = re.search(rf"<!-- {re.escape(name)} -->\s*```\w*\n(.*?)```", text, re.DOTALL)
    assert found, f"no page has a code block marked {name!r}"
    return found[1]
