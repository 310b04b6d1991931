"""Sees that what is heard is still heard: a broker may end a subscription, and a consumer may meet a fault of ours.

What must never happen: a service that says that it is ready, and hears nothing.
"""

import asyncio
from typing import Any, Final

from shared.messaging.consumer import Consumer
from shared.pauses import pause
from shared.telemetry.logs import get_logger

LOOK_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0
RENEW_SECONDS: Final = 10.0
GRACE: Final = 2
"""How many looks the client library has to take a subscription up by itself, which it does after most accidents."""

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


async def is_heard(consumer: Consumer[Any, Any]) -> bool:
    """Say whether the queue of ``consumer`` is heard now; what does not answer in time is not."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await consumer.subscription.is_open()
    except Exception:  # noqa: BLE001 - whatever it is, nothing comes
        return False


class SubscriptionWatch:
    """Looks whether one consumer's queue is heard, and subscribes again where nobody else does."""

    def __init__(self, consumer: Consumer[Any, Any]) -> None:
        """Take the ``consumer`` to look after."""
        self._consumer = consumer
        self._silent = 0

    async def step(self) -> None:
        """Look once.

        Raises:
            OSError, AMQPError, TimeoutError: subscribing again did not work; the next look tries again.
        """
        if await is_heard(self._consumer):
            self._silent = 0
            return
        self._silent += 1
        log.warning("subscription.lost", queue=self._consumer.queue, attempt=self._silent)
        if self._silent > GRACE:
            async with asyncio.timeout(RENEW_SECONDS):
                await self._consumer.subscription.renew()
