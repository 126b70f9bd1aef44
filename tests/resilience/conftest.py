"""One real PostgreSQL for the tests of whole gateways, as those of the store have one."""

from tests.store.conftest import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]
