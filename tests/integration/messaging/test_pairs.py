"""One organisation hears each of its partners on a queue of its own: they come and go, and none is in another's way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import aiormq
import pytest
from aiormq.abc import DeliveredMessage
from faststream.rabbit import RabbitBroker

from deploy.broker.management import Management
from deploy.broker.topology import BrokerRole, user_name
from shared.contracts.ids import OrganisationId
from shared.messaging import channels, places, subscription
from shared.messaging.consumer import LARGEST_BATCH, Consumer
from shared.messaging.delivery import Delivery, Heard, Read
from shared.messaging.rabbit import make_broker
from shared.messaging.subscription import Subscription
from tests.support.amqp import connected, publish
from tests.support.servers import BrokerPair, Rabbit, make_broker_pair
from tests.support.wait import until

IN_HAND = 60


@dataclass
class Ear:
    """Abri's subscription to the queues of its partners, and what came."""

    pair: BrokerPair
    broker: RabbitBroker
    partners: list[OrganisationId]
    came: list[DeliveredMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the subscription; nothing is heard yet."""
        self.subscription = Subscription(self.broker, self.queues, in_hand=IN_HAND, put=self.came.append)

    def queues(self) -> list[str]:
        """Return the queues of the partners."""
        return [places.to_queue(self.pair.abri, partner) for partner in self.partners]

    async def hears(self, partner: OrganisationId) -> bool:
        """Subscribe again where it is needed, and say whether ``partner`` is heard."""
        await self.subscription.renew()
        channel = self.subscription._channel  # noqa: SLF001
        return channel is not None and places.to_queue(self.pair.abri, partner) in channel.consumers

    async def brings(self, partner: OrganisationId) -> None:
        """Let ``partner`` say something, and wait until it has come on its own queue."""
        self.came.clear()
        await say(self.pair, partner, b"hello")
        await until(lambda: self.came, what="a message")
        queue = places.to_queue(self.pair.abri, partner)
        assert [(each.consumer_tag, each.exchange) for each in self.came] == [(queue, f"from.{partner}")]


async def say(pair: BrokerPair, partner: OrganisationId, *bodies: bytes) -> None:
    """Let ``partner`` say ``bodies`` to abri."""
    role = BrokerRole.PARTNER if partner == pair.accueil else BrokerRole.REFERRAL
    async with connected(pair.exchange_url(partner, role)) as connection:
        channel = await connection.channel()
        await asyncio.gather(*(publish(channel, f"from.{partner}", pair.abri, body) for body in bodies))


@pytest.fixture
async def ear(rabbitmq: Rabbit) -> AsyncIterator[Ear]:
    """Give an ear for ccem and accueil, of which only ccem has an agreement."""
    pair = make_broker_pair(rabbitmq)
    broker = make_broker(pair.exchange_url(pair.abri, BrokerRole.INTAKE), description="abri")
    ear = Ear(pair, broker, [pair.ccem, pair.accueil])
    yield ear
    await broker.stop()
    pair.remove()


async def test_all_are_heard_on_one_channel_each_with_its_share_of_what_is_in_hand(ear: Ear) -> None:
    pair = ear.pair
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    await ear.subscription.renew()
    assert ear.subscription.is_open()

    def consumers() -> list[dict[str, Any]]:
        with Management(pair.server.admin_url) as broker:
            found: list[dict[str, Any]] = broker.get("consumers", pair.exchange)
        counted = [each for each in found if each["channel_details"]]
        return counted if len(counted) == 2 else []

    found = await until(consumers, seconds=20, what="the broker counts both consumers")
    assert {each["queue"]["name"] for each in found} == set(ear.queues())
    assert {each["prefetch_count"] for each in found} == {IN_HAND // 2}
    assert len({each["channel_details"]["name"] for each in found}) == 1


async def test_a_queue_that_is_not_there_deafens_to_nobody_and_is_heard_once_it_is(ear: Ear) -> None:
    pair = ear.pair
    await ear.subscription.renew()
    assert ear.subscription.is_open()
    await ear.brings(pair.ccem)
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    await until(lambda: ear.hears(pair.accueil), seconds=20, what="the new queue is heard")
    await ear.brings(pair.accueil)
    await ear.brings(pair.ccem)


async def test_a_partner_who_joins_is_heard_without_a_restart(ear: Ear) -> None:
    pair, joins = ear.pair, ear.partners.pop()
    await ear.subscription.renew()
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    ear.partners.append(joins)
    assert await ear.hears(joins)
    await ear.brings(joins)


async def test_a_partner_who_is_taken_away_is_heard_no_more_and_what_it_says_waits_until_it_is_back(ear: Ear) -> None:
    pair = ear.pair
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    await ear.subscription.renew()
    gone = ear.partners.pop()
    assert not await ear.hears(gone)
    assert ear.subscription.is_open()
    await say(pair, gone, b"later")
    await ear.brings(pair.ccem)
    ear.came.clear()
    ear.partners.append(gone)
    assert await ear.hears(gone)
    await until(lambda: [each.body for each in ear.came] == [b"later"], what="what had waited")


async def test_where_no_queue_is_there_nothing_is_heard_and_it_is_said(ear: Ear) -> None:
    ear.partners.remove(ear.pair.ccem)
    await ear.subscription.renew()
    assert not ear.subscription.is_open()
    ear.partners.clear()
    await ear.subscription.renew()
    assert ear.subscription.is_open()


async def test_a_queue_that_goes_deafens_to_nobody_also_when_the_connection_goes_after_it(ear: Ear) -> None:
    pair = ear.pair
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    await ear.subscription.renew()
    with Management(pair.server.admin_url) as broker:
        broker.delete("queues", pair.exchange, places.to_queue(pair.abri, pair.accueil))
    await until(lambda: not ear.subscription.is_open(), what="the consumer is cancelled")
    await ear.subscription.renew()
    assert ear.subscription.is_open()
    await ear.brings(pair.ccem)

    def connections() -> list[str]:
        found = broker.get("vhosts", pair.exchange, "connections")
        return [each["name"] for each in found if each["user"] == user_name(pair.abri, BrokerRole.INTAKE)]

    with Management(pair.server.admin_url) as broker:
        for name in await until(connections, seconds=20, what="the broker counts our connection"):
            broker.delete("connections", name)
    await until(lambda: not ear.subscription.is_open(), seconds=20, what="the connection is gone")
    await until(lambda: ear.hears(pair.ccem), seconds=20, what="it is back")
    await ear.brings(pair.ccem)


async def test_a_queue_that_does_not_answer_deafens_to_nobody(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose broker was killed before it had written down where the queue lives."""
    pair, answers = ear.pair, asyncio.Event()
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    consume, asked = channels.consume, list[aiormq.Channel]()

    async def consumed(channel: aiormq.Channel, queue: str, prefetch: int) -> None:
        if queue == places.to_queue(pair.abri, pair.accueil):
            asked.append(channel)
            await answers.wait()
        await consume(channel, queue, prefetch)

    monkeypatch.setattr(subscription, "consume", consumed)
    monkeypatch.setattr(subscription, "ANSWER_SECONDS", 0.5)
    await ear.subscription.renew()
    for _ in range(2):
        assert await ear.hears(pair.ccem)
        assert ear.subscription.is_open()
        await ear.brings(pair.ccem)
    assert len(asked) == 1
    assert ear.subscription._channel not in asked  # noqa: SLF001 - that one is blocked, and closes when it will
    answers.set()
    monkeypatch.setattr(ear.subscription, "_absent", {})  # a minute later
    assert await ear.hears(pair.accueil)
    await ear.brings(pair.accueil)


class Ledger:
    """Stands for a shell: notes, batch by batch, what it was given, and waits for leave before each."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.desk = type("Desk", (), {"name": "ledger"})
        self.batches: list[list[bytes]] = []
        self.taken = asyncio.Event()
        self.leave = asyncio.Event()

    def read(self, deliveries: Sequence[Delivery]) -> list[Read[bytes]]:
        """Take everything for read."""
        return [Read(delivery, cast("Heard[bytes]", None)) for delivery in deliveries]

    async def take(self, messages: Sequence[Read[bytes]]) -> None:
        """Note a batch."""
        self.batches.append([each.delivery.body for each in messages])
        self.taken.set()
        await self.leave.wait()


async def test_what_one_partner_has_waiting_does_not_hold_up_another(ear: Ear) -> None:
    """Accueil has filled its queue with thousands; what ccem says then is in one of the next two batches."""
    pair = ear.pair
    pair.agree((pair.abri, pair.ccem), (pair.abri, pair.accueil))
    await say(pair, pair.accueil, *(b"%d" % n for n in range(3_000)))
    ledger = Ledger()
    consumer: Consumer[Any, Any] = Consumer(ear.broker, "to.abri", cast("Any", ledger), queues=ear.queues)
    await consumer.subscription.renew()
    working = asyncio.create_task(consumer.run())
    await ledger.taken.wait()
    await say(pair, pair.ccem, b"one word")
    begun = len(ledger.batches)
    ledger.leave.set()
    await until(lambda: any(b"one word" in batch for batch in ledger.batches), seconds=20, what="the one word")
    batches = [n for n, batch in enumerate(ledger.batches) if b"one word" in batch]
    assert batches[0] <= begun + 1
    assert sum(map(len, ledger.batches[: batches[0]])) <= 2 * LARGEST_BATCH
    await until(lambda: sum(map(len, ledger.batches)) == 3_001, seconds=60, what="all is taken")
    assert [body for batch in ledger.batches for body in batch if body != b"one word"] == [
        b"%d" % n for n in range(3_000)
    ]
    consumer.stop()
    await working
