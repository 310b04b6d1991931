"""One desk for all tests of this folder: each test has cases and referrals of its own, and looks at no others."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from io import StringIO

import pytest

from shared.telemetry import logs
from tests.support.desk import DeskAtWork, desk_at_work
from tests.support.servers import FreshDatabase, Rabbit, make_broker_pair


@pytest.fixture(scope="session")
async def desk(
    rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[DeskAtWork]:
    """Run the service."""
    pair = make_broker_pair(rabbitmq)
    async with desk_at_work(pair, fresh_database, tmp_path_factory.mktemp("desk")) as desk:
        yield desk
    pair.remove()


@pytest.fixture
def own_clock(desk: DeskAtWork) -> Iterator[None]:
    """Put the desk's clock right again after a test that has moved it."""
    yield
    desk.move_clock(timedelta())


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """Give what this process logs during a test."""
    stream = StringIO()
    logs.configure("debug", "json", stream)
    yield stream
    logs.restore()
