"""The build step that `pyproject.toml` names: it fetches the playground's npm files.

setuptools loads this file by its path, before the package's dependencies are installed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from setuptools.command.build_py import build_py


def _bring_in() -> str:
    specification = importlib.util.spec_from_file_location("_playground_fetch", Path(__file__).with_name("fetch.py"))
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    line: str = module.bring_in()
    return line


class BuildPlayground(build_py):  # type: ignore[misc]  # setuptools is no dependency of the program, so untyped here
    """Runs for wheels and editable installs alike."""

    def run(self) -> None:
        # Visible with `pip install -v`: pip hides the rest of a build.
        sys.stderr.write(f"{_bring_in()}\n")
        super().run()
