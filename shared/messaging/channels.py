"""Channels that hand over what is delivered as it came, in one task and without a copy.

FastStream has a chain of parsers, decoders and middlewares for every message, aio-pika makes an object of its own and a
second task for each, and aiormq a first one. They serve handlers that take one message at a time; we take batches, and
have no handler. What that costs is in docs/decisions/0007. Connecting, and coming back after an accident, stay theirs.
"""

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import Final, TypeAlias, cast

import aiormq
from aio_pika import RobustConnection
from aiormq import spec
from aiormq.abc import DeliveredMessage
from faststream.rabbit import RabbitBroker
from pamqp.header import ContentHeader

OPEN_SECONDS: Final = 10.0

Take: TypeAlias = Callable[[DeliveredMessage], None]


async def open_channel(broker: RabbitBroker) -> aiormq.Channel:
    """Return a channel of its own, without confirms, that nobody opens again once it is closed.

    A connection that is lost is waited for, until the client library has brought it back. By itself aiormq lets ten
    frames lie between the socket and a channel, three messages, so that what comes in one go would be read in pieces
    (docs/decisions/0007). Here any number may: the prefetch bounds what is delivered.

    Raises:
        OSError, AMQPError, TimeoutError: the broker is away after all.
    """
    connection = await broker.connect()
    await connection.ready()
    if connection.transport is None or connection.transport.connection.is_closed:
        raise ConnectionError
    opening = connection.transport.connection.channel(publisher_confirms=False, frame_buffer_size=0)
    async with asyncio.timeout(OPEN_SECONDS):
        return cast("aiormq.Channel", await opening)


def hand_over(channel: aiormq.Channel, take: Take) -> None:
    """Let ``take`` have what is delivered on ``channel``, to any of its consumers, in the channel's own task."""

    async def deliver(method: spec.Basic.Deliver) -> None:
        header = cast("ContentHeader", await channel._get_frame())  # noqa: SLF001 - no public way
        take(await channel._read_content(method, header))  # noqa: SLF001

    channel._on_deliver_frame = deliver  # type: ignore[method-assign, assignment]  # noqa: SLF001


async def consume(channel: aiormq.Channel, queue: str, prefetch: int) -> None:
    """Let ``queue`` deliver on ``channel``, at most ``prefetch`` that are not acknowledged; its name is the tag.

    The limit is the consumer's own, though the channel is asked for it (RabbitMQ, "Consumer Prefetch").
    """
    await channel.basic_qos(prefetch_count=prefetch)
    await channel.basic_consume(queue, _unused, consumer_tag=queue)


async def _unused(_message: DeliveredMessage) -> None:
    """Stand for the consumer, so that its tag is known as one."""


def read_any_properties() -> None:
    """Let a message come through whose properties cannot be decoded: without any, as if it had none.

    Whoever may write to an exchange may set any property: a time after the year 9999, a name that is no UTF-8, tables
    within tables. RabbitMQ hands them on; pamqp cannot read them, and aiormq then gives the whole connection up, for
    ever, because the message comes again. We read headers and nothing else, and whatever needs one refuses the message
    that has none. There is no place in aiormq where one could say so: the method is replaced.
    """
    unmarshal = ContentHeader.unmarshal

    def tolerant(header: ContentHeader, frame: bytes) -> None:
        try:
            unmarshal(header, frame)
        except Exception:  # noqa: BLE001 - whatever pamqp makes of rubbish, it is rubbish
            header.body_size = int.from_bytes(frame[4:12], "big")  # AMQP 0-9-1, 2.3.5.2
            header.properties = spec.Basic.Properties()

    if unmarshal.__module__ != __name__:
        ContentHeader.unmarshal = tolerant  # type: ignore[method-assign, assignment]


class SingleBroker(RabbitBroker):
    """FastStream's broker with one connection, whoever asks for it at the same time.

    FastStream would make one for each, keep the last and forget the others, which then come back for ever.
    """

    @cached_property
    def _connecting(self) -> asyncio.Lock:
        return asyncio.Lock()

    async def connect(self) -> RobustConnection:
        """Return the connection, once it is there."""
        async with self._connecting:
            return await super().connect()

    async def _connect(self) -> RobustConnection:
        read_any_properties()
        return await super()._connect()
