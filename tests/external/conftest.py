"""The tools and the gateway for the external checks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.external.tools import Tools, installed, serving


@pytest.fixture(scope="session")
def packages() -> Path:
    return installed()


@pytest.fixture
def tools(packages: Path) -> Iterator[Tools]:
    with tempfile.TemporaryDirectory(dir=packages, prefix="run-") as folder:
        yield Tools(packages, Path(folder))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as url:
        yield url
