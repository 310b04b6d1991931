"""A broker whose queues hand over what is delivered as it came, in one task and without a copy.

FastStream has a chain of parsers, decoders and middlewares for every message, and aio-pika makes an object of its own
and a second task for each. They serve handlers that take one message at a time; we take batches, and have no handler.
What that costs is in docs/decisions/0007. Connecting, subscribing and coming back after an accident stay theirs.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from aio_pika import RobustChannel, RobustConnection, RobustQueue
from aio_pika.abc import TimeoutType
from aiormq.abc import ArgumentsType, DeliveredMessage
from faststream.rabbit import RabbitBroker

Take: TypeAlias = Callable[[DeliveredMessage], Coroutine[Any, Any, Any]]


class StraightQueue(RobustQueue):
    """A queue whose consumers take deliveries straight from the channel, also on the channel that replaces it."""

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
        """Let ``callback`` have every delivery, and return the consumer's tag."""
        channel = await self.channel.get_underlay_channel()
        begun = await channel.basic_consume(
            self.name,
            callback,
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


class StraightChannel(RobustChannel):
    """A channel with such queues."""

    QUEUE_CLASS = StraightQueue


class StraightBroker(RabbitBroker):
    """FastStream's broker on such channels."""

    async def _connect(self) -> RobustConnection:
        connection = await super()._connect()
        connection.CHANNEL_CLASS = StraightChannel
        return connection
