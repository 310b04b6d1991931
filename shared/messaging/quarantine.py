"""Looks after what a desk keeps back: forgets what is only counted and is old, and says how full it is."""

from datetime import timedelta
from typing import Final

from shared.clock import Clock
from shared.messaging import held
from shared.messaging.room import MOST_KEPT
from shared.storage.pool import Pool
from shared.telemetry import metrics

LOOK_SECONDS: Final = 60.0

COUNTED_FOR: Final = timedelta(days=30)
"""How long it stays known that something came which was only counted, after the last of it."""


class QuarantineWatch:
    """The quarantine of one desk. Any number of processes may look after it."""

    def __init__(self, pool: Pool, clock: Clock, consumer: str) -> None:
        """Take the service's database, the clock, and the name of the desk, which is that of its service."""
        self._pool = pool
        self._clock = clock
        self._consumer = consumer

    async def step(self) -> None:
        """Look once."""
        async with self._pool.acquire() as connection:
            await held.forget(connection, self._consumer, self._clock.now() - COUNTED_FOR)
            fullest = await held.fullest(connection, self._consumer)
        metrics.QUARANTINE_FULL.set(fullest / MOST_KEPT, service=self._consumer)
