"""Every broker user tries everything there is to try; what is not in the table below is refused.

The table is written out here, not rendered: it is what exchange.md promises, and the topology has to keep it.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import aiormq
import httpx
import pytest
from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelAccessRefused,
    ChannelPreconditionFailed,
    InvalidFrameError,
    PublishError,
)

from deploy.broker.definitions import VirtualHost
from deploy.broker.management import Management
from deploy.broker.topology import BrokerRole, node_host, user_name
from shared.contracts.ids import OrganisationId
from tests.support.amqp import acknowledge, arrived, connected, publish, take
from tests.support.servers import BrokerPair, Rabbit, make_broker_pair

INTAKE, REFERRAL, NOTIFY, PARTNER = BrokerRole
BORN_WITH = ("amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.topic")
"""Exchanges that every virtual host has, beside the default one, whose name is empty."""


@dataclass(frozen=True)
class Place:
    """A user on a virtual host: what it may read and write there."""

    organisation: OrganisationId
    role: BrokerRole
    host: VirtualHost
    reads: frozenset[str]
    writes: frozenset[str]


def table(pair: BrokerPair) -> list[Place]:
    """Return every user on every virtual host that it may enter."""
    places = []
    for x in (pair.ccem, pair.abri):
        out, own = frozenset({f"from.{x}"}), own_queues(pair, x)
        desk, voice = frozenset({"referral.in", "parked.referral"}), frozenset({"notify.in", "parked.notify"})
        places += [
            Place(x, INTAKE, pair.exchange, own, out),
            Place(x, REFERRAL, pair.exchange, frozenset(), out),
            Place(x, INTAKE, node_host(x), frozenset(), frozenset({"from.intake"})),
            Place(x, REFERRAL, node_host(x), desk, frozenset({"from.referral"})),
            Place(x, NOTIFY, node_host(x), voice, frozenset()),
        ]
    x = pair.accueil
    return [
        *places,
        Place(x, PARTNER, pair.exchange, own_queues(pair, x), frozenset({f"from.{x}"})),
    ]


def agreed(pair: BrokerPair) -> list[tuple[OrganisationId, OrganisationId]]:
    """Return who hears whom: the first is the one that hears."""
    return [(pair.ccem, pair.abri), (pair.abri, pair.ccem), (pair.abri, pair.accueil), (pair.accueil, pair.abri)]


def own_queues(pair: BrokerPair, x: OrganisationId) -> frozenset[str]:
    """Return what x reads on the exchange."""
    return frozenset({f"parked.{x}", *(f"to.{hears}.from.{says}" for hears, says in agreed(pair) if hears == x)})


def queues(pair: BrokerPair, host: VirtualHost) -> list[str]:
    """Return every queue of a virtual host."""
    if host == pair.exchange:
        return sorted(queue for x in (pair.ccem, pair.abri, pair.accueil) for queue in own_queues(pair, x))
    return ["referral.in", "notify.in", "parked.referral", "parked.notify"]


def exchanges(pair: BrokerPair, host: VirtualHost) -> list[str]:
    """Return every exchange of a virtual host, the default one too."""
    speakers = (pair.ccem, pair.abri, pair.accueil) if host == pair.exchange else (INTAKE, REFERRAL)
    return ["", "parked", *(f"from.{x}" for x in speakers), *BORN_WITH]


class Visitor:
    """One user on one virtual host, who knocks at every door."""

    def __init__(self, connection: AbstractConnection) -> None:
        """Take the connection."""
        self._connection = connection

    async def may(self, act: str, *what: object, **how: object) -> bool:
        """Try one act of AMQP, on a channel of its own because a refusal closes it, and say whether it was allowed."""
        channel = await self._connection.channel()
        try:
            await getattr(channel, act)(*what, **how)
        except ChannelAccessRefused:
            return False
        except PublishError:
            pass  # allowed to speak; nobody listens there
        await channel.close()
        return True

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()


@pytest.fixture(scope="module")
def broker_pair(rabbitmq: Rabbit) -> Iterator[BrokerPair]:
    """Give three organisations, of which abri hears both others, and they do not hear one another."""
    pair = make_broker_pair(rabbitmq)
    pair.agree((pair.ccem, pair.abri), (pair.abri, pair.accueil))
    yield pair
    pair.remove()


Visitors: TypeAlias = list[tuple[Place, Visitor]]


async def leave(_message: DeliveredMessage) -> None:
    """Leave what arrives unacknowledged: it goes back when the channel closes."""


@pytest.fixture(scope="module")
async def visitors(broker_pair: BrokerPair) -> AsyncIterator[Visitors]:
    """Give every user on every virtual host that it may enter, connected."""
    places = table(broker_pair)
    connections = [
        await aiormq.connect(broker_pair.url(place.organisation, place.role, place.host)) for place in places
    ]
    yield [(place, Visitor(connection)) for place, connection in zip(places, connections, strict=True)]
    for connection in connections:
        await connection.close()


async def test_each_reads_its_own_and_nothing_else(broker_pair: BrokerPair, visitors: Visitors) -> None:
    for place, visitor in visitors:
        for queue in queues(broker_pair, place.host):
            tried = (await visitor.may("basic_get", queue), await visitor.may("basic_consume", queue, leave))
            assert tried == (queue in place.reads,) * 2, (place.role, queue)


async def test_each_writes_its_own_and_nothing_else(broker_pair: BrokerPair, visitors: Visitors) -> None:
    for place, visitor in visitors:
        for exchange in exchanges(broker_pair, place.host):
            # through the default exchange, a routing key is a queue's name
            for key in ("nowhere", *queues(broker_pair, place.host)):
                spoke = await visitor.may("basic_publish", b"?", exchange=exchange, routing_key=key, mandatory=True)
                assert spoke == (exchange in place.writes), (place.role, exchange, key)


async def test_nobody_purges_what_is_not_their_own(broker_pair: BrokerPair, visitors: Visitors) -> None:
    for place, visitor in visitors:
        for queue in set(queues(broker_pair, place.host)) - place.reads:
            assert not await visitor.may("queue_purge", queue), (place.role, queue)


async def test_nobody_makes_anything(visitors: Visitors) -> None:
    for place, visitor in visitors:
        for name in ("", "mine", "to.evil-fr.from.other-fr"):
            assert not await visitor.may("queue_declare", name, exclusive=True), (place.role, name)
        for kind in ("direct", "topic", "fanout"):
            assert not await visitor.may("exchange_declare", "mine", exchange_type=kind), (place.role, kind)


async def test_nobody_changes_or_removes_what_is_there(broker_pair: BrokerPair, visitors: Visitors) -> None:
    for place, visitor in visitors:
        for queue in queues(broker_pair, place.host):
            assert not await visitor.may("queue_declare", queue, durable=True), (place.role, queue)
            assert not await visitor.may("queue_delete", queue), (place.role, queue)
        for exchange in exchanges(broker_pair, place.host)[1:]:
            assert not await visitor.may("exchange_delete", exchange), (place.role, exchange)


async def test_nobody_binds_or_unbinds(broker_pair: BrokerPair, visitors: Visitors) -> None:
    for place, visitor in visitors:
        for exchange in exchanges(broker_pair, place.host)[1:]:
            for queue in queues(broker_pair, place.host):
                assert not await visitor.may("queue_bind", queue, exchange, "any"), (place.role, queue, exchange)
            assert not await visitor.may("queue_unbind", queue, exchange, "any"), (place.role, exchange)
            assert not await visitor.may("exchange_bind", "amq.fanout", exchange), (place.role, exchange)


async def test_nobody_enters_another_virtual_host(broker_pair: BrokerPair) -> None:
    entered = {(place.organisation, place.role, place.host) for place in table(broker_pair)}
    for organisation, role in {(organisation, role) for organisation, role, _ in entered}:
        for host in (broker_pair.exchange, node_host(broker_pair.ccem), node_host(broker_pair.abri), VirtualHost("/")):
            if (organisation, role, host) not in entered:
                # the client does not know this refusal, and takes it for a broken frame
                with pytest.raises((AMQPConnectionError, InvalidFrameError)):
                    await aiormq.connect(broker_pair.url(organisation, role, host))


async def test_nobody_enters_with_another_password(broker_pair: BrokerPair) -> None:
    user, other = user_name(broker_pair.ccem, INTAKE), user_name(broker_pair.abri, INTAKE)
    with pytest.raises(AMQPConnectionError):
        await aiormq.connect(broker_pair.server.url(broker_pair.exchange, user, broker_pair.passwords[other]))


async def test_nobody_signs_with_another_name(broker_pair: BrokerPair) -> None:
    async with connected(broker_pair.exchange_url(broker_pair.accueil, PARTNER)) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelPreconditionFailed):
            await publish(
                channel, f"from.{broker_pair.accueil}", "nowhere", b"?", user_id=f"{broker_pair.ccem}.referral"
            )


async def test_nobody_manages(broker_pair: BrokerPair) -> None:
    async with httpx.AsyncClient(base_url=broker_pair.server.management_url, trust_env=False) as client:
        for name, password in broker_pair.passwords.items():
            for path in ("/api/whoami", "/api/queues", "/api/definitions"):
                assert (await client.get(path, auth=(name, password))).status_code == httpx.codes.UNAUTHORIZED


async def test_without_an_agreement_a_message_comes_back(broker_pair: BrokerPair) -> None:
    pair = broker_pair
    for sender, role, receiver in (
        (pair.accueil, PARTNER, pair.ccem),
        (pair.ccem, REFERRAL, pair.accueil),
        (pair.ccem, INTAKE, pair.ccem),
    ):
        async with connected(pair.exchange_url(sender, role)) as connection:
            with pytest.raises(PublishError):
                await publish(await connection.channel(), f"from.{sender}", receiver, b"?")


async def test_with_an_agreement_it_arrives_both_ways(broker_pair: BrokerPair) -> None:
    pair = broker_pair
    for receiver, sender in agreed(pair)[:2]:
        for role in (REFERRAL, INTAKE):
            async with (
                connected(pair.exchange_url(sender, role)) as speaker,
                connected(pair.exchange_url(receiver, INTAKE)) as listener,
            ):
                await publish(await speaker.channel(), f"from.{sender}", receiver, b"hello")
                channel = await listener.channel()
                message = await arrived(channel, f"to.{receiver}.from.{sender}")
                assert message.body == b"hello"
                await acknowledge(channel, message)


async def test_each_reaches_its_own_queue_of_another_and_no_other(broker_pair: BrokerPair) -> None:
    """Ccem and accueil both speak to abri, whatever queue's name or other key they try."""
    pair = broker_pair
    keys = [*queues(pair, pair.exchange), pair.ccem, pair.accueil, pair.abri, "", "#", "*", f"{pair.abri}.from.x"]
    for sender, role, other in ((pair.ccem, INTAKE, pair.accueil), (pair.accueil, PARTNER, pair.ccem)):
        own, others = (f"to.{pair.abri}.from.{each}" for each in (sender, other))
        async with (
            connected(pair.exchange_url(sender, role)) as speaker,
            connected(pair.exchange_url(pair.abri, INTAKE)) as listener,
        ):
            came_back = 0
            for key in keys:
                try:
                    await publish(await speaker.channel(), f"from.{sender}", key, b"hello")
                except PublishError:
                    came_back += 1
            channel = await listener.channel()
            await acknowledge(channel, await arrived(channel, own))
            assert came_back == len(keys) - 1
            assert await take(channel, own) is None
            assert await take(channel, others) is None


async def test_on_brokers_before_4_2_6_whoever_is_on_the_exchange_may_ask_whether_a_pair_has_a_queue(
    broker_pair: BrokerPair,
) -> None:
    """It cannot be prevented there (docs/decisions/0016); here stands what is asked without leave, and no more."""
    visitor = Visitor(await aiormq.connect(broker_pair.exchange_url(broker_pair.accueil, PARTNER)))
    queue = f"to.{broker_pair.abri}.from.{broker_pair.ccem}"
    asked = await visitor.may("queue_declare", queue, passive=True)
    assert asked == (version(broker_pair) < (4, 2, 6))
    assert not await visitor.may("basic_get", queue)
    await visitor.close()


def version(pair: BrokerPair) -> tuple[int, ...]:
    """Return the broker's version."""
    with Management(pair.server.admin_url) as broker:
        return tuple(int(part) for part in broker.get("overview")["rabbitmq_version"].split(".")[:3])


async def test_within_a_node_intake_speaks_to_referral_and_both_to_notify(broker_pair: BrokerPair) -> None:
    ccem = broker_pair.ccem
    for speaker_role, key in ((INTAKE, "referral"), (INTAKE, "notify"), (REFERRAL, "notify")):
        async with (
            connected(broker_pair.url(ccem, speaker_role)) as speaker,
            connected(broker_pair.url(ccem, BrokerRole(key))) as listener,
        ):
            await publish(await speaker.channel(), f"from.{speaker_role}", key, b"hello")
            channel = await listener.channel()
            message = await arrived(channel, f"{key}.in")
            assert message.exchange == f"from.{speaker_role}"
            await acknowledge(channel, message)
            assert await take(channel, f"{key}.in") is None


async def test_within_a_node_referral_cannot_speak_to_itself_as_intake_does(broker_pair: BrokerPair) -> None:
    async with connected(broker_pair.url(broker_pair.ccem, REFERRAL)) as speaker:
        with pytest.raises(PublishError):
            await publish(await speaker.channel(), "from.referral", "referral", b"?")
