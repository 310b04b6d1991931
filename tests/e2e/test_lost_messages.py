"""The exchange loses what it has confirmed, and both nodes find together all the same.

What is not proved is said again. That takes its time, so the nodes' clocks are moved.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aio_pika
import pytest

from deploy.broker.topology import BrokerRole
from shared.messaging import places
from tests.e2e.test_two_nodes import Node, intake_of, run
from tests.support.partners import Organisation
from tests.support.servers import BrokerPair, FreshDatabase, Rabbit, make_broker_pair
from tests.support.wait import until

LATER = 180
"""Seconds: after the first repetition, and before the second."""


@dataclass
class TwoNodes:
    """Two nodes; the door of the first can be shut."""

    pair: BrokerPair
    one: Node
    other: Node

    async def lose(self, messages: int) -> None:
        """Take so many messages for the first node from the broker as soon as they are there, and drop them."""
        connection = await aio_pika.connect(self.pair.exchange_url(self.one.organisation.id, BrokerRole.INTAKE))
        async with connection:
            channel = await connection.channel()
            queue = await channel.get_queue(
                places.to_queue(self.one.organisation.id, self.other.organisation.id), ensure=False
            )
            for _ in range(messages):
                async with asyncio.timeout(20), queue.iterator() as coming:
                    async for message in coming:
                        await message.ack()
                        break

    async def agree(self) -> bool:
        """Whether both stores tell one story, and all of it is proved."""
        return await self.one.story() == await self.other.story() and all(
            [await node.all_proved() and await node.at_rest() for node in (self.one, self.other)]
        )


@pytest.fixture
async def nodes(rabbitmq: Rabbit, fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[TwoNodes]:
    """Run two nodes, the first with its door shut."""
    pair = make_broker_pair(rabbitmq)
    one, other = (Organisation.make(tmp_path, each) for each in (pair.ccem, pair.abri))
    one.agree_with(other)
    async with AsyncExitStack() as stack:
        first = await run(pair, one, fresh_database, stack, door=False)
        yield TwoNodes(pair, first, await run(pair, other, fresh_database, stack))
    pair.remove()


PATIENT = LATER + 30
"""Seconds: when a number that has not come counts as missing, and still before the second repetition."""


def later(node: Node, seconds: int = LATER) -> None:
    """Put a node's clock forward."""
    (node.organisation.folder / "clock").write_text(str(seconds))


async def count(node: Node, query: str) -> int:
    return int(await node.owner.fetchval(query))


async def test_what_the_exchange_lost_is_said_again_and_answered_with_a_receipt(nodes: TwoNodes) -> None:
    one, other = nodes.one, nodes.other
    referral = await one.offer(other.organisation.id)

    async def stands_at_other(status: str) -> bool:
        return (await other.story()).get(referral, ("",))[0] == status

    await until(lambda: stands_at_other("received"), seconds=20)
    assert (await other.do(referral, "open")).status_code == 200
    await nodes.lose(2)  # the receipt for the offer, and that it was opened
    async with intake_of(nodes.pair, one.organisation, one.database):
        declined = await other.do(referral, "decline", {"reason": "no_capacity", "by": "provider"})
        assert declined.status_code == 200

        async def waits() -> bool:
            return await count(one, "SELECT count(*) FROM referral.held WHERE reason = 'early'") == 1

        await until(waits, seconds=20, what="the second event, which waits for the first")
        assert (await one.story())[referral][0] == "offered"
        papers = await count(other, "SELECT count(*) FROM referral.paper")
        later(one)
        await until(lambda: _said(one, 2), seconds=20, what="the offer said again")
        later(other)
        await until(nodes.agree, seconds=30, what="one story in both stores, all of it proved")
        assert (await one.story())[referral][0] == "declined"
        assert await count(other, "SELECT count(*) FROM referral.paper") == papers, "the same offer, once more"
        assert await count(other, "SELECT count(*) FROM referral.referral") == 1
        receipts = "SELECT count(*) FROM intake.receipt"
        assert await count(other, receipts) == 2, "the offer came twice, and was answered twice"
        assert await count(one, "SELECT last FROM referral.dispatch") == 2, "each envelope has a number of its own"
        for here, there in ((one, other), (other, one)):
            later(there, PATIENT)
            await until(partial(_every_number_is_dealt_with, here, there), seconds=30, what="every number looked at")
        assert await count(other, "SELECT count(*) FROM referral.held") == 0
        for node in (one, other):
            assert await node.audits() == [True, True]


async def _said(node: Node, times: int) -> bool:
    return await count(node, "SELECT count(*) FROM referral.said") == times


async def _every_number_is_dealt_with(sender: Node, door: Node) -> bool:
    """Tell whether every number of the sender has come to the other's door, or is known there to be missing."""
    sent = await count(sender, "SELECT last FROM referral.dispatch")
    reached = await count(door, "SELECT coalesce(max(reached), 0) FROM intake.stream WHERE voice = 'referral'")
    return sent == reached and not await count(door, "SELECT count(*) FROM intake.arrival")
