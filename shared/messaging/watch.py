"""Sees that what is heard is still heard: a broker may end a subscription, and a consumer may meet a fault of ours.

What must never happen: a service that says that it is ready, and hears nothing.
"""

import asyncio
from typing import Any, Final

from shared.messaging.consumer import Consumer
from shared.pauses import pause
from shared.telemetry.logs import get_logger

LOOK_SECONDS: Final = 1.0

log = get_logger(__name__)


async def keep_working(consumer: Consumer[Any, Any]) -> None:
    """Run ``consumer`` until it is stopped; after an error, which the log tells by its code, again with back-off."""
    failures = 0
    while True:
        try:
            await consumer.run()
        except Exception:
            failures += 1
            log.exception("consumer.failed", queue=consumer.queue, attempt=failures)
            await asyncio.sleep(pause(failures))
        else:
            return


class SubscriptionWatch:
    """Looks whether what one consumer should hear is heard, and subscribes to what is not."""

    def __init__(self, consumer: Consumer[Any, Any]) -> None:
        """Take the ``consumer`` to look after."""
        self._consumer = consumer
        self._silent = 0

    async def step(self) -> None:
        """Look once.

        Raises:
            OSError, AMQPError, TimeoutError: subscribing again did not work; the next look tries again.
        """
        if self._consumer.subscription.is_open():
            self._silent = 0
        else:
            self._silent += 1
            log.warning("subscription.lost", queue=self._consumer.queue, attempt=self._silent)
        await self._consumer.subscription.renew()
