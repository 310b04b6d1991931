"""Where contenders meet: one organisation's node on real servers, and the same sealed offers for each of them.

What must never happen: a contender meets what another one left behind, or a figure is made that no row and no fact
stands for.
"""

import asyncio
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aio_pika
import asyncpg

from bench.offers import Offer, offers_for
from deploy.broker.definitions import SALT_BYTES, hash_password
from deploy.broker.topology import BrokerRole, Member, node_host, render, user_name
from deploy.local.databases import DatabaseRole, NodeDatabase, ensure_database, role_name
from deploy.local.postgres import postgres
from deploy.local.progress import Progress
from deploy.local.rabbitmq import RabbitServer, rabbitmq
from deploy.nodes import Made, let_agree, make_node, migrations
from services.referral.store.schema import SCHEMA
from shared.clock import Clock
from shared.contracts.ids import OrganisationId
from shared.messaging import places
from shared.messaging.fact_letters import lines_of
from shared.sealing.keyring import Holder
from shared.storage.migrate import migrate

US: Final = OrganisationId("abri-be")
PARTNER: Final = OrganisationId("ccem-fr")

ON_THE_WIRE: Final = 300
"""Offers published and not yet confirmed, at most, while a queue is filled."""

TABLES: Final = (
    "inbox",
    "folder",
    "case_file",
    "referral",
    "paper",
    "outbox",
    "held",
    "audit_leaf",
    "audit_pending",
)
"""What receiving an offer writes to, or might."""


@dataclass(frozen=True)
class Site:
    """A node that hears, and what it is about to hear."""

    us: OrganisationId
    folder: Path
    passphrase: str = field(repr=False)
    database: NodeDatabase
    urls: Mapping[BrokerRole, str] = field(repr=False)
    """Addresses on the node's own virtual host: intake fills, referral works, notify is told."""
    offers: Sequence[Offer] = field(repr=False)

    @property
    def dsn(self) -> str:
        """The database, as the referral service enters it."""
        return self.database.dsn(DatabaseRole.REFERRAL)

    async def begin(self) -> None:
        """Make the tables anew and put every offer into the queue, confirmed; nothing else is in any queue then."""
        await self._make_tables()
        await self.take_told()
        await self.take_left()
        connection = await aio_pika.connect(self.urls[BrokerRole.INTAKE])
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(places.node_exchange(places.INTAKE), ensure=False)
            room = asyncio.Semaphore(ON_THE_WIRE)

            async def put(offer: Offer) -> None:
                message = aio_pika.Message(
                    offer.envelope,
                    message_id=str(offer.id),
                    headers=dict(offer.headers),
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
                async with room:
                    await exchange.publish(message, places.REFERRAL)

            await asyncio.gather(*map(put, self.offers))

    async def take_told(self) -> int:
        """Empty the queue of facts for notify, and return how many there were."""
        connection = await aio_pika.connect(self.urls[BrokerRole.NOTIFY])
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(places.node_queue(places.NOTIFY), passive=True)
            left, told = queue.declaration_result.message_count or 0, 0
            if not left:
                return 0
            async with queue.iterator(no_ack=True) as messages:
                async for message in messages:
                    left, told = left - 1, told + len(lines_of(message.body))
                    if not left:
                        break
            return told

    async def take_left(self) -> int:
        """Empty the queue of offers, and return how many nobody had acknowledged."""
        return await _purge(self.urls[BrokerRole.REFERRAL], places.node_queue(places.REFERRAL))

    async def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        connection = await asyncpg.connect(self.database.dsn(DatabaseRole.OWNER), server_settings=_SEARCH_PATH)
        try:
            return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in TABLES}  # noqa: S608
        finally:
            await connection.close()

    async def _make_tables(self) -> None:
        """The audit tables let nobody empty them, and so the whole schema is dropped."""
        connection = await asyncpg.connect(self.database.dsn(DatabaseRole.OWNER))
        try:
            await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
            role = role_name(self.database.organisation, DatabaseRole.REFERRAL)
            await migrate(connection, schema=SCHEMA, role=role, sources=migrations(DatabaseRole.REFERRAL))
        finally:
            await connection.close()


_SEARCH_PATH: Final = {"search_path": SCHEMA}


@contextmanager
def site(folder: Path, count: int, progress: Progress) -> Iterator[Site]:
    """Give a site with ``count`` offers, on servers of its own unless others are named as for the demo.

    Raises:
        LocalError: a server is not there, or does not start.
    """
    at = Clock().now()
    with ExitStack() as stack, ThreadPoolExecutor() as aside:
        making = {name: aside.submit(make_node, folder / name, name, at) for name in (US, PARTNER)}
        made = {name: each.result() for name, each in making.items()}
        broker = aside.submit(lambda: stack.enter_context(_broker(folder, made, progress)))
        server = stack.enter_context(postgres(folder / "postgres", progress=progress))
        let_agree(made[US].identity, made[PARTNER].identity, {name: folder / name for name in made}, at)
        database = asyncio.run(ensure_database(server.admin_dsn, US, made[US].databases))
        offers = offers_for(US, folder / PARTNER, made[PARTNER].passphrases[Holder.REFERRAL], count, at)
        rabbit = broker.result()
        urls = {
            role: rabbit.url(node_host(US), user_name(US, role), password) for role, password in made[US].broker.items()
        }
        yield Site(US, folder / US, made[US].passphrases[Holder.REFERRAL], database, urls, offers)


def _broker(
    folder: Path, made: Mapping[OrganisationId, Made], progress: Progress
) -> AbstractContextManager[RabbitServer]:
    hashes = {
        user_name(name, role): hash_password(password, secrets.token_bytes(SALT_BYTES))
        for name, each in made.items()
        for role, password in each.broker.items()
    }
    definitions = render([Member(name) for name in made], [(US, PARTNER)], hashes)
    return rabbitmq(folder / "rabbitmq", definitions=definitions, progress=progress)


async def _purge(url: str, queue: str) -> int:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        purged = await (await channel.get_queue(queue, ensure=False)).purge()
        return purged.message_count or 0
