"""A service around the parcels: its own schema, its place on a node's virtual host, and what others may say to it."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import aio_pika
import asyncpg
import pytest
from faststream.rabbit import RabbitBroker

from deploy.broker.topology import BrokerRole
from deploy.local.databases import DatabaseRole, NodeDatabase, role_name
from shared.audit.log import MIGRATIONS as AUDIT
from shared.clock import Clock
from shared.messaging import places
from shared.messaging.consumer import LARGEST_BATCH, Consumer
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery
from shared.messaging.fact_letters import lines_of
from shared.messaging.post import PostOffice
from shared.messaging.publisher import RabbitPublisher
from shared.messaging.rabbit import make_broker
from shared.messaging.runtime import Connected, Runtime
from shared.messaging.shell import Shell
from shared.storage.migrate import migrate
from shared.storage.pool import Pool, open_pool
from shared.telemetry.metrics import Dependency
from tests.support.parcels import TABLES, Add, Parcel, ParcelDesk
from tests.support.servers import BrokerPair, FreshDatabase, Rabbit, make_broker_pair

SHELL = Path(__file__).parents[3] / "shared" / "messaging" / "migrations"
QUEUE = places.node_queue(places.REFERRAL)
OUT = places.node_queue(places.NOTIFY)
OURS = places.node_exchange(places.REFERRAL)


@dataclass
class Bench:
    """A service at work, and hands to feed and watch it."""

    pair: BrokerPair
    node: NodeDatabase
    desk: ParcelDesk
    pool: Pool
    hears: RabbitBroker
    speaks: RabbitBroker
    runtime: Runtime
    shell: Shell[Add, Parcel]
    clock_file: Path
    clock: Clock
    sender: aio_pika.abc.AbstractConnection
    listener: aio_pika.abc.AbstractConnection
    said: list[aio_pika.abc.AbstractIncomingMessage] = field(default_factory=list)

    async def send(self, messages: Iterable[tuple[UUID, bytes]]) -> None:
        """Put ``messages`` on the service's queue, in order, confirmed."""
        channel = await self.sender.channel()
        exchange = await channel.get_exchange(places.node_exchange(places.INTAKE), ensure=False)
        for id_, body in messages:
            message = aio_pika.Message(body, message_id=str(id_), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(message, places.REFERRAL)
        await channel.close()

    async def take(self, deliveries: Iterable[Delivery]) -> list[Decision[Parcel]]:
        """Let the shell read ``deliveries`` and deal with them, as one batch."""
        return await self.shell.take(self.shell.read(list(deliveries)))

    async def total(self, parcel: UUID) -> int:
        """Return what the parcel comes to."""
        return await self.pool.fetchval("SELECT total FROM parcel WHERE id = $1", parcel) or 0

    async def count(self, table: str) -> int:
        """Return how many rows there are."""
        return int(await self.pool.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608 - names from the tests

    async def listen(self) -> None:
        """Collect what the service says."""
        channel = await self.listener.channel()
        queue = await channel.get_queue(OUT, ensure=False)

        async def collect(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            self.said.append(message)
            await message.ack()

        await queue.consume(collect)

    async def close(self) -> None:
        """Stop the service, where it runs, and let go of everything."""
        await self.runtime.stop()
        await self.pool.close()
        await self.sender.close()
        await self.listener.close()


async def make_bench(
    pair: BrokerPair, fresh_database: FreshDatabase, folder: Path, *, largest_batch: int = LARGEST_BATCH
) -> Bench:
    """Build everything and start nothing."""
    node = await fresh_database("ccem-fr")
    role = role_name(node.organisation, DatabaseRole.REFERRAL)
    owner = await asyncpg.connect(node.dsn(DatabaseRole.OWNER))
    await migrate(owner, schema="referral", role=role, sources={"shell": SHELL, "audit": AUDIT})
    await owner.execute(TABLES.replace("{role}", role))
    await owner.close()
    clock_file = folder / "clock"
    clock = Clock(clock_file)
    pool = await open_pool(node.dsn(DatabaseRole.REFERRAL), schema="referral", application="parcels")
    hears, speaks = (make_broker(pair.url(pair.ccem, BrokerRole.REFERRAL), description="parcels") for _ in range(2))
    post = PostOffice(pool, {"node": RabbitPublisher(speaks)}, clock, "referral")
    desk = ParcelDesk()
    shell = Shell(desk, pool=pool, post=post, clock=clock, service="referral")
    consumers = [
        Consumer(hears, QUEUE, shell, largest_batch=largest_batch, split=lines_of),
        Consumer(hears, places.parked_queue(places.REFERRAL), shell, parked=True),
    ]
    connections = [
        Connected(Dependency.NODE, speaks, exchanges=[OURS]),
        Connected(Dependency.NODE, hears, queues=[QUEUE]),
    ]
    runtime = Runtime("referral", pool, connections, post, consumers)
    sender = await aio_pika.connect(pair.url(pair.ccem, BrokerRole.INTAKE))
    listener = await aio_pika.connect(pair.url(pair.ccem, BrokerRole.NOTIFY))
    return Bench(pair, node, desk, pool, hears, speaks, runtime, shell, clock_file, clock, sender, listener)


@pytest.fixture
async def bench(rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a service that is not started yet: a test sends first, or starts first, as it likes."""
    pair = make_broker_pair(rabbitmq)
    bench = await make_bench(pair, fresh_database, tmp_path)
    yield bench
    await bench.close()
    pair.remove()
