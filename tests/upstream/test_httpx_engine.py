"""The other engine: everything that is shown of our own connections, over httpx's transport."""

from __future__ import annotations

import dataclasses

import pytest

from app.upstream.limits import Limits
from app.upstream.upstream import Upstream
from tests.upstream import test_faults, test_headers, test_upstream
from tests.upstream.test_faults import *  # noqa: F403 - the same tests
from tests.upstream.test_headers import *  # noqa: F403 - the same tests
from tests.upstream.test_upstream import *  # noqa: F403 - the same tests


class OverHttpx(Upstream):
    def __init__(self, name, base_url, limits=None, *more, **options):
        super().__init__(name, base_url, dataclasses.replace(limits or Limits(), engine="httpx"), *more, **options)


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    for module in (test_faults, test_headers, test_upstream):
        monkeypatch.setattr(module, "Upstream", OverHttpx)
