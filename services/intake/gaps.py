"""Looks, every few seconds, whether something that a partner numbered has not come."""

from services.intake.domain.sequence import look, missing
from services.intake.store import arrivals
from shared.audit import log as audit
from shared.clock import Clock
from shared.contracts.services import Service
from shared.storage.pool import Pool
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger

log = get_logger(__name__)


class GapWatch:
    """The streams of all partners. Any number of processes may watch; each stream is looked at by one at a time."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        """Take the service's database and the clock."""
        self._pool = pool
        self._clock = clock
        metrics.SEQUENCE_GAPS.begin(service=Service.INTAKE)

    async def step(self) -> None:
        """Look once at every stream in which something has come; write down what is odd, in the same transaction."""
        at = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            came = await arrivals.claim(connection)
            looked = {stream: look(stream, noted, at) for stream, noted in came.items()}
            await arrivals.reach(connection, looked)
            entries = [entry for each in looked.values() for entry in each.entries]
            await audit.record(connection, *entries)
        metrics.SEQUENCE_GAPS.add(missing(entries), service=Service.INTAKE)
        for entry in entries:
            log.warning("sequence.odd", code=entry.code, sender=entry.actor)
