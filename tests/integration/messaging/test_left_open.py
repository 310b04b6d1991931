"""The check at the end of a session sees a connection that nobody closed."""

import aio_pika

from deploy.broker.topology import BrokerRole
from tests.support.connections import left_open
from tests.support.servers import BrokerPair


async def test_a_connection_that_is_left_open_is_named(broker_pair: BrokerPair) -> None:
    before = left_open()
    url = broker_pair.url(broker_pair.ccem, BrokerRole.REFERRAL)
    async with await aio_pika.connect_robust(url):
        (left,) = set(left_open()) - set(before)
        assert str(broker_pair.ccem) in left
    assert left_open() == before
