"""Takes what has arrived on a queue, up to a limit, waiting for nobody, and acknowledges a whole batch with one frame.

FastStream has no batches on RabbitMQ: it connects; subscribing and the batch are ours.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from aiormq.abc import AbstractChannel, DeliveredMessage
from faststream.rabbit import RabbitBroker

from shared.messaging.delivery import Delivery, Read, Unreadable
from shared.messaging.frontier import Frontier
from shared.messaging.holding import GIVEN_UP
from shared.messaging.rabbit import headers_of
from shared.messaging.shell import Shell
from shared.messaging.subscription import Subscription
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.values import dataclass

What = TypeVar("What")
State = TypeVar("State")

LARGEST_BATCH = 300
"""Messages in one transaction, at most; more gained nothing (docs/decisions/0007)."""
READ_AT_ONCE = 20
"""Messages that are read without a look at what else has happened, some 4 ms; one by one costs more (0007)."""
TURNS = 5
"""Turns of the event loop between a frame in the socket's buffer and its message in ours."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unread:
    """A message as it came, and how to acknowledge it; the channel may be gone by then."""

    delivery: Delivery
    channel: AbstractChannel
    tag: int | None
    """``None`` where another that came with it, and is dealt with later, stands for both."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """The same, read."""

    message: Read[Any]
    channel: AbstractChannel
    tag: int | None


class Consumer(Generic[What, State]):
    """One queue, or several that come and go, heard in batches by one shell."""

    def __init__(
        self,
        broker: RabbitBroker,
        queue: str,
        shell: Shell[What, State],
        *,
        queues: Callable[[], Collection[str]] | None = None,
        largest_batch: int = LARGEST_BATCH,
        parked: bool = False,
        split: Callable[[bytes], Sequence[bytes]] = lambda body: (body,),
    ) -> None:
        """Take what is heard; nothing comes before the subscription is renewed.

        Where ``queues`` says which there are now, ``queue`` is what they are called together, in metrics and logs.
        A ``parked`` queue holds what the broker has given up on, unopened: it goes to the parking lot as it is.
        ``split`` returns the messages that one body brings, in order; each is dealt with by itself.
        """
        self.queue = queue
        self.shell = shell
        self.parked = parked
        self._read = _given_up if parked else shell.read
        self._split = split
        self._largest = largest_batch
        self._unread: list[Unread] = []
        self._arrived: deque[Arrived] = deque()
        self._something = asyncio.Event()
        self._stopping = False
        self._unfinished: list[Arrived] = []
        self._frontiers: WeakKeyDictionary[AbstractChannel, Frontier] = WeakKeyDictionary()
        self.subscription = Subscription(broker, queues or (lambda: (queue,)), in_hand=2 * largest_batch, put=self._put)

    async def run(self) -> None:
        """Work until stopped. What is not committed by then is not acknowledged, and the broker gives it out again.

        Run again after an error it begins with the batch that it had: the broker thinks that we are at it.
        """
        while batch := self._unfinished or await self._next_batch():
            self._unfinished = batch
            await self.shell.take([arrived.message for arrived in batch])
            metrics.MESSAGES_RECEIVED.add(len(batch), service=self.shell.desk.name, queue=self.queue)
            await self._acknowledge(batch)
            self._unfinished = []

    def stop(self) -> None:
        """Let :meth:`run` end after the batch that it works on."""
        self._stopping = True
        self._something.set()

    def _put(self, message: DeliveredMessage) -> None:
        """Take a delivery, to be read with those that came together with it.

        What came on a channel that is gone comes again on this one.
        """
        if not self._unread:
            asyncio.get_running_loop().call_soon(self._read_together)
        if self._arrived and self._arrived[-1].channel is not message.channel:
            self._arrived = deque(arrived for arrived in self._arrived if not arrived.channel.is_closed)
        headers, origin = headers_of(message), message.exchange or ""
        source = message.consumer_tag or self.queue
        *before, last = self._split(message.body)
        for body in before:
            delivery = Delivery(body, headers, source, origin=origin)
            self._unread.append(Unread(delivery, message.channel, None))
        delivery = Delivery(last, headers, source, origin=origin)
        self._unread.append(Unread(delivery, message.channel, message.delivery_tag))

    def _read_together(self) -> None:
        """Read what the socket has brought in one go: some at a time, so that the database is answered in between."""
        unread, self._unread = self._unread[:READ_AT_ONCE], self._unread[READ_AT_ONCE:]
        if self._unread:
            asyncio.get_running_loop().call_soon(self._read_together)
        reads = self._read([each.delivery for each in unread])
        self._arrived += [Arrived(read, each.channel, each.tag) for each, read in zip(unread, reads, strict=True)]
        self._something.set()

    async def _next_batch(self) -> list[Arrived]:
        """Wait for one message, then take what else has arrived; empty when it is time to stop."""
        while not self._arrived and not self._stopping:
            self._something.clear()
            await self._something.wait()
        await self._let_arrive()
        if self._stopping:
            return []
        return [self._arrived.popleft() for _ in range(min(len(self._arrived), self._largest))]

    async def _let_arrive(self) -> None:
        """Let the event loop hand over what the socket holds already, and wait for nothing that it does not.

        Under load this makes batches large, which is what makes them cheap; without load it costs a few turns.
        """
        before = -1
        while before < len(self._arrived) < self._largest:
            before = len(self._arrived)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _acknowledge(self, batch: list[Arrived]) -> None:
        """Acknowledge what is finished. On a channel that is gone nothing can be; the inbox will know the messages."""
        by_channel: dict[AbstractChannel, list[int]] = {}
        for arrived in batch:
            if arrived.tag is not None:
                by_channel.setdefault(arrived.channel, []).append(arrived.tag)
        for channel, tags in by_channel.items():
            frontier = self._frontiers.setdefault(channel, Frontier())
            reached = frontier.finish(*tags)
            if reached is None or channel.is_closed:
                continue
            try:
                await channel.basic_ack(reached, multiple=True)
            except Exception as error:  # noqa: BLE001 - the connection went: committed is committed
                log.warning("acknowledgement.lost", count=len(tags), error=type(error).__name__)


def _given_up(deliveries: Sequence[Delivery]) -> list[Read[Any]]:
    """Leave messages unopened that the broker has given up on: they are parked as they are."""
    return [Read(delivery.without_excess(), Unreadable(GIVEN_UP)) for delivery in deliveries]
