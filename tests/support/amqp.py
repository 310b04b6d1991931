"""A bare AMQP client for tests that ask what the broker itself allows: no robustness, no retries."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from tests.support.wait import until


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[aiormq.abc.AbstractConnection]:
    """Connect as the user in ``url``."""
    connection = await aiormq.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def publish(
    channel: AbstractChannel, exchange: str, key: str, body: bytes, *, user_id: str | None = None
) -> None:
    """Publish, and return once the broker has confirmed it.

    Raises:
        aiormq.exceptions.PublishError: no queue takes it; it came back.
        aiormq.exceptions.DeliveryError: a queue refuses it.
        aiormq.exceptions.ChannelAccessRefused: the user may not.
    """
    properties = Basic.Properties(delivery_mode=2, user_id=user_id)
    await channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties, mandatory=True)


async def take(channel: AbstractChannel, queue: str) -> DeliveredMessage | None:
    """Take one message, unacknowledged, or None when the queue is empty."""
    message = await channel.basic_get(queue, timeout=5)
    return None if isinstance(message.delivery, Basic.GetEmpty) else message


async def arrived(channel: AbstractChannel, queue: str) -> DeliveredMessage:
    """Wait for a message in ``queue`` and take it."""
    return await until(lambda: take(channel, queue), what=f"a message in {queue}")


async def acknowledge(channel: AbstractChannel, message: DeliveredMessage) -> None:
    """Tell the broker that ``message`` is dealt with."""
    await channel.basic_ack(message.delivery_tag or 0)


async def give_back(channel: AbstractChannel, message: DeliveredMessage) -> None:
    """Tell the broker to deliver ``message`` again."""
    await channel.basic_nack(message.delivery_tag or 0, requeue=True)
