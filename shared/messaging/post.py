"""The post office: publishes letters with confirms, and forgets them only when the broker has them.

A confirm says that the broker has it. A letter that no queue takes, that the broker refuses, or whose confirm does
not come in time, stays in the outbox, and the sweeper of its broker tries it again, later each time; it never stands
in the way of the others, nor a broker that is away in the way of another. What is tried again leaves at another time
than it was decided: whoever wrote it is asked once more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import perf_counter
from types import MappingProxyType
from typing import Protocol
from uuid import UUID

from shared.clock import Clock
from shared.messaging import outbox
from shared.messaging.outbox import Letter
from shared.storage.pool import Connection, Pool, will_pass
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Sent

CONFIRM_SECONDS = 10.0
"""How long to wait for a confirm. Without one the outcome is unknown: the same id is published again."""

NOTHING_KNOWN: Mapping[UUID, Sent] = MappingProxyType({})

log = get_logger(__name__)


class Publisher(Protocol):
    """A connection to one broker."""

    async def publish(self, exchange: str, letters: Sequence[Letter], *, within: float) -> Mapping[UUID, Sent]:
        """Return, at the latest after ``within`` seconds, what became of ``letters``: of some, nothing may be known."""


class Review(Protocol):
    """Asked before letters are tried again: the transaction is the one that has claimed them."""

    async def __call__(self, connection: Connection, letters: Sequence[Letter], at: datetime) -> Sequence[Letter]:
        """Return what leaves of ``letters`` now, or leaves in their place; what is left out stays, or was dropped."""


async def as_they_are(connection: Connection, letters: Sequence[Letter], at: datetime) -> Sequence[Letter]:  # noqa: ARG001
    """Let all of them leave: they say nothing that anybody could take back."""
    return letters


class PostOffice:
    """Sends what the outbox holds."""

    def __init__(
        self, pool: Pool, publishers: Mapping[str, Publisher], clock: Clock, service: str, review: Review = as_they_are
    ) -> None:
        """Take the service's database, its publishers by name (``node``, ``exchange``), and who is asked again."""
        self._pool = pool
        self._publishers = publishers
        self._clock = clock
        self._service = service
        self._review = review
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, letters: Sequence[Letter]) -> None:
        """Publish ``letters`` in the background; they are committed, so that a crash from here on loses nothing."""
        if letters:
            task = asyncio.create_task(self._deliver(letters))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def drain(self) -> None:
        """Return when nothing is on the wire any more."""
        while self._sending:
            await asyncio.gather(*self._sending, return_exceptions=True)

    @property
    def brokers(self) -> Sequence[str]:
        """The brokers to which letters leave: each has its own sweeper."""
        return tuple(self._publishers)

    async def sweep(self, broker: str, limit: int = 200) -> int:
        """Publish letters to ``broker`` that a crash or a refusal left behind; return how many were tried."""
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            claimed = await outbox.claim(connection, broker, now, limit)
            letters = await self._review(connection, claimed, now) if claimed else ()
            waiting = await outbox.waiting(connection)
        metrics.OUTBOX_PENDING.set(sum(each.count for each in waiting.values()), service=self._service)
        metrics.OUTBOX_UNAGREED.set(sum(each.unagreed for each in waiting.values()), service=self._service)
        oldest = waiting.get(broker, outbox.NONE_WAITING).oldest
        metrics.OUTBOX_OLDEST.set(oldest, service=self._service, dependency=broker)
        if letters:
            log.info("outbox.swept", count=len(letters), dependency=broker)
            await self._deliver(letters)
        return len(claimed)

    async def _deliver(self, letters: Sequence[Letter]) -> None:
        """Publish all, and forget what each exchange confirms as soon as it does."""
        by_exchange: dict[tuple[str, str], list[Letter]] = {}
        for letter in letters:
            by_exchange.setdefault((letter.broker, letter.exchange), []).append(letter)
        await asyncio.gather(*(self._deliver_to(*place, there) for place, there in by_exchange.items()))

    async def _deliver_to(self, broker: str, exchange: str, letters: Sequence[Letter]) -> None:
        confirmed = await self._publish(broker, exchange, letters)
        if confirmed:
            metrics.PUBLISHED.add(len(confirmed), service=self._service, outcome=Sent.CONFIRMED)
            try:
                async with self._pool.acquire() as connection:
                    await outbox.confirm(connection, confirmed)
            except Exception as error:
                if not will_pass(error):
                    raise
                log.warning("outbox.unconfirmed", count=len(confirmed), error=type(error).__name__)

    async def _publish(self, broker: str, exchange: str, letters: Sequence[Letter]) -> list[UUID]:
        """Return the ids of the letters that ``exchange`` has confirmed."""
        started, outcomes, error = perf_counter(), NOTHING_KNOWN, None
        try:
            outcomes = await self._publishers[broker].publish(exchange, letters, within=CONFIRM_SECONDS)
        except Exception as reason:  # noqa: BLE001 - one exchange's trouble is its own; its letters stay in the outbox
            error = type(reason).__name__
        metrics.CONFIRM_SECONDS.observe(perf_counter() - started, service=self._service)
        for letter in letters:
            outcome = outcomes.get(letter.id, Sent.UNKNOWN)
            if outcome is not Sent.CONFIRMED:
                metrics.PUBLISHED.add(service=self._service, outcome=outcome)
                log.warning("letter.unconfirmed", message_id=letter.id, dependency=broker, reason=outcome, error=error)
        return [letter.id for letter in letters if outcomes.get(letter.id) is Sent.CONFIRMED]
