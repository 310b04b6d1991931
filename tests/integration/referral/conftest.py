"""One desk for all tests of this folder: each test has cases and referrals of its own, and looks at no others.

A module that moves the clock by days has a desk of its own: on the one for all, every referral of the session would be
due.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from shared.contracts.codes import RecipientKind
from tests.support.desk import DeskAtWork, NewDesk, desk_at_work
from tests.support.servers import FreshDatabase, Rabbit, make_broker_pair


@pytest.fixture(scope="session")
def new_desk(rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> NewDesk:
    """Give a function that runs a service of its own, with partners of a kind."""

    @asynccontextmanager
    async def new(kind: RecipientKind = RecipientKind.SUPPORT) -> AsyncIterator[DeskAtWork]:
        pair = make_broker_pair(rabbitmq)
        async with desk_at_work(pair, fresh_database, tmp_path_factory.mktemp("desk"), kind) as desk:
            yield desk
        pair.remove()

    return new


@pytest.fixture(scope="session")
async def desk(new_desk: NewDesk) -> AsyncIterator[DeskAtWork]:
    """Run the service."""
    async with new_desk() as desk:
        yield desk


@pytest.fixture
def own_clock(desk: DeskAtWork) -> Iterator[None]:
    """Put the desk's clock right again after a test that has moved it."""
    yield
    desk.move_clock(timedelta())
