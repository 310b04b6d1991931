"""RabbitMQ through FastStream, with every default that loses or leaks turned the other way.

Nothing is declared here: queues and exchanges come from the definitions file, and a service's user may configure
nothing. What is missing is found at the start (:func:`check_topology`), because a publish to an exchange that is not
there closes the channel for everybody on it.
"""

import asyncio
from collections.abc import Callable, Sequence

import aiormq
from aio_pika.abc import AbstractRobustChannel
from aio_pika.exceptions import AMQPError, ChannelClosed, ProbableAuthenticationError
from aiormq.abc import DeliveredMessage
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from shared.contracts.coded import Coded
from shared.messaging.channels import StraightBroker
from shared.pauses import pause
from shared.telemetry.logs import get_logger

HEARTBEAT_SECONDS = 10

log = get_logger(__name__)


class BrokerError(Coded[str]):
    """The broker is not as it must be; ``code`` says how: ``broker-refused-login``, ``broker-topology-missing``."""


def make_broker(url: str, *, description: str) -> RabbitBroker:
    """Return a broker that confirms what it publishes, returns what nobody takes, and logs no message."""
    return StraightBroker(
        url,
        default_channel=Channel(publisher_confirms=True, on_return_raises=True),
        apply_types=False,
        logger=None,
        graceful_timeout=30.0,
        description=description,
    )


async def connect(broker: RabbitBroker, name: str) -> None:
    """Connect as soon as the broker answers, with back-off.

    Raises:
        BrokerError: ``broker-refused-login``; waiting would not help.
    """
    attempt = 0
    while True:
        try:
            await broker.connect()
        except ProbableAuthenticationError:
            raise BrokerError("broker-refused-login", name) from None
        except (OSError, AMQPError, TimeoutError) as error:
            attempt += 1
            log.warning("broker.unavailable", dependency=name, attempt=attempt, error=type(error).__name__)
            await asyncio.sleep(pause(attempt))
        else:
            return


async def check_topology(broker: RabbitBroker, *, queues: Sequence[str], exchanges: Sequence[str]) -> None:
    """Make sure that everything is there that the service reads from or writes to.

    Raises:
        BrokerError: ``broker-topology-missing``.
    """
    connection = await broker.connect()
    for kind, names in (("queue", queues), ("exchange", exchanges)):
        for name in names:
            channel = await connection.channel()
            try:
                if kind == "queue":
                    await channel.get_queue(name, ensure=True)
                else:
                    await channel.get_exchange(name, ensure=True)
            except ChannelClosed:
                raise BrokerError("broker-topology-missing", name) from None
            finally:
                if not channel.is_closed:
                    await channel.close()


class Subscription:
    """A queue that is heard: each message goes to ``put``, undecoded and unacknowledged, on a channel of its own.

    The broker may end it at any time: it closes a channel (a delivery that nobody acknowledged in time, a fault in the
    protocol), or cancels the consumer (the queue has moved). The client library takes it up again by itself where it
    can; where it gives up, nobody would notice. So somebody looks: :meth:`is_open`, :meth:`renew`.
    """

    def __init__(
        self,
        broker: RabbitBroker,
        queue: str,
        *,
        prefetch: int,
        title: str,
        description: str,
        put: Callable[[DeliveredMessage], None],
    ) -> None:
        """Take what is heard, and where it goes; nothing comes before the broker starts.

        FastStream connects, subscribes, stops and describes; its handling of a message is passed by. It would also
        throw away what is delivered before it has noticed that it is subscribed.
        """
        self._subscriber = broker.subscriber(
            RabbitQueue(queue, declare=False),
            channel=Channel(prefetch_count=prefetch),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            title=title,
            description=description,
        )
        self._subscriber(put)
        self._subscriber.consume = put  # type: ignore[method-assign, assignment]

    async def is_open(self) -> bool:
        """Say whether the broker gives us messages now: the channel is open, and the consumer is on it."""
        queue, tag = self._subscriber._queue_obj, self._subscriber._consumer_tag  # noqa: SLF001 - no public way
        if queue is None or queue.channel.is_closed:
            return False
        channel = await queue.channel.get_underlay_channel()
        return isinstance(channel, aiormq.Channel) and not channel.is_closed and tag in channel.consumers

    async def renew(self) -> None:
        """Subscribe again, on the channel where that is open, otherwise on a new one in its place.

        Raises:
            OSError, AMQPError: the broker is away, or the queue is; it may be tried again.
        """
        queue = self._subscriber._queue_obj  # noqa: SLF001 - no public way
        if queue is None:
            return
        if isinstance(queue.channel, AbstractRobustChannel) and queue.channel.is_closed:
            await queue.channel.restore()
        elif not await self.is_open():
            await queue.restore()


def headers_of(message: DeliveredMessage) -> dict[str, str]:
    """Return the text headers of ``message``; whatever else is in there is not ours."""
    headers = message.header.properties.headers or {}
    return {name: value for name, value in headers.items() if isinstance(value, str)}
