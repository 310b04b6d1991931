"""The post office: publishes letters with confirms, and forgets them only when the broker has them.

A confirm says that the broker has it. A letter that no queue takes, that the broker refuses, or whose confirm does
not come in time, stays in the outbox, and the sweeper tries it again, later each time; it never stands in the way of
the others.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Protocol
from uuid import UUID

from shared.clock import Clock
from shared.messaging import outbox
from shared.messaging.outbox import Letter
from shared.storage.pool import UNAVAILABLE, Pool
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Sent

CONFIRM_SECONDS = 10.0
"""How long to wait for a confirm. Without one the outcome is unknown: the same id is published again."""

AT_ONCE = 400
"""Letters of one batch on the wire at once, at most."""

log = get_logger(__name__)


class Unroutable(Exception):  # noqa: N818 - an outcome, not a fault
    """No queue takes the letter: there is no agreement in force, or a queue is full."""


class Publisher(Protocol):
    """A connection to one broker."""

    async def publish(self, letter: Letter) -> None:
        """Return when the broker has confirmed ``letter``.

        Raises:
            Unroutable: the broker gave it back.
        """


class PostOffice:
    """Sends what the outbox holds."""

    def __init__(self, pool: Pool, publishers: Mapping[str, Publisher], clock: Clock, service: str) -> None:
        """Take the service's database and its publishers by name: ``node``, ``exchange``."""
        self._pool = pool
        self._publishers = publishers
        self._clock = clock
        self._service = service
        self._sending: set[asyncio.Task[int]] = set()

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

    async def sweep(self, limit: int = 200) -> int:
        """Publish letters that a crash or a refusal left behind; return how many were tried."""
        async with self._pool.acquire() as connection:
            letters = await outbox.claim(connection, self._clock.now(), limit)
            pending = await outbox.pending(connection)
        metrics.OUTBOX_PENDING.set(pending, service=self._service)
        if letters:
            log.info("outbox.swept", count=len(letters))
            await self._deliver(letters)
        return len(letters)

    async def _deliver(self, letters: Sequence[Letter]) -> int:
        """Publish all, forget the confirmed ones, and return how many those were."""
        confirmed: list[UUID] = []
        for start in range(0, len(letters), AT_ONCE):
            publishing = [self._publish(letter, confirmed) for letter in letters[start : start + AT_ONCE]]
            with suppress(TimeoutError):
                async with asyncio.timeout(CONFIRM_SECONDS):
                    await asyncio.gather(*publishing)
        if confirmed:
            metrics.PUBLISHED.add(len(confirmed), service=self._service, outcome=Sent.CONFIRMED)
            try:
                async with self._pool.acquire() as connection:
                    await outbox.confirm(connection, confirmed)
            except UNAVAILABLE as error:
                log.warning("outbox.unconfirmed", count=len(confirmed), error=type(error).__name__)
        return len(confirmed)

    async def _publish(self, letter: Letter, confirmed: list[UUID]) -> None:
        try:
            await self._publishers[letter.broker].publish(letter)
        except asyncio.CancelledError:
            self._failed(letter, Sent.UNKNOWN, "TimeoutError")
            raise
        except Unroutable:
            self._failed(letter, Sent.UNROUTABLE, "Unroutable")
        except Exception as error:  # noqa: BLE001 - one letter's trouble is its own; it stays in the outbox
            self._failed(letter, Sent.UNKNOWN, type(error).__name__)
        else:
            confirmed.append(letter.id)

    def _failed(self, letter: Letter, outcome: Sent, error: str) -> None:
        metrics.PUBLISHED.add(service=self._service, outcome=outcome)
        log.warning("letter.unconfirmed", message_id=letter.id, dependency=letter.broker, error=error)
