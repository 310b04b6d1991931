"""One service's moving parts, started in order and stopped in the opposite one.

Start: the broker, a look at the topology, then the loops, and only then the consumers. Stop: no new batch, the present
one to its end, the letters on the wire, and then the broker: what was begun is finished, what was not stays with the
broker. Who opened the database has done so before, and closes it after.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import field
from functools import partial
from typing import Any

from faststream.rabbit import RabbitBroker

from shared import garbage
from shared.messaging.consumer import LARGEST_BATCH, Consumer
from shared.messaging.loops import Round, come_round
from shared.messaging.post import PostOffice
from shared.messaging.rabbit import check_topology, connect
from shared.messaging.watch import LOOK_SECONDS, SubscriptionWatch, keep_working
from shared.storage.pool import Pool
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import Dependency
from shared.values import dataclass

SWEEP_SECONDS = 1.0
HELD_SECONDS = 1.0
DEPENDENCIES_SECONDS = 5.0
STOP_SECONDS = 30.0
READY_SECONDS = 2.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection to one broker, and what must be there for the service to work.

    What speaks is never what hears: a broker that has an alarm reads nothing from a connection on which something was
    published, not even acknowledgements (RabbitMQ, "Memory and Disk Alarms").
    """

    dependency: Dependency
    broker: RabbitBroker
    queues: Sequence[str] = ()
    exchanges: Sequence[str] = ()


@dataclass(slots=True)
class Runtime:
    """What runs while a service is up."""

    service: str
    pool: Pool
    connections: Sequence[Connected]
    post: PostOffice
    consumers: Sequence[Consumer[Any, Any]]
    rounds: Sequence[Round] = ()
    can_sign: Callable[[], bool] = lambda: True
    """Whether our own keys hold now; while they do not, nothing is said."""
    _working: list[asyncio.Task[None]] = field(default_factory=list)
    _coming_round: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Bring everything up; wait, and say so, for what is away.

        Raises:
            BrokerError: the broker refuses us, or lacks a queue or an exchange.
        """
        for connected in self.connections:
            await connect(connected.broker, connected.dependency)
            await check_topology(connected.broker, queues=connected.queues, exchanges=connected.exchanges)
        self._working += [asyncio.create_task(keep_working(consumer)) for consumer in self.consumers]
        self._come_round(self._every_round())
        for connected in self.connections:
            await connected.broker.start()
        for consumer in self.consumers:
            await consumer.subscription.renew()
        self._come_round(
            Round("subscription", SubscriptionWatch(consumer).step, LOOK_SECONDS) for consumer in self.consumers
        )
        garbage.settle()
        log.info("service.started", service=self.service)

    async def stop(self) -> None:
        """Bring everything down, losing nothing."""
        for consumer in self.consumers:
            consumer.stop()
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=STOP_SECONDS)
            await _cancel(late)
        await _cancel(self._coming_round)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.post.drain()
        for connected in self.connections:
            await connected.broker.stop()
        log.info("service.stopped", service=self.service)

    async def ready(self) -> dict[str, bool]:
        """Say whether the database and each broker answer now, every queue is heard, and our own keys hold."""
        heard = all(consumer.subscription.is_open() for consumer in self.consumers)
        hears = heard and len(self._working) == len(self.consumers) and not any(task.done() for task in self._working)
        return {**await self._answering(), "consumers": hears, "keys": self.can_sign()}

    async def _answering(self) -> dict[str, bool]:
        """Say whether the database and each broker answer now."""
        away = {each.dependency for each in self.connections if not await each.broker.ping(READY_SECONDS)}
        answers: dict[str, bool] = {each.dependency: each.dependency not in away for each in self.connections}
        try:
            async with asyncio.timeout(READY_SECONDS), self.pool.acquire() as connection:
                await connection.execute("SELECT 1")
        except Exception:  # noqa: BLE001 - whatever it is, it does not answer
            return {**answers, Dependency.DATABASE: False}
        return {**answers, Dependency.DATABASE: True}

    async def _tell_available(self) -> None:
        """Tell the metrics what answers, whether or not there is anything to do."""
        for dependency, answers in (await self._answering()).items():
            metrics.AVAILABLE.set(answers, service=self.service, dependency=dependency)

    def _come_round(self, rounds: Iterable[Round]) -> None:
        self._coming_round += [asyncio.create_task(come_round(each, self.service)) for each in rounds]

    def _every_round(self) -> Iterator[Round]:
        for broker in self.post.brokers:
            yield Round("sweeper", partial(self.post.sweep, broker), SWEEP_SECONDS)
        yield Round("dependencies", self._tell_available, DEPENDENCIES_SECONDS)
        for consumer in self.consumers:
            if consumer.parked:
                continue
            yield Round(
                "held",
                partial(consumer.shell.take_due, LARGEST_BATCH),
                HELD_SECONDS,
                consumer.shell.woken,
            )
        yield from self.rounds


async def _cancel(tasks: Sequence[asyncio.Task[None]] | set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
