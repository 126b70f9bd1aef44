"""The build step that `pyproject.toml` names: it fetches the playground's npm files.

setuptools loads this file by its path, before the package's dependencies are installed, and so it loads `fetch.py`.
"""

import runpy
import sys
from pathlib import Path

from setuptools.command.build_py import build_py


class BuildPlayground(build_py):  # type: ignore[misc]  # setuptools is no dependency of the program, so untyped here
    """Runs for wheels and editable installs alike."""

    def run(self) -> None:
        fetch = runpy.run_path(str(Path(__file__).with_name("fetch.py")))
        # Visible with `pip install -v`: pip hides the rest of a build.
        sys.stderr.write(f"{fetch['bring_in']()}\n")
        super().run()
