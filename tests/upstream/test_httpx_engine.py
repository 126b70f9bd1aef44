"""httpx's transport, which `GATEWAY_PROXY_URL` is served by: what is shown of our own connections, over it."""

from __future__ import annotations

import dataclasses

import pytest

from app import errors
from app.upstream.settings import Limits
from app.upstream.transport import Transport
from app.upstream.upstream import Upstream
from tests.upstream import test_faults, test_headers, test_upstream
from tests.upstream.test_faults import *  # noqa: F403 - the same tests
from tests.upstream.test_headers import *  # noqa: F403 - the same tests
from tests.upstream.test_upstream import *  # noqa: F403 - the same tests

pytestmark = pytest.mark.slow

# h11 tells no status of a head that it refuses, and bounds interim responses by the call's time alone.
WITHOUT_STATUS = {
    "content-length that is no number",
    "two content-lengths",
    "endless headers",
    "giant header",
    "head cut off",
    "head reset",
    "head of a refusal cut off",
    "endless headers of a refusal",
    "two content-lengths of a refusal",
    "a transfer coding that nobody asked for",
}
ENDLESS = {"endless 1xx", "endless headers of 1xx"}


class OverHttpx(Upstream):
    def __init__(self, name, base_url, limits=None, transport=None, *, tls=None, **options):
        limits = limits or Limits()
        super().__init__(name, base_url, limits, transport, **options)
        if transport is None:
            self._transport = Transport(name, self.base_url, limits, None, tls)


@pytest.fixture(autouse=True)
def _engine(monkeypatch):
    for module in (test_faults, test_headers, test_upstream):
        monkeypatch.setattr(module, "Upstream", OverHttpx)
    monkeypatch.setattr(test_faults, "as_met_here", over_httpx)


def over_httpx(fault):
    if fault.id in WITHOUT_STATUS:
        return dataclasses.replace(fault, expected=errors.CONNECTION_LOST)
    if fault.id in ENDLESS:
        return dataclasses.replace(fault, expected=errors.ANSWER_TIMED_OUT, limits=test_faults.SHORT)
    return fault
