"""Looks after what the door keeps back: forgets what is only counted and is old, and says how full it is."""

from datetime import timedelta
from typing import Final

from services.intake.hears import MOST_KEPT, Door
from shared.clock import Clock
from shared.contracts.services import Service
from shared.messaging import held
from shared.storage.pool import Pool
from shared.telemetry import metrics

COUNTED_FOR: Final = timedelta(days=30)
"""How long it stays known that something came which was only counted, after the last of it."""


class QuarantineWatch:
    """The door's quarantine. Any number of processes may look after it."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Take the service's database and the clock."""
        self._pool = pool
        self._clock = clock

    async def step(self) -> None:
        """Look once."""
        async with self._pool.acquire() as connection:
            await held.forget(connection, Door.name, self._clock.now() - COUNTED_FOR)
            fullest = await held.fullest(connection, Door.name)
        metrics.QUARANTINE_FULL.set(fullest / MOST_KEPT, service=Service.INTAKE)
