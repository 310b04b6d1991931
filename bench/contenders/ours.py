"""Ours: the referral service's own desk, shell and consumer, put together as its ``app.py`` does.

What comes round once a second (the sweeper, the clocks, the numbering of the log) is left out: it is not on the way
of a message, and no other contender has it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC
from uuid import UUID

from bench.contenders.stopwatch import Stopwatch, Took
from bench.site import Site
from deploy.broker.topology import BrokerRole
from services.referral.app import make_desk
from services.referral.domain.clocks import Hours
from services.referral.store.schema import SCHEMA
from shared.clock import Clock
from shared.messaging import places
from shared.messaging.consumer import Consumer
from shared.messaging.fact_letters import lines_of
from shared.messaging.outbox import Letter
from shared.messaging.post import PostOffice, Publisher
from shared.messaging.publisher import RabbitPublisher
from shared.messaging.rabbit import connect, make_broker
from shared.messaging.shell import Shell
from shared.sealing.directory import Directory
from shared.sealing.keyring import Holder, read_keyring
from shared.storage.pool import open_pool
from shared.telemetry.metrics import Sent


class Counting:
    """A publisher that knows when it has told so many facts."""

    def __init__(self, publisher: Publisher, expected: int) -> None:
        self.done = asyncio.Event()
        self._publisher = publisher
        self._left = expected

    async def publish(self, exchange: str, letters: Sequence[Letter], *, within: float) -> Mapping[UUID, Sent]:
        """Return what became of ``letters``; all of them must have been confirmed."""
        outcomes = await self._publisher.publish(exchange, letters, within=within)
        assert len(outcomes) == len(letters)
        assert set(outcomes.values()) == {Sent.CONFIRMED}
        self._left -= sum(len(lines_of(letter.body)) for letter in letters)
        if self._left == 0:
            self.done.set()
        return outcomes


async def run(site: Site, watch: Stopwatch) -> Took:
    """Take every offer of ``site`` by the ``watch``."""
    clock, service = Clock(), places.REFERRAL
    hears = make_broker(site.urls[BrokerRole.REFERRAL], description="What referral hears")
    to_node = make_broker(site.urls[BrokerRole.REFERRAL], description="What referral says in its node")
    told = Counting(RabbitPublisher(to_node), len(site.offers))
    pool = await open_pool(site.dsn, schema=SCHEMA, application=service)
    post = PostOffice(pool, {"node": told}, clock, service)
    keyring = read_keyring(site.folder, Holder.REFERRAL, site.passphrase)
    desk, *_ = make_desk(site.us, keyring, Directory(site.folder), Hours(UTC))
    shell = Shell(desk, pool=pool, post=post, clock=clock, service=service)
    consumer = Consumer(hears, places.node_queue(service), shell)
    await connect(hears, "node")
    await connect(to_node, "node")
    watch.start()
    working = asyncio.create_task(consumer.run())
    await hears.start()
    await consumer.subscription.renew()
    await told.done.wait()
    await post.drain()
    took = watch.stop()
    consumer.stop()
    await working
    await hears.stop()
    await to_node.stop()
    await pool.close()
    return took
