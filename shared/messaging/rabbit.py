"""RabbitMQ through FastStream, with every default that loses or leaks turned the other way.

Nothing is declared here: queues and exchanges come from the definitions file, and a service's user may configure
nothing. What is missing is found at the start (:func:`check_topology`), because a publish to an exchange that is not
there closes the channel for everybody on it.
"""

import asyncio
from collections.abc import Sequence

from aio_pika.exceptions import AMQPError, ChannelClosed, ProbableAuthenticationError
from aiormq.abc import DeliveredMessage
from faststream.rabbit import Channel, RabbitBroker

from shared.contracts.coded import Coded
from shared.messaging.channels import SingleBroker
from shared.pauses import pause
from shared.telemetry.logs import get_logger

HEARTBEAT_SECONDS = 10

log = get_logger(__name__)


class BrokerError(Coded[str]):
    """The broker is not as it must be; ``code`` says how: ``broker-refused-login``, ``broker-topology-missing``."""


def make_broker(url: str, *, description: str) -> RabbitBroker:
    """Return a broker that confirms what it publishes, returns what nobody takes, and logs no message."""
    return SingleBroker(
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


def headers_of(message: DeliveredMessage) -> dict[str, str]:
    """Return the text headers of ``message``; whatever else is in there is not ours."""
    headers = message.header.properties.headers or {}
    return {name: value for name, value in headers.items() if isinstance(value, str)}
