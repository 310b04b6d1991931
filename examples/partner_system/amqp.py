"""The exchange over AMQP 0-9-1: we write to ``from.<own id>`` and read ``to.<own id>.from.<partner>`` of each partner.

We may configure nothing.

docs/protocol/README.md, and envelope.md, section 9. The broker is trusted with nothing: a confirm is no receipt.
aio-pika ends the connection over properties that it cannot decode, which section 9 forbids; a system for real work must
go round that, as Relais does in ``shared/messaging/channels.py``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError, PublishError

from .envelope import CONTENT_TYPE, read
from .outcomes import Confirmed, Later, Outcome
from .store import Outgoing

AWAY = (AMQPError, ConnectionError, TimeoutError, OSError)
"""What is raised when the broker cannot be reached, or is lost."""
PREFETCH = 64
"""How many messages each partner's queue may deliver before we have acknowledged any."""
TIMEOUT = 20.0
"""Seconds in which the broker must connect, or confirm."""
PAUSE = 5.0
"""Seconds until what the broker did not take is offered to it again."""

for library in ("aio_pika", "aiormq"):
    logging.getLogger(library).addHandler(logging.NullHandler())  # what they would print is not ours to show


@dataclass(frozen=True, slots=True)
class BrokerLink:
    """A connection to the exchange; once it is lost, a new one is made."""

    exchange: AbstractExchange
    came: asyncio.Queue[AbstractIncomingMessage | None]
    """``None`` when nothing more comes."""

    async def send(self, made: Outgoing) -> Outcome:
        """Publish an envelope, and wait until the broker has it."""
        header = read(made.envelope).header
        message = aio_pika.Message(
            made.envelope,
            headers=dict(header.labels()),
            message_id=header.id,
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                await self.exchange.publish(message, routing_key=header.recipient, mandatory=True)
        except PublishError:  # it came back: no queue is bound, because no agreement is in force
            return Later("agreement-none", PAUSE)
        except DeliveryError:
            return Later("broker-refuses", PAUSE)
        return Confirmed()

    async def deliveries(self) -> AsyncIterator[AbstractIncomingMessage]:
        """Yield what comes, until the connection is lost."""
        while message := await self.came.get():
            yield message


@asynccontextmanager
async def connected(url: str, own: str, partners: Iterable[str]) -> AsyncIterator[BrokerLink]:
    """Connect to the exchange as an organisation, and hear ``partners``: those that have a queue by now."""
    async with asyncio.timeout(TIMEOUT):
        connection = await aio_pika.connect(url)
    async with connection:
        # One channel each: a refused publish closes its channel, and must not stop what comes in.
        outward = await connection.channel(publisher_confirms=True, on_return_raises=True)
        inward = await connection.channel()
        await inward.set_qos(prefetch_count=PREFETCH)
        link = BrokerLink(await outward.get_exchange(f"from.{own}", ensure=False), asyncio.Queue())
        inward.close_callbacks.add(lambda *_: link.came.put_nowait(None))
        for queue in [f"to.{own}.from.{partner}" for partner in partners]:
            if await _is_there(connection, queue):
                await (await inward.get_queue(queue, ensure=False)).consume(link.came.put)
        yield link


async def _is_there(connection: AbstractConnection, queue: str) -> bool:
    """Look on a channel of its own: whoever asks for a queue that is not there loses the channel."""
    channel = await connection.channel()
    try:
        await channel.get_queue(queue)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
