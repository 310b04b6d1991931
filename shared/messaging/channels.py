"""A broker whose queues hand over what is delivered as it came, in one task and without a copy.

FastStream has a chain of parsers, decoders and middlewares for every message, aio-pika makes an object of its own and a
second task for each, and aiormq a first one. They serve handlers that take one message at a time; we take batches, and
have no handler. What that costs is in docs/decisions/0007. Connecting, subscribing and coming back after an accident
stay theirs.
"""

import asyncio
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias, cast

import aiormq
from aio_pika import RobustChannel, RobustConnection, RobustQueue
from aio_pika.abc import TimeoutType
from aiormq import spec
from aiormq.abc import ArgumentsType, DeliveredMessage
from faststream.rabbit import RabbitBroker
from pamqp.header import ContentHeader

Take: TypeAlias = Callable[[DeliveredMessage], None]


class StraightQueue(RobustQueue):
    """A queue whose consumer takes deliveries straight from the channel, also on the channel that replaces it."""

    async def consume(  # type: ignore[override]  # what is handed over is another message than aio-pika's
        self,
        callback: Take,
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: ArgumentsType | None = None,
        consumer_tag: str | None = None,
        timeout: TimeoutType = None,  # noqa: ASYNC109 - aio-pika's signature, as FastStream and a restored channel use it
        robust: bool = True,
    ) -> str:
        """Let ``callback`` have every delivery on the queue's channel, and return the consumer's tag."""
        channel = cast("aiormq.Channel", await self.channel.get_underlay_channel())
        _hand_over(channel, callback)
        begun = await channel.basic_consume(
            self.name,
            _unused,
            no_ack=no_ack,
            exclusive=exclusive,
            arguments=arguments,
            consumer_tag=consumer_tag,
            timeout=timeout,
        )
        tag = str(begun.consumer_tag)
        if robust:
            self._consumers[tag] = {
                "callback": callback,
                "no_ack": no_ack,
                "exclusive": exclusive,
                "arguments": arguments,
            }
        return tag


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


def _hand_over(channel: aiormq.Channel, take: Take) -> None:
    """Let ``take`` have what is delivered on ``channel``, which has one consumer, in the channel's own task."""

    async def deliver(method: spec.Basic.Deliver) -> None:
        header = cast("ContentHeader", await channel._get_frame())  # noqa: SLF001 - no public way
        take(await channel._read_content(method, header))  # noqa: SLF001

    channel._on_deliver_frame = deliver  # type: ignore[method-assign, assignment]  # noqa: SLF001


async def _unused(_message: DeliveredMessage) -> None:
    """Stand for the consumer, so that its tag is known as one."""


class StraightChannel(RobustChannel):
    """A channel with such queues."""

    QUEUE_CLASS = StraightQueue


class StraightBroker(RabbitBroker):
    """FastStream's broker on such channels, with one connection, whoever asks for it at the same time.

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
        connection = await super()._connect()
        connection.CHANNEL_CLASS = StraightChannel
        return connection
