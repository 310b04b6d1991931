"""The topology on a real broker: agreements come into force and end, and no message is lost on the way."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import aiormq
import pytest
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed, DeliveryError, InvalidFrameError, PublishError

from deploy.broker.management import BrokerCode, BrokerError, Management, Removed, apply
from deploy.broker.topology import MOST, BrokerRole, Limits, render
from tests.support.amqp import acknowledge, arrived, connected, give_back, publish, take
from tests.support.servers import BrokerPair, Rabbit, make_broker_pair
from tests.support.wait import until

INTAKE, REFERRAL, PARTNER = BrokerRole.INTAKE, BrokerRole.REFERRAL, BrokerRole.PARTNER
SMALL = Limits(deliveries=2, messages=3)


@pytest.fixture
def pair(rabbitmq: Rabbit) -> Iterator[BrokerPair]:
    """Give a test a pair of its own, with small queues, whose agreements it may change."""
    pair = make_broker_pair(rabbitmq, SMALL)
    yield pair
    pair.remove()


async def test_an_agreement_that_ends_unbinds_and_keeps_what_had_arrived(pair: BrokerPair) -> None:
    async with connected(pair.exchange_url(pair.ccem, REFERRAL)) as speaker:
        await publish(await speaker.channel(), f"from.{pair.ccem}", pair.abri, b"before")
        assert pair.agree() == Removed(bindings=2)
        with pytest.raises(PublishError):
            await publish(await speaker.channel(), f"from.{pair.ccem}", pair.abri, b"after")
    async with connected(pair.exchange_url(pair.abri, INTAKE)) as listener:
        channel = await listener.channel()
        assert (await arrived(channel, f"to.{pair.abri}.from.{pair.ccem}")).body == b"before"
        assert await take(channel, f"to.{pair.abri}.from.{pair.ccem}") is None


async def test_an_agreement_that_begins_binds_those_two_alone(pair: BrokerPair) -> None:
    assert pair.agree((pair.ccem, pair.abri), (pair.accueil, pair.abri)) == Removed()
    async with connected(pair.exchange_url(pair.accueil, PARTNER)) as speaker:
        await publish(await speaker.channel(), f"from.{pair.accueil}", pair.abri, b"hello")
        with pytest.raises(PublishError):
            await publish(await speaker.channel(), f"from.{pair.accueil}", pair.ccem, b"hello")


def test_applying_again_changes_nothing(pair: BrokerPair) -> None:
    assert pair.agree((pair.abri, pair.ccem)) == Removed()


async def test_what_an_administrator_slipped_in_is_taken_out(pair: BrokerPair) -> None:
    spy = f"{pair.accueil}.partner"
    everything = {"configure": "", "write": "", "read": ".*"}
    with Management(pair.server.admin_url) as broker:
        broker.put("permissions", pair.ccem, spy, body=everything)
        bindings = (
            ("e", f"from.{pair.accueil}", "q", f"to.{pair.abri}.from.{pair.ccem}"),
            ("e", "amq.fanout", "e", "parked"),
        )
        for kind, source, other, destination in bindings:
            broker.post("bindings", pair.exchange, kind, source, other, destination, body={"routing_key": pair.abri})
    assert pair.agree((pair.ccem, pair.abri)) == Removed(bindings=2, permissions=1)
    assert pair.agree((pair.ccem, pair.abri)) == Removed()


async def test_widened_permissions_are_narrowed_again(pair: BrokerPair) -> None:
    with Management(pair.server.admin_url) as broker:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        broker.put("permissions", pair.exchange, f"{pair.ccem}.intake", body=everything)
    pair.agree((pair.ccem, pair.abri))
    async with connected(pair.exchange_url(pair.ccem, INTAKE)) as connection:
        with pytest.raises(ChannelAccessRefused):
            await take(await connection.channel(), f"to.{pair.abri}.from.{pair.ccem}")


async def test_a_full_queue_refuses_and_keeps_what_it_has(pair: BrokerPair) -> None:
    kept = []
    async with connected(pair.exchange_url(pair.ccem, REFERRAL)) as speaker:
        channel = await speaker.channel()
        for number in range(20):
            with suppress(DeliveryError):
                await publish(channel, f"from.{pair.ccem}", pair.abri, b"%d" % number)
                kept.append(b"%d" % number)
    assert SMALL.messages <= len(kept) < 20
    async with connected(pair.exchange_url(pair.abri, INTAKE)) as listener:
        channel = await listener.channel()
        assert [(await arrived(channel, f"to.{pair.abri}.from.{pair.ccem}")).body for _ in kept] == kept


async def test_what_is_given_up_on_is_parked_with_its_content(pair: BrokerPair) -> None:
    async with connected(pair.exchange_url(pair.ccem, REFERRAL)) as speaker:
        await publish(await speaker.channel(), f"from.{pair.ccem}", pair.abri, b"poison")
    async with connected(pair.exchange_url(pair.abri, INTAKE)) as listener:
        channel = await listener.channel()
        for _ in range(SMALL.deliveries + 1):
            await give_back(channel, await arrived(channel, f"to.{pair.abri}.from.{pair.ccem}"))
        parked = await arrived(channel, f"parked.{pair.abri}")
        assert parked.body == b"poison"
        assert await take(channel, f"to.{pair.abri}.from.{pair.ccem}") is None
        await acknowledge(channel, parked)


async def test_a_parked_message_may_be_looked_at_for_ever(pair: BrokerPair) -> None:
    queue = f"parked.{pair.abri}"
    with Management(pair.server.admin_url) as broker:
        broker.post(
            *("exchanges", pair.exchange, "parked", "publish"),
            body={"properties": {}, "routing_key": queue, "payload": "once", "payload_encoding": "string"},
        )
    async with connected(pair.exchange_url(pair.abri, INTAKE)) as listener:
        channel = await listener.channel()
        for _ in range(30):
            await give_back(channel, await arrived(channel, queue))
        assert (await arrived(channel, queue)).body == b"once"


async def test_a_user_has_as_many_connections_and_channels_as_it_may_and_no_more(pair: BrokerPair) -> None:
    url = pair.exchange_url(pair.accueil, PARTNER)

    async def is_refused() -> bool:
        try:
            await (await aiormq.connect(url)).close()
        except InvalidFrameError:  # the client does not know this refusal
            return True
        return False

    async with AsyncExitStack() as stack:
        for _ in range(MOST[PARTNER]["max-connections"]):
            last = await stack.enter_async_context(connected(url))
        await until(is_refused, what="a connection too many is refused")
        for _ in range(MOST[PARTNER]["max-channels"]):
            await last.channel()

        async def one_more() -> None:
            await last.channel()

        with pytest.raises(ConnectionNotAllowed):
            await until(one_more, what="a channel too many is refused")


def test_a_wrong_administrator_is_refused_without_being_named(pair: BrokerPair) -> None:
    url = pair.server.admin_url.replace("//", "//not-", 1)
    with pytest.raises(BrokerError) as refused:
        apply(url, pair.definitions())
    assert refused.value.code is BrokerCode.BROKER_REFUSED
    assert "not-" not in str(refused.value)


def test_a_broker_that_is_away_is_said_to_be_away(pair: BrokerPair) -> None:
    with pytest.raises(BrokerError) as away:
        apply("http://someone:secret-word@127.0.0.1:9", pair.definitions())
    assert away.value.code is BrokerCode.BROKER_UNREACHABLE
    assert "secret-word" not in str(away.value)


async def test_an_organisation_that_leaves_is_locked_out_and_its_queues_kept(pair: BrokerPair) -> None:
    pair.agree((pair.accueil, pair.abri))
    async with connected(pair.exchange_url(pair.abri, REFERRAL)) as speaker:
        await publish(await speaker.channel(), f"from.{pair.abri}", pair.accueil, b"too late")
    stay = [member for member in pair.members if member.organisation != pair.accueil]
    without = render(stay, [], pair.hashes, exchange_host=pair.exchange, limits=pair.limits)
    assert apply(pair.server.admin_url, without) == Removed(bindings=3, permissions=1)
    with pytest.raises(InvalidFrameError):
        await aiormq.connect(pair.exchange_url(pair.accueil, PARTNER))
    pair.agree()
    async with connected(pair.exchange_url(pair.accueil, PARTNER)) as listener:
        assert (await arrived(await listener.channel(), f"to.{pair.accueil}.from.{pair.abri}")).body == b"too late"
