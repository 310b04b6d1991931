"""Letters to one broker leave while another is away: gone, or there and silent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from deploy.broker.topology import BrokerRole
from shared.messaging import outbox, places
from shared.messaging.outbox import Letter
from shared.messaging.places import Broker
from shared.messaging.post import CONFIRM_SECONDS, PostOffice, Publisher
from shared.messaging.publisher import RabbitPublisher
from shared.messaging.rabbit import connect, make_broker
from tests.integration.messaging.conftest import OURS, Bench
from tests.support.relay import Relay, relay
from tests.support.wait import until


def letter(bench: Bench, broker: Broker) -> Letter:
    exchange = OURS if broker is Broker.NODE else places.from_exchange(bench.pair.ccem)
    return Letter(uuid4(), broker, exchange, places.NOTIFY, {}, "text/plain", b"")


@asynccontextmanager
async def exchange_behind(bench: Bench) -> AsyncIterator[Relay]:
    """Let the service, started, send to the exchange as well, over a way that a test cuts."""
    url = bench.pair.exchange_url(bench.pair.ccem, BrokerRole.REFERRAL)
    port = urlsplit(url).port or 0
    async with relay(port) as way:
        exchange = make_broker(url.replace(f":{port}/", f":{way.port}/"), description="exchange")
        await connect(exchange, Broker.EXCHANGE)
        publishers: dict[str, Publisher] = {
            Broker.NODE: RabbitPublisher(bench.speaks),
            Broker.EXCHANGE: RabbitPublisher(exchange),
        }
        bench.runtime.post = PostOffice(bench.pool, publishers, bench.clock, "referral")
        await bench.runtime.start()
        try:
            yield way
        finally:
            await way.come_back()
            await until(lambda: exchange.ping(1.0), seconds=20, what="the exchange back")
            await bench.runtime.stop()
            await exchange.stop()


async def forgotten(bench: Bench, left: Letter) -> bool:
    """Tell whether the broker has confirmed a letter, and nothing of it is kept."""
    return not await bench.pool.fetchval("SELECT count(*) FROM outbox WHERE id = $1", left.id)


@pytest.mark.parametrize("cut", [Relay.go, Relay.fall_silent])
async def test_what_is_swept_up_for_one_broker_waits_for_no_other(bench: Bench, cut: Callable[[Relay], None]) -> None:
    async def leave_behind(left: Letter) -> None:
        async with bench.pool.acquire() as connection:
            await outbox.put(connection, [left], bench.clock.now() - timedelta(minutes=1))

    stays, leaves = letter(bench, Broker.EXCHANGE), letter(bench, Broker.NODE)
    async with exchange_behind(bench) as way:
        cut(way)
        await leave_behind(stays)
        tried = "SELECT attempts > 0 FROM outbox WHERE id = $1"
        await until(lambda: bench.pool.fetchval(tried, stays.id), what="a try of the one that cannot leave")
        await leave_behind(leaves)
        await until(lambda: forgotten(bench, leaves), seconds=CONFIRM_SECONDS / 2, what="the other one gone")
        assert not await forgotten(bench, stays)


async def test_what_one_broker_confirms_is_forgotten_while_another_is_silent(bench: Bench) -> None:
    stays, leaves = letter(bench, Broker.EXCHANGE), letter(bench, Broker.NODE)
    async with exchange_behind(bench) as way:
        way.fall_silent()
        async with bench.pool.acquire() as connection:
            await outbox.put(connection, [stays, leaves], bench.clock.now())
        bench.runtime.post.send([stays, leaves])
        await until(lambda: forgotten(bench, leaves), seconds=CONFIRM_SECONDS / 2, what="the confirmed one gone")
        assert not await forgotten(bench, stays)
