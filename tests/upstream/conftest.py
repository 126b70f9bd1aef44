"""The tests run over the event loop that the server uses; the table of faults over Python's own, too."""

from tests.server.conftest import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
