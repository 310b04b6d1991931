"""What every test may ask for; the servers themselves are in tests/support/servers.py."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from tests.support.connections import left_open

pytest_plugins = ["tests.support.servers"]

# A test has a time-out of its own; how long one example takes says nothing on a machine that is shared.
settings.register_profile("relais", deadline=None, print_blob=True)
settings.load_profile("relais")


@pytest.fixture(scope="session", autouse=True)
async def every_connection_is_closed() -> AsyncIterator[None]:
    """Name the connections to a broker that are left when the session ends, which might otherwise hang."""
    yield
    assert left_open() == []
